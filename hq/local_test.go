package hq

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"storehub/doors"
)

func TestLocalNeedsNoPortAndEndsWithTheServer(t *testing.T) {
	o := Options{Log: slog.New(slog.DiscardHandler)}
	TestDatabase(t, &o)
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	code, _, err := s.AddStore(t.Context(), Store{ID: "0412", Location: "tml_1", Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{URL: "http://headquarters", HTTP: &http.Client{Transport: NewLocal(s)}}
	e, err := c.Enrol(t.Context(), EnrolRequest{Code: code, Fingerprint: "f"})
	if err != nil {
		t.Fatal(err)
	}
	c.Credential = func() string { return e.Credential }
	polled := make(chan error, 1)
	go func() {
		_, err := c.Feed(t.Context(), "", 0, time.Minute)
		polled <- err
	}()
	if _, err := c.Store(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Close(); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("close: %v after %s", err, time.Since(began))
	}
	<-polled
	var refused *doors.Error
	if _, err := c.Store(t.Context()); err == nil || errors.As(err, &refused) {
		t.Errorf("after the end: %v; want silence", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestMetricsHaveGoodNamesAndCountTheLedger(t *testing.T) {
	s, rec := ledger(t)
	beat(t, s, rec, 1, "", "op_1")
	problems, err := testutil.GatherAndLint(s.metrics.reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	want := `
# HELP storehub_hq_events_total Stripe's events, by what became of them.
# TYPE storehub_hq_events_total counter
storehub_hq_events_total{result="dropped"} 0
storehub_hq_events_total{result="duplicate"} 0
storehub_hq_events_total{result="failed"} 0
storehub_hq_events_total{result="polled"} 0
storehub_hq_events_total{result="taken"} 0
storehub_hq_events_total{result="unreadable"} 0
storehub_hq_events_total{result="unsigned"} 0
# HELP storehub_hq_operations_unknown Operations of which nobody can say what became of them.
# TYPE storehub_hq_operations_unknown gauge
storehub_hq_operations_unknown 0
# HELP storehub_hq_stores Stores on record.
# TYPE storehub_hq_stores gauge
storehub_hq_stores 1
`
	if err := testutil.GatherAndCompare(s.metrics.reg, strings.NewReader(want), "storehub_hq_events_total", "storehub_hq_operations_unknown", "storehub_hq_stores"); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{`storehub_hq_operations{kind="heartbeat",state="succeeded"} 1`, `storehub_hq_operations{kind="capture",state="accepted"} 0`} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// FuzzRequests: whatever a hub's request holds, it is an answer or a refusal,
// never a breakdown.
func FuzzRequests(f *testing.F) {
	o := Options{Log: slog.New(slog.DiscardHandler)}
	TestDatabase(f, &o)
	s, err := NewServer(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	code, _, err := s.AddStore(f.Context(), Store{ID: "0412", Location: "tml_1", Mode: doors.Test})
	if err != nil {
		f.Fatal(err)
	}
	e, err := s.enrol(f.Context(), EnrolRequest{Code: code, Fingerprint: "f"})
	if err != nil {
		f.Fatal(err)
	}
	paths := []string{"/store/v1/operations", "/store/v1/stripe/create_payment_intent", "/store/v1/connection_tokens", "/store/v1/enrol", "/stripe/webhook"}
	f.Add(uint8(0), []byte(`{"epoch":"","head":"","operations":[{"number":1,"id":"op_1","kind":"capture","ref":"pi_1","amount":1,"currency":"usd","data":{"order":"7"},"till":"t","mode":"test","created_at":"2026-01-01T00:00:00Z","age_ms":-5}]}`))
	f.Add(uint8(0), []byte(`{"epoch":"x","head":"","operations":[{"number":4611686018427387904,"id":"op_1","kind":"order","ref":"x","till":"t","mode":"test","created_at":"0001-01-01T00:00:00Z","age_ms":9223372036854775807,"settled":{"seq":1,"type":"operation","at":"2026-01-01T00:00:00Z","state":"succeeded"}}]}`))
	f.Add(uint8(1), []byte(`{"till":{"name":"t","scope":"pos","mode":"test"},"key":"k","params":{"amount":["1"],"a[b][c]":["x"]}}`))
	f.Add(uint8(2), []byte(`{"till":{"name":"t","scope":"pos","mode":"test"}}`))
	f.Add(uint8(3), []byte(`{"code":"AAAA-BBBB","fingerprint":"f","version":""}`))
	f.Add(uint8(4), []byte(`{}`))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		req := httptest.NewRequest("POST", paths[int(which)%len(paths)], strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+e.Credential)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, req)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("broke down: %s", w.Body)
		}
	})
}
