package offlinequeue

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var outage = flag.Int("outage", 800, "so many operations wait after 40 h without headquarters: make sim-outage")

// Forty hours without headquarters, and then one that takes so little at a time that
// the backlog needs another sixty, while the shop goes on selling: captures by their
// first mention, captures with a deadline of their own, refunds, receipts, several
// under one payment. What could be saved is: an earliest deadline first that knows
// everything beforehand and has nobody else to serve saves no more. In the order of promises hundreds lapse.
func TestMoney_3_2_NothingLapsesThatCouldHaveBeenSaved(t *testing.T) {
	const dark, drain = 40 * time.Hour, 60 * time.Hour
	n := *outage
	batch, cost := max(4, min(batchOps, n/200)), drain/time.Duration(n)
	r := rand.New(rand.NewPCG(uint64(n), 40))
	back := monday.Add(dark)
	var passed atomic.Int64
	now := func() time.Time { return monday.Add(time.Duration(passed.Load())) }
	dir, o := t.TempDir(), Options{Now: now, window: max(4*batch, n/20)}
	q := opened(t, dir, o)

	var ops []Op
	for i := range n {
		at := dark * time.Duration(i) / time.Duration(n)
		op := capture(fmt.Sprintf("op%07d", i), fmt.Sprint("pi", i))
		op.Created = monday.Add(at)
		op.Deadline = op.Created.Add(47 * time.Hour) // by its first mention
		before := fmt.Sprint("pi", r.IntN(i+1))
		switch r.IntN(10) {
		case 0: // headquarters told a deadline of its own before the line was cut
			op.Deadline = op.Created.Add(8*time.Hour + time.Duration(r.Int64N(int64(38*time.Hour))))
			if left := op.Deadline.Sub(back); left > 0 && left < time.Hour {
				op.Deadline = op.Deadline.Add(time.Hour)
			}
		case 1: // of a new payment
			op.Kind, op.Deadline = "refund", time.Time{}
		case 2: // of one that may wait too
			op.Kind, op.Deadline, op.Ref = "refund", time.Time{}, before
		case 3:
			op.Kind, op.Deadline, op.Ref, op.Money, op.Amount = "receipt", time.Time{}, before, false, nil
		}
		ops = append(ops, op)
	}
	// Those who put at the same time share a flush; within a payment the order stays.
	const tills = 16
	for first := 0; first < n; first += tills {
		passed.Store(int64(ops[first].Created.Sub(monday)))
		var wg sync.WaitGroup
		refs := map[string]bool{}
		for _, op := range ops[first:min(n, first+tills)] {
			if refs[op.Ref] {
				wg.Wait()
			}
			refs[op.Ref] = true
			wg.Go(func() { put(t, q, op) })
		}
		wg.Wait()
	}
	passed.Store(int64(dark))

	// What may lapse, by order: late counts what could have been saved when the line
	// came back and was not.
	savable := func(op Op) bool { return op.Money && op.Deadline.After(back) }
	late := func(order []Op) (n int) {
		for i, op := range order {
			if savable(op) && back.Add(time.Duration(i+1)*cost).After(op.Deadline) {
				n++
			}
		}
		return n
	}
	if late(ops) < n/100 {
		t.Fatalf("in the order of promises %d lapse: this shows nothing", late(ops))
	}
	pressing := map[string]time.Time{} // by id: the earliest deadline to be saved of it and what waits behind it
	last := map[string]time.Time{}     // by ref
	for _, op := range slices.Backward(ops) {
		due := op.Deadline
		if !savable(op) {
			due = time.Time{}
		}
		if known, ok := last[op.Ref]; ok && compareDeadline(known, due) < 0 {
			due = known
		}
		pressing[op.ID], last[op.Ref] = due, due
	}
	best := slices.Clone(ops)
	slices.SortStableFunc(best, func(a, b Op) int { return compareDeadline(pressing[a.ID], pressing[b.ID]) })
	if late(best) > 0 {
		t.Fatalf("not even the best order saves all: %d lapse", late(best))
	}

	hq := newHeadquarters()
	var lapsed []string
	saved, fresh, waited := 0, 0, time.Duration(0)
	limited := sender(func(ctx context.Context, b Batch) (Receipt, error) {
		for _, op := range b.Ops {
			passed.Add(int64(cost))
			switch {
			case savable(op) && now().After(op.Deadline):
				lapsed = append(lapsed, fmt.Sprintf("%s: due %s, taken %s", op.ID, op.Deadline.Sub(back), now().Sub(back)))
			case savable(op):
				saved++
			}
			if op.Created.After(back) {
				waited = max(waited, now().Sub(op.Created))
			}
		}
		return hq.Send(ctx, b)
	})
	taken, half := 0, false
	for taken < n+fresh {
		for fresh < int(now().Sub(back)/(cost*8)) && taken < n {
			op := capture(fmt.Sprint("fresh", fresh), fmt.Sprint("fresh", fresh))
			op.Created, op.Deadline = now(), now().Add(47*time.Hour)
			put(t, q, op)
			fresh++
		}
		b, err := q.send(t.Context(), limited, batch)
		if err != nil || len(b.Ops) == 0 {
			t.Fatalf("%d of %d taken: %v", taken, n+fresh, err)
		}
		taken += len(b.Ops)
		if !half && taken > n/2 {
			half = true
			closed(t, q)
			q = opened(t, dir, o)
		}
	}
	t.Logf("%d operations and %d fresh ones, %s each: %d deadlines kept, %d missed; the longest wait of a fresh one %s",
		n, fresh, cost, saved, len(lapsed), waited.Round(time.Second))
	if len(lapsed) > 0 {
		t.Errorf("%d lapsed that could have been saved: %q", len(lapsed), lapsed[:min(5, len(lapsed))])
	}
	for ref, ids := range byRef(hq.log) {
		if !slices.IsSorted(ids) {
			t.Errorf("%s: %q", ref, ids)
		}
	}
}

// byRef lists the ids of each ref as they came.
func byRef(ops []Op) map[string][]string {
	refs := map[string][]string{}
	for _, op := range ops {
		refs[op.Ref] = append(refs[op.Ref], op.ID)
	}
	return refs
}
