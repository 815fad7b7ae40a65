package hq_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/sandbox"
)

// aMail asks that Stripe's own receipt be sent to an address.
func aMail(id, ref, to string) hq.Submitted {
	o := op(doors.Receipt, id, ref, 0)
	o.Data = json.RawMessage(`{"email":"` + to + `","send":true}`)
	return o
}

func withPersonalKey(t *testing.T) func(*hq.Options) {
	return func(o *hq.Options) { o.PersonalKeys = personalKeys(t, keyA) }
}

// A receipt is mailed once, under the operation's id, whatever becomes of Stripe's answer.
func TestMoney_2_1_AReceiptIsMailedOnce(t *testing.T) {
	for _, kind := range []string{"429", "500-after", "lost", "reset"} {
		t.Run(kind, func(t *testing.T) {
			s := newShop(t, withPersonalKey(t))
			pi := s.captured("op_0", "1000", 1000)
			s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/charges/", Kind: kind, Times: 2})
			s.submit(aMail("op_1", pi, customer))
			if it := s.want("op_1", doors.Succeeded, ""); !strings.Contains(it.Message, "no e-mail in test mode") || !strings.Contains(string(it.Result), `"ch_`) {
				t.Errorf("it ended %+v", it)
			}
			s.exactly(pi, sandbox.EffectNotMailed, 0)
			for _, e := range s.box.Books() {
				if e.Effect == sandbox.EffectNotMailed && e.Key != "op_1" {
					t.Errorf("mailed under key %q, want op_1", e.Key)
				}
			}
			if all := s.server.Everything(t); strings.Contains(all, customer) {
				t.Error("the address stands in the database in the clear")
			}
		})
	}
}

// A key that Stripe has forgotten mails no second one, and one that went out is not said to
// have failed however late that is seen: the charge tells whose it was.
func TestMoney_2_2_AReceiptIsNotMailedAgainWhenStripeForgotItsKey(t *testing.T) {
	for _, silent := range []time.Duration{25 * time.Hour, 80 * time.Hour} {
		t.Run(silent.String(), func(t *testing.T) {
			s := newShop(t, withPersonalKey(t))
			pi := s.captured("op_0", "1000", 1000)
			s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/charges/", Kind: "lost", Times: 1})
			// The answer is lost, and then Stripe is silent.
			broke := s.breakAt("act:after", 1)
			s.submit(aMail("op_1", pi, customer))
			waitFor(t, "the answer to be lost", broke)
			s.box.Inject(sandbox.Fault{Path: "/v1/", Kind: "reset"})
			s.down()
			s.fault.Store(nil)
			s.box.Clear()
			s.box.Advance(silent)
			s.shift.Store(int64(silent))
			s.up()
			s.want("op_1", doors.Succeeded, "")
			s.exactly(pi, sandbox.EffectNotMailed, 0)

			// A second one is another operation, and goes out.
			s.submit(aMail("op_2", pi, "else@example.com"))
			s.want("op_2", doors.Succeeded, "")
			if n, _ := s.effects(pi, sandbox.EffectNotMailed); n != 2 {
				t.Errorf("%d were mailed, want the second too", n)
			}
		})
	}
}

// A receipt waits for the capture and holds no money up.
func TestMoney_3_2_AReceiptWaitsForItsCaptureAndHoldsNothingUp(t *testing.T) {
	s := newShop(t, withPersonalKey(t))
	pi := s.authorised("1000")
	s.submit(aMail("op_1", pi, customer))
	s.waits("op_1", "not_captured")
	s.submit(op(doors.Capture, "op_2", pi, 1000))
	s.want("op_2", doors.Succeeded, "")
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, sandbox.EffectNotMailed, 0)
}

// What cannot be mailed ends, each with its reason, and repeats no address.
func TestAReceiptThatCannotBeMailedEnds(t *testing.T) {
	s := newShop(t, withPersonalKey(t))
	pi, gone, late := s.captured("op_0", "1000", 1000), s.authorised("500"), s.authorised("700")
	s.stripe("POST", "/v1/payment_intents/"+gone+"/cancel", "")
	s.submit(aMail("op_bad", pi, "nobody@nowhere"), aMail("op_gone", gone, customer), aMail("op_late", late, customer))
	bad := s.want("op_bad", doors.Failed, "email_invalid")
	s.want("op_gone", doors.Failed, "payment_canceled")
	s.waits("op_late", "not_captured")
	if all := s.server.Everything(t); strings.Contains(all, "nobody@nowhere") || strings.Contains(bad.Message, "nobody") {
		t.Errorf("Stripe's words repeat the address: %+v", bad)
	}
	s.shift.Store(int64(73 * time.Hour))
	s.server.Hurry()
	s.want("op_late", doors.Failed, "receipt_not_sent")
	if n, _ := s.effects(pi, sandbox.EffectNotMailed); n != 0 {
		t.Error("it was mailed all the same")
	}
}

// A receipt goes out for a store's own payments alone.
func TestMoney_1_3_NoReceiptOfAnotherPlacesPayment(t *testing.T) {
	s := newShop(t, withPersonalKey(t))
	loc := s.place()
	rd := s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-wpe&location="+loc)["id"].(string)
	pi := s.stripe("POST", "/v1/payment_intents", "amount=1000&currency=usd&payment_method_types[]=card_present")["id"].(string)
	s.stripe("POST", "/v1/terminal/readers/"+rd+"/process_payment_intent", "payment_intent="+pi)
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+rd+"/present_payment_method", "")
	s.submit(aMail("op_1", pi, customer))
	s.want("op_1", doors.Failed, "payment_unproven")
	if n, _ := s.effects(pi, sandbox.EffectNotMailed); n != 0 {
		t.Error("another place's receipt was mailed")
	}
}

// Where the address was never kept, or is erased, it is not known, and that is said.
func TestAReceiptWhoseAddressIsNotKeptIsNotMailed(t *testing.T) {
	s := newShop(t)
	pi := s.captured("op_0", "1000", 1000)
	s.submit(aMail("op_1", pi, customer), aReceipt("op_2", pi))
	if it := s.want("op_1", doors.Failed, "receipt_not_sent"); !strings.Contains(it.Message, "not kept") {
		t.Errorf("it ended %+v", it)
	}
	s.want("op_2", doors.Succeeded, "") // it asks for no more than to be kept
}
