package hub

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"storehub/doors"
	"storehub/netcheck"
	"storehub/offlinequeue"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", name, got)
	}
}

// What a clock or a disk decides is replaced; 0 means "never" and is kept. What
// is compared is which series there are, and every value of the scenario.
var (
	measured = regexp.MustCompile(`(?m)^(storehub_reader_update_window_active|storehub_\w+_(?:bucket|sum)\S*|storehub_queue_fsync_duration_seconds_count|storehub_queue_bytes|storehub_state_free_bytes) \S+$`)
	instant  = regexp.MustCompile(`(?m)^(storehub_\w+_timestamp_seconds\S*) [^0].*$`)
	program  = regexp.MustCompile(`go_version="[^"]*"`)
)

func series(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	var own []string
	for l := range strings.Lines(string(body)) {
		if strings.Contains(l, "storehub_") {
			own = append(own, l)
		}
	}
	text := program.ReplaceAllString(strings.Join(own, ""), `go_version="*"`)
	return instant.ReplaceAllString(measured.ReplaceAllString(text, "$1 *"), "$1 *")
}

// The scenario: one reader online and one off; one capture went the whole way and
// one waits; one token was given; the DNS probe fails and the rest is skipped.
func TestEverySeriesOfAScenario(t *testing.T) {
	f := newFakeHQ()
	f.readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","object":"terminal.reader","serial_number":"S1","label":"Lane 1","device_type":"simulated_wisepos_e","status":"online","ip_address":"0.0.0.0","last_seen_at":1795000000123}`),
		[]byte(`{"id":"tmr_2","object":"terminal.reader","serial_number":"S2","label":"Lane 2","device_type":"simulated_stripe_s700","status":"offline","ip_address":"0.0.0.0"}`),
	}
	report := func(ctx context.Context, _ netcheck.Targets) netcheck.Report {
		if ctx.Err() != nil {
			return netcheck.Report{Results: []netcheck.Result{
				{Name: "link", Status: netcheck.Unknown}, {Name: "dns", Status: netcheck.Unknown}, {Name: "https/api.stripe.com", Status: netcheck.Unknown}, {Name: "mtu", Status: netcheck.Unknown}}}
		}
		return netcheck.Report{Results: []netcheck.Result{
			{Name: "link", Status: netcheck.Pass},
			{Name: "dns", Status: netcheck.Fail, Code: "dns_not_configured"},
			{Name: "https/api.stripe.com", Status: netcheck.Skip, Because: "dns"}}}
	}
	s := open(t, f, t.TempDir(), func(_ *Config, p *Parts) { p.Check = report })

	before := series(t, s.addr.Metrics)
	for _, want := range []string{`storehub_probe_status{probe="link"} -1`, `storehub_token_requests_total{result="hq_unreachable"} 0`} {
		if !strings.Contains(before, want+"\n") {
			t.Errorf("at the start there is no %s", want)
		}
	}
	done := s.capture("pi_1", "k1")
	for _, op := range []string{done.ID} {
		eventually(t, "the capture has its outcome", func() bool {
			got, err := s.hub.Operation(t.Context(), admin, op)
			return err == nil && got.State == doors.Succeeded
		})
	}
	eventually(t, "a heartbeat came back", func() bool { return s.hub.heartbeat.Load() != 0 })
	s.ask("POST", "/v1/connection_tokens", s.credential, "")
	f.set(func(f *fakeHQ) { f.hold = true })
	s.capture("pi_2", "k2")
	eventually(t, "headquarters has the second capture", func() bool {
		n := s.hub.queue.Stats().Operations["capture"]
		return n[offlinequeue.Accepted] == 1 && n[offlinequeue.Succeeded] == 1
	})
	r := report(t.Context(), netcheck.Targets{})
	s.hub.monitor.mu.Lock()
	s.hub.monitor.net = &r
	s.hub.monitor.mu.Unlock()
	s.hub.monitor.refresh()
	golden(t, "metrics.golden", series(t, s.addr.Metrics))

	problems, err := testutil.GatherAndLint(s.hub.metrics.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsOnAnAddressOfTheirOwn(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) { c.Metrics.Listen = "127.0.0.1:0" })
	if strings.HasPrefix(s.addr.Metrics, s.addr.URL) {
		t.Errorf("metrics at %s", s.addr.Metrics)
	}
	if got := series(t, s.addr.Metrics); !strings.Contains(got, "storehub_hq_last_contact_timestamp_seconds") {
		t.Errorf("got %s", got)
	}
	if status, _ := s.ask("GET", "/metrics", "", ""); status != http.StatusNotFound {
		t.Errorf("metrics on the main address too: %d", status)
	}
}

// No exposure of offline payments is told by any till: absent, never 0.
func TestUnknownExposureIsAbsent(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	if strings.Contains(series(t, s.addr.Metrics), "storehub_offline_exposure") {
		t.Error("exposure is told although no till reports it")
	}
}

// What was taken offline is told per currency until it is forwarded; then it is 0,
// since this till does report.
func TestExposureIsWhatIsNotForwarded(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	exposed := func() (found []string) {
		for l := range strings.Lines(series(t, s.addr.Metrics)) {
			if strings.HasPrefix(l, "storehub_offline_exposure") {
				found = append(found, strings.TrimSpace(l))
			}
		}
		return found
	}
	want := func(when string, lines ...string) {
		t.Helper()
		eventually(t, when, func() bool { return slices.Equal(exposed(), lines) })
	}
	f.cut()
	record := func(key, ref, amount, currency string) {
		t.Helper()
		body := `{"kind":"offline_payment","ref":"` + ref + `","amount":` + amount + `,"currency":"` + currency + `","data":{"order":"A-` + key + `","stored_at":"2026-11-23T09:00:00Z"}}`
		if status, answer := s.ask("POST", "/v1/operations", s.credential, body, "Idempotency-Key", key, "Content-Type", "application/json"); status != http.StatusAccepted {
			t.Fatalf("record %s: %d %s", key, status, answer)
		}
	}
	record("1", "0d6f0a30-6a6e-4f6c-9a53-111111111111", "1800", "usd")
	want("one payment", `storehub_offline_exposure{currency="usd"} 1800`)
	record("2", "0d6f0a30-6a6e-4f6c-9a53-222222222222", "250", "eur")
	record("3", "0d6f0a30-6a6e-4f6c-9a53-333333333333", "200", "usd")
	want("three payments", `storehub_offline_exposure{currency="eur"} 250`, `storehub_offline_exposure{currency="usd"} 2000`)
	f.mend()
	want("all forwarded", `storehub_offline_exposure{currency="eur"} 0`, `storehub_offline_exposure{currency="usd"} 0`)
}
