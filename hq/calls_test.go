package hq_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/sandbox"
)

func TestTokensAreScopedToTheStoresLocationAndNeverRepeat(t *testing.T) {
	s := newShop(t)
	var secrets []string
	for range 2 {
		raw, err := s.client.ConnectionToken(t.Context(), s.till)
		if err != nil {
			t.Fatal(err)
		}
		var token struct{ Object, Location, Secret string }
		if err := json.Unmarshal(raw, &token); err != nil {
			t.Fatal(err)
		}
		if token.Object != "terminal.connection_token" || token.Location != s.loc || token.Secret == "" {
			t.Errorf("token %s", strings.ReplaceAll(string(raw), token.Secret, "…"))
		}
		secrets = append(secrets, token.Secret)
	}
	if secrets[0] == secrets[1] {
		t.Error("the same token twice")
	}
}

func TestTokenIsNotAskedForTwice(t *testing.T) {
	s := newShop(t)
	s.box.Inject(sandbox.Fault{Path: "/v1/terminal/connection_tokens", Kind: "500", Times: 1})
	if _, err := s.client.ConnectionToken(t.Context(), s.till); !isRefusal(err, "stripe_unreachable") {
		t.Errorf("%v, want stripe_unreachable", err)
	}
	if _, err := s.client.ConnectionToken(t.Context(), s.till); err != nil {
		t.Errorf("the next token: %v", err)
	}
}

func TestWhatATillMayCall(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	other := s.stripe("POST", "/v1/terminal/locations", "display_name=Other&address[line1]=1&address[city]=X&address[state]=CA&address[postal_code]=94110&address[country]=US")["id"].(string)
	theirs := s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-wpe&location="+other)["id"].(string)
	p := func(kv ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(kv); i += 2 {
			v.Add(kv[i], kv[i+1])
		}
		return v
	}
	for name, c := range map[string]struct {
		scope  doors.Scope
		call   doors.Call
		key    string
		params url.Values
		code   string // "": it works
	}{
		"create":                       {"pos", doors.CreatePaymentIntent, "", p("amount", "1000"), ""},
		"create: keyed":                {"pos", doors.CreatePaymentIntent, "k1", p("amount", "1000"), ""},
		"create: doubled type":         {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "payment_method_types[]", "card_present", "payment_method_types[]", "card_present"), ""},
		"create: unknown is dropped":   {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "colour", "red", "setup_future_usage", "off_session"), ""},
		"create: options":              {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "payment_method_options[card_present][request_extended_authorization]", "true"), ""},
		"create: no amount":            {"pos", doors.CreatePaymentIntent, "", p("currency", "usd"), "missing_field"},
		"create: NaN":                  {"pos", doors.CreatePaymentIntent, "", p("amount", "NaN"), "invalid_amount"},
		"create: decimal":              {"pos", doors.CreatePaymentIntent, "", p("amount", "10.50"), "invalid_amount"},
		"create: zero":                 {"pos", doors.CreatePaymentIntent, "", p("amount", "0"), "invalid_amount"},
		"create: too much":             {"pos", doors.CreatePaymentIntent, "", p("amount", "100000000"), "invalid_amount"},
		"create: currency":             {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "currency", "xxx"), "invalid_currency"},
		"create: transfer":             {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "transfer_data[destination]", "acct_1"), "invalid_field"},
		"create: on behalf":            {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "on_behalf_of", "acct_1"), "invalid_field"},
		"create: fee":                  {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "application_fee_amount", "1"), "invalid_field"},
		"create: customer":             {"manager", doors.CreatePaymentIntent, "", p("amount", "1000", "customer", "cus_1"), "invalid_field"},
		"create: online card":          {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "payment_method_types[]", "card"), "invalid_field"},
		"create: forged metadata":      {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "metadata[storehub_store]", "0413"), "invalid_field"},
		"create: forged operation":     {"pos", doors.CreatePaymentIntent, "", p("amount", "1000", "metadata[storehub_op]", "op_1"), "invalid_field"},
		"create: monitor":              {"monitor", doors.CreatePaymentIntent, "", p("amount", "1000"), "forbidden"},
		"create: nobody's scope":       {"", doors.CreatePaymentIntent, "", p("amount", "1000"), "invalid_field"},
		"create: long key":             {"pos", doors.CreatePaymentIntent, strings.Repeat("k", 256), p("amount", "1000"), "idempotency_key_missing"},
		"retrieve":                     {"pos", doors.RetrievePaymentIntent, "", p("payment_intent", pi), ""},
		"retrieve: secret as id":       {"pos", doors.RetrievePaymentIntent, "", p("payment_intent", pi+"_secret_x"), "invalid_field"},
		"retrieve: path":               {"pos", doors.RetrievePaymentIntent, "", p("payment_intent", "pi_1/../../balance"), "invalid_field"},
		"retrieve: unknown":            {"pos", doors.RetrievePaymentIntent, "", p("payment_intent", "pi_unknown"), "stripe_refused"},
		"update":                       {"pos", doors.UpdatePaymentIntent, "", p("payment_intent", pi, "receipt_email", "a@example.com"), ""},
		"update: amount is dropped":    {"pos", doors.UpdatePaymentIntent, "", p("payment_intent", pi, "amount", "1"), ""},
		"setup intent":                 {"pos", doors.CreateSetupIntent, "", p(), ""},
		"setup intent: customer":       {"pos", doors.CreateSetupIntent, "", p("customer", "cus_1"), "invalid_field"},
		"locations":                    {"pos", doors.ListLocations, "", p(), ""},
		"location: pos":                {"pos", doors.CreateLocation, "", p("display_name", "x", "address[country]", "US"), "forbidden"},
		"location":                     {"manager", doors.CreateLocation, "", p("display_name", "New", "address[country]", "US", "address[line1]", "1", "address[city]", "X", "address[state]", "CA", "address[postal_code]", "94110"), ""},
		"location: Stripe says no":     {"manager", doors.CreateLocation, "", p("display_name", "New", "address[country]", "ZZ"), "stripe_refused"},
		"readers":                      {"pos", doors.ListReaders, "", p("location", other), ""},
		"reader":                       {"pos", doors.RetrieveReader, "", p("reader", s.reader), ""},
		"reader: theirs":               {"pos", doors.RetrieveReader, "", p("reader", theirs), "not_found"},
		"reader: no id":                {"pos", doors.RetrieveReader, "", p("reader", "x"), "invalid_field"},
		"register: pos":                {"pos", doors.RegisterReader, "", p("registration_code", "simulated-s700"), "forbidden"},
		"register":                     {"manager", doors.RegisterReader, "", p("registration_code", "simulated-s700", "label", "2", "location", other), ""},
		"register: Stripe says no":     {"manager", doors.RegisterReader, "", p("registration_code", "wrong-wrong-wrong"), "stripe_refused"},
		"process: no key":              {"pos", doors.ProcessPaymentIntent, "", p("reader", s.reader, "payment_intent", pi), "idempotency_key_missing"},
		"process: their reader":        {"pos", doors.ProcessPaymentIntent, "k", p("reader", theirs, "payment_intent", pi), "not_found"},
		"display":                      {"pos", doors.SetReaderDisplay, "", p("reader", s.reader, "type", "cart", "cart[currency]", "usd", "cart[total]", "100", "cart[line_items][0][description]", "x", "cart[line_items][0][amount]", "100", "cart[line_items][0][quantity]", "1"), ""},
		"display: theirs":              {"pos", doors.SetReaderDisplay, "", p("reader", theirs, "type", "cart"), "not_found"},
		"refund at the reader: pos":    {"pos", doors.RefundPayment, "k2", p("reader", s.reader, "payment_intent", pi), "forbidden"},
		"refund at the reader: amount": {"manager", doors.RefundPayment, "k3", p("reader", s.reader, "payment_intent", pi, "amount", "-1"), "invalid_amount"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			s.till = doors.Till{Name: "till 1", Scope: c.scope, Mode: doors.Test}
			_, err := s.client.Stripe(t.Context(), s.till, c.call, c.key, c.params)
			if c.code == "" && err != nil || c.code != "" && !isRefusal(err, c.code) {
				t.Errorf("%v, want %q", err, c.code)
			}
		})
	}
}

