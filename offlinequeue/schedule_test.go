package offlinequeue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// waits is an entry that was put some time ago and is due in some time (0: never).
func waits(id, ref string, seq uint64, ago, left time.Duration) *entry {
	e := &entry{id: id, ref: ref, seq: seq, created: monday.Add(-ago), state: Pending, money: true, size: 500}
	if left != 0 {
		e.deadline = monday.Add(left)
	}
	return e
}

func record1(e *entry) *entry { e.money = false; return e }

func ended(e *entry) *entry { e.state = Succeeded; return e }

func scheduled(entries ...*entry) *schedule {
	s := newSchedule()
	for _, e := range entries {
		s.add(e, monday)
	}
	return &s
}

func pickedIDs(s *schedule, ops, bytes int) []string {
	list := []string{}
	for _, e := range s.pick(monday, ops, bytes).entries {
		list = append(list, e.id)
	}
	return list
}

func TestOrderOfSubmission(t *testing.T) {
	const h, old = time.Hour, 24 * time.Hour
	many := func(n int, one func(i int) *entry) (list []*entry) {
		for i := range n {
			list = append(list, one(i))
		}
		return list
	}
	for _, c := range []struct {
		name    string
		entries []*entry
		ops     int
		want    []string
	}{
		{"nothing waits", nil, 8, []string{}},
		{"money before records", []*entry{
			record1(waits("receipt", "a", 1, old, 0)), waits("capture", "b", 2, old, 20*h),
		}, 8, []string{"capture", "receipt"}},
		{"earliest deadline first, none last", []*entry{
			waits("none", "a", 1, old, 0), waits("late", "b", 2, old, 30*h), waits("early", "c", 3, old, 20*h),
		}, 8, []string{"early", "late", "none"}},
		{"order of promises where nothing else decides", []*entry{
			waits("first", "a", 1, old, 0), waits("second", "b", 2, old, 0),
		}, 8, []string{"first", "second"}},
		{"within a ref the order of promises, even against deadlines", []*entry{
			waits("capture", "pi", 1, old, 40*h), waits("refund", "pi", 2, old, 13*h), waits("other", "b", 3, old, 20*h),
		}, 8, []string{"capture", "refund", "other"}},
		{"a pressing one pulls the records before it along", []*entry{
			record1(waits("receipt", "pi", 1, old, 0)), waits("capture", "pi", 2, old, 20*h), waits("other", "b", 3, old, 30*h),
		}, 8, []string{"receipt", "capture", "other"}},
		{"what headquarters forgot goes last", []*entry{
			ended(waits("done", "a", 1, old, 0)), record1(waits("receipt", "b", 2, old, 0)),
		}, 8, []string{"receipt", "done"}},
		{"but before what it has to precede", []*entry{
			ended(waits("done", "pi", 1, old, 0)), waits("refund", "pi", 2, old, 20*h), waits("other", "b", 3, old, 30*h),
		}, 8, []string{"done", "refund", "other"}},
		{"one in four is for what was put just now", append(
			many(20, func(i int) *entry {
				return waits(fmt.Sprint("old", i), fmt.Sprint(i), uint64(i+1), old, 13*h+time.Duration(i)*time.Minute)
			}),
			waits("fresh1", "x", 21, time.Second, 47*h), waits("fresh2", "y", 22, time.Second, 47*h), waits("fresh3", "z", 23, time.Second, 47*h),
		), 8, []string{"fresh1", "fresh2", "old0", "old1", "old2", "old3", "old4", "old5"}},
		{"never the share of what is about to lapse", append(
			many(20, func(i int) *entry {
				return waits(fmt.Sprint("old", i), fmt.Sprint(i), uint64(i+1), old, h+time.Duration(i)*time.Minute)
			}),
			waits("fresh", "x", 21, time.Second, 47*h),
		), 4, []string{"old0", "old1", "old2", "old3"}},
		{"after what is about to lapse comes the share", append(
			many(4, func(i int) *entry { return waits(fmt.Sprint("old", i), fmt.Sprint(i), uint64(i+1), old, 20*h) }),
			waits("lapses", "x", 5, old, h), waits("fresh", "y", 6, time.Second, 47*h),
		), 4, []string{"lapses", "fresh", "old0", "old1"}},
		{"a fresh one waits for its ref", append(
			many(4, func(i int) *entry { return waits(fmt.Sprint("old", i), fmt.Sprint(i), uint64(i+1), old, 20*h) }),
			waits("capture", "pi", 5, old, 40*h), waits("refund", "pi", 6, time.Second, 47*h),
		), 4, []string{"capture", "refund", "old0", "old1"}},
		{"what is past its deadline goes after what can be saved, and before the rest", []*entry{
			waits("past", "a", 1, old, -h), waits("saved", "b", 2, old, 11*h), waits("more", "c", 3, old, 13*h), waits("none", "d", 4, old, 0),
		}, 8, []string{"saved", "past", "more", "none"}},
		{"of a ref what can be saved counts", []*entry{
			waits("past", "pi", 1, old, -h), waits("saved", "pi", 2, old, 10*h), waits("other", "b", 3, old, 11*h),
		}, 8, []string{"past", "saved", "other"}},
		{"fresh records have no share", []*entry{
			waits("capture", "a", 1, old, 20*h), record1(waits("receipt", "b", 2, time.Second, 0)), waits("other", "c", 3, old, 20*h),
		}, 4, []string{"capture", "other", "receipt"}},
		{"one goes when only one may: the most pressing", []*entry{
			waits("fresh", "a", 1, time.Second, 47*h), waits("old", "b", 2, old, 20*h),
		}, 1, []string{"old"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scheduled(c.entries...)
			equal(t, "picked", pickedIDs(s, c.ops, 1<<20), c.want)
			equal(t, "picked again", pickedIDs(s, c.ops, 1<<20), c.want)
		})
	}
}

