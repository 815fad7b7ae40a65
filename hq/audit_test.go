package hq_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// acts is the audit log from a number on, a line each.
func (s *shop) acts(after int64) (lines []string, last int64) {
	s.t.Helper()
	list, err := s.server.Audit(s.t.Context(), hq.AuditQuery{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range list {
		if last = a.ID; a.ID > after {
			lines = append(lines, strings.Join([]string{a.By, a.Act, a.Store, a.Detail}, " | "))
		}
		if time.Since(a.At) > time.Hour || time.Since(a.At) < -time.Hour {
			s.t.Errorf("when: %+v", a)
		}
	}
	return lines, last
}

// Every act of a person's is kept with who, when, and what became another.
func TestEveryActOfAPersonIsKept(t *testing.T) {
	s := newShop(t)
	before, _ := s.acts(0)
	if got := strings.Join(before, "\n"); got != "not named | store.add | 0412 | location "+s.loc+", mode test\nwho had the code | hub.enrol | 0412 | its first hub" {
		t.Fatalf("adding and enrolling: %s", got)
	}
	pi := s.captured("op_a", "1000", 1000)
	s.submit(op(doors.Refund, "op_1", pi, 300), op(doors.Refund, "op_2", pi, 300))
	s.waits("op_2", "twin_refund")
	place := s.place()
	_, last := s.acts(0)
	ctx := hq.By(t.Context(), "A. Meyer")
	for _, c := range []struct {
		name string
		do   func(context.Context) error
		want string
	}{
		{"another code", func(ctx context.Context) error {
			_, _, err := s.server.AddStore(ctx, hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test})
			return err
		}, "A. Meyer | store.code | 0412 | location " + s.loc + ", mode test"},
		{"configure", func(ctx context.Context) error {
			return s.server.ConfigureStore(ctx, "0412", hq.Change{RefundLimit: p(int64(1000)), Uncaptured: p(hq.UncapturedReport)})
		}, `A. Meyer | store.configure | 0412 | refund_limit "0" became "1000"`},
		{"change nothing", func(ctx context.Context) error { return s.server.ConfigureStore(ctx, "0412", hq.Change{}) }, ""},
		{"bad change", func(ctx context.Context) error {
			_ = s.server.ConfigureStore(ctx, "0412", hq.Change{TimeZone: p("Mars/Olympus")})
			return nil
		}, ""},
		{"move", func(ctx context.Context) error { return s.server.MoveStore(ctx, hq.Store{ID: "0412", Location: place}) },
			`A. Meyer | store.move | 0412 | location "` + s.loc + `" became "` + place + `"`},
		{"decide", func(ctx context.Context) error {
			return s.server.Decide(ctx, hq.Decision{Finding: s.finding("twin_refund", "op_2").ID, Confirm: true, By: "B. Brown", Note: "called\nthe customer"})
		}, "B. Brown | finding.confirmed | 0412 | 1 twin_refund op_2: called the customer"},
		{"import", func(ctx context.Context) error {
			_, err := s.server.Import(ctx, hq.Export{Schema: 1, Store: "0412", At: time.Now(), Operations: []hq.Submitted{op(doors.Heartbeat, "op_carried", "", 0)}})
			return err
		}, "A. Meyer | store.import | 0412 | 1 operations recorded, 0 were known"},
		{"the refund ends", func(context.Context) error { s.want("op_2", doors.Succeeded, ""); return nil }, ""},
		{"revoke", func(ctx context.Context) error {
			return s.server.ConfigureStore(ctx, "0412", hq.Change{Revoke: p("drain")})
		}, "A. Meyer | store.revoke | 0412 | drain"},
	} {
		if err := c.do(ctx); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var lines []string
		if lines, last = s.acts(last); strings.Join(lines, "\n") != c.want {
			t.Errorf("%s: %q, want %q", c.name, lines, c.want)
		}
	}
	if err := s.server.RemoveStore(ctx, "0412"); err != nil {
		t.Fatal(err)
	}
	if lines, _ := s.acts(last); strings.Join(lines, "\n") != "A. Meyer | store.remove | 0412 | location "+place+", mode test" {
		t.Errorf("remove: %q", lines)
	}
}

// What a person in the shop has settled is kept once, however often the hub tells it.
func TestAResolutionIsKeptOnce(t *testing.T) {
	s := newShop(t)
	s.submit(op(doors.Refund, "op_1", s.created("1000"), 300))
	s.want("op_1", doors.Failed, "not_captured")
	_, last := s.acts(0)
	for range 3 {
		if err := s.client.Resolve(t.Context(), hq.Resolutions{Resolutions: []hq.Resolution{{ID: "op_1", By: "C. Clerk", Note: "paid in cash", At: time.Now()}}}); err != nil {
			t.Fatal(err)
		}
	}
	if lines, _ := s.acts(last); strings.Join(lines, "\n") != "C. Clerk (in the shop) | failure.resolve | 0412 | op_1: paid in cash" {
		t.Errorf("kept %q", lines)
	}
}

// An act and its line are one: where the line cannot be written nothing was done.
func TestAnActWithoutItsLineIsNotDone(t *testing.T) {
	s := newShop(t)
	place := s.place()
	_, last := s.acts(0)
	for step, do := range map[string]func() error{
		"audit:store.add": func() error {
			_, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0413", Location: place, Mode: doors.Test})
			return err
		},
		"audit:store.configure": func() error { return s.server.ConfigureStore(t.Context(), "0412", hq.Change{Name: p("x")}) },
		"audit:store.revoke":    func() error { return s.server.ConfigureStore(t.Context(), "0412", hq.Change{Revoke: p("now")}) },
		"audit:store.move":      func() error { return s.server.MoveStore(t.Context(), hq.Store{ID: "0412", Location: place}) },
		"audit:store.remove":    func() error { return s.server.RemoveStore(t.Context(), "0412") },
	} {
		broke := s.breakAt(step, 1)
		if err := do(); err == nil || !broke() {
			t.Errorf("%s: %v", step, err)
		}
	}
	list, err := s.server.Stores(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "" || list[0].Hub != "enrolled" || list[0].Location != s.loc {
		t.Errorf("stores %+v, %v", list, err)
	}
	if lines, _ := s.acts(last); lines != nil {
		t.Errorf("lines of what was not done: %q", lines)
	}
}

func TestAuditIsAskedByStoreTimeAndNumber(t *testing.T) {
	s := newShop(t)
	s.another("0413")
	for name, c := range map[string]struct {
		q    hq.AuditQuery
		want int
	}{
		"all": {hq.AuditQuery{}, 4}, "a store": {hq.AuditQuery{Store: "0413"}, 2}, "the last": {hq.AuditQuery{Last: 1}, 1},
		"later": {hq.AuditQuery{Since: time.Now().Add(time.Hour)}, 0}, "no such store": {hq.AuditQuery{Store: "0499"}, 0},
	} {
		list, err := s.server.Audit(t.Context(), c.q)
		if err != nil || len(list) != c.want {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
}
