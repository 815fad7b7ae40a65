package offlinequeue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// offered is a queue whose n operations headquarters has; the first `ends` of them have
// their end.
func offered(t *testing.T, q *Queue, hq *headquarters, n, ends int) {
	t.Helper()
	stop := running(t, q, hq)
	for i := range n {
		put(t, q, capture(fmt.Sprintf("op%02d", i), fmt.Sprint(i)))
		accepted(t, q, i+1)
	}
	var outs []Outcome
	for i := range ends {
		outs = append(outs, Outcome{Seq: uint64(i + 1), ID: fmt.Sprintf("op%02d", i), State: Succeeded})
	}
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: uint64(ends)}, outs...)
	stop()
	hq.batches = nil
}

func TestAHeadquartersThatIsBehindIsOfferedWhatItLacksUnderTheSameNumbers(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	hq := newHeadquarters()
	offered(t, q, hq, 8, 6)
	was := hq.ids()
	hq.restore(hq.epoch, 3)
	put(t, q, capture("new", "new"))
	stop := running(t, q, hq)
	hq.wait(t, func() bool { return len(hq.log) == 9 })
	eventually(t, func() bool { return q.Cursor().AcceptedThrough == 9 })
	stop()
	equal(t, "chain", hq.ids(), append(was, "new"))
	if op := hq.log[4]; op.State != Succeeded || op.AcceptedAt.IsZero() {
		t.Errorf("offered again without its end: %+v", op)
	}
	if op := get(t, q, "op04"); op.State != Succeeded {
		t.Errorf("went back to %s", op.State)
	}
	c := q.Cursor()
	if c.AcceptedThrough != 9 || c.Head != hq.head(9) || c.Seq != 0 {
		t.Errorf("cursor: %+v; outcomes have to be asked for anew", c)
	}
	closed(t, q)
	q = opened(t, dir, Options{})
	equal(t, "after reopen", q.Cursor(), c)
	equal(t, "open", ids(t, q, Pending, Accepted), []string{"new", "op07", "op06"})
}

func TestANewEpochIsOfferedEverythingItLacks(t *testing.T) {
	for _, c := range []struct {
		name string
		kept int // of 8, of which 3 have their end; one goes on trial, then the fresh one has its share
		want []string
	}{
		{"nothing kept", 0, []string{"op03", "new", "op04", "op05", "op06", "op07", "op00", "op01", "op02"}},
		{"a part kept", 4, []string{"op00", "op01", "op02", "op03", "op04", "new", "op05", "op06", "op07"}},
		{"all kept", 8, []string{"op00", "op01", "op02", "op03", "op04", "op05", "op06", "op07", "new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			q := opened(t, dir, Options{})
			hq := newHeadquarters()
			offered(t, q, hq, 8, 3)
			hq.restore("epoch 2", c.kept)
			put(t, q, capture("new", "new"))
			stop := running(t, q, hq)
			hq.wait(t, func() bool { return len(hq.log) == 9 })
			eventually(t, func() bool { return q.Cursor().AcceptedThrough == 9 })
			stop()
			equal(t, "chain", hq.ids(), c.want)
			want := Cursor{Epoch: "epoch 2", AcceptedThrough: 9, Head: hq.head(9)}
			equal(t, "cursor", q.Cursor(), want)
			for i := range 3 {
				if op := get(t, q, fmt.Sprintf("op%02d", i)); op.State != Succeeded {
					t.Errorf("op%02d went back to %s", i, op.State)
				}
			}
			settle(t, q, Cursor{Epoch: "epoch 1", Seq: 99}, Outcome{Seq: 99, ID: "op07", State: Failed})
			if op := get(t, q, "op07"); op.State != Accepted {
				t.Errorf("a late line of the old epoch made it %s", op.State)
			}
			closed(t, q)
			q = opened(t, dir, Options{})
			equal(t, "cursor after reopen", q.Cursor(), want)
			put(t, q, capture("newer", "newer"))
			hq.batches = nil
			running(t, q, hq)
			accepted(t, q, 7)
			equal(t, "offered after reopen", numbered(hq.batches[0].Ops), []string{"10 newer"})
		})
	}
}

func TestANewEpochLearntFromTheFeedIsOfferedEverythingToo(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	hq := newHeadquarters()
	offered(t, q, hq, 4, 2)
	hq.restore("epoch 2", 0)
	settle(t, q, Cursor{Epoch: "epoch 2", Seq: 0})
	equal(t, "cursor", q.Cursor(), Cursor{Epoch: "epoch 2"})
	running(t, q, hq)
	hq.wait(t, func() bool { return len(hq.log) == 4 })
	equal(t, "chain", hq.ids(), []string{"op02", "op03", "op00", "op01"})
}

func TestAHubOnANewDiskFollowsHeadquarters(t *testing.T) {
	hq := newHeadquarters()
	offered(t, opened(t, t.TempDir(), Options{}), hq, 5, 0)
	q := opened(t, t.TempDir(), Options{})
	put(t, q, capture("new", "new"))
	running(t, q, hq)
	accepted(t, q, 1)
	equal(t, "chain", hq.ids(), []string{"op00", "op01", "op02", "op03", "op04", "new"})
	if op := get(t, q, "new"); op.Number != 6 {
		t.Errorf("number %d, want 6", op.Number)
	}
}

// Whatever a headquarters answers: nothing is lost, nothing spins, and the next
// honest answer sets all right.
func TestAHeadquartersThatTalksNonsenseIsOutlived(t *testing.T) {
	for name, r := range map[string]Receipt{
		"another head": {"epoch 1", 2, "abc"},
		"far ahead":    {"epoch 1", 1000, "abc"},
		"no epoch":     {"", 7, ""},
		"an old epoch": {"epoch 0", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				hq := newHeadquarters()
				q := opened(t, dir, Options{})
				for _, id := range []string{"a", "b"} {
					put(t, q, capture(id, "pi"))
				}
				tries := 0
				began := time.Now()
				stop := running(t, q, sender(func(ctx context.Context, b Batch) (Receipt, error) {
					if tries++; tries <= 5 {
						return r, nil
					}
					return hq.Send(ctx, b)
				}))
				hq.wait(t, func() bool { return len(hq.log) == 2 })
				if time.Since(began) == 0 {
					t.Error("it spun")
				}
				stop()
				equal(t, "chain", hq.ids(), []string{"a", "b"})
				closed(t, q)
			})
		})
	}
}
