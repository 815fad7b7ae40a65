package offlinequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// picky refuses every batch with one of some operations in it; sick, every batch.
type picky struct {
	*headquarters
	bad   map[string]bool
	sick  atomic.Bool
	tried map[string]int // alone
	most  int
}

func newPicky(bad ...string) *picky {
	p := &picky{headquarters: newHeadquarters(), bad: map[string]bool{}, tried: map[string]int{}}
	for _, id := range bad {
		p.bad[id] = true
	}
	return p
}

func (p *picky) Send(ctx context.Context, b Batch) (Receipt, error) {
	p.mu.Lock()
	if len(b.Ops) == 1 {
		p.tried[b.Ops[0].ID]++
	}
	p.most = max(p.most, len(b.Ops))
	bad := slices.ContainsFunc(b.Ops, func(op Op) bool { return p.bad[op.ID] }) || len(b.Ops) > 0 && p.sick.Load()
	p.mu.Unlock()
	if bad {
		return Receipt{}, &Refusal{"invalid_field", "it cannot be read"}
	}
	return p.headquarters.Send(ctx, b)
}

func (p *picky) mend(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.bad, id)
}

func parked(q *Queue) (list []string) {
	for _, h := range q.Stats().Parked {
		list = append(list, h.ID)
	}
	slices.Sort(list)
	return list
}

// minute lets one pass, with a heartbeat.
func minute(t *testing.T, q *Queue, n *int) {
	t.Helper()
	*n++
	beat := capture(fmt.Sprint("beat", *n), "heartbeat")
	beat.Money = false
	put(t, q, beat)
	time.Sleep(time.Minute)
	synctest.Wait()
}

// One operation among many that headquarters cannot be brought to take: it is found
// and parked with its reason, holds up only its own ref, stays parked over a reopening, a
// store made anew from the journal and a journal made anew from the store, and goes when
// a person has it offered again. Retried in vain it is parked again.
func TestAPoisonOperationHoldsUpOnlyItsRef(t *testing.T) {
	for _, bad := range []string{"op00", "op17", "op63", "op99"} {
		t.Run(bad, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				q := opened(t, dir, Options{})
				hq := newPicky(bad)
				for i := range 100 {
					put(t, q, capture(fmt.Sprintf("op%02d", i), fmt.Sprintf("pi_%02d", i)))
				}
				put(t, q, capture("behind", "pi_"+bad[2:]))
				stop, beats := running(t, q, hq), 0
				for range 4 {
					minute(t, q, &beats)
				}
				want := &Parked{Reason: "invalid_field", Message: "it cannot be read"}
				check := func(when string) {
					t.Helper()
					equal(t, when, parked(q), []string{bad})
					s := q.Stats()
					op := get(t, q, bad)
					if op.State != Pending || op.Parked == nil || op.Number != 0 || s.ParkedInAll != 1 {
						t.Fatalf("%s: %+v", when, op)
					}
					want.Since = op.Parked.Since
					equal(t, when, *op.Parked, *want)
					if behind := get(t, q, "behind"); behind.State != Pending || behind.Number != 0 {
						t.Errorf("%s: behind it: %+v", when, behind)
					}
					if n := s.Operations["capture"][Accepted]; n != 99+beats {
						t.Errorf("%s: %d are accepted", when, n)
					}
				}
				check("while it runs")
				if hq.tried[bad] > 16 { // alone in the line it is tried again after each pause
					t.Errorf("it was offered alone %d times", hq.tried[bad])
				}
				stop()
				closed(t, q)
				for _, lost := range []string{"nothing", storeName, journalName} {
					if err := os.RemoveAll(filepath.Join(dir, lost)); err != nil {
						t.Fatal(err)
					}
					q = opened(t, dir, Options{})
					check(lost + " was lost")
					closed(t, q)
				}
				q = opened(t, dir, Options{})
				stop = running(t, q, hq)
				for range 3 {
					minute(t, q, &beats)
				}
				check("after it ran again")
				again := func(text string) {
					t.Helper()
					if _, err := q.Retry(t.Context(), bad, Note{By: "Ada", Text: text}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := q.Retry(t.Context(), "behind", Note{}); !errors.Is(err, ErrNotParked) {
					t.Errorf("retry of what is not parked: %v", err)
				}
				again("in vain")
				for range 4 {
					minute(t, q, &beats)
				}
				check("retried in vain")
				hq.mend(bad)
				again("headquarters was mended")
				synctest.Wait()
				op := get(t, q, bad)
				if op.State != Accepted || op.Parked != nil || len(op.Notes) != 2 || op.Notes[1].By != "Ada" || op.Notes[1].Deed != "retry" {
					t.Errorf("retried: %+v", op)
				}
				list := hq.ids()
				if i, j := slices.Index(list, bad), slices.Index(list, "behind"); i < 0 || j < i {
					t.Errorf("%s came at %d, what is behind it at %d", bad, i, j)
				}
				seen := map[string]bool{}
				for _, id := range list {
					if seen[id] {
						t.Errorf("%s came twice", id)
					}
					seen[id] = true
				}
				stop()
				closed(t, q)
			})
		})
	}
}

