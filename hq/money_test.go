package hq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/sandbox"
)

// The tests of this file are named after the rules of money that they hold.

func TestMoney_1_1_SameIDWithAnotherBodyEndsTheNewcomer(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	seen := len(s.items)
	s.submit(op(doors.Capture, "op_1", pi, 900))
	it := s.until("the newcomer's end", func(it hq.Item) bool { return it.Seq > uint64(seen) && it.ID == "op_1" })
	if it.State != doors.Failed || it.Reason != "idempotency_key_reused" {
		t.Fatalf("newcomer ended %s %q", it.State, it.Reason)
	}
	s.exactly(pi, "captured", 1000)
}

func TestMoney_1_1_SameOperationOfferedTwiceIsDoneOnce(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	one := op(doors.Capture, "op_1", pi, 1000)
	s.submit(one)
	s.number, s.head = 0, "" // the receipt was lost: the hub offers the same numbers again
	s.submit(one)
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
}

func TestMoney_1_2_OneLinePerIntentKeepsOrder(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000), op(doors.Cancel, "op_2", pi, 0), op(doors.Refund, "op_3", pi, 400))
	s.want("op_1", doors.Succeeded, "")
	s.want("op_2", doors.Failed, "already_captured")
	s.want("op_3", doors.Succeeded, "")
	s.exactly(pi, "refunded", 400)
}

// What is later on a line waits for what is in trouble, though it could be tried.
func TestMoney_1_2_WhatIsLaterWaitsForWhatIsInTrouble(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/payment_intents/*/capture", Kind: "429", Times: 2})
	s.submit(op(doors.Capture, "op_1", pi, 1000), op(doors.Refund, "op_2", pi, 400))
	s.want("op_2", doors.Succeeded, "") // tried at once it would be not_captured
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "refunded", 400)
}

func TestMoney_1_3_AnIntentOfAnotherPlaceIsNotTouched(t *testing.T) {
	s := newShop(t)
	loc := s.place()
	rd := s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-wpe&location="+loc)["id"].(string)
	made := func() string {
		id := s.stripe("POST", "/v1/payment_intents", "amount=1000&currency=usd&capture_method=manual&payment_method_types[]=card_present&metadata[store]=0412")["id"].(string)
		s.stripe("POST", "/v1/terminal/readers/"+rd+"/process_payment_intent", "payment_intent="+id)
		s.stripe("POST", "/v1/test_helpers/terminal/readers/"+rd+"/present_payment_method", "")
		return id
	}
	captured, refunded := made(), made()
	s.stripe("POST", "/v1/payment_intents/"+refunded+"/capture", "")
	s.submit(op(doors.Capture, "op_1", captured, 1000), op(doors.Refund, "op_2", refunded, 1000))
	held := s.waits("op_1", "payment_unproven")
	if held.Deadline == nil {
		t.Error("the held capture has no deadline")
	}
	s.want("op_2", doors.Failed, "payment_unproven")
	if n, _ := s.effects(captured, "captured"); n != 0 {
		t.Error("another place's payment was captured")
	}
	if _, err := s.call(doors.RetrievePaymentIntent, "", url.Values{"payment_intent": {captured}}); !isRefusal(err, "payment_not_yours") {
		t.Errorf("retrieve: %v, want payment_not_yours", err)
	}
}

func TestMoney_1_3_AnIntentMadeByAnSDKAtThisPlaceIsOurs(t *testing.T) {
	s := newShop(t)
	id := s.stripe("POST", "/v1/payment_intents", "amount=1000&currency=usd&capture_method=manual&payment_method_types[]=card_present")["id"].(string)
	s.pay(id)
	s.submit(op(doors.Capture, "op_1", id, 0))
	s.want("op_1", doors.Succeeded, "")
	s.exactly(id, "captured", 1000)
}

func TestMoney_1_4_AnotherModeIsRefusedAsAnOutcome(t *testing.T) {
	s := newShop(t)
	live := op(doors.Capture, "op_1", "pi_1", 1000)
	live.Mode = doors.Live
	s.submit(live)
	s.want("op_1", doors.Failed, "mode_mismatch")
}

func TestMoney_2_1_TroubleRepeatsTheSameKey(t *testing.T) {
	for _, kind := range []string{"429", "lost", "reset"} {
		t.Run(kind, func(t *testing.T) {
			s := newShop(t)
			pi := s.authorised("1000")
			s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/payment_intents/*/capture", Kind: kind, Times: 2})
			s.submit(op(doors.Capture, "op_1", pi, 1000))
			s.want("op_1", doors.Succeeded, "")
			s.exactly(pi, "captured", 1000)
			for _, e := range s.box.Books() {
				if e.Effect == "captured" && e.Key != "op_1" {
					t.Errorf("captured under key %q, want op_1", e.Key)
				}
			}
		})
	}
}

