package offlinequeue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// forgetful is a disk that loses power: what was not flushed is forgotten, or is
// there in part, sector by sector, in no order; so are names that were not synced.
type forgetful struct {
	mu      sync.Mutex
	names   map[string]*forgetfulFile
	durable map[string]*forgetfulFile
	full    bool
	out     bool // pulled out: nothing is found
	steps   int  // writes and flushes so far
	dies    int  // at which step the power goes; 0: never
}

type forgetfulFile struct {
	disk    *forgetful
	content []byte // as the running process sees it
	durable []byte
	dirty   map[int]bool // sectors
}

var errPower = errors.New("no power")

func newForgetful() *forgetful {
	return &forgetful{names: map[string]*forgetfulFile{}, durable: map[string]*forgetfulFile{}}
}

// step counts one step and reports whether the power is gone.
func (d *forgetful) step() error {
	d.steps++
	if d.dies > 0 && d.steps >= d.dies {
		return errPower
	}
	return nil
}

// power brings the disk back as it is after a loss of power. Of what was not flushed
// some is there, as luck decides.
func (d *forgetful) power(luck *rand.Rand) *forgetful {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newForgetful()
	names := maps.Clone(d.durable)
	if luck.IntN(2) == 0 {
		names = maps.Clone(d.names)
	}
	for name, f := range names {
		kept := slices.Clone(f.durable)
		share := luck.IntN(5) // of four: none to all
		for s := range f.dirty {
			if luck.IntN(4) < share {
				copy(kept[s*sector:min((s+1)*sector, len(kept))], f.content[s*sector:])
			}
		}
		after.names[name] = &forgetfulFile{disk: after, content: kept, durable: slices.Clone(kept), dirty: map[int]bool{}}
	}
	after.durable = maps.Clone(after.names)
	return after
}

func (d *forgetful) create(name string, size int64) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	if d.full {
		return nil, syscall.ENOSPC
	}
	f := &forgetfulFile{disk: d, content: make([]byte, size), durable: make([]byte, size), dirty: map[int]bool{}}
	d.names[name] = f
	return f, nil
}

func (d *forgetful) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out {
		return nil, errPower
	}
	f, ok := d.names[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return f, nil
}

func (d *forgetful) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *forgetful) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *forgetful) list() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out {
		return nil, errPower
	}
	return slices.Sorted(maps.Keys(d.names)), nil
}

func (d *forgetful) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.durable = maps.Clone(d.names)
	return nil
}

func (f *forgetfulFile) ReadAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := copy(b, f.content[min(at, int64(len(f.content))):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *forgetfulFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.step()
	if err != nil && f.disk.steps > f.disk.dies {
		return 0, err
	}
	if int(at)+len(b) > len(f.content) {
		return 0, fmt.Errorf("write beyond what is allocated: %w", syscall.ENOSPC)
	}
	// What was under way when the power went may be there as well.
	copy(f.content[at:], b)
	for s := int(at) / sector; s <= (int(at)+len(b)-1)/sector; s++ {
		f.dirty[s] = true
	}
	return len(b), err
}

func (f *forgetfulFile) flush() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step(); err != nil {
		return err
	}
	for s := range f.dirty {
		copy(f.durable[s*sector:min((s+1)*sector, len(f.durable))], f.content[s*sector:])
	}
	f.dirty = map[int]bool{}
	return nil
}

func (f *forgetfulFile) size() int64  { return int64(len(f.content)) }
func (f *forgetfulFile) Close() error { return nil }
