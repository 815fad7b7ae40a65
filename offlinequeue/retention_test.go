package offlinequeue

import (
	"fmt"
	"testing"
	"time"
)

// live lets days pass.
func live(t *testing.T, q *Queue, now *time.Time, days int) {
	t.Helper()
	for range days {
		*now = now.Add(day)
		countNow(t, q)
	}
}

// countNow is the upkeep of a process that was just started.
func countNow(t *testing.T, q *Queue) {
	t.Helper()
	q.mu.Lock()
	q.counted = time.Time{}
	q.mu.Unlock()
	if err := q.countDay(); err != nil {
		t.Fatal(err)
	}
}

func pruned(t *testing.T, q *Queue) {
	t.Helper()
	if _, _, err := q.prune(""); err != nil {
		t.Fatal(err)
	}
}

// endedOnce is a queue with one operation that ended, whose clock is now.
func endedOnce(t *testing.T, now *time.Time) *Queue {
	t.Helper()
	q := opened(t, t.TempDir(), Options{Now: func() time.Time { return *now }})
	put(t, q, capture("money", "pi"))
	settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "money", State: Succeeded})
	return q
}

// The claim is the clock: however far it is set forward, and however often, nothing
// goes before so many days were lived through.
func TestAClockSetForwardPrunesNothing(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := endedOnce(t, &now)
	for range 10 {
		now = now.Add(40 * day)
		if err := q.countDay(); err != nil { // this process did not see these days pass
			t.Fatal(err)
		}
		pruned(t, q)
		equal(t, "held", ids(t, q), []string{"money"})
	}
	for range 34 { // nor did those that were started anew count more than one
		now = now.Add(40 * day)
		countNow(t, q)
		pruned(t, q)
		equal(t, "held", ids(t, q), []string{"money"})
	}
	live(t, q, &now, 1)
	pruned(t, q)
	equal(t, "held", ids(t, q), nil)
}

// A machine whose clock is dead begins in 1970, and is set right a moment later.
func TestWhatEndedBeforeTheClockWasSetIsKept(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	o := Options{Now: func() time.Time { return now }}
	q := opened(t, dir, o)
	put(t, q, capture("before", "pi"))
	live(t, q, &now, 60)
	put(t, q, capture("money", "pi2"))
	closed(t, q)
	right := now
	now = time.Unix(5, 0)
	q = opened(t, dir, o)
	settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "money", State: Succeeded})
	now = right.Add(time.Minute)
	pruned(t, q)
	equal(t, "held", ids(t, q), []string{"money", "before"})
	live(t, q, &now, 35)
	pruned(t, q)
	equal(t, "held after 35 days", ids(t, q), []string{"money", "before"})
	live(t, q, &now, 2)
	pruned(t, q)
	equal(t, "held after 37 days", ids(t, q), []string{"before"}) // which has no end
}

// One that was set forward and back goes on counting.
func TestAClockThatComesBackGoesOnCounting(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := endedOnce(t, &now)
	live(t, q, &now, 3)
	now = now.Add(5000 * day)
	countNow(t, q)
	now = now.Add(-5000 * day)
	live(t, q, &now, 32)
	pruned(t, q)
	equal(t, "held", ids(t, q), []string{"money"})
	live(t, q, &now, 2)
	pruned(t, q)
	equal(t, "held after 36 days", ids(t, q), nil)
}

// What has ended takes no more room than it may: records go, oldest first, but not on
// their first day; money stays for its 35, and what has no end stays.
func TestRetentionByBytes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := opened(t, t.TempDir(), Options{Now: func() time.Time { return now }, RetentionBytes: 1})
	var outs []Outcome
	for i := range 3 {
		record, money := capture(fmt.Sprint("record", i), fmt.Sprint("a", i)), capture(fmt.Sprint("money", i), fmt.Sprint("b", i))
		record.Money = false
		put(t, q, record)
		put(t, q, money)
		outs = append(outs, Outcome{Seq: uint64(2*i + 1), ID: record.ID, State: Succeeded}, Outcome{Seq: uint64(2*i + 2), ID: money.ID, State: Succeeded})
	}
	record := capture("open", "c")
	record.Money = false
	put(t, q, record)
	hq := newHeadquarters()
	stop := running(t, q, hq)
	accepted(t, q, 7)
	stop()
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: 6}, outs...)
	all := ids(t, q)
	live(t, q, &now, 1)
	pruned(t, q)
	equal(t, "on the first day", ids(t, q), all)
	q.mu.Lock()
	q.retention = q.index.ended - 1 // one has to go
	q.mu.Unlock()
	live(t, q, &now, 1)
	pruned(t, q)
	equal(t, "one too many", ids(t, q), []string{"open", "money2", "record2", "money1", "record1", "money0"})
	q.mu.Lock()
	q.retention = 1
	q.mu.Unlock()
	pruned(t, q)
	equal(t, "records", ids(t, q), []string{"open", "money2", "money1", "money0"})
	live(t, q, &now, 33)
	pruned(t, q)
	equal(t, "35 days", ids(t, q), []string{"open", "money2", "money1", "money0"})
	live(t, q, &now, 1)
	pruned(t, q)
	equal(t, "36 days", ids(t, q), []string{"open"})
}
