package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// A store whose hub does not serve says why, and whether the rest of its page is of an
// earlier hour or was never known.
func TestAStoreWhoseHubDoesNotServeSaysSo(t *testing.T) {
	c, s := headquarters(t, 1)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	code, _, err := s.AddStore(t.Context(), hq.Store{ID: "0412", Location: "tml_412", Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	hub := &hq.Client{URL: "http://hq", HTTP: &http.Client{Transport: hq.NewLocal(s)}}
	enrolled, err := hub.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 1"})
	if err != nil {
		t.Fatal(err)
	}
	hub.Credential = func() string { return enrolled.Credential }
	report := func(r hq.Report) string {
		t.Helper()
		if _, err := hub.Report(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return ada.get("/console/stores/0412")
	}
	now := time.Now().UTC()
	unable := hq.Report{At: now, Version: "1.4.1", StartedAt: now, Verdict: "blocked", Unable: "open queue: it is no directory", Checklist: []hq.ReportItem{},
		Causes: []hq.ReportCause{{Code: "hub_unable", Severity: "critical", Title: "The hub does not serve", Since: now, Targets: []string{"open queue: it is no directory"}}}}
	whole := hq.Report{At: now, Version: "1.4.0", StartedAt: now, Verdict: "ready", Causes: []hq.ReportCause{}, Queue: hq.ReportQueue{Pending: 3}, Checklist: []hq.ReportItem{}}
	const waits, never, before = "Waiting in the shop", "that is not known", "as they were told last"
	for i, step := range []struct {
		r         hq.Report
		has, lack []string
	}{
		{unable, []string{"open queue: it is no directory", never}, []string{waits, before}},
		{whole, []string{waits}, []string{never, before, "does not serve"}},
		{unable, []string{"open queue: it is no directory", waits, before}, []string{never}},
	} {
		page := report(step.r)
		for _, want := range step.has {
			if !strings.Contains(page, want) {
				t.Errorf("step %d: the page does not say %q", i, want)
			}
		}
		for _, lack := range step.lack {
			if strings.Contains(page, lack) {
				t.Errorf("step %d: the page says %q", i, lack)
			}
		}
	}
}
