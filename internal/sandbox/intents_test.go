package sandbox

import (
	"testing"
	"time"
)

func TestWhatAnIntentAllowsInEachState(t *testing.T) {
	const (
		fresh, held, done, gone = "requires_payment_method", "requires_capture", "succeeded", "canceled"
		wrong                   = "payment_intent_unexpected_state"
	)
	into := func(sh *shop, state string) string {
		pi := sh.intent("2500", "")
		if state == held || state == done {
			sh.pay(pi, "")
		}
		if state == done {
			sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "")
		}
		if state == gone {
			sh.ok("POST", "/v1/payment_intents/"+pi+"/cancel", "")
		}
		return pi
	}
	for _, c := range []struct{ state, call, form, code, after string }{
		{fresh, "/capture", "", wrong, fresh},
		{fresh, "/cancel", "", "", gone},
		{fresh, "", "amount=3000", "", fresh},
		{held, "/capture", "", "", done},
		{held, "/capture", "amount_to_capture=2501", "amount_too_large", held},
		{held, "/capture", "amount_to_capture=2000&final_capture=true&metadata[a]=b", "", done},
		{held, "/cancel", "cancellation_reason=abandoned", "", gone},
		{held, "", "amount=3000", wrong, held},
		{held, "", "receipt_email=a@example.com", "", held},
		{done, "/capture", "", wrong, done},
		{done, "/capture", "amount_to_capture=1", wrong, done},
		{done, "/cancel", "", wrong, done},
		{done, "", "metadata[a]=b", "", done},
		{gone, "/capture", "", wrong, gone},
		{gone, "/cancel", "", wrong, gone},
	} {
		t.Run(c.state+" "+c.call+" "+c.form, func(t *testing.T) {
			sh := newShop(t)
			pi := into(sh, c.state)
			books := len(sh.Books())
			r := sh.send("POST", "/v1/payment_intents/"+pi+c.call, c.form)
			if r.str("error.code") != c.code || (r.status == 200) != (c.code == "") {
				t.Errorf("%d %s", r.status, r.raw)
			}
			if c.code == wrong && r.str("error.payment_intent.id") != pi {
				t.Error("the refusal does not show the intent")
			}
			if got := sh.status(pi); got != c.after {
				t.Errorf("is %s, want %s", got, c.after)
			}
			if c.code != "" && len(sh.Books()) != books {
				t.Errorf("a refusal moved money: %s", sh.effects(pi))
			}
		})
	}
}

func TestAPartialCaptureLetsTheRestGo(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	r := sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=2000&expand[]=latest_charge")
	if r.num("amount_received") != 2000 || r.num("amount_capturable") != 0 || r.num("amount") != 2500 {
		t.Errorf("intent: %s", r.raw)
	}
	if r.num("latest_charge.amount_captured") != 2000 || r.num("latest_charge.amount_refunded") != 500 || r.at("latest_charge.refunded") != false {
		t.Errorf("charge: %s", r.raw)
	}
	if n := len(sh.ok("GET", "/v1/refunds", "payment_intent="+pi).at("data").([]any)); n != 0 {
		t.Errorf("%d refund objects for money that was never taken", n)
	}
}

func TestAnAuthorisationLapsesAtCaptureBefore(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	sh.Advance(authorisationLife - time.Minute)
	if got := sh.status(pi); got != "requires_capture" {
		t.Fatalf("a minute before: %s", got)
	}
	sh.Advance(time.Minute)
	if got := sh.effects(pi); got != "authorised 2500, expired 2500" {
		t.Errorf("books: %s", got)
	}
	r := sh.ok("GET", "/v1/payment_intents/"+pi, "")
	if r.str("status") != "canceled" || r.str("cancellation_reason") != "automatic" || r.num("amount_capturable") != 0 {
		t.Errorf("after: %s", r.raw)
	}
	sh.no(400, "payment_intent_unexpected_state", "POST", "/v1/payment_intents/"+pi+"/capture", "")
	if n := len(sh.ok("GET", "/v1/events", "type=charge.expired").at("data").([]any)); n != 1 {
		t.Errorf("%d events of the lapse", n)
	}
	sh.Advance(time.Hour)
	if got := sh.effects(pi); got != "authorised 2500, expired 2500" {
		t.Errorf("it lapsed twice: %s", got)
	}
}

func TestMetadataChangeKeyByKey(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "&metadata[a]=1&metadata[b]=2&metadata[0]=zero")
	r := sh.ok("POST", "/v1/payment_intents/"+pi, "metadata[b]=&metadata[c]=3")
	for k, want := range map[string]string{"a": "1", "b": "", "c": "3", "0": "zero"} {
		if got := r.str("metadata." + k); got != want {
			t.Errorf("metadata %s is %q, want %q", k, got, want)
		}
	}
	if r := sh.ok("POST", "/v1/payment_intents/"+pi, "metadata="); len(r.at("metadata").(map[string]any)) != 0 {
		t.Errorf("empty metadata left %s", r.raw)
	}
}

func TestClientSecretsAreOfTheirIntentAndConnectionTokensAreNeverTheSame(t *testing.T) {
	sh := newShop(t)
	r := sh.ok("GET", "/v1/payment_intents/"+sh.intent("2500", ""), "")
	if secret := r.str("client_secret"); len(secret) < 40 || secret[:len(r.str("id"))+8] != r.str("id")+"_secret_" {
		t.Errorf("client secret: %s", secret)
	}
	seen := map[string]bool{}
	for range 20 {
		r := sh.ok("POST", "/v1/terminal/connection_tokens", "location="+sh.location)
		if seen[r.str("secret")] || r.str("location") != sh.location {
			t.Fatalf("token: %s", r.raw)
		}
		seen[r.str("secret")] = true
	}
	if r := sh.ok("POST", "/v1/terminal/connection_tokens", ""); r.at("location") != nil {
		t.Errorf("a token for no location names one: %s", r.raw)
	}
	sh.no(400, "resource_missing", "POST", "/v1/terminal/connection_tokens", "location=tml_none")
}

func TestAConnectionTokenIsRedeemedOnce(t *testing.T) {
	sh := newShop(t)
	secret := sh.ok("POST", "/v1/terminal/connection_tokens", "").str("secret")
	sh.ok("POST", "/v1/terminal/connection_tokens/activate", "secret="+secret)
	r := sh.no(400, "", "POST", "/v1/terminal/connection_tokens/activate", "secret="+secret)
	if want := "has already been redeemed"; r.str("error.message") != "The connection token "+want+"." {
		t.Errorf("refused with %q", r.str("error.message"))
	}
	sh.no(400, "resource_missing", "POST", "/v1/terminal/connection_tokens/activate", "secret=pst_test_none")
}
