package offlinequeue

import (
	"cmp"
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
	mixed bool             // they are in no order

	stops map[string]uint64 // by ref, the place of what is held back: what is behind it waits
	more  bool              // what a lane has in the backlog is to be looked at
	held  bool              // something is held back, or is so no more
}

func newSchedule() schedule {
	return schedule{lanes: map[string]*lane{}, stops: map[string]uint64{}, late: laneHeap{by: byLate}}
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
		n := len(s.fresh)
		s.mixed = s.mixed || n > 0 && s.fresh[n-1].seq > e.seq
		s.fresh = append(s.fresh, e)
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
	if s.mixed {
		slices.SortFunc(s.fresh, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
		s.mixed = false
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
