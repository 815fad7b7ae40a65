package hub

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// An answer that may be about what was offered is held against it; silence, and what
// is said about the hub or the moment, is not.
func TestWhatIsHeldAgainstAnOperation(t *testing.T) {
	for _, c := range []struct {
		err    error
		reason string // "": nothing is
	}{
		{errCut, ""},
		{doors.ErrCredential, ""},
		{doors.ErrRateLimited, ""},
		{doors.ErrNotFound, ""}, // another server at this address
		{doors.ErrHQUnreachable, ""},
		{doors.ErrInvalidField, "invalid_field"},
		{doors.ErrTooLarge, "body_too_large"},
		{fmt.Errorf("submit: %w", doors.ErrUnknownField), "unknown_field"},
		{&hq.StatusError{Status: 302}, ""},
		{&hq.StatusError{Status: 403}, "answered_403"},
		{&hq.StatusError{Status: 407}, ""},
		{&hq.StatusError{Status: 429}, ""},
		{&hq.StatusError{Status: 500}, "answered_500"},
		{&hq.StatusError{Status: 502}, ""},
		{&hq.StatusError{Status: 503}, ""},
		{&hq.StatusError{Status: 504}, ""},
		{&hq.StatusError{Status: 511}, ""},
	} {
		var r *offlinequeue.Refusal
		switch err := notTaken(c.err); {
		case errors.As(err, &r) != (c.reason != ""):
			t.Errorf("%v became %v", c.err, err)
		case r != nil && r.Reason != c.reason:
			t.Errorf("%v is held against it as %q", c.err, r.Reason)
		case r == nil && err != c.err:
			t.Errorf("%v became %v", c.err, err)
		}
	}
}

// A parked operation is shown with its reason, is a finding with its id, and goes when
// it is retried, by the socket or on the disk.
func TestAParkedOperationIsSaidAndRetried(t *testing.T) {
	f := newFakeHQ()
	f.poison = "pi_bad"
	s := open(t, f, t.TempDir())
	bad := s.capture("pi_bad", "bad")
	for i := 0; ; i++ { // others show that it is not headquarters
		if op, err := s.hub.Operation(t.Context(), admin, bad.ID); err != nil {
			t.Fatal(err)
		} else if op.Parked != nil {
			if op.State != doors.Pending || op.Parked.Reason != "answered_500" {
				t.Errorf("parked: %+v", op)
			}
			break
		}
		good := s.capture(fmt.Sprint("pi_", i), fmt.Sprint("good", i))
		eventually(t, "what is good goes through", func() bool {
			op, err := s.hub.Operation(t.Context(), admin, good.ID)
			return err == nil && op.State == doors.Succeeded
		})
	}
	eventually(t, "the metrics say that it is parked", func() bool {
		_, body := s.ask("GET", "/metrics", "", "")
		return strings.Contains(body, "storehub_queue_parked_operations 1")
	})
	s.hub.monitor.refresh()
	causes := s.hub.monitor.current().Causes
	i := slices.IndexFunc(causes, func(c diagnostics.Cause) bool { return c.Code == "queue_not_draining" })
	if i < 0 || !slices.Equal(causes[i].Targets, []string{bad.ID}) {
		t.Errorf("causes: %+v", causes)
	}
	if got := s.hub.status().Connectivity.State; got != "online" {
		t.Errorf("the line is said to be %s, since one operation breaks headquarters", got)
	}
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Deed{{}, {By: "Ada"}, {Note: "x"}, {By: "Ada", Note: strings.Repeat("x", deedMost+1)}} {
		if _, err := a.Retry(t.Context(), bad.ID, d); err == nil {
			t.Errorf("%+v was taken", d)
		}
	}
	if _, err := a.Retry(t.Context(), "op_none", Deed{By: "Ada", Note: "x"}); !errors.Is(err, doors.ErrNotFound) {
		t.Errorf("retry of nothing: %v", err)
	}
	f.set(func(f *fakeHQ) { f.poison = "" })
	op, err := a.Retry(t.Context(), bad.ID, Deed{By: "Ada", Note: "mended"})
	if err != nil || op.Parked != nil || len(op.Notes) != 1 {
		t.Fatalf("retry: %+v (%v)", op, err)
	}
	eventually(t, "it goes through", func() bool {
		op, err := s.hub.Operation(t.Context(), admin, bad.ID)
		return err == nil && op.State == doors.Succeeded
	})
	if _, err := a.Retry(t.Context(), bad.ID, Deed{By: "Ada", Note: "again"}); !errors.Is(err, doors.ErrInvalidField) {
		t.Errorf("retry of what is done: %v", err)
	}
}

