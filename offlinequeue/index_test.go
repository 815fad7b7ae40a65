package offlinequeue

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatsTellTheNextDeadlineAndTheOldestPending(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	at := func(h int) time.Time { return time.Date(2026, 11, 25, h, 0, 0, 0, time.UTC) }
	for i, h := range []int{9, 7, 8} {
		op := capture(fmt.Sprint("op", i), fmt.Sprint(i))
		op.Created, op.Deadline = at(i), at(h)
		put(t, q, op)
	}
	check := func(when string, deadline, oldest time.Time) {
		t.Helper()
		s := q.Stats()
		if !s.NextDeadline.Equal(deadline) || !s.OldestPending.Equal(oldest) {
			t.Errorf("%s: next deadline %v, oldest pending %v; want %v, %v", when, s.NextDeadline, s.OldestPending, deadline, oldest)
		}
	}
	check("all wait", at(7), at(0))
	seq := uint64(0)
	tell := func(id string, s State, deadline time.Time) {
		seq++
		settle(t, q, Cursor{Epoch: "e", Seq: seq}, Outcome{Seq: seq, ID: id, State: s, Deadline: deadline})
	}
	tell("op0", Accepted, time.Time{})
	check("the oldest is accepted", at(7), at(1))
	tell("op1", Accepted, at(12))
	check("headquarters knows a later deadline", at(8), at(2))
	tell("op2", Succeeded, time.Time{})
	check("one ended", at(9), time.Time{})
	tell("op0", Failed, time.Time{})
	check("another", at(12), time.Time{})
	tell("op1", Succeeded, time.Time{})
	check("all ended", time.Time{}, time.Time{})
}

// What headquarters forgot is offered again for 35 days; then it must not stand in
// the way of what comes after it.
func TestWhatIsTooOldToOfferAgainHoldsUpNobody(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := opened(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	hq := newHeadquarters()
	offered(t, q, hq, 2, 2)
	hq.restore("epoch 2", 0)
	settle(t, q, Cursor{Epoch: "epoch 2"})
	put(t, q, capture("refund", "0")) // under the ref of op00
	live(t, q, &now, 36)
	running(t, q, hq)
	accepted(t, q, 1)
	equal(t, "chain", hq.ids(), []string{"refund"})
}

func TestUpkeepPrunesByItself(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var later atomic.Int64
		q := opened(t, dir, Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
		record := capture("record", "a")
		record.Money = false
		put(t, q, record)
		settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "record", State: Succeeded})
		for i := range 8 {
			later.Store(int64(i+1) * int64(day))
			countNow(t, q)
		}
		time.Sleep(upkeepEvery + time.Second) // of the bubble's clock
		synctest.Wait()
		equal(t, "held", ids(t, q), nil)
		if err := q.storeNow().compact(); err != nil {
			t.Error(err)
		}
		closed(t, q)
	})
}
