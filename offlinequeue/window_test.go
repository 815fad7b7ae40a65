package offlinequeue

import (
	"fmt"
	"testing"
)

// The claim is memory: of a backlog only the oldest are in it, and it leaves whole, in
// order within each ref, also when it is opened anew or changes on the way.
func TestABacklogIsReadAsItLeaves(t *testing.T) {
	const window, n = 8, 100
	dir, o := t.TempDir(), Options{window: window}
	q := opened(t, dir, o)
	bounded := func(when string) {
		t.Helper()
		q.mu.Lock()
		defer q.mu.Unlock()
		if got := q.index.waiting.waits; got > window {
			t.Errorf("%s: %d that wait are in memory", when, got)
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
	if oldest := q.Stats().OldestPending; !oldest.Equal(get(t, q, "op000").Created) {
		t.Errorf("the oldest is of %v", oldest)
	}
	hq := newHeadquarters()
	stop := running(t, q, hq)
	for i := n; i < n+20; i++ { // while it drains
		put(t, q, capture(fmt.Sprintf("op%03d", i), fmt.Sprint(i%7)))
	}
	accepted(t, q, n+19)
	stop()
	bounded("drained")
	if q.index.through != allIn {
		t.Errorf("in memory up to %d", q.index.through)
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
