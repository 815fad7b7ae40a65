package diagnostics

import (
	"testing"
	"time"

	"storehub/netcheck"
)

// sick is a moment with that hub's own state.
func sick(after time.Duration, h Hub) Input {
	h.DiskFreeBytes = -1
	return Input{At: at.Add(after), Hub: &h}
}

func TestTrackerKnowsSinceWhen(t *testing.T) {
	var tr Tracker
	r, changed := tr.Update(sick(0, Hub{HQRefused: true}))
	if !changed || !r.Causes[0].Since.Equal(at) {
		t.Errorf("first sight: changed %v, since %v", changed, r.Causes[0].Since)
	}
	r, changed = tr.Update(sick(time.Minute, Hub{HQRefused: true}))
	if changed || !r.Causes[0].Since.Equal(at) {
		t.Errorf("a minute later: changed %v, since %v", changed, r.Causes[0].Since)
	}
	if r, changed = tr.Update(sick(2*time.Minute, Hub{})); !changed || len(r.Causes) != 0 {
		t.Errorf("mended: changed %v, causes %v", changed, causes(r))
	}
	if r, _ = tr.Update(sick(3*time.Minute, Hub{HQRefused: true})); !r.Causes[0].Since.Equal(at.Add(3 * time.Minute)) {
		t.Errorf("again: since %v, want the second beginning", r.Causes[0].Since)
	}
}

func TestTrackerBelievesAFactThatKnowsItsOwnBeginning(t *testing.T) {
	var tr Tracker
	since := at.Add(-3 * time.Hour)
	r, _ := tr.Update(sick(0, Hub{HQFailingSince: since}))
	if len(r.Causes) != 1 || !r.Causes[0].Since.Equal(since) {
		t.Errorf("causes %+v, want one since %v", r.Causes, since)
	}
}

func TestTrackerHoldsBackWhatComesAndGoes(t *testing.T) {
	held := 0
	for _, r := range rules {
		if r.hold == 0 || r.code != "wan_lossy" {
			continue
		}
		held++
		lossy := func(after time.Duration) Input {
			return Input{At: at.Add(after), Net: &netcheck.Report{Results: []netcheck.Result{{Name: "path", Code: "wan_lossy", Detail: "3 of 12"}}}}
		}
		var tr Tracker
		if got, _ := tr.Update(lossy(0)); len(got.Causes) != 0 {
			t.Errorf("at once: %v", causes(got))
		}
		if got, changed := tr.Update(lossy(r.hold)); !changed || len(got.Causes) != 1 {
			t.Errorf("after %v: %v, changed %v", r.hold, causes(got), changed)
		}
		if got := Diagnose(lossy(0)); len(got.Causes) != 1 {
			t.Error("a single look has no patience to wait")
		}
	}
	if held == 0 {
		t.Error("no rule has a hold time")
	}
}
