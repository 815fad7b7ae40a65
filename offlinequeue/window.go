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
	groups := x.rest.plan(now, (x.most+1)/2, x.stops())
	x.rest.best = turn{} // until all of it is looked at
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
		e.stood = nil
	}
	x.rest.moved = true
}

// stood is how an operation of the schedule stands that was read for it; nil: it was not,
// or has changed since.
func (q *Queue) stood(id string) (b []byte, written uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.index.entries[id]; e != nil {
		return e.stood, e.written
	}
	return nil, 0
}

// pick chooses what the next batch is of, from all that waits.
func (q *Queue) pick(ops int) ([]*entry, error) {
	now := q.now()
	for n := 0; ; n++ {
		x := q.index
		p := x.waiting.pick(now, ops, bytesOf(ops))
		if !x.lacks(p, now) || n >= readMost && len(p.entries) > 0 {
			return p.entries, nil
		}
		rd := &reader{store: q.store, overlay: q.overlay, check: q.checking()}
		unlocked := func(read func() error) error {
			q.mu.Unlock()
			defer q.mu.Lock()
			return read()
		}
		err := x.load(now, unlocked, rd.standing)
		if e := (*storeError)(nil); errors.As(err, &e) {
			err = unlocked(func() error { return q.remake(e) })
		}
		if err != nil {
			return nil, fmt.Errorf("read what waits: %w", err)
		}
	}
}
