package hq_test

import (
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// ordered is a capture that names its order.
func ordered(id, pi, order string, amount int64) hq.Submitted {
	o := op(doors.Capture, id, pi, amount)
	o.Data = []byte(`{"order":"` + order + `"}`)
	return o
}

// cases are the kinds that a day's comparison tells, by ref.
func (s *shop) cases(r hq.Reconciliation) map[string]hq.Case {
	found := map[string]hq.Case{}
	for _, c := range r.Cases {
		found[c.Ref] = c
	}
	return found
}

// TestReconcileProposesARefundThatAPersonConfirms: against Stripe, from finding to money.
func TestReconcileProposesARefundThatAPersonConfirms(t *testing.T) {
	s := newShop(t)
	first, second, unnamed, foreign := s.authorised("1000"), s.authorised("1000"), s.authorised("700"), s.elsewhere("")
	s.stripe("POST", "/v1/payment_intents/"+foreign+"/capture", "")
	s.submit(ordered("op_1", first, "A-7", 1000), ordered("op_2", second, "A-7", 1000))
	s.want("op_1", doors.Succeeded, "")
	s.want("op_2", doors.Succeeded, "")
	noon := time.Now().UTC().Add(-12 * time.Hour) // it is the middle of the shop's day
	s.configure(hq.Change{TimeZone: p("UTC"), DayEnds: p(noon.Format("15:04"))})
	today := noon.Format(time.DateOnly)
	for range 2 { // found once, however often it is looked for
		r, err := s.server.Reconcile(t.Context(), "0412", today)
		if err != nil {
			t.Fatal(err)
		}
		found := s.cases(r)
		twin := found[second]
		if twin.Kind == "" {
			twin = found[first] // both were made in one second
		}
		if len(r.Cases) != 2 || twin.Kind != "twin_charge" || twin.Finding == 0 || found[unnamed].Kind != "unnamed_authorisation" || r.Payments != 3 || r.Received["usd"] != 2000 {
			t.Fatalf("%+v", r)
		}
	}
	twin := s.finding("twin_charge", "")
	if n, _ := s.effects(twin.Ref, "refunded"); n != 0 {
		t.Fatal("refunded before anybody confirmed")
	}
	s.decide(twin, true)
	waitFor(t, "the refund", func() bool { n, _ := s.effects(twin.Ref, "refunded"); return n == 1 })
	s.exactly(twin.Ref, "refunded", 1000)
	s.decide(s.finding("unnamed_authorisation", unnamed), false)
	r, err := s.server.Reconcile(t.Context(), "0412", today)
	if err != nil || len(r.Cases) != 0 || r.Decided != 1 {
		t.Errorf("decided and yet: %+v, %v", r, err)
	}
}

func TestReconcileRefusesWhatIsNoDay(t *testing.T) {
	s := newShop(t)
	for store, day := range map[string]string{"0412": "2099-01-01", "0499": "", "0412 ": "2026-01-01"} {
		if _, err := s.server.Reconcile(t.Context(), store, day); err == nil {
			t.Errorf("reconciled %q of %q", day, store)
		}
	}
}

// TestMoney_5_4_EachStoreIsReconciledWhenItsOwnDayIsOver: nobody asks for it, and
// it happens once.
func TestMoney_5_4_EachStoreIsReconciledWhenItsOwnDayIsOver(t *testing.T) {
	s := newShop(t)
	unnamed := s.authorised("700")
	s.pass(30 * time.Hour)
	s.finding("unnamed_authorisation", unnamed)
	s.decide(s.finding("unnamed_authorisation", unnamed), false)
	s.pass(time.Hour)
	s.pass(24 * time.Hour) // the day is looked at again; what was decided stays so
	s.nothingFound("unnamed_authorisation")
}

func TestMoney_1_4_TheLocationIsAskedForEachDay(t *testing.T) {
	s := newShop(t)
	s.nothingFound("location_mismatch")
	place := s.place()
	if err := s.server.MoveStore(t.Context(), hq.Store{ID: "0412", Location: place}); err != nil {
		t.Fatal(err)
	}
	s.stripe("DELETE", "/v1/terminal/locations/"+place, "")
	s.pass(30 * time.Hour)
	s.finding("location_mismatch", place)
}
