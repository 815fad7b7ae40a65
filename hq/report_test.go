package hq_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/hq"
)

// ready is the report of a store where all is well.
func ready() hq.Report {
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	return hq.Report{At: at, Version: "1.2.3", StartedAt: at.Add(-time.Hour), Verdict: "ready", Causes: []hq.ReportCause{},
		Queue:     hq.ReportQueue{Pending: 2, Amounts: map[string]int64{"eur": 1250}},
		Checklist: []hq.ReportItem{{Number: 1, ID: "connection_token", Title: "Tokens", State: "pass", Evidence: []string{"tested"}}},
		Readers:   map[string]int{"online": 2}, Resolvers: []string{"9.9.9.9"}, Software: []string{"2.44.1"}}
}

func blocked(code string, since time.Time) hq.Report {
	r := ready()
	r.Verdict = "blocked"
	r.Causes = []hq.ReportCause{{Code: code, Severity: "critical", Title: "It is " + code, Since: since, Targets: []string{"api.stripe.com"}}}
	return r
}

func (s *shop) report(r hq.Report) {
	s.t.Helper()
	a, err := s.client.Report(s.t.Context(), r)
	if err != nil || a.At.IsZero() {
		s.t.Fatalf("report: %+v, %v", a, err)
	}
}

// unable is what a program tells of a hub that does not serve.
func unable(why string, since time.Time) hq.Report {
	return hq.Report{At: since, Version: "1.2.4", StartedAt: since, Verdict: "blocked", Unable: why, Checklist: []hq.ReportItem{},
		Causes: []hq.ReportCause{{Code: "hub_unable", Severity: "critical", Title: "The hub does not serve", Since: since, Targets: []string{why}}}}
}

// Of a hub that does not serve the rest stays as it was told last, with when that was;
// where it was never told, it is not known. It does not serve since it first said so, and
// its next whole report ends it.
func TestWhatAHubThatDoesNotServeToldBeforeStays(t *testing.T) {
	s := newShop(t)
	first := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	seen := func() *hq.Report {
		t.Helper()
		v, err := s.server.View(t.Context(), "0412")
		if err != nil || v.Report == nil || v.Verdict != v.Report.Verdict {
			t.Fatalf("%+v, %v", v, err)
		}
		return v.Report
	}
	s.report(unable("open queue: input/output error", first))
	if r := seen(); !r.Untold() || r.Queue.Pending != 0 || r.Version != "1.2.4" {
		t.Errorf("never told: %+v", r)
	}
	s.report(ready())
	v, err := s.server.View(t.Context(), "0412")
	if err != nil {
		t.Fatal(err)
	}
	told := *v.ReportedAt
	for i := range 3 {
		s.report(unable("open queue: input/output error", first.Add(time.Duration(i)*10*time.Second)))
		r, was := seen(), ready()
		if r.Verdict != "blocked" || r.Unable == "" || r.Untold() || !r.ToldAt.Equal(told) || !r.Causes[0].Since.Equal(first) || r.Version != "1.2.4" {
			t.Errorf("told for the %d. time: %+v, want told at %s", i+1, r, told)
		}
		list := hq.Checklists([]hq.StoreView{{StoreRecord: v.StoreRecord, Verdict: "blocked", Report: r, ReportedAt: new(time.Now())}})
		if c := list.Stores[0]; !c.Old || c.ReportedAt == nil || !c.ReportedAt.Equal(told) {
			t.Errorf("its checklist is %+v, want it old, of %s", c, told)
		}
		if r.Queue.Pending != was.Queue.Pending || len(r.Checklist) != len(was.Checklist) || r.Readers["online"] != 2 || len(r.Resolvers) != 1 {
			t.Errorf("what was told before is now %+v", r)
		}
	}
	s.report(ready())
	if r := seen(); r.Unable != "" || !r.ToldAt.IsZero() || r.Verdict != "ready" {
		t.Errorf("it serves again: %+v", r)
	}
	lie := ready()
	lie.Unable = "open queue"
	if _, err := s.client.Report(t.Context(), lie); err == nil {
		t.Error("a hub that does not serve is ready")
	}
}