// A failed payment is a finding until a person has settled it, with the hub running or not.
func TestAFailedPaymentIsAFindingUntilItIsResolved(t *testing.T) {
	f := newFakeHQ()
	f.fail["pi_1"], f.fail["pi_2"] = "authorisation_lapsed", "card_declined"
	s := open(t, f, t.TempDir())
	first, second := s.capture("pi_1", "k1"), s.capture("pi_2", "k2")
	eventually(t, "both fail", func() bool { return s.hub.status().Queue.Unresolved == 2 })
	found := func() (list []string) {
		s.hub.monitor.refresh()
		for _, c := range s.hub.monitor.current().Causes {
			for _, id := range c.Targets {
				list = append(list, c.Code+" "+id)
			}
		}
		slices.Sort(list)
		return list
	}
	want := []string{"authorisation_lapsed " + first.ID, "operation_failed " + second.ID}
	if got := found(); !slices.Equal(got, want) {
		t.Fatalf("found %q, want %q", got, want)
	}
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	deed := Deed{By: "Ada", Note: "paid in cash"}
	if op, err := a.Resolve(t.Context(), first.ID, deed); err != nil || !op.Resolved || op.Notes[0].By != "Ada" {
		t.Fatalf("resolve: %+v (%v)", op, err)
	}
	if got := found(); !slices.Equal(got, want[1:]) {
		t.Errorf("found %q after one was resolved", got)
	}
	if _, err := ResolveStored(t.Context(), s.hub.cfg, second.ID, deed); !errors.Is(err, offlinequeue.ErrInUse) {
		t.Errorf("on the disk of a hub that runs: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if op, err := ResolveStored(t.Context(), s.hub.cfg, second.ID, deed); err != nil || !op.Resolved {
		t.Fatalf("resolve on the disk: %+v (%v)", op, err)
	}
	if _, err := RetryStored(t.Context(), s.hub.cfg, second.ID, deed); !errors.Is(err, doors.ErrInvalidField) {
		t.Errorf("retry of what is not parked: %v", err)
	}
	none := s.hub.cfg
	none.StateDir = t.TempDir()
	if _, err := RetryStored(t.Context(), none, second.ID, deed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no queue: %v", err)
	}
	s = open(t, f, s.dir)
	if got := found(); len(got) > 0 {
		t.Errorf("found %q after both were resolved", got)
	}
	if status, _ := s.ask("GET", "/v1/status", s.credential, ""); status != http.StatusOK {
		t.Errorf("status: %d", status)
	}
}

// What was resolved while headquarters was silent, or on the disk of a hub that did not
// run, is told when it can be.
func TestMoney_3_4_HeadquartersHearsWhatWasResolved(t *testing.T) {
	f := newFakeHQ()
	f.fail["pi_1"], f.fail["pi_2"], f.fail["pi_3"] = "card_declined", "card_declined", "card_declined"
	s := open(t, f, t.TempDir())
	first, second := s.capture("pi_1", "k1"), s.capture("pi_2", "k2")
	s.capture("pi_3", "k3")
	eventually(t, "all fail", func() bool { return s.hub.status().Queue.Unresolved == 3 })
	told := func() (list []string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, r := range f.resolved {
			list = append(list, r.ID+" "+r.By+" "+r.Note)
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	f.cut()
	if _, err := a.Resolve(t.Context(), first.ID, Deed{By: "Ada", Note: "paid in cash"}); err != nil {
		t.Fatal(err)
	}
	f.mend()
	want := []string{first.ID + " Ada paid in cash"}
	eventually(t, "the first is told", func() bool { return slices.Equal(told(), want) })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := ResolveStored(t.Context(), s.hub.cfg, second.ID, Deed{By: "Eve", Note: "came back"}); err != nil {
		t.Fatal(err)
	}
	s = open(t, f, s.dir)
	want = append(want, second.ID+" Eve came back")
	slices.Sort(want)
	eventually(t, "both are told", func() bool { return slices.Equal(told(), want) })
}
