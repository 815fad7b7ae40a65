package offlinequeue

import (
	"cmp"
	"slices"
	"time"
)

// lane is what waits under one ref, in the order of promises. It goes as early as
// the most pressing of them asks, since that one cannot pass the others.
type lane struct {
	ref     string
	entries []*entry
	// Those that go before everything put after them: the first is the most pressing
	// of all, and what presses when the first few are gone is among them too.
	pressing []*entry
	best     [2]*entry // by which it is in a heap; nil: it is in that not
	at       [2]int
	late     bool   // something of it may be past its deadline
	beyond   *entry // stands for those of the ref that are left in the backlog; nil: none that presses
	held     int    // how many are parked or suspected
	stop     uint64 // place of the first of those: it and what is behind it wait
}

// push takes in what was put after all others.
func (l *lane) push(e *entry) {
	l.entries = append(l.entries, e)
	for n := len(l.pressing); n > 0 && before(e, l.pressing[n-1]); n-- {
		l.pressing = l.pressing[:n-1]
	}
	l.pressing = append(l.pressing, e)
}

// put takes in an entry at its place.
func (l *lane) put(e *entry) {
	if n := len(l.entries); n == 0 || l.entries[n-1].seq < e.seq {
		l.push(e)
		return
	}
	l.entries = insert(l.entries, e)
	l.weigh()
}

// drop takes an entry out.
func (l *lane) drop(e *entry) {
	first := l.entries[0] == e
	l.entries = without(l.entries, e)
	_, pressed := slices.BinarySearchFunc(l.pressing, e.seq, bySeq)
	switch {
	case !pressed: // what goes before it is still there
	case first:
		l.pressing = l.pressing[1:]
	default:
		l.weigh()
	}
}

// weigh finds anew what presses.
func (l *lane) weigh() {
	entries := l.entries
	l.entries, l.pressing, l.late = l.entries[:0], l.pressing[:0], false
	for _, e := range entries {
		l.push(e)
		l.late = l.late || e.late
	}
}

// ended reports whether after so many of its entries come those in the backlog.
func (l *lane) ended(n int) bool {
	return l.beyond != nil && (n == len(l.entries) || l.entries[n].seq > l.beyond.seq)
}

// held reports whether an entry holds up its lane.
func (e *entry) held() bool { return e.parked || e.suspect }

// before is the order of submission among heads of lanes, of which none or all are late.
func before(a, b *entry) bool {
	return cmp.Or(
		cmp.Compare(a.rank(), b.rank()),
		compareDeadline(a.deadline, b.deadline),
		cmp.Compare(a.seq, b.seq),
	) < 0
}

// rank: open money, open records, then what headquarters only has to be reminded of.
func (e *entry) rank() int { return rankOf(e.state, e.money) }

func rankOf(s State, money bool) int {
	switch {
	case s.Final():
		return 2
	case money:
		return 0
	}
	return 1
}

// urgent is what can be saved and has little time left.
func (e *entry) urgent(now time.Time) bool {
	return e.rank() == 0 && !e.deadline.IsZero() && !e.late && e.deadline.Sub(now) < urgentLeft
}

// lapsed is money past its deadline.
func (e *entry) lapsed(now time.Time) bool {
	return e.rank() == 0 && !e.deadline.IsZero() && e.deadline.Before(now)
}

// compareDeadline puts "none" last.
func compareDeadline(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

func bySeq(e *entry, seq uint64) int { return cmp.Compare(e.seq, seq) }

func insert(list []*entry, e *entry) []*entry {
	i, _ := slices.BinarySearchFunc(list, e.seq, bySeq)
	return slices.Insert(list, i, e)
}

func without(list []*entry, e *entry) []*entry {
	i, ok := slices.BinarySearchFunc(list, e.seq, bySeq)
	switch {
	case !ok:
		return list
	case i == 0:
		return list[1:]
	}
	return slices.Delete(list, i, i+1)
}

// earlier is the more pressing of e and the best of its kind.
func earlier(e, best, late *entry) (*entry, *entry) {
	switch {
	case e.late && (late == nil || e.seq < late.seq):
		late = e
	case !e.late && (best == nil || before(e, best)):
		best = e
	}
	return best, late
}
