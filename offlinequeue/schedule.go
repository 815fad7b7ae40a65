package offlinequeue

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"time"
)

// The order of submission: money before records; in money the earliest deadline
// first; within a ref the order of promises, always. A share of each batch is for
// what was put just now, so that a backlog of a week does not keep a customer
// waiting; but not at the cost of what is about to lapse.
const (
	freshAge   = 5 * time.Minute
	freshShare = 4              // one in so many
	urgentLeft = 12 * time.Hour // with less than this nobody goes before
)

// What has passed its deadline is not given up: the deadline may have been a guess. But
// nothing that can still be saved lapses for it: it goes after all that has less than
// urgentLeft, and before the rest, in the order of promises.

// schedule orders what waits for a number. It is two heaps of lanes.
type schedule struct {
	lanes map[string]*lane // by ref
	order laneHeap         // by what can be saved, then what has no deadline, then records
	late  laneHeap         // by what is past its deadline
	waits int              // entries in all lanes
	fresh []*entry         // money by place; cleaned when read

	stops map[string]uint64 // by ref, the place of what is held back: what is behind it waits
	more  bool              // what a lane has in the backlog is to be looked at
	held  bool              // something is held back, or is so no more
}

func newSchedule() schedule {
	return schedule{lanes: map[string]*lane{}, stops: map[string]uint64{}, late: laneHeap{by: byLate}}
}

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

func (s *schedule) add(e *entry, now time.Time) {
	l := s.lanes[e.ref]
	if l == nil {
		l = &lane{ref: e.ref}
		s.lanes[e.ref] = l
	}
	e.lane, e.number = l, 0
	s.waits++
	l.put(e)
	if e.held() {
		l.held++
		s.held = true
	}
	if e.rank() == 0 && now.Sub(e.created) < freshAge {
		i, _ := slices.BinarySearchFunc(s.fresh, e.seq, bySeq)
		s.fresh = slices.Insert(s.fresh, i, e)
	}
	s.fix(l)
}

func (s *schedule) remove(e *entry) {
	l := e.lane
	if l == nil {
		return
	}
	e.lane = nil
	s.waits--
	l.drop(e)
	if e.held() {
		l.held--
		s.held = true
	}
	s.fix(l)
}

// hold sets what holds an entry up.
func (s *schedule) hold(e *entry, parked, suspect bool) {
	was := e.held()
	e.parked, e.suspect = parked, suspect
	if e.lane == nil || e.held() == was {
		return
	}
	e.lane.held++
	if was {
		e.lane.held -= 2
	}
	s.held = true
	s.fix(e.lane)
}

// moved puts a lane where it belongs after one of its entries changed.
func (s *schedule) moved(l *lane) {
	l.weigh()
	for _, h := range []*laneHeap{&s.order, &s.late} {
		h.put(l, nil)
	}
	s.fix(l)
}

// fix puts a lane where it belongs after an entry came or went.
func (s *schedule) fix(l *lane) {
	if len(l.entries) == 0 {
		delete(s.lanes, l.ref)
	}
	l.stop = math.MaxUint64
	if l.held > 0 {
		l.stop = l.entries[slices.IndexFunc(l.entries, (*entry).held)].seq
		s.stops[l.ref] = l.stop
	} else {
		delete(s.stops, l.ref)
	}
	if l.ended(0) {
		l.beyond, s.more = nil, true
	}
	s.place(l, 0)
}

