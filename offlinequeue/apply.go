package offlinequeue

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// applier brings what is in the journal into Badger, in order. It reads the journal
// as Open does after a crash: there is one way from the one to the other.
type applier struct {
	store   *store
	journal *journal
	overlay *overlay
	fault   func(string) error
	onSync  func() // a flush of the state: old segments may go
	room    func() bool
	alone   func(bool) // the room went, or came back

	seg    *segment
	at     int64
	window *window
	opened []byte // of a sealed record
	taken  *gathered
	last   position // applied
	since  int64    // so many bytes of the journal were since memory was given back

	synced  atomic.Uint64 // Badger is flushed through this record
	kick    chan struct{} // holds a token when there is more
	tables  chan chan error
	stop    chan bool // true: bring all of it in first
	stopped chan struct{}
	err     error // why it ended by itself
}

const (
	// So much of the journal may wait to be applied. It is bounded because the next
	// Open has to bring it in, and because a key and a place of each is in memory.
	unappliedMost = 64 << 20
	// And so many keys, of which memory has a place each: half as much as is allowed in bytes
	// where operations are put, and less where they come and go.
	unappliedKeys = 50_000
	// Badger is flushed when nothing came for so long: from then on each of the two
	// makes up for damage of the other.
	syncIdle = time.Second
	// So much makes a burst: the memory that it took is given back when it is over. A
	// shop's machine has better use for it than the next collection, minutes later.
	burst = 16 << 20
	// So much of the journal may go into one transaction, where most of it is about the
	// same keys.
	stepMost = 4 << 20
	// Badger gives back what tables were made in a piece every two seconds, eight in all.
	storeKeeps = 20 * time.Second
	// While promises keep coming the applier leaves them the processor: what comes in
	// a burst is applied after it, or when half of what may wait does.
	applyRest = 10 * time.Millisecond
)

// newApplier begins after a record that Badger has.
func newApplier(s *store, j *journal, o *overlay, after position) *applier {
	a := &applier{
		store: s, journal: j, overlay: o, last: after,
		fault: func(string) error { return nil }, onSync: func() {},
		room: func() bool { return true }, alone: func(bool) {},
		taken: newGathered(), kick: make(chan struct{}, 1), tables: make(chan chan error), stop: make(chan bool, 1), stopped: make(chan struct{}),
	}
	return a
}

// more tells that something was flushed.
func (a *applier) more() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// run applies until it is stopped or fails.
func (a *applier) run() {
	defer close(a.stopped)
	defer a.overlay.end()
	idle, rest := time.NewTimer(syncIdle), time.NewTimer(0)
	defer idle.Stop()
	defer rest.Stop()
	var seen uint64
	kept := false // by Badger, of a burst
	for {
		select {
		case <-a.kick:
			var later bool
			if seen, later = a.overlay.mayRest(seen); later {
				rest.Reset(applyRest)
				continue
			}
			if a.err = a.all(); a.err != nil {
				return
			}
			if a.overlay.isHeld() {
				rest.Reset(roomEvery)
			}
			idle.Reset(syncIdle)
		case <-rest.C:
			a.more()
		case <-idle.C:
			if a.err = a.sync(); a.err != nil {
				return
			}
			switch {
			case a.since >= burst:
				a.since, a.taken, a.opened, kept = 0, newGathered(), nil, true
				debug.FreeOSMemory()
				idle.Reset(storeKeeps)
			case kept:
				kept = false
				debug.FreeOSMemory()
			}
		case done := <-a.tables:
			if a.room() {
				done <- a.store.settleTables()
			} else {
				done <- ErrFull
			}
		case all := <-a.stop:
			if all {
				if a.err = a.all(); a.err == nil {
					a.err = a.sync()
				}
			}
			return
		}
	}
}

// end stops the applier; all: when everything is in Badger and flushed.
func (a *applier) end(all bool) error {
	select {
	case a.stop <- all:
	case <-a.stopped:
	}
	<-a.stopped
	return a.err
}

// settleTables has all that was applied made tables.
func (a *applier) settleTables() error {
	done := make(chan error, 1)
	select {
	case a.tables <- done:
		return <-done
	case <-a.stopped:
		return ErrClosed
	}
}

