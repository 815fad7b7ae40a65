package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// request is one caller's share of a transaction. apply runs in the writer's
// goroutine; when it returns an error it must have changed nothing.
type request struct {
	step  string // names the durable step for Options.Fault
	size  int    // about how many bytes it writes
	apply func(*change) error
	done  chan error
}

// change is the transaction of one group of requests.
type change struct {
	*tx
	st      state
	now     time.Time
	saved   []saved
	told    []Op // for OnChange
	reindex bool // the chain changed: every operation has to be looked at
	wrote   bool
}

// saved is one operation before (nil: new) and after (nil: pruned) a change.
type saved struct{ old, new *record }

// maxGroup bounds how many requests share a flush.
const maxGroup = 256

// do hands a request to the writer and waits for its flush. When ctx ends first
// nobody knows whether it was done.
func (q *Queue) do(ctx context.Context, step string, size int, apply func(*change) error) error {
	r := &request{step: step, size: size, apply: apply, done: make(chan error, 1)}
	select {
	case q.requests <- r:
	case <-q.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write is the one goroutine that changes the store. Requests that wait while a
// flush is under way share the next one.
func (q *Queue) write() {
	defer close(q.written)
	var held *request // taken, but too big for the group before
	for {
		group, size := []*request(nil), 0
		if held != nil {
			group, size, held = append(group, held), held.size, nil
		} else {
			select {
			case r := <-q.requests:
				group, size = append(group, r), r.size
			case <-q.closing:
				return
			}
		}
	gather:
		for len(group) < maxGroup {
			select {
			case r := <-q.requests:
				if size+r.size > groupBytes {
					held = r
					break gather
				}
				group, size = append(group, r), size+r.size
			default:
				break gather
			}
		}
		q.commit(group)
		if held != nil {
			select {
			case <-q.closing:
				held.done <- ErrClosed
				return
			default:
			}
		}
	}
}

// commit flushes one group: the store, then the witness, then the queue's own
// bookkeeping, then those who listen, then those who asked.
func (q *Queue) commit(group []*request) {
	answers := make([]error, len(group))
	fail := func(err error) {
		for i, r := range group {
			if answers[i] == nil {
				answers[i] = err
			}
			r.done <- answers[i]
		}
	}
	if q.broken {
		if err := q.reopen(); err != nil {
			fail(fmt.Errorf("reopen queue %s: %w", q.dir, err))
			return
		}
	}
	if err := q.roomToWrite(); err != nil {
		fail(fmt.Errorf("write queue %s: %w", q.dir, err))
		return
	}
	began := time.Now()
	q.mu.Lock()
	st := q.st.clone()
	q.mu.Unlock()
	c := &change{st: st, now: q.now().UTC()}
	err := q.store.update(func(t *tx) error {
		c.tx = t
		for i, r := range group {
			answers[i] = r.apply(c)
			if e := (*storeError)(nil); errors.As(answers[i], &e) {
				return answers[i]
			}
		}
		if !c.wrote {
			return nil
		}
		for i, r := range group {
			if answers[i] == nil {
				if err := q.fault(r.step + ":badger"); err != nil {
					return err
				}
			}
		}
		c.st.Commit++
		return c.put(keyState, c.st)
	})
	if err != nil {
		// A flush that failed may have kept or lost anything, and a later one
		// that succeeds says nothing of it. Only reading again tells.
		q.broken = true
		fail(fmt.Errorf("write queue %s: %w", q.dir, err))
		return
	}
	m := mark{Commit: c.st.Commit, Seq: c.st.Seq, Number: c.st.Tail, Head: c.st.Head}
	var unwitnessed error
	if q.witness.last != m {
		for i, r := range group {
			if answers[i] == nil && unwitnessed == nil {
				unwitnessed = q.fault(r.step + ":witness")
			}
		}
		if unwitnessed == nil {
			unwitnessed = q.witness.write(m)
		}
		if q.onSync != nil && c.wrote {
			q.onSync(time.Since(began))
		}
	}
	if c.wrote {
		if err := q.remember(c); err != nil {
			q.broken = true
			fail(fmt.Errorf("read queue %s: %w", q.dir, err))
			return
		}
	}
	if unwitnessed != nil {
		fail(fmt.Errorf("write queue %s: %w", q.dir+" (witness)", unwitnessed))
		return
	}
	fail(nil)
}

// remember takes a flushed change into memory and tells of it.
func (q *Queue) remember(c *change) error {
	if c.reindex {
		idx, _, err := readIndex(q.store, &c.st, c.now)
		if err != nil {
			return err
		}
		q.mu.Lock()
		q.st, q.index = c.st, idx
		q.mu.Unlock()
	} else {
		q.mu.Lock()
		q.st = c.st
		for _, s := range c.saved {
			q.index.apply(&q.st, s, c.now)
		}
		q.index.accepted(q.st.Cursor.AcceptedThrough)
		q.mu.Unlock()
	}
	q.mu.Lock()
	for _, s := range c.saved {
		if s.new != nil && s.new.State.Final() {
			if w, ok := q.waiting[s.new.ID]; ok {
				close(w)
				delete(q.waiting, s.new.ID)
			}
		}
	}
	q.mu.Unlock()
	q.wake()
	if q.onChange != nil {
		for _, op := range c.told {
			q.onChange(op)
		}
	}
	return nil
}

// storeError is trouble of the store, in contrast to a refusal by an apply.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

func trouble(err error) error {
	if err == nil {
		return nil
	}
	return &storeError{err}
}

// put frames and sets a value.
func (c *change) put(key string, v any) error {
	b, err := frame(v)
	if err != nil {
		return trouble(fmt.Errorf("encode %q: %w", key, err))
	}
	c.wrote = true
	return trouble(c.set(key, b))
}

func (c *change) remove(key string) error {
	c.wrote = true
	return trouble(c.delete(key))
}

// load reads an operation; ErrNotFound if there is none.
func (t *tx) load(id string) (record, error) {
	b, err := t.get(keyOp(id))
	if errors.Is(err, errAbsent) {
		return record{}, ErrNotFound
	}
	if err != nil {
		return record{}, trouble(err)
	}
	r, err := decodeRecord(id, b)
	if err != nil {
		return record{}, trouble(fmt.Errorf("read operation %q: %w", id, err))
	}
	return r, nil
}

// save writes an operation that was loaded as old (nil: a new one).
func (c *change) save(old *record, r record) error {
	b, err := frame(r)
	if err != nil {
		return trouble(fmt.Errorf("encode operation %q: %w", r.ID, err))
	}
	r.size = len(b)
	c.wrote = true
	if err := c.set(keyOp(r.ID), b); err != nil {
		return trouble(err)
	}
	c.saved = append(c.saved, saved{old, &r})
	return nil
}

// tell has OnChange called with the operation once it is flushed.
func (c *change) tell(r record) { c.told = append(c.told, c.st.show(r)) }

// show is the operation as callers see it: a number that no longer stands is none.
func (s *state) show(r record) Op {
	if !s.holds(r.Gen, r.Number) {
		r.Number = 0
	}
	return r.Op
}

// head is the submit chain's head after number, and whether it is known.
func (t *tx) head(s *state, number uint64) (string, bool, error) {
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
	l, ok, err := t.link(gen, number)
	return l.Head, ok, err
}

func (t *tx) link(gen uint32, number uint64) (link, bool, error) {
	b, err := t.get(keyLink(gen, number))
	if errors.Is(err, errAbsent) {
		return link{}, false, nil
	}
	if err != nil {
		return link{}, false, trouble(err)
	}
	var l link
	if err := unframe(b, &l); err != nil {
		return link{}, false, trouble(fmt.Errorf("read number %d: %w", number, err))
	}
	return l, true, nil
}