// The last report stands; a change of verdict or causes is kept once, and of many the
// newest.
func TestTheLastReportStandsAndChangesAreKept(t *testing.T) {
	s := newShop(t)
	s.report(ready())
	s.report(ready()) // no news
	s.report(blocked("dns_down", time.Now()))
	s.report(blocked("wan_down", time.Now()))
	s.report(ready())
	got, err := s.server.ReportChanges(t.Context(), "0412")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, c := range got {
		said = append(said, c.Verdict+" "+strings.Join(c.Causes, ","))
	}
	if want := []string{"ready ", "blocked dns_down", "blocked wan_down", "ready "}; !slices.Equal(said, want) {
		t.Errorf("changes %q, want %q", said, want)
	}
	for i := range hq.KeepReportChanges + 5 {
		s.report(blocked(fmt.Sprintf("code_%d", i), time.Now()))
	}
	if got, err = s.server.ReportChanges(t.Context(), "0412"); err != nil || len(got) != hq.KeepReportChanges || got[0].Causes[0] != "code_5" {
		t.Errorf("%d changes, %v", len(got), err)
	}
}

// What a newer hub adds to its report is left out, at every depth, and the rest kept.
func TestAReportFromTheFutureIsKept(t *testing.T) {
	s := newShop(t)
	for range 2 {
		status, _, body := s.ask("PUT", "/store/v1/report", s.client.Credential(), "application/json",
			`{"at":"2026-11-26T09:00:00Z","version":"9.0.0","started_at":"2026-11-26T08:00:00Z","verdict":"blocked","mood":{"deep":[1]},"VERSION_":"x",
			"causes":[{"code":"dns_down","severity":"critical","title":"x","since":"2026-11-26T09:00:00Z","owner":"Ada"}],"queue":{"pending":2,"lost":1},"checklist":[]}`)
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	got, err := s.server.ReportChanges(t.Context(), "0412")
	if err != nil || len(got) != 1 || got[0].Verdict != "blocked" || !slices.Equal(got[0].Causes, []string{"dns_down"}) {
		t.Errorf("kept %+v, %v", got, err)
	}
}

// Owner and next due date come through the store as they were told. A hub that tells
// neither has not said that there is none, and what no date comes with is due now or never.
func TestOwnerAndNextDueComeThrough(t *testing.T) {
	s := newShop(t)
	status, _, body := s.ask("PUT", "/store/v1/report", s.client.Credential(), "application/json",
		`{"at":"2026-11-26T09:00:00Z","version":"1.2.3","started_at":"2026-11-26T08:00:00Z","verdict":"ready","causes":[],"queue":{"pending":0,"accepted":0,"parked":0,"unresolved":0},"checklist":[
		{"number":1,"id":"a","title":"A","state":"pass","evidence":[],"owner":"app","next_due":"2027-02-24T09:00:00Z"},
		{"number":2,"id":"b","title":"B","state":"pass","evidence":[],"owner":"shop"},
		{"number":3,"id":"c","title":"C","state":"fail","evidence":[],"owner":"network"},
		{"number":4,"id":"d","title":"D","state":"pass","evidence":[]},
		{"number":5,"id":"e","title":"E","state":"fail","evidence":[]}]}`)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	list, _ := s.fleet(0)
	items := hq.Checklists(list).Stores[0].Items
	var said []string
	for _, it := range items {
		said = append(said, it.Whose()+", "+it.Due())
	}
	if want := []string{"app, 2027-02-24", "shop, none", "network, now", "not told, not told", "not told, not told"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	b, err := json.Marshal([]hq.ReportItem{items[0], items[3]})
	if want := `[{"number":1,"id":"a","title":"A","state":"pass","evidence":[],"owner":"app","next_due":"2027-02-24T09:00:00Z"},{"number":4,"id":"d","title":"D","state":"pass","evidence":[]}]`; err != nil || string(b) != want {
		t.Errorf("to programs %s, %v", b, err)
	}
}

// A fault between report and change leaves neither; the next report brings both.
func TestAReportIsKeptWhole(t *testing.T) {
	s := newShop(t)
	broken := func(step string) error {
		if step == "report:keep" {
			return errors.New("fault")
		}
		return nil
	}
	s.fault.Store(&broken)
	if _, err := s.client.Report(t.Context(), ready()); err == nil {
		t.Fatal("it was answered")
	}
	if got, err := s.server.ReportChanges(t.Context(), "0412"); err != nil || len(got) != 0 {
		t.Errorf("changes %+v, %v", got, err)
	}
	s.fault.Store(nil)
	s.report(ready())
	if got, err := s.server.ReportChanges(t.Context(), "0412"); err != nil || len(got) != 1 {
		t.Errorf("changes %+v, %v", got, err)
	}
}

func TestWhatNoHubSaysIsNotKept(t *testing.T) {
	s := newShop(t)
	long := strings.Repeat("x", hq.ReportText+1)
	for name, change := range map[string]func(*hq.Report){
		"verdict":    func(r *hq.Report) { r.Verdict = "fine" },
		"no verdict": func(r *hq.Report) { r.Verdict = "" },
		"version":    func(r *hq.Report) { r.Version = long },
		"control":    func(r *hq.Report) { r.Version = "1\x1b[31m" },
		"code":       func(r *hq.Report) { r.Causes = []hq.ReportCause{{Code: "<b>", Severity: "info"}} },
		"severity":   func(r *hq.Report) { r.Causes = []hq.ReportCause{{Code: "a", Severity: "bad"}} },
		"causes":     func(r *hq.Report) { r.Causes = slices.Repeat([]hq.ReportCause{{Code: "a", Severity: "info"}}, 31) },
		"targets": func(r *hq.Report) {
			r.Causes = []hq.ReportCause{{Code: "a", Severity: "info", Targets: make([]string, 11)}}
		},
		"items":            func(r *hq.Report) { r.Checklist = slices.Repeat(r.Checklist, 41) },
		"evidence":         func(r *hq.Report) { r.Checklist[0].Evidence = []string{long} },
		"evidences":        func(r *hq.Report) { r.Checklist[0].Evidence = make([]string, 4) },
		"state":            func(r *hq.Report) { r.Checklist[0].State = "Pass" },
		"readers":          func(r *hq.Report) { r.Readers["online"] = -1 },
		"amount":           func(r *hq.Report) { r.Queue.Amounts["eur"] = -1 },
		"currency":         func(r *hq.Report) { r.Queue.Amounts["E U"] = 1 },
		"count":            func(r *hq.Report) { r.Queue.Parked = -1 },
		"resolver":         func(r *hq.Report) { r.Resolvers = []string{"router"} },
		"software":         func(r *hq.Report) { r.Software = make([]string, 21) },
		"a store's secret": func(r *hq.Report) { r.Causes = []hq.ReportCause{{Code: long, Severity: "info"}} },
	} {
		r := ready()
		change(&r)
		if _, err := s.client.Report(t.Context(), r); !isRefusal(err, "invalid_field") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := s.server.ReportChanges(t.Context(), "0412"); err != nil || len(got) != 0 {
		t.Errorf("kept %+v, %v", got, err)
	}
}

// Where a report came from is kept as the provider's block, if the address says anything.
func TestABlockOfAddressesIsKeptWhereItMeansSomething(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.77:4711": "203.0.113.0/24", "[2001:db8:1:2::3]:1": "2001:db8:1::/48", "[::ffff:198.51.100.9]:1": "198.51.100.0/24",
		"192.168.1.7:1": "", "127.0.0.1:1": "", "100.64.3.4:1": "", "[fe80::1%eth0]:1": "", "memory": "", "": "",
	} {
		if got := hq.Block(remote); got != want {
			t.Errorf("%q is of %q, want %q", remote, got, want)
		}
	}
}

// A hub that may not ask may not report: a copy would speak for the store.
func TestACopyDoesNotReport(t *testing.T) {
	s := newShop(t)
	s.client.Machine, s.client.Run = "machine 1", "run 1"
	s.report(ready())
	copied := *s.client
	copied.Machine, copied.Run = "machine 2", "run 2"
	if _, err := copied.Report(t.Context(), blocked("wan_down", time.Now())); !isRefusal(err, "hub_duplicated") {
		t.Errorf("a copy reports: %v", err)
	}
}

// A headquarters of another make answers 404 in its own words: that is no silence.
func TestAnotherMakeOfHeadquartersNeedNotKnowReports(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	var status *hq.StatusError
	if _, err := (&hq.Client{URL: web.URL, HTTP: web.Client()}).Report(t.Context(), ready()); !errors.As(err, &status) || status.Status != 404 {
		t.Errorf("got %v", err)
	}
}
