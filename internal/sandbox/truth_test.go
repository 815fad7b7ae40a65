package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stripe/stripe-go/v82"

	"storehub/internal/sandbox/stripemock"
)

// leftOut are fields that Stripe's fixture has and the sandbox does not fill,
// each with its reason. A path ends at the first field that differs.
var leftOut = map[string]string{
	"terminal.configuration bbpos_wisepos_e": "only configurations with a splash screen have it",
	"charge refunds":                         "told only when it is expanded, since 2022-11-15",
	"charge payment_method_details.card":     "the fixture is an online payment; in person it is card_present",
	"payment_method card":                    "the fixture is an online card; in person it is card_present",
	"event data.object":                      "the fixture's event is about a plan",
}

// lacking lists the fields of Stripe's object that ours has not got, down to
// where either has no object any more.
func lacking(want, have map[string]any, at string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		path := strings.TrimPrefix(at+"."+k, ".")
		got, ok := have[k]
		if !ok {
			out = append(out, path)
			continue
		}
		w, wantsHash := want[k].(map[string]any)
		g, hasHash := got.(map[string]any)
		if wantsHash && hasHash && k != "metadata" {
			out = append(out, lacking(w, g, path)...)
		}
	}
	return out
}

func TestEveryObjectHasTheFieldsOfStripesAndDecodesWithStripeGo(t *testing.T) {
	fixtures, err := stripemock.Fixtures()
	if err != nil {
		t.Fatal(err)
	}
	sh := newShop(t)
	pi := sh.authorised("2500")
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "")
	charge := sh.ok("GET", "/v1/payment_intents/"+pi, "").str("latest_charge")
	refund := sh.ok("POST", "/v1/refunds", "payment_intent="+pi+"&amount=500").str("id")
	setup := sh.ok("POST", "/v1/setup_intents", "payment_method_types[]=card_present").str("id")
	method := sh.ok("GET", "/v1/payment_intents/"+pi, "").str("payment_method")
	customer := sh.ok("POST", "/v1/customers", "email=a@example.com").str("id")
	events := sh.ok("GET", "/v1/events", "limit=1")
	configuration := sh.ok("GET", "/v1/terminal/configurations", "").str("data.0.id")
	sh.pay(sh.intent("1005", ""), "") // declined: the reader's action tells of it
	for _, c := range []struct {
		name, method, path string
		into               any
		check              func(any) string
	}{
		{"terminal.connection_token", "POST", "/v1/terminal/connection_tokens", &stripe.TerminalConnectionToken{}, func(v any) string { return v.(*stripe.TerminalConnectionToken).Secret }},
		{"terminal.location", "GET", "/v1/terminal/locations/" + sh.location, &stripe.TerminalLocation{}, func(v any) string { return v.(*stripe.TerminalLocation).ID }},
		{"terminal.configuration", "GET", "/v1/terminal/configurations/" + configuration, &stripe.TerminalConfiguration{}, func(v any) string { return v.(*stripe.TerminalConfiguration).ID }},
		{"terminal.reader", "GET", "/v1/terminal/readers/" + sh.reader, &stripe.TerminalReader{}, func(v any) string { return string(v.(*stripe.TerminalReader).Action.FailureCode) }},
		{"payment_intent", "GET", "/v1/payment_intents/" + pi, &stripe.PaymentIntent{}, func(v any) string { return string(v.(*stripe.PaymentIntent).Status) }},
		{"charge", "GET", "/v1/charges/" + charge, &stripe.Charge{}, func(v any) string {
			return v.(*stripe.Charge).PaymentMethodDetails.CardPresent.Receipt.DedicatedFileName
		}},
		{"refund", "GET", "/v1/refunds/" + refund, &stripe.Refund{}, func(v any) string { return string(v.(*stripe.Refund).Status) }},
		{"event", "GET", "/v1/events/" + events.str("data.0.id"), &stripe.Event{}, func(v any) string { return string(v.(*stripe.Event).Type) }},
		{"setup_intent", "GET", "/v1/setup_intents/" + setup, &stripe.SetupIntent{}, func(v any) string { return v.(*stripe.SetupIntent).ClientSecret }},
		{"customer", "GET", "/v1/customers/" + customer, &stripe.Customer{}, func(v any) string { return v.(*stripe.Customer).Email }},
		{"payment_method", "GET", "/v1/payment_methods/" + method, &stripe.PaymentMethod{}, func(v any) string { return v.(*stripe.PaymentMethod).CardPresent.Last4 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sh.ok(c.method, c.path, "")
			if err := json.Unmarshal([]byte(got.raw), c.into); err != nil {
				t.Fatalf("stripe-go cannot read it: %v", err)
			}
			if c.check(c.into) == "" {
				t.Errorf("stripe-go reads nothing out of %s", got.raw)
			}
			var want map[string]any
			if err := json.Unmarshal(fixtures[c.name], &want); err != nil {
				t.Fatal(err)
			}
			if got.str("object") != c.name {
				t.Errorf("object is %q", got.str("object"))
			}
			for _, path := range lacking(want, got.body, "") {
				if !excused(c.name, path) {
					t.Errorf("field %s is missing", path)
				}
			}
		})
	}
}

