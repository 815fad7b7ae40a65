package hq

import (
	"context"
	"time"
)

// place is one line of a store, on which one operation at a time is looked at.
type place struct{ store, line string }

func (o operation) place() place { return place{o.store, o.line} }

// The order in which operations are looked at (money.md 3.2): the earliest deadline
// first, and one in freshShare from what was recorded just now, so that a backlog
// of a day does not keep a customer waiting; but not while something lapses soon.
const (
	freshAge   = 5 * time.Minute
	freshShare = 4

	// listed is how many operations are asked for at once, for each worker.
	listed = 16
	// relist: a list of a long backlog is old after so many times what it cost to make it, so
	// that making lists takes a small part of the database's time, but after maxListAge at the
	// latest, which is how long a new operation may wait for its first look because of it.
	relist     = 16
	maxListAge = 2 * time.Second
)

// agenda is what the database said is due. Asking it costs more the longer the
// backlog is. As long as everything that is due fits into one list, it is asked whenever
// something has changed; of a longer backlog the list serves until it is used up or old.
// What is picked from it must be read anew: it may have been looked at meanwhile.
type agenda struct {
	// ask lists what is due and, unless that is all (whole), what is fresh.
	ask func(ctx context.Context, now time.Time) (due, fresh []operation, whole bool, err error)

	due, fresh []operation
	taken      map[place]bool // lines of which this list was used
	until      time.Time      // the list serves till then
	looks      int            // each freshShare-th is a fresh operation's
}

// next picks at most so many operations to look at, none on a line that is busy and no
// two on one line, and says whether it asked for them anew.
func (a *agenda) next(ctx context.Context, busy map[place]bool, most int, now time.Time) (picked []operation, anew bool, err error) {
	if time.Now().Before(a.until) {
		if picked = a.pick(busy, most, now); len(picked) > 0 {
			return picked, false, nil
		}
	}
	began := time.Now()
	due, fresh, whole, err := a.ask(ctx, now)
	if err != nil {
		return nil, true, err
	}
	a.due, a.fresh, a.taken, a.until = due, fresh, nil, time.Time{}
	if !whole {
		a.until = time.Now().Add(min(relist*time.Since(began), maxListAge))
	}
	return a.pick(busy, most, now), true, nil
}

// pick chooses from the list what comes first by deadline, and in between what is fresh.
func (a *agenda) pick(busy map[place]bool, most int, now time.Time) (picked []operation) {
	for len(picked) < most {
		o, ok := a.first(&a.due, busy)
		if f, some := a.first(&a.fresh, busy); some && (!ok || a.looks%freshShare == freshShare-1 && !o.urgent(now)) {
			o, ok = f, true
		}
		if !ok {
			break
		}
		a.looks++
		if a.taken == nil {
			a.taken = map[place]bool{}
		}
		a.taken[o.place()] = true
		picked = append(picked, o)
	}
	return picked
}

// first is the first operation of a list that can be picked; what comes before it is dropped.
func (a *agenda) first(list *[]operation, busy map[place]bool) (operation, bool) {
	for len(*list) > 0 {
		if o := (*list)[0]; !busy[o.place()] && !a.taken[o.place()] {
			return o, true
		}
		*list = (*list)[1:]
	}
	return operation{}, false
}

// left reports whether the list has something that others could look at meanwhile.
func (a *agenda) left(busy map[place]bool) bool {
	_, due := a.first(&a.due, busy)
	_, fresh := a.first(&a.fresh, busy)
	return due || fresh
}

// listDue is what an agenda asks the database.
func (s *Server) listDue(ctx context.Context, now time.Time) (due, fresh []operation, whole bool, err error) {
	due, err = s.db.due(ctx, now, time.Time{}, listed*s.workers)
	if err != nil || len(due) < listed*s.workers {
		return due, nil, true, err
	}
	fresh, err = s.db.due(ctx, now, now.Add(-freshAge), listed/freshShare*s.workers)
	return due, fresh, false, err
}
