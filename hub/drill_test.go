package hub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/rehearsal"
)

// holdDrill holds one through the socket, as the command does.
func (s *shop) holdDrill(r DrillRequest, tell func(rehearsal.Result)) (rehearsal.Report, error) {
	s.t.Helper()
	a, err := DialAdmin(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.Drill(s.t.Context(), r, tell)
}

func (s *shop) outages() diagnostics.Item {
	return diagnostics.Checklist(s.hub.checklistInput(nil))[14]
}

func wantScenes(t *testing.T, report rehearsal.Report, want string) {
	t.Helper()
	var got []string
	for _, r := range report.Results {
		got = append(got, r.Scene+" "+string(r.State))
	}
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s\n%+v", strings.Join(got, ", "), want, report.Results)
	}
}

// The drill opens the hub with the line cut, a till that calls meanwhile is answered, and
// what it was promised is delivered afterwards.
func TestMoney_4_4_TheDrillOpensTheHubWithTheLineCut(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	if status, body := s.ask(http.MethodPost, "/connection_token", s.credential, ""); status != http.StatusOK {
		t.Fatalf("before: %d %s", status, body)
	}
	var promised doors.Operation
	report, err := s.holdDrill(DrillRequest{Seconds: 5, By: "kim"}, func(r rehearsal.Result) {
		if r.Scene != "promise" {
			return
		}
		if status, body := s.ask(http.MethodPost, "/connection_token", s.credential, ""); status != http.StatusPaymentRequired || !strings.HasPrefix(body, "Card payments are down") {
			t.Errorf("with the line cut: %d %s", status, body)
		}
		promised = s.capture("pi_1", "drill-1")
	})
	if err != nil {
		t.Fatal(err)
	}
	wantScenes(t, report, "cut pass, token pass, promise pass, name pass, tills pass, restored pass")
	if op, err := s.hub.Operation(t.Context(), admin, promised.ID); err != nil || !op.State.Final() {
		t.Errorf("what the till was promised: %+v, %v", op, err)
	}
	if it := s.outages(); it.State != diagnostics.ItemPass || !strings.Contains(strings.Join(it.Evidence, " "), "by kim with the line cut; 1 till called") {
		t.Errorf("the checklist says %+v", it)
	}
	if polls := s.hub.link.polls(); polls != nil && len(polls.Cut) > 0 {
		t.Errorf("a drill is no fault of the network: %+v", polls.Cut)
	}
}

// A till that does not call while the line is cut has shown nothing: nobody knows.
func TestADrillThatATillSleepsThroughProvesNothing(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	s.ask(http.MethodPost, "/connection_token", s.credential, "")
	report, err := s.holdDrill(DrillRequest{Seconds: 5, By: "kim"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantScenes(t, report, "cut pass, token pass, promise pass, name pass, tills unknown, restored pass")
	if it := s.outages(); it.State != diagnostics.ItemAttention {
		t.Errorf("the checklist says %+v", it)
	}
}

func TestADrillIsNotHeldWhenItMustNotBe(t *testing.T) {
	dir := t.TempDir()
	f := newFakeHQ()
	s := open(t, f, dir)
	want := func(what string, r DrillRequest, said string) {
		t.Helper()
		if _, err := s.holdDrill(r, nil); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: got %v, want %q", what, err, said)
		}
		if s.hub.uplink.isCut() {
			t.Errorf("%s: the line is cut", what)
		}
	}
	good := DrillRequest{Seconds: 5, By: "kim"}
	want("too short", DrillRequest{Seconds: 1, By: "kim"}, "a drill lasts from 5s to 30m0s")
	want("too long", DrillRequest{Seconds: 7200, By: "kim"}, "a drill lasts from 5s to 30m0s")
	want("nobody's", DrillRequest{Seconds: 5}, "who holds the drill is not said")
	f.mu.Lock()
	f.silent = errCut
	f.mu.Unlock()
	want("headquarters silent already", good, "headquarters does not answer as it is")
	f.mu.Lock()
	f.silent, f.store.Mode = nil, doors.Live
	f.mu.Unlock()
	live := f.store
	s.hub.store.Store(&live)
	s.ask(http.MethodGet, "/v1/status", s.credential, "")
	want("while a live store sells", good, "add --during-sales")
}

// Whoever holds it and goes away has the line mended at once; so has a hub that is
// killed, since a new process knows nothing of it.
func TestTheLineIsWholeWhenADrillEnds(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	_, err = a.Drill(ctx, DrillRequest{Seconds: 600, By: "kim"}, func(r rehearsal.Result) {
		if r.Scene == "cut" {
			if !s.hub.uplink.isCut() {
				t.Error("the line is whole in the middle of a drill")
			}
			leave()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the line is whole", func() bool { return !s.hub.uplink.isCut() })
	eventually(t, "a token is given", func() bool {
		status, _ := s.ask(http.MethodPost, "/connection_token", s.credential, "")
		return status == http.StatusOK
	})
}

func TestADryRunCutsNothing(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	report, err := s.holdDrill(DrillRequest{Seconds: 60, DryRun: true}, func(rehearsal.Result) {
		if s.hub.uplink.isCut() {
			t.Error("the line is cut")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	wantScenes(t, report, "cut planned, token planned, promise planned, name planned, tills planned, restored planned")
	if it := s.outages(); it.State != diagnostics.ItemAttention {
		t.Errorf("the checklist says %+v", it)
	}
}

// A hub with a name is opened by it, the hub itself telling where it is; that the shop's
// resolver would not tell so without the internet is a failure of the drill.
func TestMoney_4_4_TheDrillOpensTheHubByItsName(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), named, func(c *Config, _ *Parts) { c.DNS.Listen = "127.0.0.1:0" })
	byName := func() rehearsal.Result {
		report, err := s.holdDrill(DrillRequest{Seconds: 5, By: "kim"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(report.Results, func(r rehearsal.Result) bool { return r.Scene == "name" })
		if i < 0 {
			t.Fatalf("the name was not tried: %+v", report)
		}
		return report.Results[i]
	}
	if r := byName(); r.State != rehearsal.Pass || !strings.HasPrefix(r.Detail, "by http://"+hubName+":") {
		t.Errorf("%+v", r)
	}
	s.hub.monitor.mu.Lock()
	s.hub.monitor.report = diagnostics.Report{Causes: []diagnostics.Cause{{Code: "hub_name_needs_internet", Severity: diagnostics.Warning, Evidence: []string{"192.168.1.1 has it from elsewhere"}}}}
	s.hub.monitor.mu.Unlock()
	d := &drill{Hub: s.hub, self: s.addr}
	if state, detail := rehearsal.Judge(d.opensItself(t.Context())); state != rehearsal.Fail || detail != "tills would not find "+hubName+" without the internet: 192.168.1.1 has it from elsewhere" {
		t.Errorf("%s %q", state, detail)
	}
}
