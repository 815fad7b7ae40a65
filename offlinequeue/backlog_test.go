package offlinequeue

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// The claim is memory: of a backlog only a part is in the schedule, and it leaves whole,
// in order within each ref, also when it is opened anew or changes on the way.
func TestABacklogIsReadAsItLeaves(t *testing.T) {
	const window, n = 8, 100
	dir, o := t.TempDir(), Options{window: window}
	q := opened(t, dir, o)
	bounded := func(when string) {
		t.Helper()
		q.mu.Lock()
		defer q.mu.Unlock()
		if got := q.index.waiting.waits; got > 2*window {
			t.Errorf("%s: %d that wait are in the schedule", when, got)
		}
	}
	for i := range n {
		op := capture(fmt.Sprintf("op%03d", i), fmt.Sprint(i%7))
		op.Money = i%3 > 0
		put(t, q, op)
	}
	bounded("put")
	// An outcome by another road, of one that is on disk alone.
	settle(t, q, Cursor{Epoch: "", Seq: 1}, Outcome{Seq: 1, ID: "op090", State: Succeeded})
	if got := len(ids(t, q, Pending)); got != n-1 {
		t.Errorf("%d wait, want %d", got, n-1)
	}
	equal(t, "counts", q.Stats().Operations["capture"], map[State]int{Pending: n - 1, Succeeded: 1})
	closed(t, q)

	q = opened(t, dir, o)
	bounded("opened")
	if oldest, want := q.Stats().OldestPending, get(t, q, "op000").Created; !oldest.Truncate(time.Second).Equal(want.Truncate(time.Second)) {
		t.Errorf("the oldest is of %v, want %v", oldest, want)
	}
	hq := newHeadquarters()
	stop := running(t, q, hq)
	for i := n; i < n+20; i++ { // while it drains
		put(t, q, capture(fmt.Sprintf("op%03d", i), fmt.Sprint(i%7)))
	}
	accepted(t, q, n+19)
	stop()
	bounded("drained")
	if q.index.rest.waits > 0 {
		t.Errorf("%d wait in the backlog", q.index.rest.waits)
	}
	last := map[int]string{}
	got := map[string]bool{}
	for _, id := range hq.ids() {
		var i int
		if _, err := fmt.Sscanf(id, "op%d", &i); err != nil {
			t.Fatal(err)
		}
		if last[i%7] >= id || got[id] {
			t.Errorf("%s of ref %d came after %s", id, i%7, last[i%7])
		}
		last[i%7], got[id] = id, true
	}
	if len(got) != n+19 || got["op090"] {
		t.Errorf("%d arrived", len(got))
	}
}

// What is held up in memory holds up nothing on disk.
func TestWhatIsHeldUpInMemoryHoldsUpNobodyOnDisk(t *testing.T) {
	q := opened(t, t.TempDir(), Options{window: 4})
	for i := range 6 {
		put(t, q, capture(fmt.Sprint("held", i), "held"))
	}
	put(t, q, capture("other", "other"))
	q.suspect("held0", true)
	b, err := q.batch(t.Context(), batchOps, "")
	if err != nil || len(b.Ops) != 1 || b.Ops[0].ID != "other" {
		t.Errorf("%v: %+v", err, b.Ops)
	}
}

// The same from the disk, and after opening anew: what comes last and is due first goes
// first.
func TestMoney_3_2_ALongBacklogOnDiskIsOfferedByDeadline(t *testing.T) {
	const n = 400
	dir, o := t.TempDir(), Options{window: 64}
	q := opened(t, dir, o)
	due := time.Now().Add(20 * time.Hour)
	var wg sync.WaitGroup
	for part := range 20 {
		wg.Go(func() {
			for i := part; i < n; i += 20 {
				op := capture(fmt.Sprintf("op%03d", i), fmt.Sprint(i))
				op.Created = time.Now().Add(-time.Hour)
				op.Deadline = due.Add(time.Duration(i) * time.Minute)
				if op.Money = i%5 > 0; !op.Money {
					op.Deadline = time.Time{}
				}
				put(t, q, op)
			}
		})
	}
	wg.Wait()
	closed(t, q)
	q = opened(t, dir, o)
	hq := newHeadquarters()
	running(t, q, hq)
	accepted(t, q, n)
	var got, want []string
	for _, id := range hq.ids() {
		if len(got) < n-n/5 {
			got = append(got, id)
		}
	}
	for i := range n {
		if i%5 > 0 {
			want = append(want, fmt.Sprintf("op%03d", i))
		}
	}
	equal(t, "money", got, want)
}

