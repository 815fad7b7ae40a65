package offlinequeue

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// index is what is kept in memory: counts of everything, one entry for each operation
// that is next to be offered or was, and a mark of what else is open or has to be
// offered again. The queue's mutex guards it.
type index struct {
	most    int                      // waiting operations with an entry
	counts  map[string]map[State]int // by kind
	bytes   int64                    // of all operations held
	ended   int64                    // of those that have their end
	entries map[string]*entry        // by id
	waiting schedule                 // not in today's chain yet
	rest    backlog
	offered []*entry // numbered, receipt outstanding; by number

	parked, unresolved map[string]Held   // by id
	places             map[string]uint64 // of those, by id
	suspects           map[string]bool   // set aside by Run
}

// entry is one operation of the index.
type entry struct {
	id       string
	ref      string
	seq      uint64
	number   uint64 // in today's chain; 0: none
	created  time.Time
	deadline time.Time // zero: none
	state    State
	money    bool
	size     int

	lane    *lane // nil: not waiting
	parked  bool
	suspect bool // Run has set it aside
	late    bool // it has passed its deadline

	glance
}

// glance is what was read of an operation when it came into the schedule, until it stands
// otherwise: who numbers it need not read that again.
type glance struct {
	stood   []byte // how it stood; nil: not read
	written uint64 // the record that says so
	asked   []byte // what the till asked for, behind its place; nil: not read
}

func newIndex(most int) *index {
	return &index{
		most: most, rest: newBacklog(),
		counts:  map[string]map[State]int{},
		entries: map[string]*entry{},
		waiting: newSchedule(),

		parked: map[string]Held{}, unresolved: map[string]Held{}, places: map[string]uint64{},
	}
}

// forgotten reports whether an operation that has its end is to be offered again,
// because headquarters lost the part of the chain it was in.
func (s *state) forgotten(r *record, now time.Time) bool {
	return r.State.Final() && !s.holds(r.Gen, r.Number) && r.Gen != s.gen() &&
		s.age(r.Changed, now) < keepMoney
}

// apply takes one saved operation in.
func (x *index) apply(st *state, s saved, now time.Time) {
	if o := s.old; o != nil {
		x.count(o, -1)
	}
	if s.new == nil {
		x.note(s.old, false)
		if e := x.entries[s.old.ID]; e != nil && e.number > 0 { // it was offered, and is lost
			x.offered = slices.DeleteFunc(x.offered, func(o *entry) bool { return o == e })
		}
		x.drop(s.old.ID)
		x.rest.set(s.old.Seq, mark{})
	} else {
		x.count(s.new, 1)
		x.note(s.new, true)
		x.admit(st, s.new, now)
	}
	x.turned()
}

// admit takes in how an operation stands now.
func (x *index) admit(st *state, r *record, now time.Time) {
	number := st.number(r)
	switch e := x.entries[r.ID]; {
	case r.State.Final() && number <= st.Cursor.AcceptedThrough && (number > 0 || !st.forgotten(r, now)):
		x.drop(r.ID)
		x.rest.set(r.Seq, mark{})
	case number > 0 && number <= st.Cursor.AcceptedThrough:
		x.drop(r.ID)
		x.leave(r, rankHas)
	case number == 0 && e == nil && x.outside(r):
		x.leave(r, rankOf(r.State, r.Money))
	case number == 0 && e != nil && e.parked && r.Parked == nil && x.rest.waits > 0:
		// It is in the schedule only because it held up others: what was promised
		// before it may not be.
		l := e.lane
		x.drop(r.ID)
		x.unload(l)
		x.leave(r, rankOf(r.State, r.Money))
	default:
		x.rest.set(r.Seq, mark{})
		x.enter(r, number, now)
	}
}

// number is an operation's number in today's chain; 0: none.
func (s *state) number(r *record) uint64 {
	if s.holds(r.Gen, r.Number) {
		return r.Number
	}
	return 0
}

// enter has an operation wait in the schedule, or, with a number, for its receipt.
func (x *index) enter(r *record, number uint64, now time.Time) {
	e := x.entries[r.ID]
	if e == nil {
		e = &entry{id: r.ID, ref: r.Ref, seq: r.Seq, created: r.Created, deadline: r.Deadline, money: r.Money, suspect: x.suspects[r.ID]}
		x.entries[r.ID] = e
	}
	e.glance = glance{r.stood, r.written, r.frame}
	moved, rank := !r.Deadline.Equal(e.deadline), e.rank()
	e.deadline, e.state, e.size, e.late = r.Deadline, r.State, r.size, e.late && !moved
	x.waiting.hold(e, r.Parked != nil, e.suspect)
	if e.lane != nil && (moved || e.rank() != rank) {
		x.waiting.moved(e.lane)
	}
	if number == 0 {
		if e.lane == nil {
			x.waiting.add(e, now)
		}
		return
	}
	x.waiting.remove(e)
	if e.number != number {
		e.number = number
		x.offer(e)
	}
}

// turned has the backlog looked through again when what is held back is another, or
// when that ended which stood for a part of it.
func (x *index) turned() {
	if x.waiting.held || x.waiting.more {
		x.waiting.held, x.waiting.more, x.rest.best = false, false, turn{}
	}
}

