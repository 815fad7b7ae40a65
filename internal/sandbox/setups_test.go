package sandbox

import "testing"

func TestACardIsSavedAtTheReaderAndItsTwinIsAttached(t *testing.T) {
	sh := newShop(t)
	reader := "/v1/terminal/readers/" + sh.reader
	setup := sh.ok("POST", "/v1/setup_intents", "payment_method_types[]=card_present").str("id")
	sh.no(400, "parameter_missing", "POST", reader+"/process_setup_intent", "setup_intent="+setup)
	sh.ok("POST", reader+"/process_setup_intent", "setup_intent="+setup+"&allow_redisplay=always")
	r := sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "")
	card := r.str("action.process_setup_intent.generated_card")
	got := sh.ok("GET", "/v1/setup_intents/"+setup, "")
	if got.str("status") != "succeeded" || card == "" || got.str("payment_method") == card {
		t.Errorf("%s %s", got.raw, r.raw)
	}
	customer := sh.ok("POST", "/v1/customers", "email=example@test.com").str("id")
	sh.no(400, "", "POST", "/v1/payment_methods/"+got.str("payment_method")+"/attach", "customer="+customer)
	sh.no(400, "resource_missing", "POST", "/v1/payment_methods/"+card+"/attach", "customer=cus_none")
	sh.no(404, "resource_missing", "POST", "/v1/payment_methods/pm_none/attach", "customer="+customer)
	if r := sh.ok("POST", "/v1/payment_methods/"+card+"/attach", "customer="+customer+"&expand[]=customer"); r.str("customer.email") != "example@test.com" {
		t.Errorf("%s", r.raw)
	}
	sh.no(400, "intent_invalid_state", "POST", reader+"/process_setup_intent", "setup_intent="+setup+"&allow_redisplay=always")
}

func TestACardThatIsDeclinedIsNotSaved(t *testing.T) {
	sh := newShop(t)
	setup := sh.ok("POST", "/v1/setup_intents", "payment_method_types[]=card_present").str("id")
	sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/process_setup_intent", "setup_intent="+setup+"&allow_redisplay=limited")
	r := sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "type=card_present&card_present[number]=4000000000000002")
	got := sh.ok("GET", "/v1/setup_intents/"+setup, "")
	if r.str("action.status") != "failed" || got.str("status") != "requires_payment_method" || got.str("last_setup_error.code") != "card_declined" {
		t.Errorf("%s %s", r.raw, got.raw)
	}
}

func TestCustomersAreFoundByTheirAddress(t *testing.T) {
	sh := newShop(t)
	a := sh.ok("POST", "/v1/customers", "email=a@example.com").str("id")
	sh.ok("POST", "/v1/customers", "email=b@example.com")
	if r := sh.ok("GET", "/v1/customers", "email=a@example.com&limit=1"); r.str("data.0.id") != a || r.at("has_more") != false {
		t.Errorf("%s", r.raw)
	}
}