func excused(name, path string) bool {
	for entry := range leftOut {
		if at, ok := strings.CutPrefix(entry, name+" "); ok && (path == at || strings.HasPrefix(path, at+".")) {
			return true
		}
	}
	return false
}

func TestWhatTheTestsAskForIsLegalAtStripe(t *testing.T) {
	mock, err := stripemock.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer mock.Close()
	sh := open(t, Options{Mirror: mock.Mirror})
	sh.furnish()
	everyCall(sh)
	for _, refusal := range mock.Check() {
		t.Error(refusal)
	}
	if n := mock.Requests(); n < 40 {
		t.Errorf("only %d different requests were checked", n)
	}
}

// everyCall asks for every call of the sandbox once, with most of its parameters.
func everyCall(sh *shop) {
	sh.t.Helper()
	reader := "/v1/terminal/readers/" + sh.reader
	sh.ok("POST", "/v1/terminal/connection_tokens", "location="+sh.location)
	conf := sh.ok("POST", "/v1/terminal/configurations", "name=Night&offline[enabled]=true&reboot_window[start_hour]=2&reboot_window[end_hour]=5&stripe_s700[splashscreen]=file_1").str("id")
	sh.ok("POST", "/v1/terminal/configurations/"+conf, "reader_security[admin_menu_passcode]=73914", "Stripe-Version: 2026-08-26.preview")
	sh.ok("GET", "/v1/terminal/configurations", "is_account_default=true")
	sh.ok("GET", "/v1/terminal/configurations/"+conf, "")
	sh.ok("POST", "/v1/terminal/locations/"+sh.location, "display_name=Shop 1&configuration_overrides="+conf+"&metadata[store]=0412")
	sh.ok("GET", "/v1/terminal/locations", "limit=100")
	sh.ok("GET", "/v1/terminal/locations/"+sh.location, "")
	sh.ok("GET", "/v1/terminal/readers", "location="+sh.location+"&status=online&limit=100")
	sh.ok("POST", reader, "label=Till 2&metadata[a]=b")
	sh.ok("GET", reader, "expand[]=location")
	sh.ok("POST", reader+"/set_reader_display", "type=cart&cart[currency]=usd&cart[total]=210&cart[tax]=10&cart[line_items][0][amount]=200&cart[line_items][0][description]=Tea&cart[line_items][0][quantity]=1")
	sh.ok("POST", reader+"/cancel_action", "")

	pi := sh.intent("2500", "&metadata[storehub_op]=op1&description=Tea&receipt_email=a@example.com&payment_method_options[card_present][request_extended_authorization]=true&statement_descriptor_suffix=TEA")
	sh.ok("POST", "/v1/payment_intents/"+pi, "receipt_email=b@example.com&metadata[order]=17&amount=2600")
	sh.ok("POST", reader+"/process_payment_intent", "payment_intent="+pi+"&process_config[enable_customer_cancellation]=true")
	sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "type=card_present&card_present[number]=4242424242424242")
	sh.ok("GET", "/v1/payment_intents", "limit=5&created[gte]=1")
	sh.ok("GET", "/v1/payment_intents/search", "query=metadata['order']:'17'&limit=10")
	sh.ok("GET", "/v1/payment_intents/"+pi, "expand[]=latest_charge")
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=2000&metadata[storehub_op]=op2")
	charge := sh.ok("GET", "/v1/charges", "payment_intent="+pi).str("data.0.id")
	sh.ok("GET", "/v1/charges/"+charge, "")
	sh.ok("POST", "/v1/charges/"+charge, "receipt_email=a@example.com&metadata[k]=v")
	refund := sh.ok("POST", "/v1/refunds", "payment_intent="+pi+"&amount=500&reason=requested_by_customer&metadata[storehub_op]=op3").str("id")
	sh.ok("GET", "/v1/refunds/"+refund, "")
	sh.ok("GET", "/v1/refunds", "payment_intent="+pi+"&limit=100")
	sh.ok("POST", reader+"/refund_payment", "payment_intent="+pi+"&amount=100&metadata[a]=b")
	sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "")
	other := sh.intent("100", "")
	sh.ok("POST", "/v1/payment_intents/"+other+"/cancel", "cancellation_reason=abandoned")

	setup := sh.ok("POST", "/v1/setup_intents", "payment_method_types[]=card_present&usage=off_session&description=Card").str("id")
	sh.ok("POST", reader+"/process_setup_intent", "setup_intent="+setup+"&allow_redisplay=always")
	saved := sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "").str("action.process_setup_intent.generated_card")
	sh.ok("GET", "/v1/setup_intents/"+setup, "")
	customer := sh.ok("POST", "/v1/customers", "email=example@test.com&name=A").str("id")
	sh.ok("GET", "/v1/customers", "email=example@test.com&limit=1")
	sh.ok("GET", "/v1/customers/"+customer, "")
	sh.ok("POST", "/v1/payment_methods/"+saved+"/attach", "customer="+customer+"&expand[]=customer")
	sh.ok("GET", "/v1/payment_methods/"+saved, "")

	event := sh.ok("GET", "/v1/events", "types[]=charge.captured&types[]=refund.created&limit=100&created[gt]=1").str("data.0.id")
	sh.ok("GET", "/v1/events/"+event, "")
	sh.ok("GET", "/v1/events", "ending_before="+event)
	sh.ok("GET", "/v1/account", "")
	sh.ok("GET", "/v1/balance", "")
	sh.ok("GET", "/v1/payouts", "limit=1")
	hook := sh.ok("POST", "/v1/webhook_endpoints", "url=https://example.com/hook&enabled_events[]=*").str("id")
	sh.ok("POST", "/v1/webhook_endpoints/"+hook, "enabled_events[]=charge.captured&disabled=true")
	sh.ok("GET", "/v1/webhook_endpoints", "limit=3")
	sh.ok("POST", "/v1/terminal/connection_tokens/activate", "secret="+sh.ok("POST", "/v1/terminal/connection_tokens", "").str("secret"))
	sh.ok("DELETE", reader, "")
	sh.ok("DELETE", "/v1/terminal/locations/"+sh.location, "")
	sh.ok("DELETE", "/v1/terminal/configurations/"+conf, "")
}

func TestTheTruthTestAsksForEveryRoute(t *testing.T) {
	asked := map[*route]bool{}
	sh := open(t, Options{Mirror: func(r *http.Request, _ []byte) {
		found, _ := findRoute(r.Method, r.URL.Path)
		asked[found] = true
	}})
	sh.furnish()
	everyCall(sh)
	for _, r := range routes {
		if !asked[r] {
			t.Errorf("%s %s is not asked for", r.method, r.path)
		}
	}
}
