package offlinequeue

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// leave leaves an operation to the backlog.
func (x *index) leave(r *record, rank int) {
	x.rest.set(r.Seq, x.rest.mark(r.Ref, dueOf(rank, r.Deadline), r.Created))
}

// outside reports whether an operation that waits and is not in the schedule stays
// out of it. One that is held back does not: it holds up those of its ref.
func (x *index) outside(r *record) bool {
	return r.Parked == nil && (x.rest.waits > 0 || x.waiting.waits >= x.most)
}

// unload takes a lane out of the schedule, but for what is held back.
func (x *index) unload(l *lane) {
	for _, e := range slices.Clone(l.entries) {
		if !e.held() {
			x.drop(e.id)
			x.rest.set(e.seq, x.rest.mark(e.ref, dueOf(e.rank(), e.deadline), e.created))
		}
	}
	x.rest.moved = true
}

// shrink leaves the least pressing to the backlog.
func (x *index) shrink(now time.Time) {
	if x.waiting.waits <= 2*x.most {
		return
	}
	var lanes []*lane
	for _, l := range x.waiting.lanes {
		if l.held < len(l.entries) {
			lanes = append(lanes, l)
		}
	}
	slices.SortFunc(lanes, func(a, b *lane) int { return compareTurns(b.turn(now), a.turn(now)) })
	for _, l := range lanes {
		if x.waiting.waits <= x.most {
			return
		}
		x.unload(l)
	}
}

// lacks reports whether something of the backlog may go before what was picked.
func (x *index) lacks(p picking, now time.Time) bool {
	switch {
	case x.rest.waits == 0:
		return false
	case p.cut || x.rest.best.before(p.bar):
		return true
	}
	return p.unshared && x.rest.fresh && now.Sub(x.rest.looked).Abs() >= freshEvery
}

// firstLook is how many come first when nothing was read yet: the first offer waits for them,
// and the others are read behind it.
const firstLook = batchMost

// load reads the most pressing of the backlog into the schedule. read tells how an
// operation stands; unlocked calls what reads without the index being locked.
func (x *index) load(now time.Time, unlocked func(func() error) error, read func(seq uint64) (record, error)) error {
	x.shrink(now)
	for _, l := range x.waiting.lanes {
		if l.beyond != nil {
			l.beyond = nil
			x.waiting.fix(l)
		}
	}
	most := (x.most + 1) / 2
	if x.rest.looked.IsZero() {
		most = min(most, firstLook)
	}
	groups := x.rest.plan(now, most, x.stops())
	x.rest.looked, x.rest.moved, x.rest.reading = now, false, map[uint64]bool{}
	found := make(map[uint64]*record, x.most)
	err := unlocked(func() error {
		for _, g := range groups {
			for _, seq := range g.seqs {
				r, err := read(seq)
				if errors.Is(err, ErrNotFound) {
					continue // pruned since
				}
				if err != nil {
					return err
				}
				found[seq] = &r
			}
		}
		return nil
	})
	changed := x.rest.reading
	x.rest.reading = nil
	if err != nil || x.rest.moved {
		x.rest.best = turn{} // until all of it is looked at
		return err
	}
	cut := map[uint64]bool{}
	for _, g := range groups {
		for i, seq := range g.seqs {
			if changed[seq] {
				break // those behind it wait until it is read again
			}
			x.rest.set(seq, mark{})
			r, ok := found[seq]
			if !ok {
				continue
			}
			x.enter(r, 0, now)
			if l := x.waiting.lanes[r.Ref]; g.beyond.seq > 0 && i == len(g.seqs)-1 {
				l.beyond = ghost(g.beyond, now)
				x.waiting.fix(l)
				cut[g.ref] = true
			}
		}
	}
	x.waiting.held, x.waiting.more = false, false
	s, late := x.stops(), lateAt(now)
	x.rest.best = lastTurn
	for j := range x.rest.blocks {
		k := &x.rest.blocks[j]
		for i, due := range k.marks.due {
			if due = late.due(due); due < x.rest.best.due && due < dueHas && s.may(k, i) && !cut[k.marks.ref(i)] {
				x.rest.best = turn{due, k.first + uint64(i)}
			}
		}
	}
	return nil
}

// forget has everything read again: operations stand as before, by other records.
func (x *index) forget() {
	for _, e := range x.entries {
		e.glance = glance{}
	}
	x.rest.moved = true
}

// known is what was read of an operation for the schedule.
func (q *Queue) known(id string) glance {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.index.entries[id]; e != nil {
		return e.glance
	}
	return glance{}
}

// pick chooses what the next batch is of, from all that waits. Run alone calls it.
func (q *Queue) pick(ops int) ([]*entry, error) {
	now := q.now()
	for n := 0; ; n++ {
		x := q.index
		p := x.waiting.pick(now, ops, bytesOf(ops))
		switch {
		case !x.lacks(p, now):
			q.readAhead(ops)
			return p.entries, nil
		case n >= readMost && len(p.entries) > 0:
			return p.entries, nil
		case q.ahead != nil:
			q.awaitAhead()
			continue
		}
		err := q.loadMore(x, now, 0)
		if e := (*storeError)(nil); errors.As(err, &e) {
			err = q.unlocked(func() error { return q.remake(e) })
		}
		if err != nil {
			return nil, fmt.Errorf("read what waits: %w", err)
		}
	}
}

// unlocked calls what reads without the queue's mutex, which the caller holds.
func (q *Queue) unlocked(read func() error) error {
	q.mu.Unlock()
	defer q.mu.Lock()
	return read()
}

// loadMore reads the most pressing of the backlog into the schedule, and of so many bytes
// what the tills asked for.
func (q *Queue) loadMore(x *index, now time.Time, bytes int) error {
	rd := &reader{store: q.store, overlay: q.overlay, check: q.checking()}
	return x.load(now, q.unlocked, func(seq uint64) (record, error) {
		r, err := rd.standing(seq)
		if err == nil && bytes > r.asked {
			r.frame, _, err = rd.get(keyOp(r.ID))
			bytes -= len(r.frame)
			if errors.Is(err, errAbsent) {
				return record{}, ErrNotFound // pruned in between
			}
		}
		return r, err
	})
}

// aheadBytes is how much of what tills asked for is in memory before its turn comes.
const aheadBytes = 4 << 20

// readAhead has more of the backlog read while a batch is under way, when less than some
// batches of so many are left in the schedule. What cannot be read is found by who needs it.
func (q *Queue) readAhead(ops int) {
	x := q.index
	if q.ahead != nil || x.rest.waits == 0 || x.waiting.waits > min(x.most/2, 8*ops) || x.rest.best == lastTurn {
		return
	}
	done := make(chan struct{})
	q.ahead = done
	now := q.now()
	go func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if err := q.loadMore(x, now, aheadBytes); err != nil {
			q.log.Debug("read ahead of what waits", "dir", q.dir, "error", err)
		}
		q.ahead = nil
		close(done)
	}()
}

// awaitAhead waits for what is being read ahead; the caller holds the mutex.
func (q *Queue) awaitAhead() {
	if ahead := q.ahead; ahead != nil {
		_ = q.unlocked(func() error { <-ahead; return nil })
	}
}
