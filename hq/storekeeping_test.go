package hq_test

import (
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

func TestMoney_1_3_AFormerLocationStillProvesWhosePaymentsAre(t *testing.T) {
	s := newShop(t)
	pi := s.stripe("POST", "/v1/payment_intents", "amount=1000&currency=usd&capture_method=manual&payment_method_types[]=card_present")["id"].(string)
	s.pay(pi)
	to := s.place()
	if err := s.server.MoveStore(t.Context(), hq.Store{ID: "0412", Location: to}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.client.Store(t.Context()); err != nil || st.Location != to {
		t.Fatalf("store %+v, %v", st, err)
	}
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	// And back again.
	if err := s.server.MoveStore(t.Context(), hq.Store{ID: "0412", Location: s.loc}); err != nil {
		t.Fatal(err)
	}
}

func TestMoney_1_4_AStoreIsNotMovedElsewhereWhileAnythingIsOpen(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.waits("op_1", "awaiting_authorisation")
	ctx := t.Context()
	away := hq.Store{ID: "0412", Location: s.loc, Account: "acct_1other"}
	if err := s.server.MoveStore(ctx, away); err == nil || !strings.Contains(err.Error(), "1 operations without an outcome") {
		t.Errorf("moved to another account: %v", err)
	}
	if err := s.server.MoveStore(ctx, hq.Store{ID: "0412", Location: s.loc, Mode: doors.Live}); err == nil {
		t.Error("moved to another mode")
	}
	if err := s.server.RemoveStore(ctx, "0412"); err == nil {
		t.Error("removed with money under way")
	}
	s.submit(op(doors.Cancel, "op_2", pi, 0))
	s.want("op_2", doors.Succeeded, "")
	s.want("op_1", doors.Failed, "payment_canceled")
	if err := s.server.MoveStore(ctx, away); err != nil {
		t.Errorf("nothing is open: %v", err)
	}
	if err := s.server.RemoveStore(ctx, "0412"); err != nil {
		t.Errorf("nothing is open: %v", err)
	}
	s.refusedEverything("credential_refused")
	if list, err := s.server.Stores(ctx); err != nil || len(list) != 0 {
		t.Errorf("stores %+v, %v", list, err)
	}
	if err := s.server.RemoveStore(ctx, "0412"); err == nil {
		t.Error("removed twice")
	}
}

func TestBadChangesAreRefused(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	for name, c := range map[string]hq.Change{
		"zone": {TimeZone: p("Mars/Olympus")}, "day": {DayEnds: p("24:00")}, "over": {OverAmount: p("more")}, "uncaptured": {Uncaptured: p("x")},
		"our own key": {TrustKey: p("storehub_store")}, "key": {TrustKey: p("a b")}, "revoke": {Revoke: p("later")},
	} {
		if err := s.server.ConfigureStore(ctx, "0412", c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := s.server.ConfigureStore(ctx, "0499", hq.Change{}); err == nil {
		t.Error("configured a store that is not there")
	}
	list, err := s.server.Stores(ctx)
	if err != nil || len(list) != 1 || list[0].OverAmount != hq.OverCapture || list[0].Uncaptured != hq.UncapturedReport || list[0].Hub != "enrolled" {
		t.Errorf("stores %+v, %v", list, err)
	}
}

func p[T any](v T) *T { return &v }

// What tills took offline is forwarded to the Location at which it was taken: nothing is
// moved while some is pending, or may be.
func TestMoney_3_6_AStoreIsNotMovedWhileOfflinePaymentsMayBePending(t *testing.T) {
	s := newShop(t)
	to := hq.Store{ID: "0412", Location: s.place()}
	refused := func(why string) {
		t.Helper()
		if err := s.server.MoveStore(t.Context(), to); err == nil || !strings.Contains(err.Error(), why) {
			t.Fatalf("moved: %v, want %q", err, why)
		}
	}
	ref := "0b9b6f1e-1111-4c1c-9b53-000000000002"
	s.submit(op(doors.OfflinePayment, "op_1", ref, 1000))
	s.waits("op_1", "awaiting_forwarding")
	refused("1 payments that were taken offline")
	pi := s.stripe("POST", "/v1/payment_intents", "amount=1000&currency=usd&capture_method=manual&payment_method_types[]=card_present&metadata[storehub_ref]="+ref)["id"].(string)
	s.pay(pi)
	s.want("op_1", doors.Succeeded, "")

	waiting := ready() // two operations wait on the hub's disk
	s.report(waiting)
	refused("2 operations wait on its disk alone")
	waiting.Queue.Pending = 0
	s.report(waiting)
	if err := s.server.MoveStore(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	// Readers take payments offline, and the hub has fallen silent: nobody knows.
	s.stripe("POST", "/v1/terminal/configurations/"+s.stripe("GET", "/v1/terminal/configurations", "is_account_default=true")["data"].([]any)[0].(map[string]any)["id"].(string), "offline[enabled]=true")
	on := true
	if _, err := s.server.CompareConfiguration(t.Context(), "0412", hq.Wanted{Offline: &on}); err != nil {
		t.Fatal(err)
	}
	to.Location = s.loc
	s.down()
	s.shift.Store(int64(time.Hour))
	s.up()
	refused("its hub is silent")
	s.report(waiting)
	if err := s.server.MoveStore(t.Context(), to); err != nil {
		t.Error(err)
	}
}
