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

// schedule orders what waits for a number. It is a heap of lanes.
type schedule struct {
	lanes map[string]*lane // by ref
	order []*lane
	waits int      // entries in all lanes
	fresh []*entry // money by place; cleaned when read

	stops map[string]uint64 // by ref, the place of what is held back: what is behind it waits
	more  bool              // what a lane has in the backlog is to be looked at
	held  bool              // something is held back, or is so no more
}

func newSchedule() schedule {
	return schedule{lanes: map[string]*lane{}, stops: map[string]uint64{}}
}

// lane is what waits under one ref, in the order of promises. It goes as early as
// the most pressing of them asks, since that one cannot pass the others.
type lane struct {
	ref     string
	entries []*entry
	// Those that go before everything put after them: the first is the most pressing
	// of all, and what presses when the first few are gone is among them too.
	pressing []*entry
	best     *entry
	beyond   *entry // stands for those of the ref that are left in the backlog; nil: none that presses
	at       int    // in schedule.order
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
	l.entries, l.pressing = l.entries[:0], l.pressing[:0]
	for _, e := range entries {
		l.push(e)
	}
}

// ended reports whether after so many of its entries come those in the backlog.
func (l *lane) ended(n int) bool {
	return l.beyond != nil && (n == len(l.entries) || l.entries[n].seq > l.beyond.seq)
}

// held reports whether an entry holds up its lane.
func (e *entry) held() bool { return e.parked || e.suspect }

// before is the order of submission among heads of lanes.
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

func (e *entry) urgent(now time.Time) bool {
	return e.rank() == 0 && !e.deadline.IsZero() && e.deadline.Sub(now) < urgentLeft
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
		l = &lane{ref: e.ref, at: -1}
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
	l.best = nil
	l.weigh()
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

// place orders a lane by its entries but the first skip; without any it is not
// in the heap.
func (s *schedule) place(l *lane, skip int) {
	if skip >= len(l.entries) || l.entries[skip].seq >= l.stop {
		if l.at >= 0 {
			heap.Remove(s, l.at)
		}
		return
	}
	from, _ := slices.BinarySearchFunc(l.pressing, l.entries[skip].seq, bySeq)
	best := l.pressing[from]
	if l.held > 0 { // seldom: only those before it count
		best = l.entries[skip]
		for _, e := range l.entries[skip:] {
			if e.seq < l.stop && before(e, best) {
				best = e
			}
		}
	}
	if l.beyond != nil && l.beyond.seq < l.stop && before(l.beyond, best) {
		best = l.beyond
	}
	switch {
	case l.at < 0:
		l.best = best
		heap.Push(s, l)
	case best != l.best:
		l.best = best
		heap.Fix(s, l.at)
	}
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
	for len(s.order) > 0 && len(picked) < ops {
		l := s.order[0]
		e := l.best
		if share > 0 && !e.urgent(now) {
			if f := s.nextFresh(now, taken); f != nil {
				l, e = f.lane, f
				share--
			} else {
				p.unshared = true
			}
		}
		if t := l.best.turn(); l == s.order[0] && p.bar.before(t) {
			p.bar = t
		}
		if !through(l, e) {
			return p
		}
		if l.ended(taken[l]) {
			p.cut = true
			return p
		}
	}
	if len(picked) < ops {
		p.bar = lastTurn
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

// Len, Less, Swap, Push and Pop are heap.Interface.
func (s *schedule) Len() int { return len(s.order) }

// Less compares two lanes by their most pressing entries.
func (s *schedule) Less(i, j int) bool { return before(s.order[i].best, s.order[j].best) }

// Swap swaps two lanes.
func (s *schedule) Swap(i, j int) {
	s.order[i], s.order[j] = s.order[j], s.order[i]
	s.order[i].at, s.order[j].at = i, j
}

// Push adds a lane.
func (s *schedule) Push(v any) {
	l := v.(*lane)
	l.at = len(s.order)
	s.order = append(s.order, l)
}

// Pop removes the last lane.
func (s *schedule) Pop() any {
	l := s.order[len(s.order)-1]
	s.order[len(s.order)-1] = nil
	s.order = s.order[:len(s.order)-1]
	l.at = -1
	return l
}
