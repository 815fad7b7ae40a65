package main

import (
	"bytes"
	"testing"
	"time"

	"storehub/hq"
)

// aFleet is five stores: in trouble, well, silent, never heard of, with an item that fails.
func aFleet(now time.Time) []hq.StoreView {
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	items := func(states ...string) (list []hq.ReportItem) {
		for i, state := range states {
			list = append(list, hq.ReportItem{Number: i + 1, ID: "item", Title: "The <item> is done", State: state, Evidence: []string{"seen at 09:00"}})
		}
		return list
	}
	store := func(id, verdict string, seen *time.Time, r *hq.Report) hq.StoreView {
		return hq.StoreView{StoreRecord: hq.StoreRecord{Store: hq.Store{ID: id, Location: "tml_" + id, Mode: "live", TimeZone: "Europe/Berlin"}, Hub: "enrolled"},
			Verdict: verdict, LastContact: seen, ReportedAt: seen, Report: r}
	}
	trouble := &hq.Report{Version: "1.4.0", Verdict: "blocked", Queue: hq.ReportQueue{Pending: 12, Accepted: 1}, Checklist: items("pass", "attention", "unknown"),
		Causes: []hq.ReportCause{{Code: "dns_down"}, {Code: "wan_slow"}}}
	well := &hq.Report{Version: "1.4.0", Verdict: "ready", Checklist: items("pass", "signed_off", "not_applicable")}
	failing := &hq.Report{Version: "1.3.0", Verdict: "ready", Checklist: items("pass", "fail", "pass")}
	list := []hq.StoreView{
		store("0410", "ready", ago(2*time.Minute), well), store("0411", "blocked", ago(20*time.Second), trouble), store("0412", hq.VerdictSilent, ago(7*time.Hour), well),
		store("0413", hq.VerdictUnknown, nil, nil), store("0414", "ready", ago(3*time.Minute), failing),
	}
	list[4].Name = "High Street"
	// Its hub tells whose the items are and when they are due; the others' hubs are older.
	for i, owner := range []string{"app", "network", "shop"} {
		failing.Checklist[i].Owner = owner
	}
	failing.Checklist[0].NextDue = time.Date(2027, 2, 24, 9, 0, 0, 0, time.UTC)
	list[0].Configuration = &hq.ConfigurationState{By: "A. Meyer", At: now.Add(-time.Hour), CheckedAt: ago(time.Hour),
		Differences: []hq.Difference{{Part: "update_window", Wanted: "02:00 to 05:00", Is: "none (midnight)"}}}
	list[3].Configuration = &hq.ConfigurationState{By: "A. Meyer", At: now.Add(-time.Hour), CheckedAt: ago(time.Hour), Differences: []hq.Difference{}, Unknown: "read at Stripe: no answer"}
	return list
}

// TestFleetTexts holds how stores and their checklists are shown to people and programs.
func TestFleetTexts(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	list := aFleet(now)
	faults := []hq.SharedFault{{Code: "dns_down", Severity: "critical", Title: "The resolvers do not answer", By: "resolver", Value: "9.9.9.9", Since: now, Stores: []string{"0411", "0415", "0416"}, Of: 4}}
	hq.WorstFirst(list)
	all := hq.Checklists(list)
	one := hq.FleetChecklist{Stores: all.Stores[:1]}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"fleet.txt":         func(b *bytes.Buffer) error { return writeFleet(b, list, faults, now) },
		"fleet.json":        func(b *bytes.Buffer) error { return writeJSON(b, list[:1]) },
		"checklists.txt":    func(b *bytes.Buffer) error { return writeChecklists(b, all, false, now) },
		"checklist-one.txt": func(b *bytes.Buffer) error { return writeChecklists(b, one, true, now) },
		"checklists.json":   func(b *bytes.Buffer) error { return writeJSON(b, all) },
		"checklists.html":   func(b *bytes.Buffer) error { return writeChecklistPage(b, all, now) },
		"no-stores.txt":     func(b *bytes.Buffer) error { return writeChecklists(b, hq.Checklists(nil), false, now) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{0: "now", 59 * time.Second: "now", time.Minute: "1 min ago", 59 * time.Minute: "59 min ago",
		time.Hour: "1 h ago", 47 * time.Hour: "47 h ago", 72 * time.Hour: "3 days ago", -time.Hour: "now"} {
		at := now.Add(-d)
		if got := ago(&at, now); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := ago(nil, now); got != "-" {
		t.Errorf("never: %q", got)
	}
}
