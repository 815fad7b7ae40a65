package offlinequeue

import (
	"cmp"
	"math"
	"math/rand/v2"
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
	seed   uint64  // of hashes; nobody who makes up refs knows it
	waits  int     // marks of what waits for a number
	best   turn    // of what is behind nothing that is held back, none comes before
	fresh  bool    // money that was put just now may be among it
	looked time.Time

	reading map[uint64]bool // while marks are read: those that changed meanwhile
	moved   bool            // operations went back meanwhile: what is read is of no use
}

const blockSize = 128

type block struct {
	first uint64 // place
	n     int
	lent  bool // somebody reads the marks: they are not changed, but others put in their place
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

func (k *marks) put(i int, m mark) {
	if k.due[i], k.born[i] = m.due, m.born; !m.there() {
		k.due[i] = dueLast
	}
	k.low[i], k.high[i] = uint32(m.ref), uint16(m.ref>>32)
}

func (k *marks) ref(i int) uint64 { return uint64(k.high[i])<<32 | uint64(k.low[i]) }

func newBacklog() backlog { return backlog{seed: rand.Uint64(), best: lastTurn} }

func (b *backlog) hash(ref string) uint64 { return mixed(fnv(b.seed, ref)) >> 16 }

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
	if k.lent {
		own := *k.marks
		k.marks, k.lent = &own, false
	}
	k.marks.put(at, m)
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

// lend returns the blocks as they are, for somebody who reads them while others change.
func (b *backlog) lend() []block {
	for i := range b.blocks {
		b.blocks[i].lent = true
	}
	return slices.Clone(b.blocks)
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
