package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunOffersWithoutGapsAndKeepsTheChain(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	hq := newHeadquarters()
	stop := running(t, q, hq)
	const n = 3*batchOps + 5
	for i := range n {
		put(t, q, capture(fmt.Sprintf("op%03d", i), fmt.Sprintf("pi_%d", i)))
	}
	accepted(t, q, n)
	stop()
	head := ""
	for i, op := range hq.log {
		if op.Number != uint64(i+1) {
			t.Fatalf("number %d at place %d", op.Number, i+1)
		}
		head = Chain(head, op.ID)
	}
	want := Cursor{Epoch: hq.epoch, AcceptedThrough: n, Head: head}
	equal(t, "cursor", q.Cursor(), want)
	op := get(t, q, "op000")
	if op.State != Accepted || op.Attempts != 1 || op.AcceptedAt.IsZero() {
		t.Errorf("accepted: %+v", op)
	}
	s := q.Stats()
	if s.LastAccepted.IsZero() || !s.OldestPending.IsZero() {
		t.Errorf("stats: %+v", s)
	}
	closed(t, q)
	equal(t, "cursor after reopen", opened(t, dir, Options{}).Cursor(), want)
}

func TestOrderIsKeptPerRefWhileAcrossItIsByDeadline(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	at := func(id, ref string, left time.Duration) {
		op := capture(id, ref)
		op.Created = time.Now().Add(-time.Hour) // no share of fresh ones
		op.Deadline = time.Now().Add(left)
		put(t, q, op)
	}
	at("late", "pi_1", 40*time.Hour)
	receipt := capture("receipt", "pi_3")
	receipt.Money, receipt.Kind = false, "receipt"
	put(t, q, receipt)
	at("early", "pi_2", 20*time.Hour)
	at("late too", "pi_2", 41*time.Hour)
	at("refund of late", "pi_1", 30*time.Hour)
	hq := newHeadquarters()
	running(t, q, hq)
	accepted(t, q, 5)
	equal(t, "order", hq.ids(), []string{"early", "late", "refund of late", "late too", "receipt"})
}

func TestNumbersAreOnDiskBeforeTheOfferLeavesAndStay(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	for _, id := range []string{"a", "b", "c"} {
		put(t, q, capture(id, id))
	}
	hq := newHeadquarters()
	hq.deaf = true // takes them, and the answer is lost
	stop := running(t, q, hq)
	hq.wait(t, func() bool { return len(hq.batches) >= 2 })
	stop()
	closed(t, q)

	q = opened(t, dir, Options{})
	urgent := capture("urgent", "d")
	urgent.Deadline = time.Now().Add(time.Hour)
	put(t, q, urgent)
	hq.deaf = false
	hq.batches = nil
	running(t, q, hq)
	accepted(t, q, 4)
	equal(t, "the same first", numbered(hq.batches[0].Ops), []string{"1 a", "2 b", "3 c"})
	equal(t, "taken once", hq.ids(), []string{"a", "b", "c", "urgent"})
	if op := get(t, q, "a"); op.Attempts < 3 {
		t.Errorf("%d attempts, want 3 or more", op.Attempts)
	}
}

func TestAReceiptAndTheNextNumbersShareAFlush(t *testing.T) {
	var flushes atomic.Int64
	q := opened(t, t.TempDir(), Options{OnSync: func(time.Duration) { flushes.Add(1) }})
	const n = 8 * batchOps
	for i := range n {
		put(t, q, capture(fmt.Sprintf("op%03d", i), fmt.Sprintf("pi_%d", i)))
	}
	before := flushes.Load()
	hq := newHeadquarters()
	running(t, q, hq)
	accepted(t, q, n)
	equal(t, "taken", len(hq.ids()), n)
	hq.mu.Lock()
	defer hq.mu.Unlock()
	// The first numbers have one of their own; now and then one counts the days.
	if flushes, batches := flushes.Load()-before, len(hq.batches); flushes >= int64(2*batches) {
		t.Errorf("%d flushes for %d batches", flushes, batches)
	}
}

func TestBatchesGrowWhileHeadquartersIsQuick(t *testing.T) {
	d := newDoubt()
	full := func() Batch { return Batch{Ops: make([]Op, d.most)} }
	for _, most := range []int{2 * batchOps, 4 * batchOps, batchMost, batchMost} {
		equal(t, "after a full one", d.ahead(full(), quick/2), most)
	}
	equal(t, "after one that was not full", d.ahead(Batch{Ops: make([]Op, 3)}, quick/2), batchMost)
	equal(t, "after one that took long", d.ahead(full(), 2*quick), batchOps)
	d.most = 4 // something was refused
	equal(t, "after a small one", d.ahead(full(), 2*quick), 8)
	d.suspects = []string{"op"}
	equal(t, "while something is set aside", d.ahead(full(), quick/2), 0)
}

func TestSilenceMakesBatchesSmallAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // everything is quick
		q := opened(t, dir, Options{})
		for i := range 2*batchOps + 100 {
			put(t, q, capture(fmt.Sprint(i), fmt.Sprint(i)))
		}
		sizes := make(chan int)
		var silent bool
		stop := running(t, q, sender(func(_ context.Context, b Batch) (Receipt, error) {
			sizes <- len(b.Ops)
			if len(b.Ops) > batchOps && !silent {
				silent = true
				return Receipt{}, errSilence
			}
			return Receipt{}, nil
		}))
		for _, want := range []int{batchOps, 2 * batchOps, trialOps, batchOps, batchOps - trialOps} {
			equal(t, "batch", <-sizes, want)
		}
		go func() {
			for range sizes {
			}
		}()
		accepted(t, q, 2*batchOps+100)
		stop()
		close(sizes)
		closed(t, q)
	})
}

func TestAfterAnOutageOneGoesFirstThenAll(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	for i := range 200 {
		put(t, q, capture(fmt.Sprint(i), fmt.Sprint(i)))
	}
	hq := newHeadquarters()
	hq.down = true
	running(t, q, hq)
	hq.wait(t, func() bool {
		if len(hq.batches) < 3 {
			return false
		}
		hq.down = false
		return true
	})
	q.Nudge()
	accepted(t, q, 200)
	hq.mu.Lock()
	defer hq.mu.Unlock()
	var sizes []int
	for _, b := range hq.batches {
		sizes = append(sizes, len(b.Ops))
	}
	trial := slices.IndexFunc(hq.batches, func(b Batch) bool { return len(b.Ops) == 1 })
	if sizes[0] != batchOps || trial != 1 {
		t.Errorf("sizes %v: want a whole batch, then one at a time", sizes)
	}
	after := sizes[slices.IndexFunc(sizes[1:], func(n int) bool { return n > 1 })+1:]
	if len(after) > 5 {
		t.Errorf("sizes after the trial %v: want whole batches", after)
	}
}

// The claim is about the order of waiting; synctest has the clock stand still
// while anything runs.
func TestBackOffEndsByNudgeAndNotByPut(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir, Options{})
		put(t, q, capture("a", "a"))
		tries := make(chan time.Time, 1000)
		stop := running(t, q, sender(func(context.Context, Batch) (Receipt, error) {
			tries <- time.Now()
			return Receipt{}, errSilence
		}))
		began := <-tries
		if took := time.Since(began); took != 0 {
			t.Errorf("first offer after %v", took)
		}
		for range 12 { // the bound has grown to its most
			<-tries
		}
		put(t, q, capture("b", "b"))
		synctest.Wait()
		if len(tries) > 0 {
			t.Error("a put ended the back-off")
		}
		q.Nudge()
		nudged := time.Now()
		if tried := <-tries; !tried.Equal(nudged) {
			t.Errorf("offered %v after the nudge", tried.Sub(nudged))
		}
		last := nudged
		for range 20 {
			next := <-tries
			if d := next.Sub(last); d > pauseMost || d < pauseLeast {
				t.Errorf("paused %v", d)
			}
			last = next
		}
		stop()
		closed(t, q)
	})
}

type sender func(context.Context, Batch) (Receipt, error)

func (f sender) Send(ctx context.Context, b Batch) (Receipt, error) { return f(ctx, b) }

func TestPutWakesRunAtOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir, Options{})
		offered := make(chan time.Time)
		stop := running(t, q, sender(func(context.Context, Batch) (Receipt, error) {
			offered <- time.Now()
			return Receipt{}, nil
		}))
		synctest.Wait() // it rests
		began := time.Now()
		put(t, q, capture("a", "a"))
		if at := <-offered; !at.Equal(began) {
			t.Errorf("offered %v later", at.Sub(began))
		}
		stop()
		closed(t, q)
	})
}

func TestASenderThatHangsIsCutOff(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir, Options{})
		put(t, q, capture("a", "a"))
		cut := make(chan time.Time, 1)
		began := time.Now()
		stop := running(t, q, sender(func(ctx context.Context, _ Batch) (Receipt, error) {
			<-ctx.Done()
			cut <- time.Now()
			return Receipt{}, ctx.Err()
		}))
		if d := (<-cut).Sub(began); d != sendLimit {
			t.Errorf("cut off after %v", d)
		}
		stop()
		closed(t, q)
	})
}

func TestTheZeroReceiptMeansAllOfTheBatch(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	put(t, q, capture("a", "a"))
	put(t, q, capture("b", "b"))
	running(t, q, sender(func(context.Context, Batch) (Receipt, error) { return Receipt{}, nil }))
	accepted(t, q, 2)
	if c := q.Cursor(); c.AcceptedThrough != 2 || c.Head == "" {
		t.Errorf("cursor: %+v", c)
	}
}

func TestTwoRunsAreRefused(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	hq := newHeadquarters()
	running(t, q, hq)
	put(t, q, capture("a", "a"))
	accepted(t, q, 1)
	if err := q.Run(t.Context(), hq); err == nil || !strings.Contains(err.Error(), "it runs already") {
		t.Errorf("second run: %v", err)
	}
}

func TestFailedNumberingIsTriedAgain(t *testing.T) {
	var fail = 2
	q := opened(t, t.TempDir(), Options{Fault: func(step string) error {
		if step == "number:journal" && fail > 0 {
			fail--
			return errors.New("injected")
		}
		return nil
	}})
	put(t, q, capture("a", "a"))
	hq := newHeadquarters()
	running(t, q, hq)
	accepted(t, q, 1)
	equal(t, "chain", numbered(hq.log), []string{"1 a"})
}
