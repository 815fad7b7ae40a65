package hub

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A keyring is the file of the locked keys of operations' personal fields (money.md
// 5.2), in two copies beside the key that locks them. Each key has a slot, which lies
// within one sector:
//
//	 0    1  'k': a key; 'e': it was erased
//	 1    8  when it was put there, Unix milliseconds
//	 9    1  length of the operation's id
//	10  128  the id
//	138  60  the locked key
//	252   4  CRC-32C of all that
//
// A key is on both disks' copies before it is used, and written over in both when it is
// erased. Where one copy cannot be read the other one tells; where either says erased,
// it is.
type keyring struct {
	mu    sync.Mutex
	files [2]*os.File
	slots int
	free  []int
	half  []int                   // erased in one copy, and it failed in the other
	fault func(step string) error // nil: none
}

const (
	slotSize   = 256
	slotKey    = 'k'
	slotErased = 'e'
	slotID     = 128
	slotLocked = 60
)

// keySlot is one key.
type keySlot struct {
	id     string
	at     time.Time
	locked []byte
}

// errNoKey: there is no such key, or it was erased.
var errNoKey = errors.New("the key is not there")

// copyNames are the two copies' files.
func copyNames(keyFile string) [2]string { return [2]string{keyFile + ".ring-1", keyFile + ".ring-2"} }

// openKeyring opens both copies, makes what is missing and mends one by the other.
func openKeyring(keyFile string, fault func(string) error) (_ *keyring, err error) {
	r := &keyring{fault: fault}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open keys of personal fields: %w", errors.Join(err, r.close()))
		}
	}()
	for i, name := range copyNames(keyFile) {
		if r.files[i], err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, err
		}
	}
	if err := syncDir(filepath.Dir(keyFile)); err != nil {
		return nil, err
	}
	return r, r.mend()
}

// readKeyring opens what is there of both copies to be read alone.
func readKeyring(keyFile string) *keyring {
	r := &keyring{}
	for i, name := range copyNames(keyFile) {
		f, err := os.Open(name)
		if err != nil {
			continue // the other copy tells
		}
		r.files[i] = f
		if info, err := f.Stat(); err == nil {
			r.slots = max(r.slots, int(info.Size()/slotSize))
		}
	}
	return r
}

func (r *keyring) close() (err error) {
	if r == nil {
		return nil
	}
	for _, f := range r.files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// mend makes both copies agree.
func (r *keyring) mend() error {
	for _, f := range r.files {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		r.slots = max(r.slots, int((info.Size()+slotSize-1)/slotSize))
	}
	var wrote bool
	for n := range r.slots {
		raw, ok := r.raw(n)
		s := erasedSlot()
		if ok {
			s = raw[0]
			if raw[0] == nil || raw[1] != nil && raw[1][0] == slotErased {
				s = raw[1]
			}
		}
		if s[0] == slotErased {
			r.free = append(r.free, n)
		}
		for i, f := range r.files {
			if string(raw[i]) == string(s) {
				continue
			}
			wrote = true
			if _, err := f.WriteAt(s, int64(n)*slotSize); err != nil {
				return err
			}
		}
	}
	if !wrote {
		return nil
	}
	return errors.Join(r.files[0].Sync(), r.files[1].Sync())
}

// raw is a slot's bytes in both copies, nil where they cannot be read or are damaged.
func (r *keyring) raw(n int) (raw [2][]byte, found bool) {
	for i, f := range r.files {
		if f == nil {
			continue
		}
		b := make([]byte, slotSize)
		if _, err := f.ReadAt(b, int64(n)*slotSize); err != nil && !errors.Is(err, io.EOF) {
			continue
		}
		if binary.BigEndian.Uint32(b[slotSize-4:]) != crc32.Checksum(b[:slotSize-4], castagnoli) || b[9] > slotID ||
			b[0] != slotKey && b[0] != slotErased {
			continue
		}
		raw[i], found = b, true
	}
	return raw, found
}

// get is the key in a slot, or errNoKey.
func (r *keyring) get(n int) (keySlot, error) {
	if r == nil {
		return keySlot{}, errNoKey
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < 0 || n >= r.slots {
		return keySlot{}, errNoKey
	}
	raw, _ := r.raw(n)
	var s []byte
	for _, b := range raw {
		switch {
		case b == nil:
		case b[0] == slotErased:
			return keySlot{}, errNoKey
		case s == nil:
			s = b
		}
	}
	if s == nil {
		return keySlot{}, errNoKey
	}
	return keySlot{
		id: string(s[10 : 10+s[9]]), at: time.UnixMilli(int64(binary.BigEndian.Uint64(s[1:]))),
		locked: s[10+slotID : 10+slotID+slotLocked],
	}, nil
}

// size is how many slots there are, empty ones too.
func (r *keyring) size() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots
}

// add puts a key into a slot. When it returns the key is on the disk.
func (r *keyring) add(s keySlot) (n int, err error) {
	if len(s.id) > slotID || len(s.locked) != slotLocked {
		return 0, fmt.Errorf("keep key of personal fields: an id of %d bytes, a key of %d", len(s.id), len(s.locked))
	}
	b := make([]byte, slotSize)
	b[0], b[9] = slotKey, byte(len(s.id))
	binary.BigEndian.PutUint64(b[1:], uint64(s.at.UnixMilli()))
	copy(b[10:], s.id)
	copy(b[10+slotID:], s.locked)
	r.mu.Lock()
	defer r.mu.Unlock()
	n = r.slots
	if last := len(r.free) - 1; last >= 0 {
		n = r.free[last]
	}
	if err := r.write(n, b, "keys:add"); err != nil {
		return 0, fmt.Errorf("keep key of personal fields: %w", err)
	}
	if last := len(r.free) - 1; last >= 0 {
		r.free = r.free[:last]
	} else {
		r.slots++
	}
	return n, nil
}

// erase destroys the keys in slots, in both copies. What fails is tried again by the next.
func (r *keyring) erase(slots ...int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.half = append(r.half, slots...)
	for len(r.half) > 0 {
		if err := r.write(r.half[0], erasedSlot(), "keys:erase"); err != nil {
			return fmt.Errorf("erase key of personal fields: %w", err)
		}
		r.free, r.half = append(r.free, r.half[0]), r.half[1:]
	}
	return nil
}

// write puts a slot into one copy after the other, so that what a power cut tears is
// whole in one of them.
func (r *keyring) write(n int, b []byte, step string) error {
	sign(b)
	for i, f := range r.files {
		if r.fault != nil {
			if err := r.fault(fmt.Sprintf("%s-%d", step, i+1)); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(b, int64(n)*slotSize); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func erasedSlot() []byte {
	b := make([]byte, slotSize)
	b[0] = slotErased
	sign(b)
	return b
}

func sign(b []byte) {
	binary.BigEndian.PutUint32(b[slotSize-4:], crc32.Checksum(b[:slotSize-4], castagnoli))
}
