package hq_test

import (
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// finding waits for an open finding of that code about ref ("": any).
func (s *shop) finding(code, ref string) (found hq.Finding) {
	s.t.Helper()
	waitFor(s.t, "finding "+code+" about "+ref, func() bool {
		list, err := s.server.Findings(s.t.Context(), "0412")
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range list {
			if f.Code == code && (ref == "" || f.Ref == ref) {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

// nothingFound fails if there is an open finding of that code.
func (s *shop) nothingFound(code string) {
	s.t.Helper()
	list, err := s.server.Findings(s.t.Context(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range list {
		if f.Code == code {
			s.t.Errorf("open finding %+v", f)
		}
	}
}

func (s *shop) decide(f hq.Finding, confirm bool) {
	s.t.Helper()
	if err := s.server.Decide(s.t.Context(), hq.Decision{Finding: f.ID, Confirm: confirm, By: "A. Meyer", Note: "asked the customer"}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) configure(c hq.Change) {
	s.t.Helper()
	if err := s.server.ConfigureStore(s.t.Context(), "0412", c); err != nil {
		s.t.Fatal(err)
	}
}

// pass lets time go by for headquarters and Stripe while headquarters is down.
func (s *shop) pass(d time.Duration) {
	s.t.Helper()
	s.down()
	s.shift.Add(int64(d))
	s.box.Advance(d)
	s.up()
}

// captured is a payment that was captured by an operation of that id.
func (s *shop) captured(id, amount string, cents int64) string {
	s.t.Helper()
	pi := s.authorised(amount)
	s.submit(op(doors.Capture, id, pi, cents))
	s.want(id, doors.Succeeded, "")
	return pi
}

func TestMoney_2_5_ATwinRefundIsAManagersDecision(t *testing.T) {
	s := newShop(t)
	yes, no := s.captured("op_a", "1000", 1000), s.captured("op_b", "1000", 1000)
	s.submit(op(doors.Refund, "op_1", yes, 300), op(doors.Refund, "op_2", yes, 300), op(doors.Refund, "op_3", no, 300), op(doors.Refund, "op_4", no, 300))
	s.waits("op_2", "twin_refund")
	s.waits("op_4", "twin_refund")
	// It waits for a person for as long as it takes.
	s.pass(100 * time.Hour)
	first, second := s.finding("twin_refund", "op_2"), s.finding("twin_refund", "op_4")
	s.decide(first, true)
	s.decide(second, false)
	s.want("op_2", doors.Succeeded, "")
	s.want("op_4", doors.Failed, "dismissed")
	if n, sum := s.effects(yes, "refunded"); n != 2 || sum != 600 {
		t.Errorf("confirmed: refunded %d times, %d in all", n, sum)
	}
	s.exactly(no, "refunded", 300)
	s.nothingFound("twin_refund")
	if err := s.server.Decide(t.Context(), hq.Decision{Finding: first.ID, Confirm: true, By: "B", Note: "again"}); err == nil {
		t.Error("a finding was decided twice")
	}
}

func TestMoney_2_5_ADecisionHasANameAndAReason(t *testing.T) {
	s := newShop(t)
	pi := s.captured("op_a", "1000", 1000)
	s.submit(op(doors.Refund, "op_1", pi, 300), op(doors.Refund, "op_2", pi, 300))
	s.waits("op_2", "twin_refund")
	f := s.finding("twin_refund", "op_2")
	for _, d := range []hq.Decision{{Finding: f.ID, Confirm: true}, {Finding: f.ID, Confirm: true, By: "A"}, {Finding: f.ID, Confirm: true, Note: "n"}, {Finding: 9999, By: "A", Note: "n"}} {
		if err := s.server.Decide(t.Context(), d); err == nil {
			t.Errorf("decided by %+v", d)
		}
	}
	broke := s.breakAt("decide:record", 1)
	if err := s.server.Decide(t.Context(), hq.Decision{Finding: f.ID, Confirm: true, By: "A", Note: "n"}); err == nil || !broke() {
		t.Fatal("decided although the disk broke")
	}
	s.decide(s.finding("twin_refund", "op_2"), true)
	s.want("op_2", doors.Succeeded, "")
}

// elsewhere is an authorised payment that nothing shows to be the store's.
func (s *shop) elsewhere(more string) string {
	s.t.Helper()
	rd := s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-wpe&location="+s.place())["id"].(string)
	id := s.stripe("POST", "/v1/payment_intents", "amount=1000&currency=usd&capture_method=manual&payment_method_types[]=card_present"+more)["id"].(string)
	s.stripe("POST", "/v1/terminal/readers/"+rd+"/process_payment_intent", "payment_intent="+id)
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+rd+"/present_payment_method", "")
	return id
}

func TestMoney_1_3_AnUnprovenCaptureIsEscalatedBeforeItsDeadline(t *testing.T) {
	s := newShop(t)
	pi := s.elsewhere("")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	it := s.waits("op_1", "payment_unproven")
	s.finding("payment_unproven", "op_1")
	s.nothingFound("decision_overdue")
	s.pass(time.Until(*it.Deadline) - 5*time.Hour)
	s.finding("decision_overdue", "op_1")
	if told := s.until("the store being told", func(it hq.Item) bool { return it.Type == "finding" }); told.Event != "decision_overdue" {
		t.Errorf("told %+v", told)
	}
	s.decide(s.finding("payment_unproven", "op_1"), true)
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
	s.nothingFound("decision_overdue") // it settled
}

func TestMoney_1_3_MetadataProvesNothingUnlessTheStoreTrustsIt(t *testing.T) {
	s := newShop(t)
	first, second := s.elsewhere("&metadata[shop]=0412"), s.elsewhere("&metadata[shop]=0412")
	s.submit(op(doors.Capture, "op_1", first, 1000))
	s.waits("op_1", "payment_unproven")
	key := "shop"
	s.configure(hq.Change{TrustKey: &key})
	s.submit(op(doors.Capture, "op_2", second, 1000))
	s.want("op_2", doors.Succeeded, "")
	other := s.elsewhere("&metadata[shop]=0413")
	s.submit(op(doors.Capture, "op_3", other, 1000))
	s.waits("op_3", "payment_unproven")
}

func TestMoney_2_3_OverAmountIsHeldWhereThePolicySaysSo(t *testing.T) {
	s := newShop(t)
	hold := hq.OverHold
	s.configure(hq.Change{OverAmount: &hold})
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 90_000))
	it := s.waits("op_1", "needs_decision")
	s.pass(time.Until(*it.Deadline) - 5*time.Hour)
	s.finding("decision_overdue", "op_1")
	if n, _ := s.effects(pi, "captured"); n != 0 {
		t.Fatal("captured although the policy is to hold")
	}
	s.decide(s.finding("needs_decision", "op_1"), true)
	s.want("op_1", doors.Failed, "amount_differs")
	s.exactly(pi, "captured", 1000)
}

func TestMoney_2_3_OverAmountThatIsDismissedIsNotCaptured(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 90_000))
	s.waits("op_1", "needs_decision")
	s.decide(s.finding("needs_decision", "op_1"), false)
	s.want("op_1", doors.Failed, "dismissed")
	if n, _ := s.effects(pi, "captured"); n != 0 {
		t.Error("captured although a person decided against it")
	}
}

func TestMoney_2_3_ASecondPartialCaptureIsRefused(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 400), op(doors.Capture, "op_2", pi, 300))
	s.want("op_1", doors.Succeeded, "")
	s.want("op_2", doors.Failed, "amount_differs")
	s.exactly(pi, "captured", 400)
}

func TestMoney_2_4_AnUnauthorisedCaptureIsAFindingAfterAnHour(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.waits("op_1", "awaiting_authorisation")
	s.nothingFound("awaiting_authorisation")
	s.pass(61 * time.Minute)
	s.finding("awaiting_authorisation", "op_1")
	s.pay(pi)
	s.want("op_1", doors.Succeeded, "")
	s.nothingFound("awaiting_authorisation")
}

func TestMoney_3_1_ARetriedCaptureAsksWhetherTheOrderWasPaidMeanwhile(t *testing.T) {
	s := newShop(t)
	ordered := func(id, pi string) hq.Submitted {
		o := op(doors.Capture, id, pi, 1000)
		o.Data = []byte(`{"order":"A-7"}`)
		return o
	}
	first, second := s.created("1000"), s.authorised("1000")
	s.stripe("POST", "/v1/payment_intents/"+first+"/cancel", "")
	third := s.authorised("1000")
	s.submit(ordered("op_1", first), ordered("op_2", second))
	s.want("op_1", doors.Failed, "payment_canceled")
	s.want("op_2", doors.Succeeded, "") // nobody had paid yet
	s.submit(ordered("op_3", third))
	s.waits("op_3", "order_already_paid")
	if n, _ := s.effects(third, "captured"); n != 0 {
		t.Fatal("the order was captured twice")
	}
	s.decide(s.finding("order_already_paid", "op_3"), false)
	s.want("op_3", doors.Failed, "dismissed")
}

func TestMoney_3_4_FailuresOfMoneyStayUntilAPersonDecides(t *testing.T) {
	s := newShop(t)
	lapsed, open := s.authorised("1000"), s.authorised("1000")
	s.down()
	s.box.Advance(8 * 24 * time.Hour)
	s.shift.Store(int64(8 * 24 * time.Hour))
	s.up()
	s.submit(op(doors.Capture, "op_1", lapsed, 1000), op(doors.Refund, "op_2", open, 1000))
	s.want("op_1", doors.Failed, "authorisation_lapsed")
	f := s.finding("authorisation_lapsed", "op_1")
	s.finding("operation_failed", "op_2")
	s.down()
	s.up()
	s.decide(s.finding("authorisation_lapsed", "op_1"), true)
	s.nothingFound("authorisation_lapsed")
	if f.Note == "" || f.At.IsZero() {
		t.Errorf("finding %+v", f)
	}
}

// What a person in the shop has seen to is closed here too, and nothing that must be
// decided before money moves.
func TestMoney_3_4_WhatIsResolvedInTheShopIsClosedHere(t *testing.T) {
	s := newShop(t)
	open, pi := s.authorised("1000"), s.authorised("2000")
	s.submit(op(doors.Refund, "op_1", open, 1000), op(doors.Capture, "op_2", pi, 2000))
	s.want("op_1", doors.Failed, "not_captured")
	s.want("op_2", doors.Succeeded, "")
	s.submit(op(doors.Refund, "op_3", pi, 500), op(doors.Refund, "op_4", pi, 500))
	s.waits("op_4", "twin_refund")
	s.finding("operation_failed", "op_1")
	tell := func() error {
		var r hq.Resolutions
		for _, id := range []string{"op_1", "op_4", "op_nobodys"} {
			r.Resolutions = append(r.Resolutions, hq.Resolution{ID: id, By: "Ada", Note: "paid in cash", At: time.Unix(1_790_000_000, 0)})
		}
		return s.client.Resolve(t.Context(), r)
	}
	s.breakAt("resolutions:record", 1)
	if err := tell(); err == nil || isRefusal(err, "") {
		t.Fatalf("told although the disk broke: %v", err)
	}
	s.finding("operation_failed", "op_1")
	for range 2 { // it may be told again
		if err := tell(); err != nil {
			t.Fatal(err)
		}
	}
	s.nothingFound("operation_failed")
	s.finding("twin_refund", "op_4")
	for what, r := range map[string]hq.Resolution{"missing_field": {ID: "op_1", Note: "n"}, "invalid_field": {ID: "", By: "b", Note: "n"}} {
		if err := s.client.Resolve(t.Context(), hq.Resolutions{Resolutions: []hq.Resolution{r}}); !isRefusal(err, what) {
			t.Errorf("%+v: %v, want %s", r, err, what)
		}
	}
}