// offer puts a newly numbered entry among the offered.
func (x *index) offer(e *entry) {
	if n := len(x.offered); n == 0 || x.offered[n-1].number < e.number {
		x.offered = append(x.offered, e)
		return
	}
	i, _ := slices.BinarySearchFunc(x.offered, e.number, func(o *entry, n uint64) int {
		return cmp.Compare(o.number, n)
	})
	x.offered = slices.Insert(x.offered, i, e)
}

// accepted drops what headquarters has from the offered.
func (x *index) accepted(through uint64) {
	n := 0
	for n < len(x.offered) && x.offered[n].number <= through {
		if e := x.offered[n]; x.entries[e.id] == e {
			x.drop(e.id)
			if !e.state.Final() {
				x.rest.set(e.seq, x.rest.mark(e.ref, dueOf(rankHas, e.deadline), e.created))
			}
		}
		n++
	}
	x.offered = slices.Delete(x.offered, 0, n)
}

func (x *index) drop(id string) {
	e := x.entries[id]
	if e == nil {
		return
	}
	delete(x.entries, id)
	x.waiting.remove(e)
}

func (x *index) count(r *record, by int) {
	kind := x.counts[r.Kind]
	if kind == nil {
		kind = map[State]int{}
		x.counts[r.Kind] = kind
	}
	kind[r.State] += by
	x.bytes += int64(by * r.size)
	if r.State.Final() {
		x.ended += int64(by * r.size)
	}
}

// oldestPending is when the operation was put that waits longest for
// headquarters; zero: none.
func (x *index) oldestPending() time.Time {
	oldest := x.rest.oldest()
	for _, e := range x.entries {
		if e.state == Pending && (oldest.IsZero() || e.created.Before(oldest)) {
			oldest = e.created
		}
	}
	return oldest
}

// nextDeadline is the earliest deadline of what is open; zero: none.
func (x *index) nextDeadline() time.Time {
	next := x.rest.deadline()
	for _, e := range x.entries {
		if !e.state.Final() && compareDeadline(e.deadline, next) < 0 {
			next = e.deadline
		}
	}
	return next
}

// seen is what reading all of the state found.
type seen struct {
	index  *index
	held   uint64
	sum    uint64
	oldest uint64 // the oldest record that wrote something of it; 0: nothing is there
	bad    []string
	whole  bool // what was asked for is there of each operation, and of no other

	hinted bool   // nothing was read but what a hint did not say: all that is still to be checked
	moved  bool   // the journal went on after the hint
	marks  uint64 // digest of the index then
}

// readState reads how every operation stands, in order of promises, and sums up all
// keys. What cannot be read is told in words, and left out.
func readState(s *store, st *state, now time.Time, most int) (*seen, error) {
	v := &seen{index: newIndex(most)}
	err := s.view(func(t *tx) error {
		return v.read(t, st, func(r *record) error {
			v.index.apply(st, saved{new: r}, now)
			return nil
		})
	})
	return v, err
}

// read is readState but for the index: each operation is given to fn.
func (v *seen) read(t *tx, st *state, fn func(*record) error) error {
	count := func(key []byte, number uint64) {
		v.sum += share(key, number)
		if v.oldest == 0 || number < v.oldest {
			v.oldest = number
		}
	}
	var standing, asked uint64 // sums over the keys of what was asked for, as it has to be and as it is
	key := []byte(prefixOp)
	keys := make(chan error, 1)
	go func() {
		keys <- guard(func() error {
			t.keys(prefixOp, func(key []byte) { asked += share(key, 0) })
			return nil
		})
	}()
	err := t.lend(prefixSeq, "", false, func(place, value []byte, number uint64) (bool, error) {
		count(place, number)
		r, err := decodeStanding(seqOf(place), value)
		if err != nil {
			v.bad = append(v.bad, fmt.Sprintf("operation %d cannot be read: %v", seqOf(place), err))
			return true, nil
		}
		v.held++
		key = append(key[:len(prefixOp)], r.ID...)
		standing += share(key, 0)
		return true, fn(&r)
	})
	err = errors.Join(err, <-keys) // both have ended before the transaction does
	st.strays = 0
	for _, prefix := range []string{prefixLink, prefixStray, keyHistory} {
		if err != nil {
			return err
		}
		err = t.lend(prefix, "", false, func(key, _ []byte, number uint64) (bool, error) {
			count(key, number)
			if prefix == prefixStray {
				st.strays++
			}
			return true, nil
		})
	}
	v.whole = asked == standing
	return err
}

// places lists the places of all operations of a store.
func places(s *store) (list []uint64, err error) {
	err = s.view(func(t *tx) error {
		return t.scan(prefixSeq, "", false, func(key string, _ []byte, _ uint64) (bool, error) {
			list = append(list, seqOf(key))
			return true, nil
		})
	})
	return list, err
}

// halves are those of the places of which it is not there what was asked for.
func halves(s *store, list []uint64) (whole, half []uint64, err error) {
	asked := map[uint64]bool{}
	err = s.view(func(t *tx) error {
		return t.scan(prefixOp, "", false, func(_ string, value []byte, _ uint64) (bool, error) {
			seq, _, err := splitAsked(value)
			asked[seq] = true
			return true, err
		})
	})
	for _, seq := range list {
		if asked[seq] {
			whole = append(whole, seq)
		} else {
			half = append(half, seq)
		}
	}
	return whole, half, err
}
