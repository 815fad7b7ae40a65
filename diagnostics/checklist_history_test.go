package diagnostics

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// A month of a shop: a passcode is set, an SDK falls out of support, the network fails
// and comes back.
func TestChecklistHistory(t *testing.T) {
	var h ChecklistHistory
	in := whole()
	day := func(n int) time.Time { return at.AddDate(0, 0, n) }
	record := func(n int, change func(*ChecklistInput)) bool {
		change(&in)
		in.At = day(n)
		if in.HQ != nil {
			in.HQ.At, in.HQ.Reconciled = day(n), day(n)
		}
		return h.Record(in.At, Checklist(in))
	}
	nothing := func(*ChecklistInput) {}
	if !record(0, func(in *ChecklistInput) { in.HQ.Passcode = "none"; in.Readers[0].SDK = "terminal-ios 5.5.0" }) || record(1, nothing) {
		t.Error("the first record is news, the same again is not")
	}
	fine := in.Report
	for n, change := range []func(*ChecklistInput){
		func(in *ChecklistInput) { in.HQ.Passcode = "own" },
		func(in *ChecklistInput) {
			in.Report = &Report{StartedAt: at, Causes: []Cause{{Code: "wan_down", Severity: Critical, Title: "The line is down"}}, Probes: fine.Probes}
		},
		func(in *ChecklistInput) { in.Report = fine },
		func(in *ChecklistInput) { in.Readers[0].SDK = "terminal-ios 3.1.0" },
	} {
		if !record(10+n, change) {
			t.Errorf("day %d is no news", 10+n)
		}
	}
	d := h.Between(day(5), day(30))
	var text bytes.Buffer
	if err := WriteChecklistDiffText(&text, d, TextOptions{Width: 80}); err != nil {
		t.Fatal(err)
	}
	golden(t, "checklist_diff.txt", text.Bytes())
	if d := h.Between(day(20), day(30)); len(d.Items) != 0 {
		t.Errorf("nothing has changed since: %+v", d)
	}
	if d := h.Between(day(-30), day(11)); d.Begins != at.Truncate(time.Second) || len(d.Items) != 2 || d.Items[0].Is != ItemFail {
		t.Errorf("from before the history: %+v", d)
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var again ChecklistHistory
	if err := json.Unmarshal(b, &again); err != nil || len(again.Between(day(5), day(30)).Items) != len(d.Items) {
		t.Errorf("read back: %v", err)
	}
	// What is older than a year goes, and how things stood then is kept.
	if record(500, func(in *ChecklistInput) { in.Readers[0].SDK = "terminal-ios 5.5.0" }); len(h.Changes) != 0 && h.Changes[0].At.Before(day(100)) {
		t.Errorf("kept: %+v", h.Changes)
	}
	if s := h.at(day(500)); s["passcode"] != ItemPass {
		t.Errorf("after a year: %v", s)
	}
}
