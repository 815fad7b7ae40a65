package hub

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
)

// A store is told of every few minutes, soon after its verdict has changed, never more
// often than bounded however it flaps, and not to a headquarters that takes no reports.
func TestWhenAStoreIsToldOf(t *testing.T) {
	for _, c := range []struct {
		name        string
		verdict     func(since time.Duration) diagnostics.Verdict
		err         error
		least, most int // reports in an hour
	}{
		{"all is well", func(time.Duration) diagnostics.Verdict { return "ready" }, nil, 20, 23},
		{"it flaps", func(d time.Duration) diagnostics.Verdict {
			return diagnostics.Verdict([]string{"ready", "blocked"}[int(d/time.Second)%2])
		}, nil, 150, 241},
		{"headquarters is silent", func(time.Duration) diagnostics.Verdict { return "ready" }, errCut, 20, 23},
		{"headquarters is known to be silent", func(time.Duration) diagnostics.Verdict { return "" }, nil, 0, 0},
		{"headquarters is of another make", func(time.Duration) diagnostics.Verdict { return "ready" }, &hq.StatusError{Status: 404}, 1, 2},
		{"headquarters is older", func(time.Duration) diagnostics.Verdict { return "ready" }, doors.ErrNotFound, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began, news := time.Now(), make(chan struct{}, 1)
				var told []time.Duration
				tests := 0
				r := &reporter{
					verdict: func() diagnostics.Verdict { return c.verdict(time.Since(began)) },
					news:    news,
					tell:    func(context.Context) error { told = append(told, time.Since(began)); return c.err },
					test:    func(context.Context) bool { tests++; return true },
					log:     slog.New(slog.DiscardHandler),
				}
				go func() {
					for ctx.Err() == nil {
						pause(ctx, 500*time.Millisecond)
						signal(news)
					}
				}()
				if err := r.run(ctx); err != nil {
					t.Fatal(err)
				}
				if len(told) < c.least || len(told) > c.most {
					t.Errorf("told %d times, want %d to %d", len(told), c.least, c.most)
				}
				for i := 1; i < len(told); i++ {
					if told[i]-told[i-1] < reportAtLeast {
						t.Errorf("told at %s and at %s", told[i-1], told[i])
					}
				}
				if tests > 1 {
					t.Errorf("%d tests of a token in an hour", tests)
				}
			})
		})
	}
}

func TestAChangedVerdictIsToldSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		news, told := make(chan struct{}, 1), make(chan time.Time, 100)
		verdict := make(chan diagnostics.Verdict, 1)
		verdict <- "ready"
		now := func() diagnostics.Verdict { v := <-verdict; verdict <- v; return v }
		r := &reporter{verdict: now, news: news, tell: func(context.Context) error { told <- time.Now(); return nil },
			test: func(context.Context) bool { return true }, log: slog.New(slog.DiscardHandler)}
		done := make(chan error, 1)
		go func() { done <- r.run(ctx) }()
		<-told
		time.Sleep(time.Minute)
		<-verdict
		verdict <- "blocked"
		changed := time.Now()
		signal(news)
		if d := (<-told).Sub(changed); d > reportSoon {
			t.Errorf("told after %s", d)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The report of a store in trouble is whole, within the wire's bounds, and names no
// person and no payment.
func TestWhatAStoreTellsOfItself(t *testing.T) {
	f := newFakeHQ()
	f.hold = true
	f.readers = []json.RawMessage{json.RawMessage(`{"id":"tmr_1","object":"terminal.reader","serial_number":"W1","label":"Kasse von Frau Schmidt","device_type":"bbpos_wisepos_e","device_sw_version":"2.9.1","status":"offline"}`)}
	s := open(t, f, t.TempDir())
	eventually(t, "the readers are known", s.hub.fleet.listed.Load)
	if err := s.hub.marks.attest(Attestation{Item: "passcode", By: "A. Meyer", Note: "set on Tuesday, asked C. Brown"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	// One that has ended is told of too, and by nobody either.
	if err := s.hub.marks.attest(Attestation{Item: "discovery", By: "D. Dean", Note: "looked with E. Evans"}, time.Now().Add(-2*diagnostics.SignOffAge)); err != nil {
		t.Fatal(err)
	}
	f.cut()
	s.capture("pi_3Private", "k1")
	s.hub.monitor.refresh()
	r := s.hub.report(time.Now())
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > doors.MaxBody/4 {
		t.Errorf("%d bytes", len(b))
	}
	for _, private := range []string{"Meyer", "Dean", "Evans", "Brown", "Tuesday", "Schmidt", "pi_3Private", "till-1"} {
		if strings.Contains(string(b), private) {
			t.Errorf("it tells %q: %s", private, b)
		}
	}
	if r.Version != "1.2.3" || r.Queue.Pending != 1 || r.Queue.Amounts["eur"] != 1250 || r.Readers["offline"] != 1 || !slices.Equal(r.Software, []string{"2.9.1"}) || len(r.Checklist) != 15 {
		t.Errorf("told %s", b)
	}
	i := slices.IndexFunc(r.Checklist, func(it hq.ReportItem) bool { return it.ID == "passcode" })
	if it := r.Checklist[i]; it.State != "signed_off" || it.Owner != "headquarters" || time.Until(it.NextDue).Round(time.Hour) != diagnostics.SignOffAge || !strings.HasPrefix(it.Evidence[len(it.Evidence)-1], "signed off by a person on 2") {
		t.Errorf("the sign-off: %+v", it)
	}
	i = slices.IndexFunc(r.Checklist, func(it hq.ReportItem) bool { return it.ID == "discovery" })
	if it := r.Checklist[i]; it.State != "attention" || it.Owner != "app" || !it.NextDue.IsZero() || !strings.Contains(strings.Join(it.Evidence, " "), "that counted until") {
		t.Errorf("the sign-off that has ended: %+v", it)
	}
}

// A report reaches headquarters by itself, and one that knows no reports changes nothing
// of how the line is judged.
func TestAReportIsSentAndItsRefusalIsNoFault(t *testing.T) {
	f := newFakeHQ()
	f.noReport = &hq.StatusError{Status: 404}
	s := open(t, f, t.TempDir())
	eventually(t, "a report came", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.reports) > 0
	})
	if st := s.hub.link.state(); !st.Failing.IsZero() || st.Refused {
		t.Errorf("the line is said to fail: %+v", st)
	}
	if got := s.hub.status().Verdict; got != diagnostics.Ready {
		t.Errorf("verdict %s", got)
	}
}

func TestShortTextsFitTheWire(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb":                   "a b",
		strings.Repeat("x", 240): strings.Repeat("x", 240),
		strings.Repeat("x", 241): strings.Repeat("x", 237) + "…",
		strings.Repeat("ä", 121): strings.Repeat("ä", 118) + "…",
	} {
		if got := short(in); got != want || len(got) > hq.ReportText {
			t.Errorf("%q became %q", in, got)
		}
	}
}
