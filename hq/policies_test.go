package hq_test

import (
	"strings"
	"testing"
	"time"

	"storehub/hq"
)

// policyLine waits for a policy's line in the feed, and reads it.
func (s *shop) policyLine(version uint64) hq.ShopPolicy {
	s.t.Helper()
	var p hq.ShopPolicy
	s.until("a policy", func(it hq.Item) bool {
		if it.Type != "policy" {
			return false
		}
		var err error
		if p, err = hq.ReadPolicy(it.Policy); err != nil {
			s.t.Fatalf("%s: %v", it.Policy, err)
		}
		return p.Version == version
	})
	return p
}

func (s *shop) policy() hq.PolicyState {
	s.t.Helper()
	list, err := s.server.Policies(s.t.Context(), "0412")
	if err != nil || len(list) != 1 {
		s.t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

func (s *shop) holds(version, refused uint64, why string) {
	s.t.Helper()
	r := blocked("dns_down", time.Now())
	r.Policy = &hq.ReportPolicy{Version: version, Refused: refused, Why: why}
	s.report(r)
}

// A decision goes into the store's feed in the transaction that makes it, with who and
// when; what the hub says of it is shown, and what it refused is a finding.
func TestAPolicyIsPushedAndReported(t *testing.T) {
	s := newShop(t)
	ctx := hq.By(t.Context(), "A. Meyer")
	_, last := s.acts(0)
	set, err := s.server.SetPolicy(ctx, "0412", hq.ShopPolicy{Workday: "8h", RefundLimit: p(int64(700))}, false)
	if err != nil || set.Version != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	if got := s.policyLine(1); got.By != "A. Meyer" || got.Workday != "8h" || *got.RefundLimit != 700 || time.Since(got.At) > time.Hour {
		t.Errorf("told: %+v", got)
	}
	if st, err := s.client.Store(t.Context()); err != nil || st.RefundLimit != 700 {
		t.Errorf("the record's limit: %d, %v", st.RefundLimit, err)
	}
	if got, _ := s.acts(last); len(got) != 1 || got[0] != "A. Meyer | policy.set | 0412 | version 1: workday 8h; refund limit 700" {
		t.Errorf("audit: %q", got)
	}
	if got := s.policy(); got.Held != 0 || got.HeldAt != nil {
		t.Errorf("nobody said so: %+v", got)
	}
	s.holds(1, 0, "")
	if got := s.policy(); got.Held != 1 || got.HeldAt == nil {
		t.Errorf("held: %+v", got)
	}
	// What a decision leaves out stays; the record's limit is one too.
	s.configure(hq.Change{RefundLimit: p(int64(900))})
	if got := s.policyLine(2); got.Workday != "8h" || *got.RefundLimit != 900 {
		t.Errorf("told: %+v", got)
	}
	s.holds(1, 2, "read policy: no")
	f := s.finding("policy_refused", "policy 2")
	if got := s.policy(); got.Refused != 2 || got.Why == "" || !strings.Contains(f.Note, "holds version 1: read policy: no") {
		t.Errorf("refused: %+v, %+v", got, f)
	}
	if set, err = s.server.SetPolicy(ctx, "0412", hq.ShopPolicy{Workday: "9h"}, true); err != nil || set.RefundLimit != nil {
		t.Fatalf("%+v, %v", set, err)
	}
	s.holds(3, 0, "")
	s.nothingFound("policy_refused")
}

// A hub that does not hold the newest is told again: at once in a new epoch, and after an
// hour of reports that say another version.
func TestAPolicyIsToldAgainToAHubThatLacksIt(t *testing.T) {
	s := newShop(t)
	if _, err := s.server.SetPolicy(t.Context(), "0412", hq.ShopPolicy{Workday: "8h"}, false); err != nil {
		t.Fatal(err)
	}
	s.policyLine(1)
	lines := func() (n int) {
		f, err := s.client.Feed(t.Context(), "", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range f.Items {
			if it.Type == "policy" {
				n++
			}
		}
		return n
	}
	s.report(blocked("dns_down", time.Now()))
	if n := lines(); n != 1 {
		t.Errorf("%d lines before an hour", n)
	}
	s.shift.Add(int64(61 * time.Minute))
	s.report(blocked("dns_down", time.Now()))
	s.report(blocked("dns_down", time.Now()))
	if n := lines(); n != 2 {
		t.Errorf("%d lines after an hour", n)
	}
	// A headquarters restored from before the policy that the hub holds takes a later number.
	s.holds(7, 0, "")
	set, err := s.server.SetPolicy(t.Context(), "0412", hq.ShopPolicy{Workday: "10h"}, false)
	if err != nil || set.Version != 8 {
		t.Errorf("%+v, %v", set, err)
	}
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0412", Location: s.loc, Mode: "test"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 2", Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	s.client.Credential = func() string { return e.Credential }
	if n := lines(); n != 1 {
		t.Errorf("%d lines for the hub that took its place", n)
	}
}

// A policy that cannot be is not decided, and says so to nobody.
func TestAPolicyThatCannotBeIsRefusedHere(t *testing.T) {
	s := newShop(t)
	for name, p := range map[string]hq.ShopPolicy{"workday": {Workday: "1m"}, "opening_hours": {OpeningHours: []string{"always"}}, "refund_limit": {RefundLimit: p(int64(-1))}} {
		if _, err := s.server.SetPolicy(t.Context(), "0412", p, false); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := s.server.Policies(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := s.server.Policies(t.Context(), "0499"); err == nil {
		t.Error("a store that is not there has policies")
	}
}

// FuzzReadPolicy: whatever a line of the feed holds is a policy that holds, or none.
func FuzzReadPolicy(f *testing.F) {
	f.Add([]byte(`{"version":1,"by":"x","at":"2026-11-26T09:00:00Z","workday":"8h","opening_hours":["mon-sat 08:00-22:00"],"refund_limit":700}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := hq.ReadPolicy(b)
		if err == nil && (p.Version == 0 || p.WorkdayLength() < 0 || p.RefundLimit != nil && *p.RefundLimit < 0) {
			t.Errorf("%+v", p)
		}
	})
}
