package hub

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"storehub/hq"
	"storehub/readers"
)

// TestATillLearnsThatTheOfflineLimitIsReached: when it is reached and when it no longer
// is, once each, and in the status as long as the line is down.
func TestATillLearnsThatTheOfflineLimitIsReached(t *testing.T) {
	f := newFakeHQ()
	f.hold = true
	s := open(t, f, t.TempDir(), func(c *Config, _ *Parts) { c.OfflineLimits = []string{"eur 2000", "USD 500"} })
	events := s.listen("")
	record := func(n, amount string) {
		t.Helper()
		body := `{"kind":"offline_payment","ref":"00000000-0000-4000-8000-00000000000` + n + `","amount":` + amount + `,"currency":"eur"}`
		if status, answer := s.ask("POST", "/v1/operations", s.credential, body, "Idempotency-Key", "k"+n); status != http.StatusAccepted {
			t.Fatalf("record: %d %s", status, answer)
		}
	}
	record("1", "1999")
	var st Status
	if _, body := s.ask("GET", "/v1/status", s.credential, ""); json.Unmarshal([]byte(body), &st) != nil || len(st.Offline) != 2 || st.Offline[0].Taken != 1999 || st.Offline[0].Reached || st.Offline[1].Currency != "usd" || *st.Offline[1].Limit != 500 {
		t.Fatalf("below the limit: %+v", st.Offline)
	}
	record("2", "1")
	type word struct {
		OfflineExposure
		Words string `json:"operator_message"`
	}
	heard := func() (w word) {
		e := await(t, events, func(e sse) bool { return e.Type == eventOffline })
		if err := json.Unmarshal([]byte(e.Data), &w); err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := heard(); !w.Reached || w.Taken != 2000 || w.Words != "Take no more card payments in EUR while the internet is down: the shop's limit for them is reached." {
		t.Errorf("at the limit: %+v", w)
	}
	f.cut()
	eventually(t, "the status says so while the line is down", func() bool {
		var st Status
		_, body := s.ask("GET", "/v1/status", s.credential, "")
		return json.Unmarshal([]byte(body), &st) == nil && !st.CanTakePayments && strings.Contains(st.OperatorMessage, "EUR")
	})
	f.set(func(f *fakeHQ) {
		f.silent, f.hold = nil, false
		for _, id := range f.order {
			f.act(id)
		}
	})
	if w := heard(); w.Reached || w.Taken != 0 || w.Words != "" {
		t.Errorf("forwarded: %+v", w)
	}
}

func TestLimitsAreReadOrRefused(t *testing.T) {
	for text, good := range map[string]bool{"eur 50000": true, "JPY 0": true, "eur": false, "eur 5.00": false, "eur -1": false, "euro 5": false, "50000 eur": false, "eur  5": false, "": false} {
		if err := checkOfflineLimit(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	if got := exposures(nil, map[string]int64{"chf": 0}); len(got) != 1 || !got[0].Reached {
		t.Errorf("a shop that allows nothing: %+v", got)
	}
}

// TestOfflineReadinessComesWithTheReader: what headquarters has told of the
// configuration, and a token of a till, count; the software of the shop is kept.
func TestOfflineReadinessComesWithTheReader(t *testing.T) {
	f := newFakeHQ()
	f.store.Offline = hq.OfflineOn
	f.readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","serial_number":"S1","label":"1","device_type":"simulated_wisepos_e","device_sw_version":"2.9.0","ip_address":"0.0.0.0","status":"online"}`),
		[]byte(`{"id":"tmr_2","serial_number":"S2","label":"2","device_type":"simulated_wisepos_e","device_sw_version":"2.37.0","ip_address":"0.0.0.0","status":"online"}`)}
	s := open(t, f, t.TempDir(), func(c *Config, _ *Parts) { c.Checks.Integration = "sdk-native" })
	list := func() (out struct{ Readers []TillReader }) {
		t.Helper()
		if _, body := s.ask("GET", "/v1/readers", s.credential, ""); json.Unmarshal([]byte(body), &out) != nil || len(out.Readers) != 2 {
			t.Fatalf("%s", body)
		}
		return out
	}
	if r := list().Readers[0]; r.Offline.Ready != readers.Unknown || r.Offline.Why() != "no till has had a connection token since the hub began to count" {
		t.Errorf("before a token: %+v", r.Offline)
	}
	if status, _ := s.ask("POST", "/v1/connection_tokens", s.credential, ""); status != http.StatusOK {
		t.Fatalf("token: %d", status)
	}
	if r := list().Readers; r[0].Offline.Ready != readers.Yes || r[0].Newer != "2.37.0" || r[1].Newer != "" {
		t.Errorf("after a token: %+v, newer %q and %q", r[0].Offline, r[0].Newer, r[1].Newer)
	}
	eventually(t, "the versions are kept", func() bool { return openSoftware(s.dir).versions().Newest["simulated_wisepos_e"].Version == "2.37.0" })
}

// A shop whose readers all run an old version learns from headquarters that there is a
// newer one elsewhere.
func TestNewerSoftwareIsKnownFromTheFleet(t *testing.T) {
	h := bare(t)
	f := h.parts.HQ.(*fakeHQ)
	f.readers = []json.RawMessage{[]byte(`{"id":"tmr_1","serial_number":"S1","device_type":"stripe_s700","device_sw_version":"2.41.0.1","ip_address":"0.0.0.0","status":"online"}`)}
	since := time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)
	f.software = []hq.Software{{DeviceType: "stripe_s700", Version: "2.42.0.1", Since: since}, {DeviceType: "stripe_s700", Version: "2.9", Since: since}}
	h.fleet.poll(t.Context())
	newest, older := h.fleet.software.versions().Newer(h.fleet.registry.Snapshot()[0])
	if !older || newest.Version != "2.42.0.1" || !newest.Since.Equal(since) {
		t.Errorf("%+v, older %t", newest, older)
	}
}
