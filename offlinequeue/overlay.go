package offlinequeue

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// overlay is what is promised in the journal and not in Badger yet: where in the
// journal each key's newest value is. Values stay on disk.
type overlay struct {
	mu      sync.RWMutex
	moved   sync.Cond // applied moved, or the applier ended
	keys    map[string]place
	most    int      // keys since the map was made
	written []placed // in the order of numbers
	bytes   int64    // of the journal, not applied yet
	last    uint64   // number of the last record added
	applied uint64
	wanted  func() // has the applier go on at once
	hurry   bool   // somebody waits for it
	held    bool   // nothing is applied for want of room
	ended   bool   // nothing will be applied any more
}

// place is where a value is.
type place struct {
	number  uint64
	seg     *segment
	at      int64 // where its record begins
	from    int32 // in the payload
	length  int32
	deleted bool
}

type placed struct {
	key    string
	number uint64
}

func newOverlay(at uint64) *overlay {
	o := &overlay{keys: map[string]place{}, last: at, applied: at, wanted: func() {}}
	o.moved.L = &o.mu
	return o
}

// add takes in what was flushed.
func (o *overlay) add(writes []overlaid, last uint64, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range writes {
		o.keys[w.key] = w.place
		o.written = append(o.written, placed{w.key, w.number})
	}
	o.most = max(o.most, len(o.keys))
	o.last, o.bytes = last, o.bytes+bytes
}

// overlaid is one key of a change.
type overlaid struct {
	key string
	place
}

// get returns a value that is not in Badger yet; !ok: ask Badger.
func (o *overlay) get(key string) (value []byte, number uint64, ok bool, err error) {
	o.mu.RLock()
	defer o.mu.RUnlock() // the segment stays as long as the key is here
	p, ok := o.keys[key]
	if !ok {
		return nil, 0, false, nil
	}
	if p.deleted {
		return nil, 0, true, errAbsent
	}
	value, err = p.seg.value(p)
	return value, p.number, true, err
}

// places lists the places of operations that changed and are not in Badger yet.
func (o *overlay) places() (list []uint64) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for key := range o.keys {
		if seq := seqOf(key); seq > 0 && strings.HasPrefix(key, prefixSeq) {
			list = append(list, seq)
		}
	}
	return list
}

// through forgets what Badger has.
func (o *overlay) through(number uint64, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for ; n < len(o.written) && o.written[n].number <= number; n++ {
		key := o.written[n].key
		if p, ok := o.keys[key]; ok && p.number <= number {
			delete(o.keys, key)
		}
	}
	if o.written = o.written[n:]; len(o.written) == 0 {
		o.written = nil
		if len(o.keys) == 0 && o.most > 10000 {
			o.keys, o.most = map[string]place{}, 0 // a map never gives its room back
		}
	}
	o.applied, o.bytes = number, o.bytes-bytes
	if o.applied == o.last {
		o.hurry = false
	}
	o.moved.Broadcast()
}

// appliedIs reports whether that is the last record, and applied.
func (o *overlay) appliedIs(number uint64) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.applied == number && o.last == number
}

// end says that nothing will be applied any more.
func (o *overlay) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.moved.Broadcast()
}

// room waits until at most so many bytes are not applied. It does not wait for a
// disk to get room (errHeld), nor for an applier that ended (errEnded).
func (o *overlay) room(most int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ; o.bytes > most && !o.ended; o.moved.Wait() {
		if o.held {
			return errHeld
		}
	}
	if o.ended {
		return errEnded
	}
	return nil
}

// mayRest reports whether there is more to come, and room to let it come first.
func (o *overlay) mayRest(since uint64) (last uint64, rest bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.last, o.last != since && !o.hurry && o.bytes < unappliedMost/2 && len(o.keys) < unappliedKeys
}

// level waits until all that is there now is applied; errHeld, errEnded: it will not
// be.
func (o *overlay) level() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.applied < o.last {
		o.hurry = true
		o.wanted()
	}
	for to := o.last; o.applied < to; o.moved.Wait() {
		if o.ended {
			return errEnded
		}
		if o.held {
			return errHeld
		}
	}
	return nil
}

// reader reads keys as they stand: what this change wrote, what is not applied yet,
// what is in Badger.
type reader struct {
	store   *store
	overlay *overlay
	check   *check           // of the store; nil: none
	own     map[string]owned // nil: no change
}

