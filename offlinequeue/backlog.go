package offlinequeue

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// Of what waits for a number only the most pressing is in the schedule. For the rest
// memory has a mark of 14 bytes each, by place: enough to know at any length of the
// backlog what is due first. It is read from the state when its turn comes, and all
// that was promised before it under the same ref with it: what may go is in the
// schedule only if all of that is.
const (
	windowMost = 8 << 10 // operations in the schedule; half as many are read at a time
	laneShare  = 16      // of those, one in so many under one ref
	readMost   = 16      // readings before a batch leaves as it is
	freshEvery = 100 * time.Millisecond
)

// mark is what memory knows of an operation that is open and not in the schedule.
// The zero mark: there is none.
type mark struct {
	ref  uint64 // a hash of 48 bits, taken for the ref
	due  uint32 // see dueOf
	born uint32 // seconds of markEpoch, at least 1
}

const (
	markEpoch = 1577836800 // 2020-01-01, in seconds of Unix

	dueBits = 30
	dueNone = 1<<dueBits - 1 // no deadline: after all that have one
	rankHas = 3              // headquarters has it: it does not wait for a number
	dueHas  = rankHas << dueBits
	dueLast = math.MaxUint32 // nothing is there
)

// dueOf is the order of submission as a number: the rank, and in it the deadline, to
// the second.
func dueOf(rank int, deadline time.Time) uint32 {
	s := int64(dueNone)
	if !deadline.IsZero() {
		s = min(max(0, deadline.Unix()-markEpoch), dueNone-1)
	}
	return uint32(rank)<<dueBits | uint32(s)
}

// turn is a place in the order of submission.
type turn struct {
	due uint32
	seq uint64
}

var lastTurn = turn{due: dueLast} // nobody's

func (t turn) before(u turn) bool { return compareTurns(t, u) < 0 }

func (e *entry) turn(now time.Time) turn {
	return turn{lateAt(now).due(dueOf(e.rank(), e.deadline)), e.seq}
}

func compareTurns(t, u turn) int {
	return cmp.Or(cmp.Compare(t.due, u.due), cmp.Compare(t.seq, u.seq))
}

// turn is the earliest of its entries; lastTurn: nothing of it may go.
func (l *lane) turn(now time.Time) turn {
	first := lastTurn
	for _, e := range l.best {
		if e != nil && e.turn(now).before(first) {
			first = e.turn(now)
		}
	}
	return first
}

// late is when what is past its deadline has its turn: as if it were due in urgentLeft.
type late struct{ passed, turn uint32 }

func lateAt(now time.Time) late { return late{dueOf(0, now), dueOf(0, now.Add(urgentLeft))} }

func (l late) due(due uint32) uint32 {
	if due < l.passed {
		return l.turn
	}
	return due
}

// deadlineOf is when something is due; zero: never.
func deadlineOf(due uint32) time.Time {
	if s := due & dueNone; s != dueNone {
		return time.Unix(markEpoch+int64(s), 0).UTC()
	}
	return time.Time{}
}

func (m mark) rank() int          { return int(m.due >> dueBits) }
func (m mark) there() bool        { return m.born != 0 }
func (m mark) waits() bool        { return m.there() && m.rank() < rankHas }
func (m mark) created() time.Time { return time.Unix(markEpoch+int64(m.born), 0).UTC() }

// fresh reports whether it may have the share of what was put just now.
func (m mark) fresh(now time.Time) bool { return m.rank() == 0 && now.Sub(m.created()) < freshAge }

// backlog is all marks.
type backlog struct {
	blocks []block // by place
	seed   maphash.Seed
	waits  int  // marks of what waits for a number
	best   turn // of what is behind nothing that is held back, none comes before
	fresh  bool // money that was put just now may be among it
	looked time.Time

	reading map[uint64]bool // while marks are read: those that changed meanwhile
	moved   bool            // operations went back meanwhile: what is read is of no use
}

const blockSize = 128

type block struct {
	first uint64 // place
	n     int
	marks *marks
}

// marks are so many, in 1792 bytes: a size that memory comes in. Where there is none it
// is due last, so that to know what waits is to read one number of each.
type marks struct {
	due, born, low [blockSize]uint32
	high           [blockSize]uint16
}

