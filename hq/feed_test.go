package hq

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storehub/doors"
)

// ledger is a server without Stripe and with one store: what only records.
func ledger(t *testing.T) (*Server, record) {
	t.Helper()
	var o Options
	TestDatabase(t, &o)
	return ledgerOn(t, o)
}

// inBubble is a ledger for a bubble, whose clock stands still while a network
// could answer: on a file.
func inBubble(t *testing.T) (*Server, record) {
	t.Helper()
	return ledgerOn(t, Options{Database: "sqlite:" + filepath.Join(t.TempDir(), "hq.db")})
}

func ledgerOn(t *testing.T, o Options) (*Server, record) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := s.AddStore(t.Context(), Store{ID: "0412", Location: "tml_1", Mode: doors.Test}); err != nil {
		t.Fatal(err)
	}
	rec, err := readStore(queryer(t.Context(), s.db.r), `id = ?`, "0412")
	if err != nil {
		t.Fatal(err)
	}
	return s, rec
}

func beat(t *testing.T, s *Server, rec record, number uint64, head, id string) Receipt {
	t.Helper()
	rc, err := s.submit(t.Context(), rec, Submission{Head: head, Operations: []Submitted{
		{Number: number, ID: id, Kind: doors.Heartbeat, Till: "t", Mode: doors.Test, CreatedAt: time.Unix(0, 0)}}})
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

func TestFeedWaitsAndWakesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := inBubble(t)
		began := time.Now()
		var f Feed
		var err error
		done := make(chan struct{})
		go func() {
			f, err = s.feed(t.Context(), rec.ID, "", 0, time.Hour)
			close(done)
		}()
		time.Sleep(20 * time.Second) // the bubble's clock: the poll is waiting
		select {
		case <-done:
			t.Fatal("the poll did not wait")
		default:
		}
		beat(t, s, rec, 1, "", "op_1")
		<-done
		if err != nil || len(f.Items) != 1 || f.Items[0].ID != "op_1" || f.Items[0].Seq != 1 || f.AcceptedThrough != 1 || f.Head != Chain("", "op_1") {
			t.Fatalf("feed %+v, %v", f, err)
		}
		if waited := time.Since(began); waited != 20*time.Second {
			t.Errorf("woken after %s, want at once", waited)
		}
	})
}

func TestFeedWaitIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := inBubble(t)
		began := time.Now()
		f, err := s.feed(t.Context(), rec.ID, rec.epoch, 0, time.Hour)
		if err != nil || len(f.Items) != 0 {
			t.Fatalf("feed %+v, %v", f, err)
		}
		if waited := time.Since(began); waited != 50*time.Second {
			t.Errorf("waited %s, want 50s", waited)
		}
	})
}

func TestFeedEndsWithItsCallerAndWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := inBubble(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.feed(ctx, rec.ID, rec.epoch, 0, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller is gone: %v", err)
		}
		time.AfterFunc(time.Second, s.EndPolls)
		began := time.Now()
		if _, err := s.feed(t.Context(), rec.ID, rec.epoch, 0, time.Minute); err != nil || time.Since(began) != time.Second {
			t.Errorf("the server stops: %v after %s", err, time.Since(began))
		}
	})
}

func TestFeedOfAnotherEpochIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec := inBubble(t)
		beat(t, s, rec, 1, "", "op_1")
		began := time.Now()
		f, err := s.feed(t.Context(), rec.ID, "another", 7, time.Minute)
		if err != nil || f.Epoch != rec.epoch || len(f.Items) != 0 || time.Since(began) != 0 {
			t.Errorf("feed %+v, %v after %s", f, err, time.Since(began))
		}
	})
}

// TestFeedHasNoGapsWhileManySubmit: whoever reads while others write sees every
// number once, in order.
func TestFeedHasNoGapsWhileManySubmit(t *testing.T) {
	s, rec := ledger(t)
	const each, hubs = 25, 4
	var wg sync.WaitGroup
	for h := range hubs {
		wg.Go(func() {
			for i := range each {
				// Without a chain of its own: recorded by id all the same.
				if err := s.db.tx(t.Context(), func(tx *tx) error {
					return s.record(tx, rec, Submitted{Number: 1, ID: string(rune('a'+h)) + string(rune('A'+i)), Kind: doors.Heartbeat, Mode: doors.Test})
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var seq uint64
	for seq < each*hubs {
		f, err := s.feed(t.Context(), rec.ID, rec.epoch, seq, 5*time.Second)
		if err != nil || len(f.Items) == 0 {
			t.Fatalf("after %d: %+v, %v", seq, f, err)
		}
		for _, it := range f.Items {
			if it.Seq != seq+1 {
				t.Fatalf("%d follows %d", it.Seq, seq)
			}
			seq = it.Seq
		}
	}
	wg.Wait()
}

func TestFeedComesInPages(t *testing.T) {
	s, rec := ledger(t)
	if err := s.db.tx(t.Context(), func(tx *tx) error {
		for range feedPage + 5 {
			if err := tx.append(rec.ID, Item{Type: "event", Event: "x"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f, err := s.feed(t.Context(), rec.ID, rec.epoch, 0, 0)
	if err != nil || len(f.Items) != feedPage {
		t.Fatalf("%d lines, %v; want a page of %d", len(f.Items), err, feedPage)
	}
	f, err = s.feed(t.Context(), rec.ID, rec.epoch, feedPage, 0)
	if err != nil || len(f.Items) != 5 {
		t.Fatalf("%d lines, %v; want the last 5", len(f.Items), err)
	}
	big := json.RawMessage(`"` + longText(200<<10) + `"`)
	if err := s.db.tx(t.Context(), func(tx *tx) error {
		for range 10 {
			if err := tx.append(rec.ID, Item{Type: "event", Object: big}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f, err = s.feed(t.Context(), rec.ID, rec.epoch, feedPage+5, 0)
	if err != nil || len(f.Items) == 0 || len(f.Items) >= 10 {
		t.Fatalf("%d big lines in one page, %v", len(f.Items), err)
	}
}

func longText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}