func TestMoney_2_1_AStored500IsReplayedAndThenLeftBehind(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/payment_intents/*/capture", Kind: "500", Times: 1})
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
	for _, e := range s.box.Books() {
		if e.Effect == "captured" && e.Key != "op_1-2" {
			t.Errorf("captured under key %q, want op_1-2: Stripe replays the 500 under the first for ever", e.Key)
		}
	}
}

func TestMoney_2_1_ARefundTakesANewKeyOnlyAfterTwoListings(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.RefundGap = time.Hour })
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/refunds", Kind: "500", Times: 1})
	s.submit(op(doors.Refund, "op_2", pi, 300))
	s.until("looking for the refund", func(it hq.Item) bool {
		return it.ID == "op_2" && it.Message == "looking whether the refund was made" && it.Unknown != nil && it.Unknown.Reason == "answer_lost"
	})
	at := func(passed time.Duration) {
		s.down()
		s.shift.Store(int64(passed))
		s.up()
	}
	for i, passed := range []time.Duration{0, 55 * time.Minute} {
		at(passed)
		// What is due is looked at: another sale goes the whole way meanwhile.
		other, id := s.authorised("500"), fmt.Sprintf("op_other_%d", i)
		s.submit(op(doors.Capture, id, other, 500))
		s.want(id, doors.Succeeded, "")
		if n, _ := s.effects(pi, "refunded"); n != 0 {
			t.Fatalf("a new key was used %s after the first listing", passed)
		}
	}
	at(time.Hour + time.Minute)
	s.want("op_2", doors.Succeeded, "")
	s.exactly(pi, "refunded", 300)
}

func TestMoney_2_1_ALostRefundIsFoundByItsOperation(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/refunds", Kind: "lost", Times: 1})
	s.submit(op(doors.Refund, "op_2", pi, 300))
	s.want("op_2", doors.Succeeded, "")
	s.exactly(pi, "refunded", 300)
}

func TestMoney_2_2_AnOldKeyIsNotReplayed(t *testing.T) {
	for name, effect := range map[string]string{"with the effect": "lost", "without": "reset"} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			captured, refunded := s.authorised("1000"), s.authorised("2000")
			s.submit(op(doors.Capture, "op_0", refunded, 2000))
			s.want("op_0", doors.Succeeded, "")
			s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/payment_intents/*/capture", Kind: effect, Times: 1})
			s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/refunds", Kind: effect, Times: 1})
			// Both answers are lost, and then Stripe is silent for a day.
			broke := s.breakAt("act:after", 2)
			s.submit(op(doors.Capture, "op_1", captured, 1000), op(doors.Refund, "op_2", refunded, 700))
			waitFor(t, "both answers to be lost", func() bool { return count(s.box, captured, refunded) >= want(effect) && broke() })
			s.box.Inject(sandbox.Fault{Method: "", Path: "/v1/", Kind: "reset", Times: 0})
			s.down()
			s.fault.Store(nil)
			s.box.Clear()
			s.box.Advance(25 * time.Hour) // Stripe has forgotten the keys
			s.shift.Store(int64(25 * time.Hour))
			s.up()
			s.want("op_1", doors.Succeeded, "")
			s.want("op_2", doors.Succeeded, "")
			s.exactly(captured, "captured", 1000)
			s.exactly(refunded, "refunded", 700)
		})
	}
}

// want is how many effects the books show once both answers were lost.
func want(effect string) int {
	if effect == "lost" {
		return 2
	}
	return 0
}