func newMarks() *marks {
	k := &marks{}
	for i := range k.due {
		k.due[i] = dueLast
	}
	return k
}

func (k *marks) at(i int) mark {
	if k.born[i] == 0 {
		return mark{}
	}
	return mark{k.ref(i), k.due[i], k.born[i]}
}

func (k *marks) ref(i int) uint64 { return uint64(k.high[i])<<32 | uint64(k.low[i]) }

func newBacklog() backlog { return backlog{seed: maphash.MakeSeed(), best: lastTurn} }

func (b *backlog) hash(ref string) uint64 { return maphash.String(b.seed, ref) >> 16 }

func (b *backlog) mark(ref string, due uint32, created time.Time) mark {
	return mark{b.hash(ref), due, uint32(min(max(1, created.Unix()-markEpoch), math.MaxUint32))}
}

// find is where the block of a place is, or has to be.
func (b *backlog) find(seq uint64) (int, bool) {
	first := seq - seq%blockSize
	if n := len(b.blocks); n > 0 && b.blocks[n-1].first <= first {
		return n - 1 + count(b.blocks[n-1].first < first), b.blocks[n-1].first == first
	}
	return slices.BinarySearchFunc(b.blocks, first, func(k block, first uint64) int { return cmp.Compare(k.first, first) })
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// at is the mark of a place; the zero mark: there is none.
func (b *backlog) at(seq uint64) mark {
	if i, ok := b.find(seq); ok {
		return b.blocks[i].marks.at(int(seq % blockSize))
	}
	return mark{}
}

// set puts a mark; the zero mark takes it away.
func (b *backlog) set(seq uint64, m mark) {
	if b.reading != nil {
		b.reading[seq] = true
	}
	i, ok := b.find(seq)
	if !ok {
		if !m.there() {
			return
		}
		b.blocks = slices.Insert(b.blocks, i, block{first: seq - seq%blockSize, marks: newMarks()})
	}
	k, at := &b.blocks[i], int(seq%blockSize)
	was := k.marks.at(at)
	if k.marks.due[at], k.marks.born[at] = m.due, m.born; !m.there() {
		k.marks.due[at] = dueLast
	}
	k.marks.low[at], k.marks.high[at] = uint32(m.ref), uint16(m.ref>>32)
	b.waits += count(m.waits()) - count(was.waits())
	if k.n += count(m.there()) - count(was.there()); k.n == 0 {
		b.blocks = slices.Delete(b.blocks, i, i+1)
	}
	if m.waits() {
		if t := (turn{m.due, seq}); t.before(b.best) {
			b.best = t
		}
		b.fresh = b.fresh || m.rank() == 0
	}
}

// all calls fn for each mark, in the order of promises.
func (b *backlog) all(fn func(seq uint64, m mark)) {
	for _, k := range b.blocks {
		for i, born := range k.marks.born {
			if born != 0 {
				fn(k.first+uint64(i), k.marks.at(i))
			}
		}
	}
}

// oldest is when the operation was put that waits longest; zero: none.
func (b *backlog) oldest() (at time.Time) {
	var oldest mark
	b.all(func(_ uint64, m mark) {
		if m.rank() < 2 && (!oldest.there() || m.born < oldest.born) {
			oldest = m
		}
	})
	if oldest.there() {
		at = oldest.created()
	}
	return at
}

// deadline is the earliest of what is open; zero: none.
func (b *backlog) deadline() time.Time {
	first := uint32(dueNone)
	b.all(func(_ uint64, m mark) {
		if m.rank() != 2 {
			first = min(first, m.due&dueNone)
		}
	})
	return deadlineOf(first)
}

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
	found := map[uint64]record{}
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
				found[seq] = r
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
			x.enter(&r, 0, now)
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

// pick chooses what the next batch is of, from all that waits.
func (q *Queue) pick(ops int) ([]*entry, error) {
	now := q.now()
	for n := 0; ; n++ {
		x := q.index
		p := x.waiting.pick(now, ops, bytesOf(ops))
		if !x.lacks(p, now) || n >= readMost && len(p.entries) > 0 {
			return p.entries, nil
		}
		rd := &reader{store: q.store, overlay: q.overlay}
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
