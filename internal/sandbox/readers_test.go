package sandbox

import (
	"net/netip"
	"testing"
	"time"
)

func TestReadersAreRegisteredBySimulatedCodes(t *testing.T) {
	sh := newShop(t)
	for code, device := range map[string]string{
		"simulated-wpe": "simulated_wisepos_e", "simulated-s700": "simulated_stripe_s700", "simulated-s710": "simulated_stripe_s710",
	} {
		r := sh.ok("POST", "/v1/terminal/readers", "registration_code="+code+"&location="+sh.location)
		if r.str("device_type") != device || r.str("label") != r.str("serial_number") || r.str("ip_address") != "0.0.0.0" ||
			r.str("status") != "online" || r.str("device_sw_version") == "" || r.str("location") != sh.location {
			t.Errorf("%s: %s", code, r.raw)
		}
		if seen := time.UnixMilli(r.num("last_seen_at")); time.Since(seen).Abs() > time.Minute {
			t.Errorf("%s was last seen at %s", code, seen)
		}
	}
	sh.no(400, "", "POST", "/v1/terminal/readers", "registration_code=quick-brown-fox")
	sh.no(400, "resource_missing", "POST", "/v1/terminal/readers", "registration_code=simulated-wpe&location=tml_none")
}

func TestReadersAreListedByWhatTheyAre(t *testing.T) {
	sh := newShop(t)
	other := sh.ok("POST", "/v1/terminal/readers", "registration_code=simulated-s700&label=Till 2").str("id")
	sh.SetReader(other, ReaderState{Offline: true})
	for form, want := range map[string]string{
		"location=" + sh.location:           sh.reader,
		"status=offline":                    other,
		"status=online":                     sh.reader,
		"device_type=simulated_stripe_s700": other,
		"serial_number=" + sh.ok("GET", "/v1/terminal/readers/"+other, "").str("serial_number"): other,
		"location=tml_none": "",
	} {
		r := sh.ok("GET", "/v1/terminal/readers", form)
		if data := r.at("data").([]any); r.str("data.0.id") != want || len(data) > 1 {
			t.Errorf("%s: %s", form, r.raw)
		}
	}
}

func TestAReaderShowsTheStateItIsPutInto(t *testing.T) {
	sh := newShop(t)
	if sh.SetReader("tmr_none", ReaderState{}) {
		t.Error("there is no such reader")
	}
	sh.SetReader(sh.reader, ReaderState{Address: netip.MustParseAddr("192.168.7.20"), Software: "2.37.2.0", Device: "stripe_s700"})
	r := sh.ok("GET", "/v1/terminal/readers/"+sh.reader, "")
	if r.str("ip_address") != "192.168.7.20" || r.str("device_sw_version") != "2.37.2.0" || r.str("device_type") != "stripe_s700" {
		t.Errorf("%s", r.raw)
	}
	sh.SetReader(sh.reader, ReaderState{Offline: true})
	gone := sh.ok("GET", "/v1/terminal/readers/"+sh.reader, "").num("last_seen_at")
	sh.Advance(time.Hour)
	sh.SetReader(sh.reader, ReaderState{Offline: true, Busy: true})
	r = sh.ok("GET", "/v1/terminal/readers/"+sh.reader, "")
	if r.str("status") != "offline" || r.num("last_seen_at") != gone {
		t.Errorf("an hour offline: %s", r.raw)
	}
	sh.SetReader(sh.reader, ReaderState{})
	if r = sh.ok("GET", "/v1/terminal/readers/"+sh.reader, ""); r.num("last_seen_at")-gone < time.Hour.Milliseconds() {
		t.Errorf("back again: %s", r.raw)
	}
}

// TestStripeNoticesThatAReaderIsGoneAfterTwoMinutes: until then it calls it online,
// and tells all the same when it heard from it last.
func TestStripeNoticesThatAReaderIsGoneAfterTwoMinutes(t *testing.T) {
	sh := newShop(t)
	sh.SetReader(sh.reader, ReaderState{Gone: true})
	seen := sh.ok("GET", "/v1/terminal/readers/"+sh.reader, "").num("last_seen_at")
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, "online"}, {110 * time.Second, "online"}, {10 * time.Second, "offline"}} {
		sh.Advance(c.after)
		if r := sh.ok("GET", "/v1/terminal/readers/"+sh.reader, ""); r.str("status") != c.want || r.num("last_seen_at") != seen {
			t.Errorf("after %s more, want %s: %s", c.after, c.want, r.raw)
		}
	}
}

