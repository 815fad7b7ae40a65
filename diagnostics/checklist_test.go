package diagnostics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/netcheck"
	"storehub/readers"
)

var order = strings.Fields("connection_token network end_to_end capture errors receipts reconcile webhooks reader_updates registration locations discovery sdk passcode outages")

func TestNothingPassesWithoutEvidence(t *testing.T) {
	items := Checklist(ChecklistInput{At: at})
	if len(items) != 15 {
		t.Fatalf("%d items", len(items))
	}
	for i, it := range items {
		if it.Number != i+1 || it.ID != order[i] {
			t.Errorf("item %d is %d %s, want %s", i+1, it.Number, it.ID, order[i])
		}
		if it.State != ItemAttention && it.State != ItemUnknown {
			t.Errorf("%s is %s though nothing is known", it.ID, it.State)
		}
		if len(it.Evidence) == 0 || len(it.Remedy) == 0 {
			t.Errorf("%s says neither why nor what to do: %+v", it.ID, it)
		}
	}
	raw, err := json.Marshal(items)
	if err != nil || bytes.Contains(raw, []byte("null")) {
		t.Errorf("null in %s (%v)", raw, err)
	}
}

// whole is a store that has done everything.
func whole() ChecklistInput {
	rep := Diagnose(Input{At: at, Net: reachable()})
	in := ChecklistInput{At: at, Integration: "sdk-js", Report: &rep, Location: "tml_1",
		Readers: []readers.Reader{{Serial: "S1", Label: "Till 1", Software: "2.43.3.0"}},
		Token:   &TokenTest{At: at, Distinct: true, LocationScoped: true, Served: 9}, LastCapture: at, LastReceipt: at, LastCopy: at, LastEvent: at,
		HQ: &HQFacts{At: at, Passcode: "own", Endpoint: "enabled", Delivered: at, CopiesKept: true, Reconciled: at, Day: "2026-07-01",
			Untold: map[string]string{}},
		Offline: "off", Window: "02:00-05:00", WindowOpen: readers.No, Registered: at, ListSeen: at,
		Rehearsals: map[string]Trial{}, SignOffs: map[string]SignOff{}}
	for _, id := range []string{"end_to_end", "errors", "outages"} {
		in.Rehearsals[id] = Trial{At: at.Add(-24 * time.Hour), Passed: true}
	}
	in.SignOffs["sdk"] = SignOff{At: at, By: "Kim", Note: "seen on site"}
	return in
}

func TestAStoreThatHasDoneEverythingIsDone(t *testing.T) {
	for _, it := range Checklist(whole()) {
		if it.State != ItemPass && it.State != ItemSignedOff {
			t.Errorf("%s is %s: %v", it.ID, it.State, it.Evidence)
		}
	}
}