// all applies what there is, as long as there is room.
func (a *applier) all() error {
	for {
		room := a.room()
		if a.overlay.hold(!room) {
			a.alone(!room)
		}
		if !room {
			return nil
		}
		n, err := a.step()
		if err != nil || n == 0 {
			return err
		}
	}
}

// find opens the segment that the next record is in.
func (a *applier) find() (end int64, more bool) {
	a.journal.mu.RLock()
	defer a.journal.mu.RUnlock()
	for i, s := range a.journal.segments {
		last := i+1 == len(a.journal.segments)
		if s == a.seg && a.at >= s.end && !last || a.seg == nil && s.last.number <= a.last.number && !last {
			a.seg, a.at = a.journal.segments[i+1], headSize
			a.window = &window{f: a.seg.file}
			continue
		}
		if a.seg == nil {
			a.seg, a.at, a.window = s, headSize, &window{f: s.file}
		}
		if s == a.seg {
			return s.end, !last
		}
	}
	return 0, false
}

// step applies what fits one transaction, at most to the end of a segment, and
// returns how many bytes of the journal that was.
func (a *applier) step() (n int, err error) {
	was := a.seg
	end, _ := a.find()
	if was != nil && was != a.seg {
		if err := a.sync(); err != nil { // a segment's end
			return 0, err
		}
	}
	if a.seg == nil || a.at >= end {
		return 0, nil
	}
	a.window.limit = end
	a.journal.mu.RLock()
	mark := applied{a.last, a.journal.segments[0].before, a.synced.Load()}
	bad := a.seg.bad
	a.journal.mu.RUnlock()
	if err := a.fault("apply"); err != nil {
		return 0, err
	}
	at, err := a.gather(end, &mark.position, bad)
	if err != nil {
		return 0, err
	}
	err = a.store.update(func(t *tx) error {
		if err := a.taken.write(t); err != nil {
			return err
		}
		return t.set(keyApplied, mark.encode(), mark.number)
	})
	if err != nil {
		return 0, err
	}
	n = int(at - a.at)
	a.at, a.last, a.since = at, mark.position, a.since+int64(n)
	if err := a.store.refresh(); err != nil {
		return 0, err
	}
	a.overlay.through(a.last.number, int64(n))
	return n, nil
}

// gather takes in what fits one transaction, up to end, and moves last to the last record
// of it.
func (a *applier) gather(end int64, last *position, bad []gap) (at int64, err error) {
	a.taken.reset()
	var marks []byte
	for at = a.at; at < end && at-a.at < stepMost; {
		if i := gapAt(bad, at); i >= 0 {
			at = bad[i].end
			if bad[i].to > last.number {
				*last = position{number: bad[i].to}
			}
			continue
		}
		r, ok, err := a.window.record(at)
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, fmt.Errorf("read %s at %d: no record", a.seg.name, at)
		}
		if r.number <= a.last.number {
			at = r.end()
			continue
		}
		if a.taken.size > 0 && a.taken.size+len(r.payload) > groupBytes {
			break
		}
		at, *last = r.end(), r.position
		payload, err := a.seg.seal.open(a.opened, &r)
		if err != nil {
			return 0, err
		}
		if a.seg.seal != nil {
			a.opened = payload
		}
		err = eachWrite(payload, func(w write) error {
			if w.key == keyState {
				marks = append(marks[:0], w.value...)
				return nil
			}
			a.taken.add(w, r.number)
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("apply record %d: %w", r.number, err)
		}
	}
	if marks != nil {
		a.taken.add(write{key: keyState, value: marks}, last.number)
	}
	return at, nil
}

// sync flushes Badger.
func (a *applier) sync() error {
	if a.synced.Load() == a.last.number {
		return nil
	}
	if err := a.fault("sync"); err != nil {
		return err
	}
	if err := a.store.sync(); err != nil {
		return err
	}
	a.synced.Store(a.last.number)
	a.onSync()
	if !a.room() {
		return nil
	}
	a.journal.mu.RLock()
	mark := applied{a.last, a.journal.segments[0].before, a.last.number}
	a.journal.mu.RUnlock()
	return a.store.update(func(t *tx) error { return t.set(keyApplied, mark.encode(), mark.number) })
}