// What waits in the schedule and is written again in the journal meanwhile is numbered as
// that says: the store is whole afterwards.
func TestWhatIsCarriedWhileItWaitsIsNumbered(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{window: 8})
	for i := range 40 {
		put(t, q, capture(fmt.Sprint("op", i), fmt.Sprint(i)))
	}
	hq, known := newHeadquarters(), 0
	for range 20 {
		if _, err := q.send(t.Context(), hq, 2); err != nil {
			t.Fatal(err)
		}
		if err := q.level(); err != nil {
			t.Fatal(err)
		}
		q.mu.Lock()
		for _, e := range q.index.entries {
			known += count(e.stood != nil)
		}
		q.mu.Unlock()
		if _, err := q.restore(1, math.MaxUint64, q.doLater); err != nil {
			t.Fatal(err)
		}
	}
	if known == 0 {
		t.Error("everything was read again")
	}
	equal(t, "at headquarters", len(hq.ids()), 40)
	closed(t, q)
	q = opened(t, dir, Options{})
	if s := q.Stats(); len(s.Healed) > 0 || len(s.Damaged) > 0 {
		t.Errorf("healed %q, damaged %q", s.Healed, s.Damaged)
	}
}

// What waits on disk is read ahead while a batch is under way, with what was asked for, and
// leaves as it was promised.
func TestWhatWaitsIsReadAheadOfItsTurn(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	q := opened(t, dir, Options{window: 8})
	for i := range n {
		op := capture(fmt.Sprint("op", i), fmt.Sprint(i%7))
		op.Data = fmt.Appendf(nil, `{"order":%d}`, i)
		put(t, q, op)
	}
	closed(t, q)
	q = opened(t, dir, Options{window: 8})
	ahead := 0
	for i := range n {
		b, err := q.batch(t.Context(), 1, "")
		if err != nil || len(b.Ops) != 1 {
			t.Fatalf("batch %d: %v, %+v", i, err, b.Ops)
		}
		if want := fmt.Sprintf(`{"order":%d}`, i); string(b.Ops[0].Data) != want {
			t.Errorf("batch %d is %s, want %s", i, b.Ops[0].Data, want)
		}
		if _, err := q.receive(t.Context(), b, Receipt{}, 0); err != nil {
			t.Fatal(err)
		}
		q.mu.Lock()
		q.awaitAhead()
		for _, e := range q.index.entries {
			ahead += count(e.asked != nil)
		}
		q.mu.Unlock()
	}
	if ahead == 0 {
		t.Error("nothing was read ahead")
	}
}

// BenchmarkBacklog chooses what comes next of a million.
func BenchmarkBacklog(b *testing.B) {
	x := newIndex(windowMost)
	st := newState()
	for i := range uint64(1_000_000) {
		op := Op{ID: fmt.Sprint(i), Ref: fmt.Sprint(i), Seq: i + 1, State: Pending, Money: true, Created: monday, Deadline: monday.Add(time.Duration(i) * time.Second)}
		x.apply(&st, saved{nil, &record{Op: op}}, monday)
	}
	for b.Loop() {
		x.rest.plan(monday.Add(time.Hour), windowMost/2, x.stops())
	}
}

func must(i int, ok bool) int {
	if !ok {
		panic("no block")
	}
	return i
}

// fits is check of a queue that is at work.
func (q *Queue) fits() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index.check(q.now())
}

// check holds the schedule and the backlog against each other; "": they fit.
func (x *index) check(now time.Time) string {
	waits, stops := 0, x.stops()
	first := map[uint64]uint64{} // the first of each ref in the backlog
	beyond := map[uint64]bool{}
	for ref, l := range x.waiting.lanes {
		beyond[x.rest.hash(ref)] = l.beyond != nil
	}
	why := ""
	x.rest.all(func(seq uint64, m mark) {
		if !m.waits() {
			return
		}
		waits++
		if first[m.ref] == 0 {
			first[m.ref] = seq
		}
		if (turn{lateAt(now).due(m.due), seq}).before(x.rest.best) && stops.may(&block{first: seq - seq%blockSize, marks: x.rest.blocks[must(x.rest.find(seq))].marks}, int(seq%blockSize)) && !beyond[m.ref] && !x.waiting.more {
			why = fmt.Sprintf("place %d is due before the best", seq)
		}
	})
	if why != "" {
		return why
	}
	if waits != x.rest.waits {
		return fmt.Sprintf("%d wait, counted as %d", waits, x.rest.waits)
	}
	in := 0
	for ref, l := range x.waiting.lanes {
		in += len(l.entries)
		hash := x.rest.hash(ref)
		for _, e := range l.entries {
			if x.entries[e.id] != e || e.lane != l {
				return fmt.Sprintf("%s is in a lane and not in the index", e.id)
			}
			if x.rest.at(e.seq) != (mark{}) {
				return fmt.Sprintf("%s is in the schedule and in the backlog", e.id)
			}
			if before := first[hash]; before > 0 && before < e.seq && e.seq < l.stop {
				return fmt.Sprintf("%s may go, and place %d of its ref is in the backlog", e.id, before)
			}
		}
	}
	if in != x.waiting.waits {
		return fmt.Sprintf("%d are in lanes, counted as %d", in, x.waiting.waits)
	}
	return ""
}

