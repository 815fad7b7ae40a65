package sandbox

import (
	"strconv"
	"testing"
)

func TestEveryTestCardHasItsOutcome(t *testing.T) {
	sh := newShop(t)
	for number, card := range testCards {
		if card.interac {
			continue
		}
		pi := sh.intent("2500", "")
		r := sh.pay(pi, number)
		in := sh.ok("GET", "/v1/payment_intents/"+pi, "expand[]=latest_charge")
		const details = "latest_charge.payment_method_details.card_present."
		if in.str(details+"last4") != number[len(number)-4:] || in.str(details+"brand") != card.brand {
			t.Errorf("%s: %s", number, in.raw)
		}
		want := "requires_capture"
		switch {
		case card.declined != "":
			want = "requires_payment_method"
			if in.str("last_payment_error.decline_code") != card.declined || in.str("latest_charge.status") != "failed" ||
				r.str("action.failure_code") != "card_declined" || r.str("action.api_error.decline_code") != card.declined {
				t.Errorf("%s: %s %s", number, in.raw, r.raw)
			}
		case card.single:
			want = "succeeded"
		}
		if got := in.str("status"); got != want {
			t.Errorf("%s: %s, want %s", number, got, want)
		}
	}
}

func TestTheLastTwoDigitsOfAnAmountDecide(t *testing.T) {
	sh := newShop(t)
	for cents, want := range map[int]string{
		0: "", 1: "call_issuer", 2: "offline_pin_required", 3: "online_or_offline_pin_required", 4: "", 5: "generic_decline",
		55: "incorrect_pin", 65: "withdrawal_count_limit_exceeded", 75: "pin_try_exceeded", 99: "",
	} {
		pi := sh.intent(strconv.Itoa(1000+cents), "")
		sh.pay(pi, "")
		in := sh.ok("GET", "/v1/payment_intents/"+pi, "")
		if got := in.str("last_payment_error.decline_code"); got != want {
			t.Errorf("%02d: %q, want %q", cents, got, want)
		}
	}
}

func TestADeclinedIntentTakesAnotherCard(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "")
	sh.pay(pi, "4000000000009995")
	r := sh.ok("GET", "/v1/payment_intents/"+pi, "")
	if r.str("status") != "requires_payment_method" || r.str("last_payment_error.code") != "card_declined" {
		t.Errorf("declined: %s", r.raw)
	}
	sh.pay(pi, "")
	r = sh.ok("GET", "/v1/payment_intents/"+pi, "")
	if r.str("status") != "requires_capture" || r.at("last_payment_error") != nil {
		t.Errorf("accepted: %s", r.raw)
	}
	if got := sh.effects(pi); got != "authorised 2500" {
		t.Errorf("books: %s", got)
	}
}

func TestANumberThatIsNoTestCardIsRefused(t *testing.T) {
	sh := newShop(t)
	sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/process_payment_intent", "payment_intent="+sh.intent("2500", ""))
	const present = "type=card_present&card_present[number]="
	sh.no(400, "", "POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", present+"1234")
	sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", present+"4242 4242 4242 4242")
}

func TestInteracSettlesAtOnceUnlessCaptureIsByHand(t *testing.T) {
	for _, c := range []struct{ capture, want string }{
		{"&capture_method=manual", "requires_payment_method"},
		{"&capture_method=automatic", "succeeded"},
		{"&payment_method_options[card_present][capture_method]=manual_preferred", "succeeded"},
	} {
		sh := newShop(t)
		pi := sh.ok("POST", "/v1/payment_intents", "amount=2500&currency=cad&payment_method_types[]=card_present&payment_method_types[]=interac_present"+c.capture).str("id")
		sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/process_payment_intent", "payment_intent="+pi)
		sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "type=interac_present")
		if got := sh.status(pi); got != c.want {
			t.Errorf("%s: %s, want %s", c.capture, got, c.want)
		}
	}
}

func TestManualPreferredHoldsACardThatCanBeHeld(t *testing.T) {
	sh := newShop(t)
	pi := sh.ok("POST", "/v1/payment_intents", "amount=2500&currency=cad&payment_method_types[]=card_present&payment_method_options[card_present][capture_method]=manual_preferred").str("id")
	sh.pay(pi, "")
	if got := sh.status(pi); got != "requires_capture" {
		t.Errorf("%s", got)
	}
}

func TestAutomaticCaptureSettlesAtTheReader(t *testing.T) {
	sh := newShop(t)
	pi := sh.ok("POST", "/v1/payment_intents", "amount=2500&currency=usd&payment_method_types[]=card_present").str("id")
	sh.pay(pi, "")
	if got := sh.effects(pi); got != "authorised 2500, captured 2500" || sh.status(pi) != "succeeded" {
		t.Errorf("%s, %s", got, sh.status(pi))
	}
	sh.no(400, "payment_intent_unexpected_state", "POST", "/v1/payment_intents/"+pi+"/capture", "")
}