func TestChecklistItems(t *testing.T) {
	cause := func(code string, s Severity) *Report {
		return &Report{Causes: []Cause{{Code: code, Severity: s, Title: code, Remedy: []string{"Mend it."}}}, Probes: reachable().Results}
	}
	tests := []struct {
		name, item string
		change     func(*ChecklistInput)
		want       ItemState
	}{
		{"no token", "connection_token", func(in *ChecklistInput) { in.Token = &TokenTest{Error: "headquarters is silent"} }, ItemFail},
		{"the same token twice", "connection_token", func(in *ChecklistInput) { in.Token.Distinct = false }, ItemFail},
		{"an app keeps its tokens", "connection_token", func(in *ChecklistInput) {
			in.Report.Causes = append(in.Report.Causes, Cause{Code: "token_reused", Severity: Warning, Title: "A till keeps tokens"})
		}, ItemAttention},
		{"anybody gets a token", "connection_token", func(in *ChecklistInput) { in.Token.RefusesNobody = true }, ItemFail},
		{"token of all shops", "connection_token", func(in *ChecklistInput) { in.Token.LocationScoped = false }, ItemAttention},
		{"key in the shop", "connection_token", func(in *ChecklistInput) { in.KeyWarnings = []string{"the key lies in the shop"} }, ItemAttention},
		{"network blocked", "network", func(in *ChecklistInput) { in.Report = cause("wan_down", Critical) }, ItemFail},
		{"network so-so", "network", func(in *ChecklistInput) { in.Report = cause("wan_slow", Warning) }, ItemAttention},
		{"not the network's fault", "network", func(in *ChecklistInput) { in.Report = cause("disk_low", Warning) }, ItemPass},
		{"nothing was reached", "network", func(in *ChecklistInput) { in.Report.Probes = []netcheck.Result{{Name: "link", Status: netcheck.Pass}} }, ItemUnknown},
		{"rehearsed long ago", "end_to_end", func(in *ChecklistInput) { in.Rehearsals["end_to_end"] = Trial{At: at.AddDate(-1, 0, 0), Passed: true} }, ItemAttention},
		{"rehearsal failed", "errors", func(in *ChecklistInput) { in.Rehearsals["errors"] = Trial{At: at, Note: "decline not shown"} }, ItemFail},
		{"a payment lapses", "capture", func(in *ChecklistInput) { in.Report = cause("captures_near_deadline", Critical) }, ItemFail},
		{"a key is served", "connection_token", func(in *ChecklistInput) { in.Token.Leaks = []string{"/v1/readers"} }, ItemFail},
		{"server-driven tills want no token", "connection_token", func(in *ChecklistInput) { in.Integration = "server-driven" }, ItemNotApplicable},
		{"a guard is wanted all the same", "connection_token", func(in *ChecklistInput) { in.Integration, in.Token.RefusesNobody = "server-driven", true }, ItemFail},
		{"stray authorisation", "capture", func(in *ChecklistInput) { in.HQ.Uncaptured, in.HQ.UncapturedSince = 1, at.Add(-2*time.Hour) }, ItemAttention},
		{"fresh authorisation", "capture", func(in *ChecklistInput) { in.HQ.Uncaptured, in.HQ.UncapturedSince = 1, at.Add(-time.Minute) }, ItemPass},
		{"authorisation about to lapse", "capture", func(in *ChecklistInput) { in.HQ.Uncaptured, in.HQ.UncapturedSince = 1, at.Add(-40*time.Hour) }, ItemFail},
		{"a capture covers no failed rehearsal", "capture", func(in *ChecklistInput) { in.Rehearsals["capture"] = Trial{At: at, Note: "captured twice"} }, ItemFail},
		{"the last capture was a year ago", "capture", func(in *ChecklistInput) { in.LastCapture = at.AddDate(-1, 0, 0) }, ItemAttention},
		{"receipts without a copy", "receipts", func(in *ChecklistInput) { in.LastCopy = time.Time{} }, ItemAttention},
		{"headquarters keeps no copies", "receipts", func(in *ChecklistInput) { in.HQ.CopiesKept = false }, ItemAttention},
		{"a receipt without its fields", "receipts", func(in *ChecklistInput) { in.Rehearsals["receipts"] = Trial{At: at, Note: "no AID"} }, ItemFail},
		{"old reconciliation", "reconcile", func(in *ChecklistInput) { in.HQ.Reconciled = at.Add(-72 * time.Hour) }, ItemFail},
		{"never reconciled", "reconcile", func(in *ChecklistInput) { in.HQ.Reconciled = time.Time{} }, ItemAttention},
		{"findings wait", "reconcile", func(in *ChecklistInput) { in.HQ.Findings = 2 }, ItemAttention},
		{"headquarters is silent", "reconcile", func(in *ChecklistInput) { in.HQ, in.HQSilent = nil, "no route" }, ItemUnknown},
		{"no endpoint", "webhooks", func(in *ChecklistInput) { in.HQ.Endpoint = "none" }, ItemFail},
		{"endpoint disabled", "webhooks", func(in *ChecklistInput) { in.HQ.Endpoint = "disabled" }, ItemFail},
		{"event not sent", "webhooks", func(in *ChecklistInput) { in.HQ.Missing = []string{"charge.refunded"} }, ItemFail},
		{"event of less weight not sent", "webhooks", func(in *ChecklistInput) { in.HQ.Missing = []string{"terminal.reader.action_failed"} }, ItemAttention},
		{"which server-driven tills need", "webhooks", func(in *ChecklistInput) {
			in.Integration, in.HQ.Missing = "server-driven", []string{"terminal.reader.action_failed"}
		}, ItemFail},
		{"no event yet", "webhooks", func(in *ChecklistInput) { in.HQ.Delivered = time.Time{} }, ItemAttention},
		{"events do not come through", "webhooks", func(in *ChecklistInput) { in.HQ.Undelivered = 3 }, ItemFail},
		{"wrong signing secret", "webhooks", func(in *ChecklistInput) { in.HQ.SelfTest = "an event signed with secret 1 is refused" }, ItemFail},
		{"events are asked for", "webhooks", func(in *ChecklistInput) { in.HQ.Endpoint, in.HQ.Delivered = "polled", time.Time{} }, ItemPass},
		{"endpoints may not be read", "webhooks", func(in *ChecklistInput) { in.HQ.Untold["webhooks"] = "the key may not" }, ItemUnknown},
		{"old reader software", "reader_updates", func(in *ChecklistInput) { in.Readers[0].Software = "2.9.1.0" }, ItemAttention},
		{"a strange version is not old", "reader_updates", func(in *ChecklistInput) { in.Readers[0].Software = "beta" }, ItemPass},
		{"updates while the shop is open", "reader_updates", func(in *ChecklistInput) { in.WindowOpen = readers.Yes }, ItemAttention},
		{"no reader", "registration", func(in *ChecklistInput) { in.Readers = []readers.Reader{} }, ItemAttention},
		{"never registered from here", "registration", func(in *ChecklistInput) { in.Registered = time.Time{} }, ItemAttention},
		{"registration rehearsed", "registration", func(in *ChecklistInput) {
			in.Registered, in.Rehearsals["registration"] = time.Time{}, Trial{At: at, Passed: true}
		}, ItemPass},
		{"wrong shop", "locations", func(in *ChecklistInput) { in.Report = cause("location_mismatch", Critical) }, ItemFail},
		{"Location of another account", "locations", func(in *ChecklistInput) { in.HQ.Place = "there is no Location tml_1" }, ItemFail},
		{"a till uses a reader of elsewhere", "locations", func(in *ChecklistInput) { in.Strangers = []string{"till Lane 1 uses reader S9"} }, ItemFail},
		{"server-driven", "discovery", func(in *ChecklistInput) { in.Integration = "server-driven" }, ItemNotApplicable},
		{"no label", "discovery", func(in *ChecklistInput) { in.Readers[0].Label = "" }, ItemFail},
		{"two labels alike", "discovery", func(in *ChecklistInput) {
			in.Readers = append(in.Readers, readers.Reader{Serial: "S2", Label: "Till 1"})
		}, ItemFail},
		{"no till had the list", "discovery", func(in *ChecklistInput) { in.ListSeen = time.Time{} }, ItemAttention},
		{"no passcode", "passcode", func(in *ChecklistInput) { in.HQ.Passcode = "none" }, ItemAttention},
		{"the passcode of all", "passcode", func(in *ChecklistInput) { in.HQ.Passcode = "default" }, ItemFail},
		{"a poor passcode", "passcode", func(in *ChecklistInput) { in.HQ.Passcode = "weak" }, ItemFail},
		{"a passcode that is not shown", "passcode", func(in *ChecklistInput) { in.HQ.Passcode = "hidden" }, ItemUnknown},
		{"nobody looked", "sdk", func(in *ChecklistInput) { delete(in.SignOffs, "sdk") }, ItemAttention},
		{"signed off for less", "sdk", func(in *ChecklistInput) {
			in.At, in.SignOffs["sdk"] = at, SignOff{At: at.AddDate(0, -2, 0), By: "Kim", Until: at}
		}, ItemAttention},
		{"signed off a year ago", "sdk", func(in *ChecklistInput) { in.SignOffs["sdk"] = SignOff{At: at.AddDate(-1, 0, -1), By: "Kim"} }, ItemAttention},
		{"signed off for more than a year", "sdk", func(in *ChecklistInput) {
			in.SignOffs["sdk"] = SignOff{At: at.AddDate(-1, 0, -1), By: "Kim", Until: at.AddDate(0, 0, 1)}
		}, ItemSignedOff},
		{"SDK without patches", "sdk", func(in *ChecklistInput) { in.Readers[0].SDK = "terminal-android 3.9.1" }, ItemFail},
		{"SDK before the table", "sdk", func(in *ChecklistInput) { in.Readers[0].SDK = "terminal-ios 1.2.0" }, ItemFail},
		{"SDK in its last weeks", "sdk", func(in *ChecklistInput) {
			delete(in.SignOffs, "sdk")
			in.At, in.Readers[0].SDK = time.Date(2027, 9, 1, 0, 0, 0, 0, time.UTC), "terminal-ios 5.5.0"
		}, ItemAttention},
		{"SDK that is patched", "sdk", func(in *ChecklistInput) { in.Readers[0].SDK = "terminal-ios 5.5.0" }, ItemPass},
		{"SDK newer than the table", "sdk", func(in *ChecklistInput) { in.Readers[0].SDK = "terminal-android 6.0.0" }, ItemPass},
		{"SDK from Stripe's own address", "sdk", func(in *ChecklistInput) { in.Readers[0].SDK = "terminal-js 0.26.0" }, ItemPass},
		{"SDK that cannot be read", "sdk", func(in *ChecklistInput) { delete(in.SignOffs, "sdk"); in.Readers[0].SDK = "ours" }, ItemAttention},
		{"no SDK", "sdk", func(in *ChecklistInput) { in.Integration = "server-driven" }, ItemNotApplicable},
		{"limits without offline mode", "outages", func(in *ChecklistInput) { in.Integration, in.Limits = "sdk-native", []string{"eur 50000"} }, ItemAttention},
		{"limits that the SDK cannot have", "outages", func(in *ChecklistInput) { in.Offline, in.Limits = "on", []string{"eur 50000"} }, ItemAttention},
		{"offline mode without limits", "outages", func(in *ChecklistInput) { in.Integration, in.Offline = "sdk-native", "on" }, ItemAttention},
		{"offline mode within limits", "outages", func(in *ChecklistInput) {
			in.Integration, in.Offline, in.Limits = "sdk-native", "on", []string{"eur 50000"}
		}, ItemPass},
		{"a sign-off covers no failure", "errors", func(in *ChecklistInput) {
			in.Rehearsals["errors"] = Trial{At: at}
			in.SignOffs["errors"] = SignOff{At: at, By: "Kim"}
		}, ItemFail},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := whole()
			tt.change(&in)
			it := Checklist(in)[slices.Index(order, tt.item)]
			if it.State != tt.want {
				t.Errorf("%s is %s, want %s: %v", it.ID, it.State, tt.want, it.Evidence)
			}
		})
	}
}