// Money goes before records and the earliest deadline first at any length of the
// backlog: what little of it is in the schedule is what all of it would have chosen,
// also while operations are put, end by another road, get other deadlines, are held
// back and freed. A schedule that has all of them says what is right.
func TestMoney_3_2_TheEarliestDeadlineFirstAtAnyLength(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		st := newState()
		now, refs := monday, 1+int(seed)%40*10
		disk := map[uint64]*record{}
		all, part := newIndex(math.MaxInt), newIndex(40+r.IntN(40))
		read := func(seq uint64) (record, error) {
			if r := disk[seq]; r != nil {
				return *r, nil
			}
			return record{}, ErrNotFound
		}
		save := func(is *record) {
			old := disk[is.Seq]
			disk[is.Seq] = is
			for _, x := range []*index{all, part} {
				x.apply(&st, saved{old, is}, now)
			}
		}
		put := func() {
			seq := uint64(len(disk) + 1)
			op := Op{
				ID: fmt.Sprint(seq), Ref: fmt.Sprint(r.IntN(refs)), Seq: seq, State: Pending, Money: r.IntN(4) > 0,
				Created: now.Add(-time.Duration(r.IntN(30)) * time.Minute),
			}
			if refs < 200 { // no more than a part of so many goes for the share of one
				op.Created = now.Add(-time.Hour)
			}
			if r.IntN(8) > 0 {
				op.Deadline = now.Add(time.Duration(r.IntN(47*3600)) * time.Second)
			}
			save(&record{Op: op, size: 500})
		}
		one := func() *record {
			if rec := disk[uint64(1+r.IntN(len(disk)))]; !rec.State.Final() {
				c := *rec
				return &c
			}
			return nil
		}
		pick := func(x *index, ops int) []uint64 {
			p := x.waiting.pick(now, ops, 1<<20)
			for n := 0; x.lacks(p, now); n++ {
				if n > 1000 {
					t.Fatalf("seed %d: it reads for ever", seed)
				}
				x.rest.looked = time.Time{} // as if freshEvery had passed
				if err := x.load(now, func(f func() error) error { return f() }, read); err != nil {
					t.Fatal(err)
				}
				p = x.waiting.pick(now, ops, 1<<20)
				x.rest.looked = time.Time{}
			}
			if most := 3 * x.most; x != all && x.waiting.waits > most {
				t.Fatalf("seed %d: %d are in the schedule", seed, x.waiting.waits)
			}
			var list []uint64
			for _, e := range p.entries {
				list = append(list, e.seq)
			}
			return list
		}
		for range 500 {
			put()
		}
		for step := 0; ; step++ {
			if step > 5000 {
				t.Fatalf("seed %d: it does not end", seed)
			}
			if why := part.check(now); why != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, why)
			}
			now = now.Add(time.Duration(r.IntN(60)) * time.Second)
			if step < 100 {
				switch rec := one(); r.IntN(6) {
				case 0:
					put()
				case 1:
					if rec != nil && rec.Parked == nil {
						rec.Parked = &Parked{Since: now}
						save(rec)
					}
				case 2:
					if rec != nil {
						rec.State, rec.Parked = Succeeded, nil
						save(rec)
					}
				case 3:
					if rec != nil {
						rec.Deadline = now.Add(time.Duration(r.IntN(47*3600)) * time.Second)
						save(rec)
					}
				case 4:
					id := fmt.Sprint(1 + r.IntN(len(disk)))
					for _, x := range []*index{all, part} {
						if x.suspects == nil {
							x.suspects = map[string]bool{}
						}
						if x.entries[id] != nil && part.entries[id] != nil {
							x.suspects[id] = true
						}
					}
					if part.suspects[id] {
						all.suspect(id, true)
						part.suspect(id, true)
					}
				}
			} else if step == 100 {
				for seq := range uint64(len(disk)) {
					if rec := *disk[seq+1]; rec.Parked != nil {
						rec.Parked = nil
						save(&rec)
					}
					id := fmt.Sprint(seq + 1)
					for _, x := range []*index{all, part} {
						delete(x.suspects, id)
						x.suspect(id, false)
					}
				}
			}
			ops := 1 + r.IntN(16)
			want, got := pick(all, ops), pick(part, ops)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: the next are %d, want %d", seed, step, got, want)
			}
			if len(got) == 0 && step > 100 {
				break
			}
			for _, seq := range got {
				rec := *disk[seq]
				rec.State = Succeeded
				save(&rec)
			}
		}
	}
}
