package diagnostics

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

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

// flaky is a moment, minutes after at, at which the cable is out or in.
func flaky(minute float64, out bool) Input {
	in := Input{At: at.Add(time.Duration(minute * float64(time.Minute))), Net: &netcheck.Report{}}
	if out {
		in.Net.Results = []netcheck.Result{{Name: "link", Status: netcheck.Fail, Code: "link_down", Detail: "eth0 has no carrier"}}
	}
	return in
}

func TestWhatComesAndGoesIsOneCauseAndNoStorm(t *testing.T) {
	var tr Tracker
	var changes []float64
	var r Report
	for i := range 100 { // every check, for eight hours
		var changed bool
		if r, changed = tr.Update(flaky(float64(5*i), i%2 == 0)); changed {
			changes = append(changes, float64(5*i))
		}
		if i >= 4 && (r.Verdict != Degraded || len(r.Causes) != 1 || r.Causes[0].Flapping == nil) {
			t.Fatalf("after %d min: %s %+v", 5*i, r.Verdict, r.Causes)
		}
	}
	if !slices.Equal(changes, []float64{0, 5, 10, 15, 20}) {
		t.Errorf("told at minutes %v; the third time is the last to tell", changes)
	}
	f := r.Causes[0].Flapping
	if f.Times != 50 || !f.Since.Equal(at) || f.Present || !f.LastSeen.Equal(at.Add(98*5*time.Minute)) || f.Severity != Critical || r.Causes[0].Severity != Warning {
		t.Errorf("%+v, now a %s", f, r.Causes[0].Severity)
	}
	valid(t, r)
	// Half an hour without a sign, and it is over.
	if r, changed := tr.Update(flaky(98*5+29, false)); changed || len(r.Causes) != 1 {
		t.Errorf("29 min later: changed %v, %v", changed, causes(r))
	}
	if r, changed := tr.Update(flaky(98*5+30, false)); !changed || r.Verdict != Ready {
		t.Errorf("30 min later: changed %v, %v", changed, causes(r))
	}
}

// An exchange that fails now and then is no outage that comes and goes, and does
// not explain what stands beside it.
func TestOneExchangeThatFailsIsNoSpell(t *testing.T) {
	var tr Tracker
	var r Report
	for i := range 20 {
		r, _ = tr.Update(flaky(float64(i)/60, i%2 == 0)) // every other second
	}
	if r.Verdict != Ready || len(r.Causes) != 0 {
		t.Errorf("%s %+v", r.Verdict, r.Causes)
	}
}

func TestWhatStaysNoLongerFlaps(t *testing.T) {
	var tr Tracker
	for i := range 5 {
		tr.Update(flaky(float64(5*i), i%2 == 0))
	}
	var r Report
	for i := range 15 {
		r, _ = tr.Update(flaky(float64(21+i), true))
	}
	if r.Verdict != Blocked || r.Causes[0].Flapping != nil || !r.Causes[0].Since.Equal(at.Add(20*time.Minute)) {
		t.Errorf("a quarter of an hour without a break: %s %+v", r.Verdict, r.Causes)
	}
	if r, _ := tr.Update(flaky(40, false)); r.Verdict != Ready {
		t.Errorf("mended: %s %v", r.Verdict, causes(r))
	}
}

// A finding that is held back until it lasts is spoken of when it has lasted in sum.
func TestWhatIsHeldBackIsToldWhenItHasLastedInSum(t *testing.T) {
	ntp := func(minute int, blocked bool) Input {
		in := Input{At: at.Add(time.Duration(minute) * time.Minute), Net: reachable()}
		status := netcheck.Pass
		if blocked {
			status = netcheck.Warn
		}
		for _, h := range []string{"a", "b"} {
			in.Net.Results = append(in.Net.Results, netcheck.Result{Name: "ntp/" + h, Status: status, Detail: h + " is silent", Evidence: map[string]any{"host": h}})
		}
		return in
	}
	var tr Tracker
	for i := range 12 {
		r, _ := tr.Update(ntp(3*i, i%2 == 0))
		// There for three of six minutes: ten in sum at the fourth time.
		if told := len(r.Causes) > 0; told != (i >= 7) {
			t.Fatalf("after %d min: %v", 3*i, causes(r))
		}
	}
}

// What a cause that is away at the moment explained stays explained, unless it
// stands by itself.
func TestWhatIsAwayStillExplainsWhatFollows(t *testing.T) {
	var tr Tracker
	shop := func(minute float64, line, hq bool) Input {
		in := flaky(minute, line)
		in.Hub = &Hub{DiskFreeBytes: -1}
		if hq {
			in.Hub.HQFailingSince, in.Hub.HQError = in.At, "connection refused"
		}
		return in
	}
	for i := range 6 {
		tr.Update(shop(float64(5*i), i%2 == 0, i%2 == 0))
	}
	for i := range 15 {
		if r, changed := tr.Update(shop(26+float64(i), false, true)); changed || len(r.Causes) != 1 || r.Causes[0].Code != "link_down" || len(r.Symptoms) != 1 {
			t.Fatalf("after %d min without the line's fault: changed %v, %v", i, changed, causes(r))
		}
	}
	if r, _ := tr.Update(shop(41, false, true)); r.Verdict != Blocked || r.Causes[0].Code != "hq_unreachable" {
		t.Errorf("headquarters has been silent by itself: %s %v", r.Verdict, causes(r))
	}
}

// TestNoPatternMakesAStorm: whatever comes and goes, at whatever pace, is told
// a few times an hour, and never as a root that another explains.
func TestNoPatternMakesAStorm(t *testing.T) {
	above := closure(rules)
	rapid.Check(t, func(t *rapid.T) {
		var tr Tracker
		var told []time.Time
		minute := 0.0
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			minute += rapid.Float64Range(0.1, 20).Draw(t, "minutes")
			in := flaky(minute, rapid.Bool().Draw(t, "link"))
			in.Hub = &Hub{DiskFreeBytes: -1, HQRefused: rapid.Bool().Draw(t, "refused")}
			r, changed := tr.Update(in)
			if changed {
				told = append(told, in.At)
			}
			roots := map[string]bool{}
			for _, c := range r.Causes {
				if roots[c.Code] {
					t.Fatalf("%s twice", c.Code)
				}
				roots[c.Code] = true
				if f := c.Flapping; f != nil && (f.Times < flapTimes || c.Severity == Critical || f.LastSeen.After(in.At) || f.LastSeen.Before(f.Since)) {
					t.Fatalf("%s: %+v as a %s", c.Code, f, c.Severity)
				}
			}
			for a := range roots {
				for b := range roots {
					if above[a][b] {
						t.Fatalf("%s explains %s; both are roots", b, a)
					}
				}
			}
		}
		for i := range told {
			n := 0
			for _, other := range told[i:] {
				if other.Sub(told[i]) < time.Hour {
					n++
				}
			}
			if n > 24 { // two findings, each with its few turns
				t.Fatalf("told %d times within an hour", n)
			}
		}
	})
}