func count(box *sandbox.Sandbox, captured, refunded string) (n int) {
	for _, e := range box.Books() {
		if e.Intent == captured && e.Effect == "captured" || e.Intent == refunded && e.Effect == "refunded" {
			n++
		}
	}
	return n
}

func TestMoney_2_3_SuccessIsTheAmountAskedWhoeverCaptured(t *testing.T) {
	s := newShop(t)
	for _, c := range []struct {
		name     string
		captured string // by somebody at the Dashboard
		asked    int64
		state    doors.State
		reason   string
	}{
		{"same", "amount_to_capture=600", 600, doors.Succeeded, ""},
		{"other", "amount_to_capture=500", 600, doors.Failed, "amount_differs"},
		{"all of it", "", 0, doors.Succeeded, ""},
		{"part of all", "amount_to_capture=500", 0, doors.Failed, "amount_differs"},
		{"more than was left", "", 600, doors.Failed, "amount_differs"},
	} {
		pi := s.authorised("1000")
		s.stripe("POST", "/v1/payment_intents/"+pi+"/capture", c.captured)
		id := "op_" + strings.ReplaceAll(c.name, " ", "_")
		s.submit(op(doors.Capture, id, pi, c.asked))
		it := s.want(id, c.state, c.reason)
		var figures struct {
			Asked    *int64 `json:"amount_asked"`
			Received int64  `json:"amount_received"`
		}
		if err := json.Unmarshal(it.Result, &figures); err != nil || figures.Received == 0 || (c.asked > 0) != (figures.Asked != nil) {
			t.Errorf("%s: result %s does not have both figures", c.name, it.Result)
		}
	}
}

func TestMoney_2_3_PartialAndFullAndAutomaticCapture(t *testing.T) {
	s := newShop(t)
	part, all := s.authorised("1000"), s.authorised("1000")
	v, err := s.call(doors.CreatePaymentIntent, "", url.Values{"amount": {"800"}, "currency": {"usd"}, "capture_method": {"automatic"}})
	if err != nil {
		t.Fatal(err)
	}
	auto := v["id"].(string)
	s.pay(auto)
	s.submit(op(doors.Capture, "op_part", part, 400), op(doors.Capture, "op_all", all, 0), op(doors.Capture, "op_auto", auto, 800))
	s.want("op_part", doors.Succeeded, "")
	s.want("op_all", doors.Succeeded, "")
	s.want("op_auto", doors.Succeeded, "")
	s.exactly(part, "captured", 400)
	s.exactly(all, "captured", 1000)
}

func TestMoney_2_3_TooMuchWaitsAndTheAuthorisedAmountIsTakenInTime(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 90_000))
	it := s.waits("op_1", "needs_decision")
	if it.Deadline == nil {
		t.Fatal("needs_decision without a deadline")
	}
	if n, _ := s.effects(pi, "captured"); n != 0 {
		t.Fatal("captured although a person has time to decide")
	}
	s.down()
	s.shift.Store(int64(time.Until(*it.Deadline) - 5*time.Hour))
	s.box.Advance(time.Until(*it.Deadline) - 5*time.Hour)
	s.up()
	s.want("op_1", doors.Failed, "amount_differs")
	s.exactly(pi, "captured", 1000)
}

func TestMoney_2_3_AnotherCurrencyIsNotCaptured(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	o := op(doors.Capture, "op_1", pi, 1000)
	o.Currency = "eur"
	s.submit(o)
	s.want("op_1", doors.Failed, "currency_differs")
	if n, _ := s.effects(pi, "captured"); n != 0 {
		t.Error("captured in another currency")
	}
}

func TestMoney_2_4_ACaptureBeforeAuthorisationWaits(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.waits("op_1", "awaiting_authorisation")
	s.pay(pi) // the event wakes it, long before the quarter of an hour is over
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
}

func TestMoney_2_4_ACancelGoesPastACaptureThatWaits(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.waits("op_1", "awaiting_authorisation")
	s.submit(op(doors.Cancel, "op_2", pi, 0))
	s.want("op_2", doors.Succeeded, "")
	s.want("op_1", doors.Failed, "payment_canceled")
}

