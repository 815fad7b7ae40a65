package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// request is one caller's share of a transaction. apply runs in the writer's
// goroutine; when it returns an error it must have changed nothing.
type request struct {
	step  string // names the durable step for Options.Fault
	size  int    // about how many bytes it writes
	apply func(*change) error
	with  *request // goes with it, in the same flush, behind it; nil: none
	done  chan error
}

// maxGroup bounds how many requests share a flush.
const maxGroup = 256

// patienceMost is the longest that a group waits for more: less than a flush takes.
const patienceMost = 200 * time.Microsecond

// spinsMost is some ten times what fits into the patience: where the clock stands
// still while anybody is busy, as in some tests, the wait ends all the same.
const spinsMost = 10_000

// do hands a request to the writer and waits for its flush. When ctx ends first
// nobody knows whether it was done.
func (q *Queue) do(ctx context.Context, step string, size int, apply func(*change) error) error {
	return q.doWith(ctx, &request{step: step, size: size, apply: apply})
}

// doWith is do for a request and what goes with it. When the first is refused the
// other has to see for itself that nothing is to be done.
func (q *Queue) doWith(ctx context.Context, r *request) error {
	all := r.all()
	for _, r := range all {
		r.done = make(chan error, 1)
	}
	select {
	case q.requests <- r:
	case <-q.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, r := range all {
		select {
		case err := <-r.done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// all is a request and what goes with it.
func (r *request) all() []*request {
	if r.with == nil {
		return []*request{r}
	}
	return []*request{r, r.with}
}

// sizes is how much both write.
func (r *request) sizes() int {
	if r.with == nil {
		return r.size
	}
	return r.size + r.with.size
}

// write is the one goroutine that changes the store. Requests that wait while a
// flush is under way share the next one.
func (q *Queue) write() {
	defer close(q.written)
	var held *request // taken, but too big for the group before
	var answered time.Time
	var patience time.Duration
	expected := 0
	for {
		group, size := []*request(nil), 0
		if held != nil {
			group, size, held = append(group, held.all()...), held.sizes(), nil
		} else {
			select {
			case r := <-q.requests:
				group, size = append(group, r.all()...), r.sizes()
			case <-q.closing:
				return
			}
		}
		spins := 0
	gather:
		for len(group) < maxGroup {
			select {
			case r := <-q.requests:
				if size+r.sizes() > groupBytes {
					held = r
					break gather
				}
				group, size = append(group, r.all()...), size+r.sizes()
			default:
				// Those who were just answered come again: one flush for all of them
				// is better than one for the first and one for the others.
				if spins++; len(group) >= expected || spins > spinsMost || time.Since(answered) > patience {
					break gather
				}
				runtime.Gosched()
			}
		}
		began := time.Now()
		q.commit(group)
		answered = time.Now()
		expected, patience = len(group), min(answered.Sub(began)/2, patienceMost)
		if held != nil {
			select {
			case <-q.closing:
				for _, r := range held.all() {
					r.done <- ErrClosed
				}
				return
			default:
			}
		}
	}
}

// commit makes records of one group and flushes them, then does the queue's own
// bookkeeping, then tells those who listen, then those who asked.
func (q *Queue) commit(group []*request) {
	answers := make([]error, len(group))
	err := q.ready()
	if err == nil {
		err = q.journalGroup(group, answers)
	}
	for i, r := range group {
		if answers[i] == nil {
			answers[i] = err
		}
		r.done <- answers[i]
	}
}

// ready waits until there is room before Badger, and reads everything again after
// a failure.
func (q *Queue) ready() error {
	for {
		if !q.broken {
			if err := q.overlay.room(unappliedMost); !errors.Is(err, errEnded) {
				return err
			}
		}
		if q.loading {
			return errBroken
		}
		if err := q.reopen(); err != nil {
			return fmt.Errorf("reopen queue %s: %w", q.dir, err)
		}
	}
}

// journalGroup does what commit says; answers are the refusals of single requests.
func (q *Queue) journalGroup(group []*request, answers []error) error {
	began := time.Now()
	q.mu.Lock()
	c := &change{
		reader: &reader{store: q.store, overlay: q.overlay, check: q.checking(), own: q.own},
		st:     q.st.clone(), now: q.now().UTC(), listens: q.onChange != nil,
	}
	q.mu.Unlock()
	c.known, c.recent, c.linked, c.stands = q.known, q.recent, map[string]link{}, map[string]*record{}
	clear(q.own)
	c.st.turnBack(c.now)
	g := q.journal.group(q.buf)
	places := q.places[:0]
	for i, r := range group {
		c.serial, c.writes, c.wrote = g.last.number+1, c.writes[:0], false
		answers[i] = r.apply(c)
		if e := (*storeError)(nil); errors.As(answers[i], &e) {
			q.broken = true
			if errors.Is(e, errStore) && environment(e) == nil {
				q.rotten = e
			}
			return fmt.Errorf("read queue %s: %w", q.dir, e)
		}
		if answers[i] != nil || !c.wrote {
			continue
		}
		if err := q.fault(r.step + ":journal"); err != nil {
			q.broken = true
			return fmt.Errorf("write queue %s: %w", q.dir, err)
		}
		var err error
		if places, err = c.record(g, kinds[r.step], places); err != nil {
			q.broken = true
			return fmt.Errorf("write queue %s: %w", q.dir, err)
		}
	}
	if len(g.buf) == 0 {
		return nil
	}
	seg, at, err := q.journal.append(g)
	if err != nil {
		// A flush that failed may have kept or lost anything, and a later one
		// that succeeds says nothing of it. Only reading again tells.
		q.broken = !errors.Is(err, ErrFull)
		return fmt.Errorf("write queue %s: %w", q.dir, err)
	}
	if q.onSync != nil {
		q.onSync(time.Since(began))
	}
	for i := range places {
		places[i].seg, places[i].at = seg, places[i].at+at
	}
	q.overlay.add(places, g.last.number, int64(len(g.buf)))
	if q.buf, q.places = g.buf, places; cap(q.buf) > 2*groupBytes {
		q.buf, q.places, q.own = nil, nil, map[string]owned{}
	}
	q.applier.more()
	if at == headSize {
		q.tidy() // the room of the next segment, before anybody has to wait for it
	}
	if err := q.twice(); err != nil {
		// It is on this disk, and goes its way; nobody is told that it is on both.
		for i, r := range group {
			if r.step == "put" && answers[i] == nil {
				answers[i] = err
			}
		}
	}
	end := journalEnd{g.last, seg.before.number + 1, at + int64(len(g.buf)), int64(len(g.buf))}
	if err := q.remember(c, end); err != nil {
		q.broken = true
		return fmt.Errorf("read queue %s: %w", q.dir, err)
	}
	return nil
}

// remember takes a flushed change into memory and tells of it.
func (q *Queue) remember(c *change, end journalEnd) error {
	q.recent.take(c)
	if c.reindex {
		if err := q.overlay.level(); err != nil {
			return err
		}
		seen, err := readState(q.store, &c.st, c.now, q.window)
		if err != nil {
			return err
		}
		idx := seen.index
		q.mu.Lock()
		idx.setAside(q.suspected)
		q.st, q.index = c.st, idx
		q.extend(end)
		q.mu.Unlock()
	} else {
		q.mu.Lock()
		q.st = c.st
		for _, s := range c.saved {
			q.index.apply(&q.st, s, c.now)
		}
		if c.retract {
			q.index.retract(c.now)
		}
		if c.forgets {
			q.index.forget()
		}
		q.index.accepted(q.st.Cursor.AcceptedThrough)
		q.extend(end)
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