// place orders a lane by its entries but the first skip; without any it is in no heap.
func (s *schedule) place(l *lane, skip int) {
	var best, late *entry
	if skip < len(l.entries) && l.entries[skip].seq < l.stop {
		from, _ := slices.BinarySearchFunc(l.pressing, l.entries[skip].seq, bySeq)
		best = l.pressing[from]
		if l.held > 0 || l.late { // seldom: only those before it count, and two ways
			best, late = nil, nil
			for _, e := range l.entries[skip:] {
				if e.seq < l.stop {
					best, late = earlier(e, best, late)
				}
			}
		}
		if l.beyond != nil && l.beyond.seq < l.stop {
			best, late = earlier(l.beyond, best, late)
		}
	}
	s.order.put(l, best)
	s.late.put(l, late)
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

// age takes note of what passed its deadline.
func (s *schedule) age(now time.Time) {
	for l := s.order.first(); l != nil && l.best[byOrder].lapsed(now); l = s.order.first() {
		for _, e := range l.entries {
			e.late = e.late || e.lapsed(now)
		}
		if l.beyond != nil {
			l.beyond.late = l.beyond.late || l.beyond.lapsed(now)
		}
		s.moved(l)
	}
}

// first is the lane whose turn it is, and for which of its entries; nil: none.
func (s *schedule) first(now time.Time) (*lane, *entry) {
	l, late := s.order.first(), s.late.first()
	if late != nil && (l == nil || !l.best[byOrder].urgent(now)) {
		return late, late.best[byLate]
	}
	if l == nil {
		return nil, nil
	}
	return l, l.best[byOrder]
}

// picking is what was picked, and what would have been before it.
type picking struct {
	entries  []*entry
	bar      turn // what comes before goes before the last of them
	unshared bool // of the share for what is fresh something is left
	cut      bool // there is more of a ref in the backlog, and that goes next
}

// pick chooses what gets the next numbers, in the order of submission, without
// taking it out: it leaves the schedule once its number is on disk.
func (s *schedule) pick(now time.Time, ops, bytes int) (p picking) {
	var picked []*entry
	taken := map[*lane]int{} // how many of its entries are picked
	room := func(e *entry) bool {
		return len(picked) == 0 || len(picked) < ops && bytes >= e.size
	}
	// through picks from a lane up to and including e, and puts the lane where
	// what is left of it belongs. It reports whether there was room.
	through := func(l *lane, e *entry) bool {
		for taken[l] < len(l.entries) && l.entries[taken[l]].seq <= e.seq {
			next := l.entries[taken[l]]
			if !room(next) {
				return false
			}
			picked = append(picked, next)
			bytes -= next.size
			taken[l]++
		}
		s.place(l, taken[l])
		return true
	}
	defer func() {
		for l := range taken {
			s.place(l, 0)
		}
		p.entries = picked
	}()
	share := ops / freshShare
	s.age(now)
	for len(picked) < ops {
		l, e := s.first(now)
		if l == nil {
			p.bar = lastTurn
			return p
		}
		turn := e.turn(now)
		if share > 0 && !e.urgent(now) {
			if f := s.nextFresh(now, taken); f != nil {
				l, e, turn = f.lane, f, p.bar
				share--
			} else {
				p.unshared = true
			}
		}
		if p.bar.before(turn) {
			p.bar = turn
		}
		if !through(l, e) {
			return p
		}
		if l.ended(taken[l]) {
			p.cut = true
			return p
		}
	}
	return p
}

// nextFresh is the first operation put just now that is not picked yet.
func (s *schedule) nextFresh(now time.Time, taken map[*lane]int) *entry {
	waits := func(e *entry) bool {
		return e.lane != nil && e.state == Pending && now.Sub(e.created) < freshAge
	}
	for len(s.fresh) > 0 && !waits(s.fresh[0]) {
		s.fresh = s.fresh[1:]
	}
	for _, e := range s.fresh {
		if !waits(e) || e.seq >= e.lane.stop {
			continue
		}
		if n := taken[e.lane]; n == 0 || e.lane.entries[n-1].seq < e.seq {
			return e
		}
	}
	return nil
}

const (
	byOrder = iota
	byLate
)

// laneHeap is lanes by one of their entries.
type laneHeap struct {
	list []*lane
	by   int // which
}

// put has a lane stand where that entry belongs; nil: nowhere.
func (h *laneHeap) put(l *lane, e *entry) {
	was := l.best[h.by]
	switch {
	case e == was:
	case e == nil:
		heap.Remove(h, l.at[h.by])
		l.best[h.by] = nil
	case was == nil:
		l.best[h.by] = e
		heap.Push(h, l)
	default:
		l.best[h.by] = e
		heap.Fix(h, l.at[h.by])
	}
}

func (h *laneHeap) first() *lane {
	if len(h.list) == 0 {
		return nil
	}
	return h.list[0]
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (h *laneHeap) Len() int { return len(h.list) }

// Less compares two lanes by their entries.
func (h *laneHeap) Less(i, j int) bool {
	a, b := h.list[i].best[h.by], h.list[j].best[h.by]
	if h.by == byLate {
		return a.seq < b.seq
	}
	return before(a, b)
}

// Swap swaps two lanes.
func (h *laneHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].at[h.by], h.list[j].at[h.by] = i, j
}

// Push adds a lane.
func (h *laneHeap) Push(v any) {
	l := v.(*lane)
	l.at[h.by] = len(h.list)
	h.list = append(h.list, l)
}

// Pop removes the last lane.
func (h *laneHeap) Pop() any {
	n := len(h.list) - 1
	l := h.list[n]
	h.list[n] = nil
	h.list = h.list[:n]
	return l
}
