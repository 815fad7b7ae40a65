package hub

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// office is a real headquarters with one store, and a hub's way to it.
func office(t *testing.T) (s *hq.Server, client func(run string) *hq.Client) {
	t.Helper()
	s, err := hq.NewServer(hq.Options{Database: "sqlite:" + filepath.Join(t.TempDir(), "hq.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	code, _, err := s.AddStore(t.Context(), hq.Store{ID: "0412", Location: "tml_1", Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	way := &http.Client{Transport: hq.NewLocal(s)}
	e, err := (&hq.Client{URL: "http://hq", HTTP: way}).Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 1"})
	if err != nil {
		t.Fatal(err)
	}
	return s, func(run string) *hq.Client {
		return &hq.Client{URL: "http://hq", HTTP: way, Credential: func() string { return e.Credential }, Run: run, Machine: "machine 1"}
	}
}

// eager is a way on which what is offered is quicker than the poll.
type eager struct {
	*hq.Client
	once    sync.Once
	offered chan struct{}
}

func (e *eager) Submit(ctx context.Context, s hq.Submission) (hq.Receipt, error) {
	defer e.once.Do(func() { close(e.offered) })
	return e.Client.Submit(ctx, s)
}

func (e *eager) Feed(ctx context.Context, epoch string, after uint64, wait time.Duration) (hq.Feed, error) {
	if wait > 0 {
		select {
		case <-e.offered:
		case <-ctx.Done():
			return hq.Feed{}, ctx.Err()
		}
	}
	return e.Client.Feed(ctx, epoch, after, wait)
}

// duplicated says whether headquarters takes two hubs for one.
func duplicated(t *testing.T, s *hq.Server) bool {
	t.Helper()
	list, err := s.Findings(t.Context(), "0412")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(f hq.Finding) bool { return f.Code == doors.ErrHubDuplicated.Code })
}

// A hub whose disk is gone, under the credential that it had, goes on from where
// headquarters stands: its head is merely behind. When the one before it comes back
// they are two, and the next number that both give says so.
func TestMoney_4_3_AnEmptyHubGoesOnFromHeadquartersHead(t *testing.T) {
	server, client := office(t)
	first := t.TempDir()
	start := func(dir, run string) *shop {
		return open(t, newFakeHQ(), dir, func(_ *Config, p *Parts) { p.HQ = &eager{Client: client(run), offered: make(chan struct{})} })
	}
	sells := func(s *shop, key string) {
		t.Helper()
		op := fmt.Sprintf(`{"kind":"order","ref":"%s","data":{"order":"%s"}}`, key, key)
		status, body := s.ask("POST", "/v1/operations", s.credential, op, "Idempotency-Key", key)
		if status != http.StatusAccepted && status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	s := start(first, "run 1")
	for i := range 3 {
		sells(s, fmt.Sprint("a", i))
	}
	eventually(t, "headquarters has it", func() bool {
		return s.hub.queue.Cursor().AcceptedThrough >= 3 && queueStatus(s.hub.queue.Stats()).Pending == 0
	})
	through := s.hub.queue.Cursor().AcceptedThrough
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	empty := start(t.TempDir(), "run 2")
	sells(empty, "b")
	eventually(t, "headquarters has what the empty hub promised", func() bool {
		return empty.hub.queue.Cursor().AcceptedThrough > through && queueStatus(empty.hub.queue.Stats()).Pending == 0
	})
	if _, err := client("run 2").Store(t.Context()); err != nil || duplicated(t, server) {
		t.Errorf("an empty hub is taken for a copy: %v", err)
	}
	if err := empty.stop(); err != nil {
		t.Fatal(err)
	}

	back := start(first, "run 3")
	sells(back, "c")
	eventually(t, "two hubs are found out", func() bool { return duplicated(t, server) })
}