func TestPickIsBoundedByBytesButTakesOne(t *testing.T) {
	s := scheduled(waits("a", "a", 1, 0, 0), waits("b", "b", 2, 0, 0), waits("c", "c", 3, 0, 0))
	equal(t, "two fit", pickedIDs(s, 8, 1000), []string{"a", "b"})
	equal(t, "one always", pickedIDs(s, 8, 1), []string{"a"})
}

// Whatever waits: everything comes out once, never against the order of its
// ref, and the schedule is empty afterwards.
func TestScheduleDrainsInOrderOfRefs(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(60)
		var entries []*entry
		for i := range n {
			e := waits(fmt.Sprint(i), fmt.Sprint(r.IntN(1+n/3)), uint64(i+1),
				time.Duration(r.IntN(600))*time.Second, time.Duration(r.IntN(40))*time.Hour)
			e.money = r.IntN(3) > 0
			if r.IntN(5) == 0 {
				e.state = Succeeded
			}
			entries = append(entries, e)
		}
		for _, i := range r.Perm(n) {
			entries[i], entries[0] = entries[0], entries[i]
		}
		s := scheduled(entries...)
		last := map[string]uint64{}
		got := 0
		for {
			batch := s.pick(monday, 1+r.IntN(9), 4000).entries
			if len(batch) == 0 {
				break
			}
			for _, e := range batch {
				if last[e.ref] >= e.seq {
					t.Fatalf("seed %d: %d of ref %s after %d", seed, e.seq, e.ref, last[e.ref])
				}
				last[e.ref] = e.seq
				s.remove(e)
				got++
			}
		}
		if got != n || len(s.lanes) > 0 || s.order.Len()+s.late.Len() > 0 {
			t.Fatalf("seed %d: %d of %d came out; %d lanes, %d in the heap are left", seed, got, n, len(s.lanes), s.order.Len())
		}
	}
}

func TestPauseDoublesUpToItsBoundWithFullJitter(t *testing.T) {
	for _, c := range []struct {
		failures int
		r        float64
		want     time.Duration
	}{
		{1, 0.999999, 500 * time.Millisecond},
		{1, 0, 50 * time.Millisecond},
		{2, 0.5, 500 * time.Millisecond},
		{3, 0.5, time.Second},
		{6, 0.999999, 16 * time.Second},
		{7, 0.999999, 30 * time.Second},
		{1000, 0.5, 15 * time.Second},
	} {
		if got := pause(c.failures, c.r).Round(time.Millisecond); got != c.want {
			t.Errorf("pause(%d, %v) = %v, want %v", c.failures, c.r, got, c.want)
		}
	}
	if slices.Max([]time.Duration{pause(1<<62, 0.999999)}) > pauseMost {
		t.Error("the bound does not hold")
	}
}
