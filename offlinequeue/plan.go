package offlinequeue

import (
	"cmp"
	"slices"
	"time"
)

// sieve says of few hashes, by their low 16 bits, that they are among some, and of
// those always.
type sieve [1 << 10]uint64

func (s *sieve) add(ref uint64)      { s[uint16(ref)>>6] |= 1 << (ref % 64) }
func (s *sieve) has(low uint32) bool { return s[uint16(low)>>6]&(1<<(low%64)) != 0 }

// stops are the places, by ref, behind which nothing may go.
type stops struct {
	sieve
	places map[uint64]uint64
}

func (x *index) stops() *stops {
	s := &stops{places: map[uint64]uint64{}}
	for ref, place := range x.waiting.stops {
		h := x.rest.hash(ref)
		s.add(h)
		s.places[h] = place
	}
	return s
}

// may reports whether what waits at a place may go.
func (s *stops) may(k *block, i int) bool {
	if !s.has(k.marks.low[i]) {
		return true
	}
	stop, ok := s.places[k.marks.ref(i)]
	return !ok || k.first+uint64(i) < stop
}

// ghost stands for what is not in the schedule.
func ghost(t turn, now time.Time) *entry {
	e := &entry{seq: t.seq, state: Pending, deadline: deadlineOf(t.due)}
	switch t.due >> dueBits {
	case 0:
		e.money = true
	case 2:
		e.state = Succeeded
	}
	e.late = e.lapsed(now)
	return e
}

// group is what is to be read of one ref.
type group struct {
	ref  uint64
	due  uint32 // of the most pressing of it
	last uint64 // the place of the last that is wanted; all before it have to come along
	long bool   // it may be long, for the share of one that was put just now
	seqs []uint64
	// Those are not all: of the others the most pressing; zero: they are.
	beyond turn
}

// plan chooses what comes into the schedule next: the most pressing, most of them at
// a time, and some of what was put just now; the most pressing first.
func (b *backlog) plan(now time.Time, most int, s *stops) []*group {
	late := lateAt(now)
	limit, ties := b.limit(most, s, late)
	fresh, lane := (most+7)/8, (most+laneShare-1)/laneShare
	since := uint32(max(0, now.Add(-freshAge).Unix()+1-markEpoch))
	groups, wanted := map[uint64]*group{}, &sieve{}
	b.fresh = false
	for j := range b.blocks {
		k := &b.blocks[j]
		for i, due := range k.marks.due {
			due = late.due(due)
			share := due < 1<<dueBits && k.marks.born[i] >= since
			if due >= dueHas || due > limit && !share || !s.may(k, i) {
				continue
			}
			switch {
			case due < limit:
			case due == limit && ties > 0:
				ties--
			case share && fresh > 0:
				fresh--
			default:
				b.fresh = b.fresh || share
				continue
			}
			ref := k.marks.ref(i)
			g := groups[ref]
			if g == nil {
				g = &group{ref: ref, due: due}
				groups[ref] = g
				wanted.add(ref)
			}
			g.due, g.last, g.long = min(g.due, due), k.first+uint64(i), g.long || share
		}
	}
	var order []*group
	for j := range b.blocks {
		k := &b.blocks[j]
		for i, low := range k.marks.low {
			if !wanted.has(low) || k.marks.due[i] >= dueHas {
				continue
			}
			g, seq := groups[k.marks.ref(i)], k.first+uint64(i)
			switch {
			case g == nil || seq > g.last:
				continue
			case len(g.seqs) == lane && !g.long || len(g.seqs) == most:
				if due := k.marks.due[i]; g.beyond.seq == 0 || late.due(due) < late.due(g.beyond.due) {
					g.beyond = turn{due, seq}
				}
				continue
			case len(g.seqs) == 0:
				order = append(order, g)
			}
			g.seqs = append(g.seqs, seq)
		}
	}
	slices.SortStableFunc(order, func(a, b *group) int { return cmp.Compare(a.due, b.due) })
	// What was put just now is due last, and has its share all the same.
	n, share, kept := 0, 0, order[:0]
	for _, g := range order {
		fresh := b.at(g.last).fresh(now)
		switch {
		case n < most:
			n += len(g.seqs)
		case fresh && share < most:
			share += len(g.seqs)
		default:
			b.fresh = b.fresh || fresh
			continue
		}
		kept = append(kept, g)
	}
	return kept
}

// limit finds the due before which at most so many may go, and how many of those that
// are due just then fit.
func (b *backlog) limit(most int, s *stops, late late) (due uint32, ties int) {
	if b.waits <= most {
		return dueLast, 0
	}
	counts := make([]int32, 1<<16)
	among := func(shift int, within uint32) (int, bool) {
		clear(counts)
		for j := range b.blocks {
			k := &b.blocks[j]
			for i, due := range k.marks.due {
				if due = late.due(due); due < dueHas && (shift > 0 || due>>16 == within) && s.may(k, i) {
					counts[uint16(due>>shift)]++
				}
			}
		}
		for i, n := range counts {
			if most < int(n) {
				return i, true
			}
			most -= int(n)
		}
		return 0, false
	}
	high, ok := among(16, 0)
	if !ok {
		return dueLast, 0
	}
	low, _ := among(0, uint32(high))
	return uint32(high)<<16 | uint32(low), most
}
