package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"storehub/doors"
	"storehub/internal/mdns"
	"storehub/netcheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is a hub that runs against a fake headquarters, and a till's hands.
type shop struct {
	t          *testing.T
	hub        *Hub
	hq         *fakeHQ
	dir        string
	addr       Addr
	credential string
	log        *recorder
	stop       func() error
}

// testConfig touches no network beyond loopback.
func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Store, c.StateDir, c.Listen = "0412", dir, "127.0.0.1:0"
	c.HQ.URL = "http://127.0.0.1:1" // never dialled: Parts.HQ is set
	c.MDNS, c.Checks.Every = false, 0
	return c
}

func testParts(f *fakeHQ, log *recorder) Parts {
	return Parts{
		HQ:       f,
		Check:    func(context.Context, netcheck.Targets) netcheck.Report { return netcheck.Report{} },
		Announce: func(ctx context.Context, _ mdns.Service) error { <-ctx.Done(); return nil },
		Browse:   func(context.Context, time.Duration) ([]mdns.Peer, error) { return nil, nil },
		Log:      slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version:  "1.2.3",
	}
}

// open starts a hub on dir; it is stopped at the end of the test unless it was before.
func open(t *testing.T, f *fakeHQ, dir string, change ...func(*Config, *Parts)) *shop {
	t.Helper()
	s := &shop{t: t, hq: f, dir: dir, log: &recorder{}}
	cfg, parts := testConfig(dir), testParts(f, s.log)
	for _, c := range change {
		c(&cfg, &parts)
	}
	h, err := New(cfg, parts)
	if err != nil {
		t.Fatal(err)
	}
	s.hub = h
	if s.credential, err = h.Pair("till-1", doors.ScopeManager, doors.Test); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan Addr, 1), make(chan error, 1)
	go func() { ended <- h.Run(ctx, func(a Addr) { ready <- a }) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("run hub: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	select {
	case s.addr = <-ready:
	case err := <-ended:
		t.Fatalf("run hub: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("hub is not ready")
	}
	return s
}

// ask sends a request and returns status and body.
func (s *shop) ask(method, path, credential string, body string, headers ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.addr.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// capture puts a capture through /v1 and returns it as answered.
func (s *shop) capture(intent, key string) doors.Operation {
	s.t.Helper()
	status, body := s.ask("POST", "/v1/operations", s.credential, `{"kind":"capture","ref":"`+intent+`","amount":1250,"currency":"eur"}`, "Idempotency-Key", key)
	if status != http.StatusAccepted {
		s.t.Fatalf("capture: %d %s", status, body)
	}
	var op doors.Operation
	if err := json.Unmarshal([]byte(body), &op); err != nil {
		s.t.Fatal(err)
	}
	return op
}

// listen opens the event stream and returns events by type as they come.
func (s *shop) listen(lastID string) <-chan sse {
	s.t.Helper()
	out := s.follow("/v1/events", "Last-Event-ID", lastID)
	if lastID == "" {
		await(s.t, out, func(e sse) bool { return e.Type == eventOpen })
	}
	return out
}

// follow opens a stream and returns its events.
func (s *shop) follow(path string, headers ...string) <-chan sse {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.addr.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.credential)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	client := &http.Client{Transport: &http.Transport{}}
	out := make(chan sse, 64)
	opened, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		defer close(out)
		resp, err := client.Do(req)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		opened <- err
		if resp != nil {
			defer resp.Body.Close()
			readSSE(resp.Body, out)
		}
	}()
	s.t.Cleanup(func() { cancel(); <-done; client.CloseIdleConnections() })
	if err := <-opened; err != nil {
		s.t.Fatalf("events: %v", err)
	}
	return out
}

type sse struct{ ID, Type, Data string }

func readSSE(r io.Reader, out chan<- sse) {
	var e sse
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		switch key, v, _ := strings.Cut(lines.Text(), ": "); key {
		case "id":
			e.ID = v
		case "event":
			e.Type = v
		case "data":
			e.Data = v
		case "":
			if e.Type != "" {
				out <- e
			}
			e = sse{}
		}
	}
}

// await returns the first event that match likes.
func await(t *testing.T, events <-chan sse, match func(sse) bool) sse {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatal("the stream ended")
			}
			if match(e) {
				return e
			}
		case <-timeout:
			t.Fatal("no such event came")
		}
	}
}

func outcomeOf(id string, state doors.State) func(sse) bool {
	return func(e sse) bool {
		var op doors.Operation
		return e.Type == eventOperation && json.Unmarshal([]byte(e.Data), &op) == nil && op.ID == id && op.State == state
	}
}

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// copyDir is a power cut: what is on disk at this moment, without a Close.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, rel), b, 0o600)
		}
		return nil // sockets are no state
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// recorder keeps what was logged.
type recorder struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}
