package sandbox

import (
	"testing"
	"time"
)

func (sh *shop) captured(amount string) string {
	sh.t.Helper()
	pi := sh.authorised(amount)
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "")
	return pi
}

func TestRefundsGiveBackWhatWasCapturedAndNoMore(t *testing.T) {
	sh := newShop(t)
	pi := sh.captured("2500")
	r := sh.ok("POST", "/v1/refunds", "payment_intent="+pi+"&amount=1000&metadata[storehub_op]=x&reason=duplicate")
	if r.str("status") != "succeeded" || r.num("amount") != 1000 || r.str("metadata.storehub_op") != "x" || r.str("reason") != "duplicate" {
		t.Errorf("%s", r.raw)
	}
	sh.no(400, "", "POST", "/v1/refunds", "payment_intent="+pi+"&amount=1501")
	sh.ok("POST", "/v1/refunds", "charge="+r.str("charge"))
	sh.no(400, "charge_already_refunded", "POST", "/v1/refunds", "payment_intent="+pi)
	if got := sh.effects(pi); got != "authorised 2500, captured 2500, refunded 1000, refunded 1500" {
		t.Errorf("books: %s", got)
	}
	ch := sh.ok("GET", "/v1/charges/"+r.str("charge"), "expand[]=refunds")
	if ch.num("amount_refunded") != 2500 || ch.at("refunded") != true || len(ch.at("refunds.data").([]any)) != 2 {
		t.Errorf("charge: %s", ch.raw)
	}
}

func TestAPartiallyCapturedPaymentRefundsThePart(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=2000")
	sh.no(400, "", "POST", "/v1/refunds", "payment_intent="+pi+"&amount=2001")
	if r := sh.ok("POST", "/v1/refunds", "payment_intent="+pi); r.num("amount") != 2000 {
		t.Errorf("%s", r.raw)
	}
}

func TestWhatWasNotCapturedIsNotRefunded(t *testing.T) {
	sh := newShop(t)
	for _, pi := range []string{sh.intent("2500", ""), sh.authorised("2500")} {
		sh.no(400, "payment_intent_unexpected_state", "POST", "/v1/refunds", "payment_intent="+pi)
	}
	sh.no(400, "resource_missing", "POST", "/v1/refunds", "payment_intent=pi_none")
	sh.no(400, "resource_missing", "POST", "/v1/refunds", "charge=ch_none")
	sh.no(400, "parameter_missing", "POST", "/v1/refunds", "amount=100")
}

func TestARefundMayComeBackLater(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "")
	sh.pay(pi, "4000000000005126")
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "")
	re := sh.ok("POST", "/v1/refunds", "payment_intent="+pi)
	if re.str("status") != "succeeded" || re.at("failure_reason") != nil {
		t.Errorf("at first: %s", re.raw)
	}
	sh.Advance(refundFailure)
	got := sh.ok("GET", "/v1/refunds/"+re.str("id"), "")
	if got.str("status") != "failed" || got.str("failure_reason") != "expired_or_canceled_card" {
		t.Errorf("later: %s", got.raw)
	}
	if ch := sh.ok("GET", "/v1/charges/"+re.str("charge"), ""); ch.num("amount_refunded") != 0 || ch.at("refunded") != false {
		t.Errorf("charge: %s", ch.raw)
	}
	if n := len(sh.ok("GET", "/v1/events", "type=refund.failed").at("data").([]any)); n != 1 {
		t.Errorf("%d events", n)
	}
	sh.ok("POST", "/v1/refunds", "payment_intent="+pi)
	if got := sh.effects(pi); got != "authorised 2500, captured 2500, refunded 2500, refund_failed 2500, refunded 2500" {
		t.Errorf("books: %s", got)
	}
}

func TestInteracIsRefundedInPersonOnly(t *testing.T) {
	sh := newShop(t)
	pi := sh.ok("POST", "/v1/payment_intents", "amount=2500&currency=cad&payment_method_types[]=interac_present").str("id")
	reader, present := "/v1/terminal/readers/"+sh.reader, "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method"
	sh.ok("POST", reader+"/process_payment_intent", "payment_intent="+pi)
	sh.ok("POST", present, "type=interac_present")
	sh.no(400, "charge_not_refundable", "POST", "/v1/refunds", "payment_intent="+pi)
	sh.no(400, "", "POST", reader+"/refund_payment", "payment_intent="+pi+"&amount=2501")
	r := sh.ok("POST", reader+"/refund_payment", "payment_intent="+pi+"&amount=1000")
	if r.str("action.type") != "refund_payment" || r.str("action.status") != "in_progress" {
		t.Errorf("%s", r.raw)
	}
	if got := sh.effects(pi); got != "authorised 2500, captured 2500" {
		t.Errorf("before the card: %s", got)
	}
	r = sh.ok("POST", present, "type=interac_present")
	if r.str("action.status") != "succeeded" || sh.ok("GET", "/v1/refunds/"+r.str("action.refund_payment.refund"), "").num("amount") != 1000 {
		t.Errorf("%s", r.raw)
	}
}

func TestRefundsOfAnIntentAreListedPageByPage(t *testing.T) {
	sh := newShop(t)
	pi, other := sh.captured("2500"), sh.captured("2500")
	var made []string
	for range 7 {
		made = append(made, sh.ok("POST", "/v1/refunds", "payment_intent="+pi+"&amount=100").str("id"))
		sh.ok("POST", "/v1/refunds", "payment_intent="+other+"&amount=100")
		sh.Advance(time.Second)
	}
	var seen []string
	for cursor, more := "", true; more; {
		form := "limit=3&payment_intent=" + pi
		if cursor != "" {
			form += "&starting_after=" + cursor
		}
		r := sh.ok("GET", "/v1/refunds", form)
		for _, v := range r.at("data").([]any) {
			cursor = v.(map[string]any)["id"].(string)
			seen = append(seen, cursor)
		}
		more = r.at("has_more").(bool)
	}
	if len(seen) != len(made) {
		t.Fatalf("saw %d of %d", len(seen), len(made))
	}
	for i := range seen {
		if seen[i] != made[len(made)-1-i] {
			t.Errorf("not newest first: %v", seen)
		}
	}
}
