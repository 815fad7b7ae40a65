package hq_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/hq"
)

// withoutEvidence is the fleet as who watches it sees it.
func withoutEvidence(t *testing.T, list []hq.StoreView) string {
	t.Helper()
	for i := range list {
		if r := list[i].Report; r != nil {
			short := *r
			short.Checklist = slices.Clone(r.Checklist)
			for j := range short.Checklist {
				short.Checklist[j].Evidence = nil
			}
			list[i].Report = &short
		}
	}
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Who watches sees what Fleet says, however it was read: at first, after some reported,
// after one came that is older than what was seen, after one was removed.
func TestWatchingIsLookingAgain(t *testing.T) {
	s := newShop(t)
	other := s.another("0413")
	w := s.server.WatchFleet()
	look := func(when string) hq.FleetView {
		t.Helper()
		s.shift.Add(int64(time.Minute)) // nothing is fresh any more
		v, err := w.Look(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		list, faults := s.fleet(0)
		if got, want := withoutEvidence(t, v.Stores), withoutEvidence(t, list); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", when, got, want)
		}
		if len(v.Faults) != len(faults) {
			t.Errorf("%s: %d faults, want %d", when, len(v.Faults), len(faults))
		}
		return v
	}
	look("nobody reported")
	r := ready()
	r.Checklist = []hq.ReportItem{{Number: 1, ID: "connection_token", Title: "A token", State: "pass", Evidence: []string{"a token came"}}}
	s.report(r)
	first := look("one reported")
	if got := first.Stores[0].Report.Checklist[0].Evidence; got != nil {
		t.Errorf("evidence is held: %q", got)
	}
	if _, err := other.Report(t.Context(), blocked("dns_down", time.Now())); err != nil {
		t.Fatal(err)
	}
	look("another reported")
	s.report(blocked("wan_down", time.Now()))
	look("it reported again")
	if first.Stores[0].Verdict != "ready" {
		t.Error("what was seen changed afterwards")
	}
	s.shift.Add(int64(-time.Hour)) // a replica whose clock is behind, or that was slow
	if _, err := other.Report(t.Context(), ready()); err != nil {
		t.Fatal(err)
	}
	s.shift.Add(int64(time.Hour))
	look("a report came late")
	if err := s.server.RemoveStore(t.Context(), "0413"); err != nil {
		t.Fatal(err)
	}
	look("a store was removed")
	if v, err := s.server.View(t.Context(), "0412"); err != nil || v.Report == nil || v.Report.Causes[0].Code != "wan_down" {
		t.Errorf("the one store: %+v, %v", v, err)
	}
	if _, err := s.server.View(t.Context(), "0413"); err == nil || !strings.Contains(err.Error(), "no such store") {
		t.Errorf("the removed store: %v", err)
	}
}

func TestWhoLooksTwiceAtOnceReadsOnce(t *testing.T) {
	s := newShop(t)
	w := s.server.WatchFleet()
	a, err := w.Look(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.another("0413")
	if b, err := w.Look(t.Context(), time.Hour); err != nil || len(b.Stores) != 1 || !b.At.Equal(a.At) {
		t.Errorf("%d stores, as of %s after %s, %v", len(b.Stores), b.At, a.At, err)
	}
	w.Forget()
	if b, err := w.Look(t.Context(), time.Hour); err != nil || len(b.Stores) != 2 {
		t.Errorf("after a change: %d stores, %v", len(b.Stores), err)
	}
	s.another("0414")
	s.shift.Add(int64(time.Minute))
	if b, err := w.Look(t.Context(), time.Second); err != nil || len(b.Stores) != 3 {
		t.Errorf("a minute later: %d stores, %v", len(b.Stores), err)
	}
}

// BenchmarkWatch is looking again at the ten thousand stores of BenchmarkFleet, of which
// as many reported as do in three seconds.
func BenchmarkWatch(b *testing.B) {
	var ahead time.Duration
	s, err := hq.NewServer(hq.Options{Database: "sqlite:" + b.TempDir() + "/hq.db", Log: quiet(), Now: func() time.Time { return time.Now().Add(ahead) }})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	hq.FillFleet(b, s, 10_000, ordinary())
	w := s.WatchFleet()
	for b.Loop() {
		ahead += time.Minute
		b.StopTimer()
		hq.ReportAgain(b, s, 170, ordinary())
		b.StartTimer()
		v, err := w.Look(b.Context(), 0)
		if err != nil || len(v.Stores) != 10_000 {
			b.Fatal(fmt.Sprint(len(v.Stores), err))
		}
	}
}
