package hq_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// another enrols one more store and gives its hub's client.
func (s *shop) another(id string) *hq.Client {
	s.t.Helper()
	code, _, err := s.server.AddStore(s.t.Context(), hq.Store{ID: id, Location: s.loc, Mode: doors.Test})
	if err != nil {
		s.t.Fatal(err)
	}
	c := &hq.Client{URL: s.client.URL, HTTP: s.client.HTTP}
	e, err := c.Enrol(s.t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine of " + id})
	if err != nil {
		s.t.Fatal(err)
	}
	c.Credential = func() string { return e.Credential }
	return c
}

func (s *shop) fleet(atLeast int) ([]hq.StoreView, []hq.SharedFault) {
	s.t.Helper()
	list, faults, err := s.server.Fleet(s.t.Context(), atLeast)
	if err != nil {
		s.t.Fatal(err)
	}
	return list, faults
}

// Who never reported is unknown, who fell silent is silent since then, and neither is
// well or ill.
func TestUnknownAndSilentAreNotReady(t *testing.T) {
	s := newShop(t)
	s.another("0413")
	s.report(blocked("dns_down", time.Now()))
	list, _ := s.fleet(0)
	if len(list) != 2 || list[0].Verdict != "blocked" || list[0].Report.Causes[0].Code != "dns_down" || list[0].ReportedAt == nil || list[0].LastContact == nil {
		t.Fatalf("fleet %+v", list)
	}
	if v := list[1]; v.Verdict != hq.VerdictUnknown || v.Report != nil || v.ReportedAt != nil || v.LastContact != nil {
		t.Errorf("never heard of: %+v", v)
	}
	s.submit(op(doors.Heartbeat, "beat", "", 0))
	s.shift.Add(int64(11 * time.Minute))
	list, _ = s.fleet(0)
	if v := list[0]; v.Verdict != hq.VerdictSilent || v.Report == nil || v.Report.Verdict != "blocked" {
		t.Errorf("silent: %+v", v)
	}
	_, _, body := s.ask("GET", "/metrics", "", "", "")
	for _, line := range []string{`storehub_hq_fleet_stores{verdict="silent"} 1`, `storehub_hq_fleet_stores{verdict="unknown"} 1`, `storehub_hq_fleet_stores{verdict="blocked"} 0`} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("the metrics do not say %s", line)
		}
	}
	s.submit(op(doors.Heartbeat, "beat-2", "", 0))
	if list, _ = s.fleet(0); list[0].Verdict != hq.VerdictSilent || time.Since(*list[0].LastContact) > -10*time.Minute {
		t.Errorf("a hub that works and does not report: %+v", list[0])
	}
}

// What stores share is one finding, told once, and gone some time after the fault is.
func TestASharedFaultIsRaisedAsOne(t *testing.T) {
	s := newShop(t)
	hubs := []*hq.Client{s.client}
	for i := range 3 {
		hubs = append(hubs, s.another(fmt.Sprintf("042%d", i)))
	}
	tell := func(r hq.Report, to ...*hq.Client) {
		t.Helper()
		for _, c := range to {
			if _, err := c.Report(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	open := func() (notes []string) {
		t.Helper()
		list, err := s.server.Findings(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if f.Code == "shared_fault" {
				notes = append(notes, f.Note)
			}
		}
		return notes
	}
	seen := map[string]time.Time{}
	raise := func() {
		t.Helper()
		if err := s.server.RaiseShared(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
	}
	bad := blocked("dns_down", time.Now())
	tell(bad, hubs[:2]...)
	other := ready()
	other.Resolvers = []string{"1.1.1.1"}
	tell(other, hubs[2:]...)
	if raise(); open() != nil {
		t.Errorf("two stores are raised: %q", open())
	}
	tell(bad, hubs[2])
	for range 3 {
		raise()
	}
	if got, want := open(), "dns_down at 3 of the 3 stores with resolver 9.9.9.9: It is dns_down"; len(got) != 1 || got[0] != want {
		t.Fatalf("raised %q, want %q", got, want)
	}
	list, faults := s.fleet(0)
	if len(faults) != 1 || len(list[0].Shared) != 1 || !slices.Equal(faults[0].Stores, []string{"0412", "0420", "0421"}) || list[3].Shared != nil {
		t.Errorf("fleet %+v, %+v", list, faults)
	}
	if _, faults = s.fleet(4); len(faults) != 0 {
		t.Errorf("who asks for four stores hears of %+v", faults)
	}
	tell(ready(), hubs[:3]...)
	if raise(); len(open()) != 1 {
		t.Error("it is closed at once, though it may come back")
	}
	s.shift.Add(int64(16 * time.Minute))
	tell(ready(), hubs...)
	if raise(); open() != nil {
		t.Errorf("it is gone and stands: %q", open())
	}
}

// ordinary is as much as an ordinary store reports.
func ordinary() hq.Report {
	r := ready()
	r.Checklist = slices.Repeat([]hq.ReportItem{{Number: 1, ID: "item", Title: strings.Repeat("t", 40), State: "pass", Evidence: []string{strings.Repeat("e", 80)}}}, 15)
	r.Causes = blocked("wan_slow", nine).Causes
	return r
}

// BenchmarkFleet is one look at ten thousand stores that report what an ordinary store
// reports, on SQLite.
func BenchmarkFleet(b *testing.B) {
	s, err := hq.NewServer(hq.Options{Database: "sqlite:" + b.TempDir() + "/hq.db", Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	hq.FillFleet(b, s, 10_000, ordinary())
	for b.Loop() {
		list, _, err := s.Fleet(b.Context(), 3)
		if err != nil || len(list) != 10_000 {
			b.Fatal(len(list), err)
		}
	}
}