func TestMoney_2_4_PatienceEnds(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	offline := "0b9b6f1e-1111-4c1c-9b53-000000000001"
	s.submit(op(doors.Capture, "op_1", pi, 1000), op(doors.OfflinePayment, "op_2", offline, 500), op(doors.Capture, "op_3", offline, 500))
	s.waits("op_1", "awaiting_authorisation")
	s.waits("op_2", "awaiting_forwarding")
	s.down()
	s.shift.Store(int64(73 * time.Hour))
	s.up()
	s.want("op_1", doors.Failed, "never_authorised")
	s.down()
	s.shift.Store(int64(31 * 24 * time.Hour))
	s.up()
	for id, reason := range map[string]string{"op_2": "not_forwarded", "op_3": "never_authorised"} {
		if it := s.want(id, doors.Failed, reason); time.Until(it.At) < 30*24*time.Hour {
			t.Errorf("%s ended at %s: an offline payment has 30 days", id, it.At)
		}
	}
}

func TestMoney_2_4_AnOfflinePaymentIsFoundByItsReference(t *testing.T) {
	s := newShop(t)
	ref := "0b9b6f1e-1111-4c1c-9b53-000000000002"
	s.submit(op(doors.OfflinePayment, "op_1", ref, 1000), op(doors.Capture, "op_2", ref, 1000))
	s.waits("op_1", "awaiting_forwarding")
	// The till forwards it: the SDK makes the intent, with the app's reference.
	pi := s.stripe("POST", "/v1/payment_intents", "amount=1000&currency=usd&capture_method=manual&payment_method_types[]=card_present&metadata[storehub_ref]="+ref)["id"].(string)
	s.pay(pi)
	s.want("op_1", doors.Succeeded, "")
	s.want("op_2", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
}

func TestMoney_2_4_OfSeveralIntentsUnderOneRefOneIsCaptured(t *testing.T) {
	s := newShop(t)
	ref := "0b9b6f1e-1111-4c1c-9b53-000000000003"
	var pis []string
	for range 2 {
		v, err := s.call(doors.CreatePaymentIntent, "", url.Values{"amount": {"1000"}, "currency": {"usd"}, "metadata[storehub_ref]": {ref}})
		if err != nil {
			t.Fatal(err)
		}
		pis = append(pis, v["id"].(string))
		s.pay(pis[len(pis)-1])
	}
	s.submit(op(doors.Capture, "op_1", ref, 1000))
	s.want("op_1", doors.Succeeded, "")
	a, _ := s.effects(pis[0], "captured")
	b, _ := s.effects(pis[1], "captured")
	if a+b != 1 {
		t.Errorf("captured %d of two intents with one reference, want one", a+b)
	}
}

func TestMoney_2_5_RefundsOfWhatWasNotCaptured(t *testing.T) {
	s := newShop(t)
	open, lapsed := s.authorised("1000"), s.authorised("1000")
	s.submit(op(doors.Refund, "op_1", open, 1000))
	s.want("op_1", doors.Failed, "not_captured")
	if n, _ := s.effects(open, "canceled"); n != 0 {
		t.Error("the refund was turned into a cancel")
	}
	s.stripe("POST", "/v1/payment_intents/"+lapsed+"/cancel", "")
	s.submit(op(doors.Capture, "op_2", lapsed, 1000), op(doors.Refund, "op_3", lapsed, 1000))
	s.want("op_2", doors.Failed, "payment_canceled")
	s.want("op_3", doors.Failed, "nothing_captured")
}

func TestMoney_2_5_TheSameRefundTwiceWaitsForAManager(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000), op(doors.Refund, "op_2", pi, 300), op(doors.Refund, "op_3", pi, 300), op(doors.Refund, "op_4", pi, 200))
	s.want("op_2", doors.Succeeded, "")
	s.waits("op_3", "twin_refund")
	s.exactly(pi, "refunded", 300)
}

