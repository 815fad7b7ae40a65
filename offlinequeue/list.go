package offlinequeue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// All yields operations in those states (all if none), newest first. It sees
// the queue as it is while it goes along.
func (q *Queue) All(states ...State) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		if err := q.sure(context.Background()); err != nil {
			yield(Op{}, fmt.Errorf("list queue %s: %w", q.dir, err))
			return
		}
		next := q.pages(states)
		if len(states) > 0 && !slices.ContainsFunc(states, State.Final) {
			next = q.openPages(states)
		}
		for {
			page, more, err := next()
			for _, op := range page {
				if !yield(op, nil) {
					return
				}
			}
			if err != nil {
				yield(Op{}, fmt.Errorf("list queue %s: %w", q.dir, err))
				return
			}
			if !more {
				return
			}
		}
	}
}

// page is how many operations are read at a time; none is held in between.
const page = 128

// pages reads backwards through all places.
func (q *Queue) pages(states []State) func() ([]Op, bool, error) {
	from, held := "", []uint64(nil)
	return func() (ops []Op, more bool, err error) {
		rd, st := q.reader()
		if errors.Is(q.overlayNow().level(), errHeld) {
			return rd.heldPage(&st, &from, &held, states)
		}
		if err := q.level(); err != nil {
			return nil, false, err
		}
		rd, st = q.reader()
		read := 0
		err = rd.store.view(func(t *tx) error {
			return t.scan(prefixSeq, from, true, func(key string, value []byte, _ uint64) (bool, error) {
				if key == from {
					return true, nil
				}
				if read == page {
					more = true
					return false, nil
				}
				stands, err := decodeStanding(seqOf(key), value)
				r := &stands
				if err == nil && (len(states) == 0 || slices.Contains(states, r.State)) {
					r, err = rd.load(r.ID)
				}
				if err != nil && !errors.Is(err, ErrNotFound) {
					return false, err
				}
				read++
				from = key
				if err != nil {
					return true, nil // pruned since
				}
				if len(states) == 0 || slices.Contains(states, r.State) {
					ops = append(ops, st.show(r))
				}
				return true, nil
			})
		})
		if doubtful(err) {
			if err = q.remake(err); err == nil {
				more = true // from where it could not be read
			}
		}
		return ops, more, err
	}
}

// heldPage reads a page while the journal goes on alone: places are in Badger or in
// what is not applied yet. The list of them is made once.
func (r *reader) heldPage(st *state, from *string, list *[]uint64, states []State) (ops []Op, more bool, err error) {
	if *list == nil {
		if *list, err = places(r.store); err != nil {
			return nil, false, err
		}
		*list = append(*list, r.overlay.places()...)
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	for ; len(*list) > 0; *list = (*list)[:len(*list)-1] {
		seq := (*list)[len(*list)-1]
		if len(ops) == page {
			return ops, true, nil
		}
		key := keySeq(seq)
		if *from != "" && key >= *from {
			continue
		}
		*from = key
		b, _, err := r.get(key)
		if errors.Is(err, errAbsent) {
			continue // pruned
		}
		var stands record
		if err == nil {
			stands, err = decodeStanding(seq, b)
		}
		found := &stands
		if err == nil {
			found, err = r.load(stands.ID)
		}
		if err != nil {
			return ops, false, err
		}
		if len(states) == 0 || slices.Contains(states, found.State) {
			ops = append(ops, st.show(found))
		}
	}
	return ops, false, nil
}

// openPages reads what has no end yet: the index knows which those are.
func (q *Queue) openPages(states []State) func() ([]Op, bool, error) {
	q.mu.Lock()
	list := q.index.open(states)
	q.mu.Unlock()
	return func() (ops []Op, more bool, err error) {
		n := min(page, len(list))
		for _, seq := range list[:n] {
			rd, _ := q.reader()
			r, err := rd.standing(seq)
			var op Op
			if e := (*storeError)(nil); errors.As(err, &e) && q.remake(e) == nil {
				rd, _ = q.reader()
				r, err = rd.standing(seq)
			}
			if err == nil {
				op, err = q.Get(r.ID)
			}
			if errors.Is(err, ErrNotFound) {
				continue // pruned since
			}
			if err != nil {
				return ops, false, err
			}
			if slices.Contains(states, op.State) {
				ops = append(ops, op)
			}
		}
		list = list[n:]
		return ops, len(list) > 0, nil
	}
}

// open lists the places of what may be in those states, which are no ends, the last first.
func (x *index) open(states []State) (list []uint64) {
	for _, e := range x.entries {
		if slices.Contains(states, e.state) {
			list = append(list, e.seq)
		}
	}
	has := slices.Contains(states, Accepted)
	x.rest.all(func(seq uint64, m mark) {
		if rank := m.rank(); rank < 2 || rank == rankHas && has {
			list = append(list, seq)
		}
	})
	slices.SortFunc(list, func(a, b uint64) int { return cmp.Compare(b, a) })
	return list
}