func TestCreateHasTheReferenceBackendsDefaultsAndTheKey(t *testing.T) {
	s := newShop(t)
	first, err := s.call(doors.CreatePaymentIntent, "key", url.Values{"amount": {"1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if first["currency"] != "usd" || first["capture_method"] != "manual" || first["description"] != "Example PaymentIntent" ||
		first["payment_method_types"].([]any)[0] != "card_present" || first["metadata"].(map[string]any)["storehub_store"] != "0412" {
		t.Errorf("created %v", first)
	}
	again, err := s.call(doors.CreatePaymentIntent, "key", url.Values{"amount": {"1000"}})
	if err != nil || again["id"] != first["id"] {
		t.Errorf("the same key made another payment: %v, %v", again["id"], err)
	}
	if _, err := s.call(doors.CreatePaymentIntent, "key", url.Values{"amount": {"2000"}}); !isRefusal(err, "idempotency_key_reused") {
		t.Errorf("another body under the key: %v", err)
	}
	s.till.Name = "till 2"
	second, err := s.call(doors.CreatePaymentIntent, "key", url.Values{"amount": {"1000"}})
	if err != nil || second["id"] == first["id"] {
		t.Errorf("two tills met on one key: %v, %v", second["id"], err)
	}
}

func TestListsAreBareArraysOfWhatIsTheStores(t *testing.T) {
	s := newShop(t)
	other := s.stripe("POST", "/v1/terminal/locations", "display_name=Other&address[line1]=1&address[city]=X&address[state]=CA&address[postal_code]=94110&address[country]=US")["id"].(string)
	s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-wpe&location="+other)
	made, err := s.call(doors.CreateLocation, "", url.Values{"display_name": {"Made"}, "address[country]": {"US"}, "address[line1]": {"1"}, "address[city]": {"X"}, "address[state]": {"CA"}, "address[postal_code]": {"94110"}})
	if err != nil {
		t.Fatal(err)
	}
	for call, want := range map[doors.Call][]string{doors.ListLocations: {s.loc, made["id"].(string)}, doors.ListReaders: {s.reader}} {
		raw, err := s.client.Stripe(t.Context(), s.till, call, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		var list []struct{ ID string }
		if err := json.Unmarshal(raw, &list); err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		var got []string
		for _, o := range list {
			got = append(got, o.ID)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v, want %v", call, got, want)
		}
	}
}

func TestADeclineIsToldInStripesCodeAndTheOperatorsWords(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	// Already authorised: the reader will not take it again.
	_, err := s.client.Stripe(t.Context(), s.till, doors.ProcessPaymentIntent, "k1", url.Values{"reader": {s.reader}, "payment_intent": {pi}})
	var e *doors.Error
	if !asRefusal(err, &e) || e.Code != "stripe_refused" || e.Stripe == "" || e.Message == "" || e.OperatorMessage == "" || e.Status != 402 {
		t.Errorf("refusal %#v", e)
	}
}

func TestMoney_2_6_OneUnresolvedActionPerIntent(t *testing.T) {
	s := newShop(t)
	second := s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-s700&location="+s.loc)["id"].(string)
	pi := s.created("1000")
	do := func(key, reader string) error {
		_, err := s.client.Stripe(t.Context(), s.till, doors.ProcessPaymentIntent, key, url.Values{"reader": {reader}, "payment_intent": {pi}})
		return err
	}
	if err := do("k1", s.reader); err != nil {
		t.Fatal(err)
	}
	if err := do("k1", s.reader); err != nil {
		t.Errorf("the same key again: %v", err)
	}
	if err := do("k1", second); !isRefusal(err, "idempotency_key_reused") {
		t.Errorf("the same key for another reader: %v", err)
	}
	if err := do("k2", second); !isRefusal(err, "action_unresolved") {
		t.Errorf("a second reader for one payment: %v", err)
	}
	// The cashier cancels; then the other reader may have it.
	if _, err := s.client.Stripe(t.Context(), s.till, doors.CancelAction, "", url.Values{"reader": {s.reader}}); err != nil {
		t.Fatal(err)
	}
	if err := do("k3", second); err != nil {
		t.Errorf("after the cancel: %v", err)
	}
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+second+"/present_payment_method", "")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
}

func TestMoney_2_6_AnActionWhoseAnswerIsLostIsReadNotRepeatedElsewhere(t *testing.T) {
	s := newShop(t)
	second := s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-s700&location="+s.loc)["id"].(string)
	pi := s.created("1000")
	broke := s.breakAt("action:after", 1)
	params := url.Values{"reader": {s.reader}, "payment_intent": {pi}}
	if _, err := s.client.Stripe(t.Context(), s.till, doors.ProcessPaymentIntent, "k1", params); err == nil || !broke() {
		t.Fatalf("the answer was not lost: %v", err)
	}
	s.down()
	s.up()
	params.Set("reader", second)
	if _, err := s.client.Stripe(t.Context(), s.till, doors.ProcessPaymentIntent, "k2", params); !isRefusal(err, "action_unresolved") {
		t.Errorf("armed a second reader while the first one asks for the card: %v", err)
	}
	s.stripe("POST", "/v1/terminal/readers/"+s.reader+"/cancel_action", "")
	if _, err := s.client.Stripe(t.Context(), s.till, doors.ProcessPaymentIntent, "k3", params); err != nil {
		t.Errorf("once the first reader is free: %v", err)
	}
}

func TestCallsAnswerInTimeWhileStripeHangs(t *testing.T) {
	t.Parallel() // it waits for the whole of the time that a till has
	s := newShop(t)
	s.box.Inject(sandbox.Fault{Path: "/v1/payment_intents", Kind: "hang", Times: 1})
	began := time.Now()
	_, err := s.client.Stripe(t.Context(), s.till, doors.CreatePaymentIntent, "k", url.Values{"amount": {"1000"}})
	if !isRefusal(err, "stripe_unreachable") || time.Since(began) > 7500*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	s.box.Clear()
}

func TestReadersAreServedFromOnePoll(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.Poll = time.Hour })
	l, err := s.client.Readers(t.Context())
	if err != nil || len(l.Readers) != 1 || l.At.IsZero() {
		t.Fatalf("%+v, %v", l, err)
	}
	var r map[string]any
	if err := json.Unmarshal(l.Readers[0], &r); err != nil || r["id"] != s.reader || r["location"] != s.loc {
		t.Errorf("reader %s: not as Stripe sent it", l.Readers[0])
	}
	s.box.Inject(sandbox.Fault{Path: "/v1/terminal/readers", Kind: "500"})
	again, err := s.client.Readers(t.Context())
	if err != nil || !again.At.Equal(l.At) {
		t.Errorf("asked Stripe again within the hour: %+v, %v", again, err)
	}
	s.shift.Store(int64(3 * time.Hour))
	old, err := s.client.Readers(t.Context())
	if err != nil || !old.At.Equal(l.At) {
		t.Errorf("an old list is better than none, and says how old it is: %+v, %v", old, err)
	}
}