// Ten minutes later the same amount is a refund like others.
func TestMoney_2_5_TheSameRefundLaterIsAnotherOne(t *testing.T) {
	s := newShop(t)
	pi := s.captured("op_1", "1000", 1000)
	s.submit(op(doors.Refund, "op_2", pi, 300))
	s.want("op_2", doors.Succeeded, "")
	s.shift.Add(int64(11 * time.Minute))
	s.submit(op(doors.Refund, "op_3", pi, 300))
	s.want("op_3", doors.Succeeded, "")
	if n, amount := s.effects(pi, "refunded"); n != 2 || amount != 600 {
		t.Errorf("refunded %d times, %d in all", n, amount)
	}
}

func TestMoney_2_5_TooMuchIsRefusedInStripesWords(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000), op(doors.Refund, "op_2", pi, 1500))
	it := s.ended("op_2")
	if it.State != doors.Failed || it.Message == "" {
		t.Errorf("ended %s %q %q", it.State, it.Reason, it.Message)
	}
	if n, _ := s.effects(pi, "refunded"); n != 0 {
		t.Error("refunded more than was captured")
	}
}

func TestMoney_2_5_InteracIsRefundedAtTheReader(t *testing.T) {
	s := newShop(t)
	v, err := s.call(doors.CreatePaymentIntent, "", url.Values{"amount": {"1000"}, "currency": {"cad"}, "capture_method": {"automatic"},
		"payment_method_types[]": {"card_present", "interac_present"}})
	if err != nil {
		t.Fatal(err)
	}
	pi := v["id"].(string)
	s.stripe("POST", "/v1/terminal/readers/"+s.reader+"/process_payment_intent", "payment_intent="+pi)
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+s.reader+"/present_payment_method", "type=interac_present&interac_present[number]=4506445006931933")
	s.submit(op(doors.Capture, "op_1", pi, 0), op(doors.Refund, "op_2", pi, 0))
	s.want("op_1", doors.Succeeded, "")
	s.want("op_2", doors.Failed, "refund_needs_card")
}

func TestMoney_3_1_ARefundThatFailsLaterIsAReversal(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	s.stripe("POST", "/v1/terminal/readers/"+s.reader+"/process_payment_intent", "payment_intent="+pi)
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+s.reader+"/present_payment_method", "type=card_present&card_present[number]=4000000000005126")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.submit(op(doors.Refund, "op_2", pi, 400))
	s.want("op_2", doors.Succeeded, "")
	s.box.Advance(24 * time.Hour)
	it := s.until("a reversal", func(it hq.Item) bool { return it.ID == "op_2" && it.Type == "reversal" })
	if it.State != doors.Succeeded || len(it.Reversal) == 0 {
		t.Errorf("reversal %+v", it)
	}
}

func TestRecordsSucceedWhenTheyAreRecorded(t *testing.T) {
	s := newShop(t)
	order := op(doors.Order, "op_1", "order 7", 0)
	order.Data = json.RawMessage(`{"order":"7"}`)
	s.submit(order, op(doors.Heartbeat, "op_2", "beat", 0))
	s.want("op_1", doors.Succeeded, "")
	s.want("op_2", doors.Succeeded, "")
}

func TestAnUnreadableOrImpossibleOperationIsAnOutcome(t *testing.T) {
	s := newShop(t)
	card := op(doors.Order, "op_1", "order 7", 0)
	card.Data = json.RawMessage(`{"order":"7","lines":"4242424242424242"}`)
	strange := op("teleport", "op_2", "x", 0)
	much := op(doors.Capture, "op_3", "pi_1", 100_000_000)
	newer := op(doors.Capture, "op_4", s.authorised("700"), 700)
	newer.Data = json.RawMessage(`{"field_of_a_newer_hub":1}`)
	s.submit(card, strange, much, newer)
	for _, id := range []string{"op_1", "op_2", "op_3"} {
		if it := s.ended(id); it.State != doors.Failed || it.Reason == "" {
			t.Errorf("%s ended %s %q", id, it.State, it.Reason)
		}
	}
	s.want("op_4", doors.Succeeded, "")
}

func isRefusal(err error, code string) bool {
	var e *doors.Error
	return asRefusal(err, &e) && e.Code == code
}

func asRefusal(err error, e **doors.Error) bool { return errors.As(err, e) }

// waitFor polls for something that tells nobody when it happens.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