type owned struct {
	value   []byte
	number  uint64
	deleted bool
}

// get returns a value and the number of the record that wrote it; errAbsent if the
// key is not there.
func (r *reader) get(key string) (value []byte, number uint64, err error) {
	if w, ok := r.own[key]; ok {
		if w.deleted {
			return nil, 0, errAbsent
		}
		return w.value, w.number, nil
	}
	if value, number, ok, err := r.overlay.get(key); ok || err != nil {
		return value, number, err
	}
	// What leaves the overlay can be got from the store before.
	value, number, err = r.store.get(key)
	if errors.Is(err, errAbsent) {
		if doubt := r.check.wait(); doubt != nil {
			return nil, 0, doubt
		}
	}
	return value, number, err
}

// load reads an operation; ErrNotFound if there is none.
func (r *reader) load(id string) (*record, error) { return r.loadWith(id, nil, r.standing) }

// loadWith is load for one who may know what was asked for (nil: no), and how the operation
// at a place stands.
func (r *reader) loadWith(id string, b []byte, standing func(seq uint64) (record, error)) (*record, error) {
	var err error
	if b == nil {
		b, _, err = r.get(keyOp(id))
	}
	if errors.Is(err, errAbsent) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, trouble(err)
	}
	seq, ask, err := splitAsked(b)
	if err != nil {
		return nil, trouble(fmt.Errorf("read operation %q: %w: %w", id, errStore, err))
	}
	found, err := standing(seq)
	if err != nil {
		return nil, err
	}
	if found.ID != id {
		err = fmt.Errorf("%w: place %d is of %q", errFrame, seq, found.ID)
	} else {
		if err = found.asks(ask); err != nil {
			err = fmt.Errorf("%w: %w", errStore, err) // decrypted with what is not its key: its checksum was right
		}
	}
	if err != nil {
		return nil, trouble(fmt.Errorf("read operation %q: %w", id, err))
	}
	return &found, nil
}

// standing reads how the operation at a place stands, without what the till asked for;
// ErrNotFound if there is none.
func (r *reader) standing(seq uint64) (record, error) {
	b, number, err := r.get(keySeq(seq))
	if errors.Is(err, errAbsent) {
		return record{}, ErrNotFound // pruned, perhaps in between
	}
	if err != nil {
		return record{}, trouble(fmt.Errorf("read operation %d: %w", seq, err))
	}
	return stoodAt(seq, b, number)
}

// stoodAt is the operation at a place as b says it stands, which a record wrote.
func stoodAt(seq uint64, b []byte, written uint64) (record, error) {
	r, err := decodeStanding(seq, b)
	if err != nil {
		return record{}, trouble(fmt.Errorf("read operation %d: %w", seq, err))
	}
	r.written, r.stood = written, b
	return r, nil
}

func (r *reader) link(gen uint32, number uint64) (link, bool, error) {
	b, _, err := r.get(keyLink(gen, number))
	if errors.Is(err, errAbsent) {
		return link{}, false, nil
	}
	if err != nil {
		return link{}, false, trouble(err)
	}
	l, err := decodeLink(b)
	if err != nil {
		return link{}, false, trouble(fmt.Errorf("read number %d: %w", number, err))
	}
	return l, true, nil
}

// head is the submit chain's head after number, and whether it is known.
func (r *reader) head(s *state, number uint64) (string, bool, error) {
	switch number {
	case s.Tail:
		return s.Head, true, nil
	case s.Cursor.AcceptedThrough: // its operation may be pruned
		return s.Cursor.Head, true, nil
	}
	gen, head, atStart, ok := s.place(number)
	if !ok || atStart {
		return head, ok, nil
	}
	l, ok, err := r.link(gen, number)
	return l.Head, ok, err
}

// reader reads what stands now.
func (q *Queue) reader() (*reader, state) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return &reader{store: q.store, overlay: q.overlay, check: q.checking()}, q.st
}

// level returns when Badger has all that was promised before the call.
func (q *Queue) level() error {
	for {
		if err := q.overlayNow().level(); !errors.Is(err, errEnded) {
			return err
		}
		// The state is broken. Whoever writes next reads it again.
		if err := q.look(); err != nil {
			return err
		}
	}
}