// A headquarters that refuses everything is out of order: nothing is parked, however
// long it lasts, and all of it arrives when it is well again.
func TestTroubleWithEverythingParksNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir, Options{})
		hq := newPicky()
		hq.sick.Store(true)
		for i := range 10 {
			put(t, q, capture(fmt.Sprint("op", i), fmt.Sprint("pi_", i%3)))
		}
		stop, beats := running(t, q, hq), 0
		for range 60 {
			minute(t, q, &beats)
		}
		equal(t, "parked", len(parked(q)), 0)
		equal(t, "taken", len(hq.ids()), 0)
		q.mu.Lock()
		chains := len(q.st.Chains)
		q.mu.Unlock()
		if chains > 2 {
			t.Errorf("%d chains are remembered", chains)
		}
		hq.sick.Store(false)
		minute(t, q, &beats)
		accepted(t, q, 10+beats)
		for ref := range 3 {
			last := -1
			for _, id := range hq.ids() {
				if n := int(id[len(id)-1] - '0'); id[:2] == "op" && n%3 == ref {
					if n < last {
						t.Errorf("%s came after op%d", id, last)
					}
					last = n
				}
			}
		}
		stop()
		closed(t, q)
	})
}

// Several bad ones at the head of the line are found one after another.
func TestSeveralPoisonOperations(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir, Options{})
		bad := []string{"op0", "op1", "op2", "op3", "op4"}
		hq := newPicky(bad...)
		for i := range 9 {
			put(t, q, capture(fmt.Sprint("op", i), fmt.Sprint("pi_", i)))
		}
		stop, beats := running(t, q, hq), 0
		for range 15 {
			minute(t, q, &beats)
		}
		equal(t, "parked", parked(q), bad)
		accepted(t, q, 4+beats)
		stop()
		closed(t, q)
	})
}

// Headquarters took it and only its answer was a refusal: it says so when asked, and
// nothing is parked or offered under another number.
func TestWhatWasTakenAfterAllIsNotParked(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := opened(t, dir, Options{})
		hq := newHeadquarters()
		put(t, q, capture("a", "a"))
		put(t, q, capture("b", "b"))
		stop := running(t, q, sender(func(ctx context.Context, b Batch) (Receipt, error) {
			r, err := hq.Send(ctx, b)
			if len(b.Ops) == 1 && b.Ops[0].ID == "a" {
				return Receipt{}, &Refusal{"answered_500", "it broke"}
			}
			if len(b.Ops) > 1 {
				return Receipt{}, &Refusal{"answered_500", "it broke"}
			}
			return r, err
		}))
		time.Sleep(time.Minute)
		accepted(t, q, 2)
		equal(t, "taken", numbered(hq.log), []string{"1 a", "2 b"})
		equal(t, "parked", len(parked(q)), 0)
		stop()
		closed(t, q)
	})
}

// What failed about money stays until a person has settled it, and comes back when
// something new is told of it.
func TestFailedMoneyStaysUntilAPersonResolvesIt(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	o := Options{Now: func() time.Time { return now }}
	q := opened(t, dir, o)
	for _, id := range []string{"fails", "succeeds", "reversed"} {
		put(t, q, capture(id, id))
	}
	receipt := capture("receipt", "r")
	receipt.Money = false
	put(t, q, receipt)
	settle(t, q, Cursor{Epoch: "e", Seq: 4},
		Outcome{Seq: 1, ID: "fails", State: Failed, Reason: "authorisation_lapsed"},
		Outcome{Seq: 2, ID: "succeeds", State: Succeeded},
		Outcome{Seq: 3, ID: "reversed", State: Succeeded, Reversal: json.RawMessage(`{"kind":"dispute"}`)},
		Outcome{Seq: 4, ID: "receipt", State: Failed})
	unresolved := func() (list []string) {
		for _, h := range q.Stats().Unresolved {
			list = append(list, h.ID)
		}
		return list
	}
	equal(t, "unresolved", unresolved(), []string{"fails", "reversed"})
	for _, id := range []string{"succeeds", "receipt"} {
		if _, err := q.Resolve(t.Context(), id, Note{By: "Ada"}); !errors.Is(err, ErrNotToSettle) {
			t.Errorf("resolve %s: %v", id, err)
		}
	}
	live(t, q, &now, 100)
	if _, _, err := q.prune(""); err != nil {
		t.Fatal(err)
	}
	equal(t, "after the rest was pruned", ids(t, q), []string{"reversed", "fails"})
	closed(t, q)
	q = opened(t, dir, o)
	op, err := q.Resolve(t.Context(), "fails", Note{By: "Ada", Text: "paid in cash"})
	if err != nil || !op.Resolved || len(op.Notes) != 1 || op.Notes[0].Text != "paid in cash" || op.Notes[0].Deed != "resolve" {
		t.Fatalf("resolve: %+v (%v)", op, err)
	}
	equal(t, "after one is resolved", unresolved(), []string{"reversed"})
	settle(t, q, Cursor{Epoch: "e", Seq: 5}, Outcome{Seq: 5, ID: "fails", State: Succeeded, Reversal: json.RawMessage(`{"kind":"refund_failed"}`)})
	equal(t, "told something new", unresolved(), []string{"reversed", "fails"})
	for _, lost := range []string{storeName, journalName} {
		closed(t, q)
		if err := os.RemoveAll(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
		q = opened(t, dir, o)
		equal(t, lost+" was lost", unresolved(), []string{"reversed", "fails"})
		if op := get(t, q, "fails"); len(op.Notes) != 1 || op.Notes[0].By != "Ada" {
			t.Errorf("%s was lost: %+v", lost, op)
		}
	}
}