func TestActionsAreRefusedWithTheReadersReason(t *testing.T) {
	for _, c := range []struct {
		code  string
		state ReaderState
	}{
		{"terminal_reader_offline", ReaderState{Offline: true}},
		{"terminal_reader_busy", ReaderState{Busy: true}},
	} {
		sh := newShop(t)
		pi := sh.intent("2500", "")
		sh.SetReader(sh.reader, c.state)
		reader := "/v1/terminal/readers/" + sh.reader
		sh.no(400, c.code, "POST", reader+"/process_payment_intent", "payment_intent="+pi)
		sh.no(400, c.code, "POST", reader+"/cancel_action", "")
		if a := sh.ok("GET", reader, "").at("action"); a != nil {
			t.Errorf("%s: the reader does %v", c.code, a)
		}
	}
	sh := newShop(t)
	reader := "/v1/terminal/readers/" + sh.reader
	sh.no(400, "intent_invalid_state", "POST", reader+"/process_payment_intent", "payment_intent="+sh.authorised("2500"))
	sh.no(400, "resource_missing", "POST", reader+"/process_payment_intent", "payment_intent=pi_none")
	online := sh.ok("POST", "/v1/payment_intents", "amount=100&currency=usd").str("id")
	sh.no(400, "payment_intent_invalid_parameter", "POST", reader+"/process_payment_intent", "payment_intent="+online)
	nowhere := sh.ok("POST", "/v1/terminal/readers", "registration_code=simulated-wpe").str("id")
	sh.no(400, "terminal_reader_invalid_location_for_payment", "POST", "/v1/terminal/readers/"+nowhere+"/process_payment_intent", "payment_intent="+sh.intent("2500", ""))
}

func TestATimeoutMayBeAFalseNegative(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "")
	sh.SetReader(sh.reader, ReaderState{TimesOut: true})
	sh.no(400, "terminal_reader_timeout", "POST", "/v1/terminal/readers/"+sh.reader+"/process_payment_intent", "payment_intent="+pi)
	r := sh.ok("GET", "/v1/terminal/readers/"+sh.reader, "")
	if r.str("action.process_payment_intent.payment_intent") != pi || r.str("action.status") != "in_progress" {
		t.Errorf("the reader did not get it: %s", r.raw)
	}
	sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "")
	if got := sh.status(pi); got != "requires_capture" {
		t.Errorf("after the card: %s", got)
	}
}

func TestAStuckActionTakesItsEffectAndNeverSaysSo(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "")
	sh.SetReader(sh.reader, ReaderState{Stuck: true})
	r := sh.pay(pi, "")
	if r.str("action.status") != "in_progress" || sh.status(pi) != "requires_capture" {
		t.Errorf("%s, intent %s", r.raw, sh.status(pi))
	}
	if n := len(sh.ok("GET", "/v1/events", "type=terminal.reader.*").at("data").([]any)); n != 0 {
		t.Errorf("%d events of the reader", n)
	}
	sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/cancel_action", "")
	if a := sh.ok("GET", "/v1/terminal/readers/"+sh.reader, "").at("action"); a != nil {
		t.Errorf("after cancel_action the reader does %v", a)
	}
}

func TestAPaymentThatWaitsMayBeReplacedAndCancelled(t *testing.T) {
	sh := newShop(t)
	first, second := sh.intent("2500", ""), sh.intent("2600", "")
	reader := "/v1/terminal/readers/" + sh.reader
	sh.ok("POST", reader+"/process_payment_intent", "payment_intent="+first)
	sh.pay(second, "")
	if sh.status(first) != "requires_payment_method" || sh.status(second) != "requires_capture" {
		t.Errorf("first %s, second %s", sh.status(first), sh.status(second))
	}
	sh.ok("POST", reader+"/process_payment_intent", "payment_intent="+first)
	sh.ok("POST", reader+"/cancel_action", "")
	sh.no(400, "", "POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "")
}

func TestAnIntentThatEndedMeanwhileTakesNoCard(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "")
	sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/process_payment_intent", "payment_intent="+pi)
	sh.ok("POST", "/v1/payment_intents/"+pi+"/cancel", "")
	r := sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "")
	if r.str("action.failure_code") != "intent_invalid_state" || sh.status(pi) != "canceled" {
		t.Errorf("%s", r.raw)
	}
}

func TestTheDisplayShowsTheCartAndIsCleared(t *testing.T) {
	sh := newShop(t)
	reader := "/v1/terminal/readers/" + sh.reader
	const cart = "type=cart&cart[currency]=usd&cart[total]=300&cart[line_items][][amount]=100&cart[line_items][][description]=Tea&cart[line_items][][quantity]=1" +
		"&cart[line_items][][amount]=200&cart[line_items][][description]=Cake&cart[line_items][][quantity]=1"
	r := sh.ok("POST", reader+"/set_reader_display", cart)
	if r.num("action.set_reader_display.cart.line_items.1.amount") != 200 {
		t.Errorf("%s", r.raw)
	}
	if r = sh.ok("POST", reader+"/cancel_action", ""); r.at("action") != nil {
		t.Errorf("still shown: %s", r.raw)
	}
	sh.no(400, "parameter_missing", "POST", reader+"/set_reader_display", "type=cart&cart[currency]=usd")
}

func TestATipIsAddedAtTheReader(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "")
	sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/process_payment_intent", "payment_intent="+pi)
	sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "amount_tip=500")
	r := sh.ok("GET", "/v1/payment_intents/"+pi, "")
	if r.num("amount") != 3000 || r.num("amount_capturable") != 3000 || r.num("amount_details.tip.amount") != 500 {
		t.Errorf("%s", r.raw)
	}
}
