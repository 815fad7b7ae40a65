package offlinequeue

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// seekHint reads the hint, if there is one and nothing speaks against it.
func (q *Queue) seekHint() *hint {
	if q.rotten != nil || q.broken || q.whole {
		q.dropHint()
		return nil
	}
	h, err := openHint(filepath.Join(q.dir, hintName), q.seal)
	if err == nil && h != nil {
		err = q.plain()
	}
	if err != nil {
		q.doubt(err)
		return nil
	}
	return h
}

// plain is nil when nothing on disk asks for more than a hint.
func (q *Queue) plain() error {
	healing, err := exists(filepath.Join(q.dir, healingName))
	if err == nil && healing {
		err = fmt.Errorf("%w: the journal is being restored", errHint)
	}
	if err != nil {
		return err
	}
	whole, err := checkTableLogs(filepath.Join(q.dir, storeName), q.seal.storeKey())
	if err == nil && !whole {
		err = fmt.Errorf("%w: the store was cut off", errHint)
	}
	return err
}

// doubt says why all of the state is read again before anything else.
func (q *Queue) doubt(why error) {
	q.log.Warn("all that is held is read", "dir", q.dir, "reason", why)
	q.dropHint()
}

// take makes an index of a hint, brought on to where the journal ends.
func (h *hint) take(f *found, now time.Time, most int) (*seen, error) {
	switch chains, err := chainsHash(&f.st); {
	case err != nil:
		return nil, err
	case f.short > 0 || f.rebuilt || f.lost || len(f.gaps) > 0:
		return nil, fmt.Errorf("%w: the journal is damaged, or the store was", errHint)
	case chains != h.Chains:
		return nil, fmt.Errorf("%w: other numbers stand", errHint)
	}
	x := newIndex(most)
	x.counts, x.bytes, x.ended = h.Counts, h.Bytes, h.Ended
	if x.counts == nil {
		x.counts = map[string]map[State]int{}
	}
	x.rest.seed, x.rest.blocks = h.Seed, h.blocks
	for _, k := range h.blocks {
		for _, due := range k.marks.due {
			x.rest.waits += count(due < dueHas)
		}
	}
	for _, e := range h.entries {
		x.rest.set(e.seq, e.mark)
	}
	if x.rest.waits > 0 {
		x.rest.best = turn{} // until all of it is looked at
	}
	rd := &reader{store: f.store, overlay: newOverlay(0)}
	for _, seq := range h.look {
		x.rest.set(seq, mark{})
		r, err := rd.standing(seq)
		if errors.Is(err, ErrNotFound) {
			continue // pruned; if it is not, the check sees it
		}
		if err != nil {
			return nil, err
		}
		x.note(&r, true)
		x.admit(&f.st, &r, now)
	}
	changed, err := h.behind(f.journal, func(w write) error { return x.replay(&f.st, w, now) })
	if err == nil && uint64(changed) > f.st.Held/4+blockSize {
		err = fmt.Errorf("%w: %d changes came since, of %d operations", errHint, changed, f.st.Held)
	}
	if err != nil {
		return nil, err
	}
	f.st.strays = h.Strays // with those behind the hint, or more
	return &seen{index: x, held: f.st.Held, sum: f.st.Sum, whole: true, hinted: true, moved: changed > 0, marks: x.digest()}, nil
}

// replay takes in how an operation stood at some time after the hint: the last of these
// is how it stands now.
func (x *index) replay(st *state, w write, now time.Time) error {
	seq := seqOf(w.key)
	if w.deleted {
		for id, e := range x.entries {
			if e.seq == seq {
				x.drop(id)
			}
		}
		x.rest.set(seq, mark{})
		return nil
	}
	r, err := decodeStanding(seq, w.value)
	if err == nil {
		x.note(&r, true)
		x.admit(st, &r, now)
	}
	return err
}

// behind calls fn for each write of how an operation stands that came after the hint, in
// the order of the journal, and returns how many there were.
func (h *hint) behind(j *journal, fn func(write) error) (changed int, err error) {
	last, at, prev := j.last, h.At, h.position
	i := slices.IndexFunc(j.segments, func(s *segment) bool { return s.before.number+1 == h.Segment })
	if i < 0 || last.number < h.number {
		return 0, fmt.Errorf("%w: the journal has not record %d, of which they are", errHint, h.number)
	}
	var opened []byte
	for ; i < len(j.segments); i, at = i+1, headSize {
		s := j.segments[i]
		for w := (&window{f: s.file}); prev.number < last.number; {
			r, ok, err := w.record(at)
			if err != nil {
				return 0, err
			}
			if !ok {
				break
			}
			if r.number != prev.number+1 || prev == h.position && !r.chained(prev.hash) {
				return 0, fmt.Errorf("%w: the journal is another at record %d", errHint, r.number)
			}
			prev, at, h.behindBytes = r.position, r.end(), h.behindBytes+r.end()-at
			if opened, err = s.seal.open(opened, &r); err != nil {
				return 0, err
			}
			err = eachWrite(opened, func(w write) error {
				switch {
				case strings.HasPrefix(w.key, prefixSeq):
					changed++
					return fn(w)
				case strings.HasPrefix(w.key, prefixStray) && !w.deleted:
					h.Strays++
				}
				return nil
			})
			if err != nil {
				return 0, fmt.Errorf("%w: record %d: %w", errHint, r.number, err)
			}
		}
	}
	if prev != last {
		return 0, fmt.Errorf("%w: the journal has record %d, and cannot be read behind %d", errHint, last.number, prev.number)
	}
	return changed, nil
}

// digest is a sum over what is open, whether its mark is in the schedule or not.
func (x *index) digest() (sum uint64) {
	x.rest.all(func(seq uint64, m mark) {
		if m.rank() != 2 {
			sum += m.share(seq)
		}
	})
	for _, e := range x.entries {
		if !e.state.Final() {
			sum += x.rest.mark(e.ref, dueOf(e.rank(), e.deadline), e.created).share(e.seq)
		}
	}
	return sum
}

// share is a mark's part of that sum.
func (m mark) share(seq uint64) uint64 {
	return mixed(mixed(seq^m.ref<<16) ^ uint64(m.due)<<32 ^ uint64(m.born))
}

// marked is the mark of an operation as the state has it; the zero mark: it needs none,
// or it has its end and is only to be told of again.
func (b *backlog) marked(st *state, r *record) mark {
	number := st.number(r)
	switch {
	case r.State.Final():
		return mark{}
	case number > 0 && number <= st.Cursor.AcceptedThrough:
		return b.mark(r.Ref, dueOf(rankHas, r.Deadline), r.Created)
	}
	return b.mark(r.Ref, dueOf(rankOf(r.State, r.Money), r.Deadline), r.Created)
}