func TestWriteChecklist(t *testing.T) {
	in := whole()
	in.Token = nil
	var text, page bytes.Buffer
	if err := WriteChecklistText(&text, Checklist(in), TextOptions{Width: 80}); err != nil {
		t.Fatal(err)
	}
	golden(t, "checklist.txt", text.Bytes())
	if err := WriteChecklistHTML(&page, Checklist(in)); err != nil {
		t.Fatal(err)
	}
	golden(t, "checklist.html", page.Bytes())
}

// The PDF is read back by other people's programs: every word is in it, in order, on
// pages that have a picture, none of which begins in the middle of an item. The same items at the same time are the same bytes.
func TestChecklistPDFIsReadByOthers(t *testing.T) {
	in := whole()
	in.Token = nil
	items := Checklist(in)
	items[13].Evidence = []string{"Żółw Σ Ж “x” … \U0001F600\x1b[31m", strings.Repeat("a long word ", 60)}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := WriteChecklistPDF(b, "0412", at, items); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("twice the same is not the same")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "checklist.pdf")
	if err := os.WriteFile(file, first.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return string(out)
	}
	told := run("pdftotext", "-layout", file, "-")
	text := strings.Join(strings.Fields(told), " ")
	for _, it := range items {
		if want := fmt.Sprintf("%d. %s", it.Number, it.Title); !strings.Contains(text, want) {
			t.Errorf("%q is not in the PDF", want)
		}
	}
	for _, want := range []string{"Deployment checklist", "Store 0412", "Żółw Σ Ж “x” …", summary(items), "page 1", "page 2"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the PDF", want)
		}
	}
	begins := regexp.MustCompile(`^\s*[a-z ]+ \d+\. `)
	for more := range 12 {
		items[0].Evidence = slices.Repeat([]string{"so much more"}, more)
		var b bytes.Buffer
		if err := WriteChecklistPDF(&b, "0412", at, items); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		pages := strings.Split(strings.TrimSuffix(run("pdftotext", "-layout", file, "-"), "\f"), "\f")
		for i, page := range pages[1:] {
			if !begins.MatchString(page) {
				t.Errorf("with %d lines more page %d does not begin with an item: %q", more, i+2, page[:min(len(page), 80)])
			}
		}
	}
	run("pdftoppm", "-r", "50", "-png", file, filepath.Join(dir, "page"))
	pages, err := filepath.Glob(filepath.Join(dir, "page*.png"))
	if err != nil || len(pages) < 2 {
		t.Errorf("%d pages have a picture", len(pages))
	}
}
