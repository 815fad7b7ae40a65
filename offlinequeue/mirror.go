package offlinequeue

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

// mirror is a disk whose files are on another one too: a USB stick, a network share.
// What is flushed is on both. The other one may fail, hang, or be pulled out: then it
// is away, this one goes on, and why says so to who wants to promise. It counts again
// when it was brought level.
type mirror struct {
	own, other disk
	look       func() error // whether the other one is there, and is the right one
	limit      time.Duration

	mu      sync.Mutex
	files   map[*mirrorFile]bool // open ones
	away    error                // nil: the other one has everything
	since   time.Time
	running int // jobs at the other one, hung ones too
}

// mirrorFile is one open file of a mirror.
type mirrorFile struct {
	file
	m     *mirror
	name  string // the mirror's mu guards it, and other
	other file   // nil: not on the other disk
	wrote []piece
}

// piece is what was written and is not flushed yet.
type piece struct {
	at int64
	b  []byte
}

const (
	// A till waits 8 s for its answer: a disk that needs longer for a flush is away.
	mirrorLimit = 5 * time.Second
	// How often one that is away is looked for.
	mirrorEvery = 5 * time.Second
	// A journal of gigabytes over a slow line is brought level in this.
	joinLimit = 30 * time.Minute
)

var errNotLevel = errors.New("it was not brought level yet")

func newMirror(own, other disk, look func() error) *mirror {
	return &mirror{own: own, other: other, look: look, limit: mirrorLimit, files: map[*mirrorFile]bool{}, away: errNotLevel, since: time.Now()}
}

// why is nil while the other disk has everything that was flushed.
func (m *mirror) why() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

// lost says that the other disk does not count any more.
func (m *mirror) lost(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away == nil {
		m.since = time.Now()
	}
	m.away = err
	for f := range m.files {
		f.drop()
	}
}

// drop lets go of the other disk's file; mu is held. One that hangs is closed by
// nobody.
func (f *mirrorFile) drop() {
	if o := f.other; o != nil && f.m.running == 0 {
		_ = o.Close() // it does not count any more
	}
	f.other, f.wrote = nil, nil
}

// begin starts a job at the other disk, and returns how to wait for its end.
func (m *mirror) begin(limit time.Duration, job func() error) (wait func() error) {
	m.mu.Lock()
	m.running++
	m.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		err := job()
		m.mu.Lock()
		m.running--
		m.mu.Unlock()
		ended <- err
	}()
	return func() error {
		t := time.NewTimer(limit)
		defer t.Stop()
		select {
		case err := <-ended:
			return err
		case <-t.C:
			return fmt.Errorf("no answer within %s", limit)
		}
	}
}

// both does the same on each disk, at the same time; the error is this one's. A failure
// of the other one makes it one that is away.
func (m *mirror) both(own, other func() error) error {
	if m.why() != nil {
		return own()
	}
	wait := m.begin(m.limit, other)
	err := own()
	if e := wait(); e != nil {
		m.lost(e)
	}
	return err
}

func (m *mirror) create(name string, size int64) (file, error) {
	return m.handle(name, func(d disk) (file, error) { return d.create(name, size) })
}

func (m *mirror) open(name string) (file, error) {
	return m.handle(name, func(d disk) (file, error) { return d.open(name) })
}

// handle opens a file on both.
func (m *mirror) handle(name string, open func(disk) (file, error)) (file, error) {
	f, other := &mirrorFile{m: m, name: name}, make(chan file, 1)
	err := m.both(func() (err error) {
		f.file, err = open(m.own)
		return err
	}, func() error {
		o, err := open(m.other)
		if err == nil {
			other <- o
		}
		return err
	})
	if err != nil {
		select {
		case o := <-other:
			err = errors.Join(err, o.Close())
		default:
		}
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[f] = true
	select {
	case f.other = <-other:
	default:
	}
	return f, nil
}

func (m *mirror) rename(from, to string) error {
	m.mu.Lock()
	for f := range m.files {
		if f.name == from {
			f.name = to
		}
	}
	m.mu.Unlock()
	return m.both(func() error { return m.own.rename(from, to) }, func() error { return m.other.rename(from, to) })
}

func (m *mirror) remove(name string) error {
	return m.both(func() error { return m.own.remove(name) }, func() error { return m.other.remove(name) })
}

func (m *mirror) list() ([]string, error) { return m.own.list() }
func (m *mirror) sync() error             { return m.both(m.own.sync, m.other.sync) }

// WriteAt writes here, and has the next flush write there.
func (f *mirrorFile) WriteAt(b []byte, at int64) (int, error) {
	f.m.mu.Lock()
	if f.other != nil {
		f.wrote = append(f.wrote, piece{at, bytes.Clone(b)})
	}
	f.m.mu.Unlock()
	return f.file.WriteAt(b, at)
}

func (f *mirrorFile) flush() error {
	f.m.mu.Lock()
	other, pieces := f.other, f.wrote
	f.wrote = nil
	f.m.mu.Unlock()
	if other == nil {
		return f.file.flush()
	}
	return f.m.both(f.file.flush, func() error {
		for _, p := range pieces {
			if _, err := other.WriteAt(p.b, p.at); err != nil {
				return err
			}
		}
		return other.flush()
	})
}

func (f *mirrorFile) Close() error {
	f.m.mu.Lock()
	other := f.other
	f.other = nil
	delete(f.m.files, f)
	f.m.mu.Unlock()
	if other == nil {
		return f.file.Close()
	}
	return f.m.both(f.file.Close, other.Close)
}

// join brings the other disk level, and has it count from then on. Nobody writes
// meanwhile. live: files are open, and this disk is right; else what only the other
// one has is taken from it. It returns what was done, in words.
func (m *mirror) join(segment int64, live bool) (words []string, err error) {
	m.mu.Lock()
	hung := m.running > 0
	m.mu.Unlock()
	if hung {
		return nil, errors.New("it has not answered yet")
	}
	err = m.begin(m.limit, m.look)()
	if err == nil {
		t := &twins{own: m.own, other: m.other, live: live}
		if err = m.begin(joinLimit, func() error { return t.level(segment) })(); err == nil {
			words = t.words
		}
	}
	if err != nil {
		m.lost(err)
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.files {
		if f.other, err = m.reopen(f); err != nil {
			m.away = err
			return words, err
		}
	}
	m.away = nil
	return words, nil
}

// reopen opens the other disk's file of one that is open.
func (m *mirror) reopen(f *mirrorFile) (file, error) {
	if f.name == spareName { // zeros, and no part of the journal yet
		return m.other.create(spareName, f.size())
	}
	return m.other.open(f.name)
}
