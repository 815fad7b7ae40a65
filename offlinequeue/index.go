package offlinequeue

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"time"
)

// index is what is kept in memory: counts of everything, and one entry for each
// operation that has no end yet or has to be offered again; of those that wait, the
// oldest. The queue's mutex guards it.
type index struct {
	most     int                      // waiting operations in memory
	through  uint64                   // what waits and was promised up to here is in memory
	counts   map[string]map[State]int // by kind
	bytes    int64                    // of all operations held
	ended    int64                    // of those that have their end
	entries  map[string]*entry        // by id
	waiting  schedule                 // not in today's chain yet
	offered  []*entry                 // numbered, receipt outstanding; by number
	deadline deadlines                // of what is open
	pending  []*entry                 // by seq; cleaned when read

	parked, unresolved map[string]Held // by id
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
	standing int // of that, what is written when its state changes

	lane    *lane // nil: not waiting
	gone    bool  // no longer in the index
	parked  bool
	suspect bool // Run has set it aside
}

func newIndex(most int) *index {
	return &index{
		most: most, through: allIn,
		counts:  map[string]map[State]int{},
		entries: map[string]*entry{},
		waiting: schedule{lanes: map[string]*lane{}},

		parked: map[string]Held{}, unresolved: map[string]Held{},
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
		x.drop(s.old.ID)
		return
	}
	x.count(s.new, 1)
	x.note(s.new, true)
	x.admit(st, s.new, now)
}

// admit takes in how an operation stands now.
func (x *index) admit(st *state, r *record, now time.Time) {
	number := uint64(0)
	if st.holds(r.Gen, r.Number) {
		number = r.Number
	}
	outstanding := number > st.Cursor.AcceptedThrough
	open := !r.State.Final()
	again := number == 0 && st.forgotten(r, now)
	if !open && !outstanding && !again {
		x.drop(r.ID)
		return
	}
	e := x.entries[r.ID]
	if e == nil && number == 0 && x.outside(r) {
		return
	}
	if e == nil {
		e = &entry{id: r.ID, ref: r.Ref, seq: r.Seq, created: r.Created, money: r.Money}
		x.entries[r.ID] = e
		if r.State == Pending {
			x.pending = append(x.pending, e)
		}
	}
	moved := !r.Deadline.Equal(e.deadline)
	if moved {
		e.deadline = r.Deadline
		if !r.Deadline.IsZero() {
			heap.Push(&x.deadline, due{r.Deadline, e})
		}
	}
	rank := e.rank()
	e.state, e.size, e.standing = r.State, r.size, r.size-r.asked
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
	if outstanding && e.number != number {
		e.number = number
		x.offer(e)
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
		if e := x.offered[n]; e.state.Final() {
			x.drop(e.id)
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
	e.gone = true
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
	for len(x.pending) > 0 {
		if e := x.pending[0]; !e.gone && e.state == Pending {
			return e.created
		}
		x.pending = x.pending[1:]
	}
	x.pending = nil
	return time.Time{}
}

// nextDeadline is the earliest deadline of what is open; zero: none.
func (x *index) nextDeadline() time.Time {
	for len(x.deadline) > 0 {
		d := x.deadline[0]
		if !d.e.gone && !d.e.state.Final() && d.at.Equal(d.e.deadline) {
			return d.at
		}
		heap.Pop(&x.deadline)
	}
	return time.Time{}
}

// due is a deadline and whose it was when it was pushed.
type due struct {
	at time.Time
	e  *entry
}

// deadlines is a heap; what no longer holds is dropped when it comes up.
type deadlines []due

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(v any)        { *d = append(*d, v.(due)) }
func (d *deadlines) Pop() any {
	old := *d
	v := old[len(old)-1]
	old[len(old)-1] = due{}
	*d = old[:len(old)-1]
	return v
}

// seen is what reading all of the state found.
type seen struct {
	index  *index
	held   uint64
	sum    uint64
	oldest uint64 // the oldest record that wrote something of it; 0: nothing is there
	bad    []string
	whole  bool // what was asked for is there of each operation, and of no other
}

// readState reads how every operation stands, in order of promises, and sums up all
// keys. What cannot be read is told in words, and left out.
func readState(s *store, st *state, now time.Time, most int) (*seen, error) {
	v := &seen{index: newIndex(most)}
	count := func(key string, number uint64) {
		v.sum += share(key, number)
		if v.oldest == 0 || number < v.oldest {
			v.oldest = number
		}
	}
	asked := uint64(0)
	err := s.view(func(t *tx) error {
		err := t.scan(prefixSeq, "", false, func(key string, value []byte, number uint64) (bool, error) {
			count(key, number)
			r, err := decodeStanding(seqOf(key), value)
			if err != nil {
				v.bad = append(v.bad, fmt.Sprintf("operation %d cannot be read: %v", seqOf(key), err))
				return true, nil
			}
			v.held++
			asked += share(keyOp(r.ID), 0)
			v.index.apply(st, saved{new: &r}, now)
			return true, nil
		})
		t.keys(prefixOp, func(key string) { asked -= share(key, 0) })
		v.whole = asked == 0
		st.strays = 0
		for _, prefix := range []string{prefixLink, prefixStray, keyHistory} {
			if err != nil {
				return err
			}
			err = t.scan(prefix, "", false, func(key string, _ []byte, number uint64) (bool, error) {
				count(key, number)
				if prefix == prefixStray {
					st.strays++
				}
				return true, nil
			})
		}
		return err
	})
	return v, err
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
