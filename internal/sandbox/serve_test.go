package sandbox

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a whole text with testdata/NAME.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s differs; run with -update and read the diff. Got:\n%s", path, got)
	}
}

// bubble is a shop inside a synctest bubble, without sockets.
func bubble(t *testing.T, f func(sh *shop)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		sh := &shop{Sandbox: s, t: t, key: s.SecretKey()}
		sh.furnish()
		f(sh)
	})
}

func TestTheAnswersOfAPaymentAreAsWritten(t *testing.T) {
	bubble(t, func(sh *shop) {
		var text strings.Builder
		say := func(title string, r *response) { text.WriteString("# " + title + "\n" + r.raw + "\n") }
		pi := sh.intent("2500", "&metadata[order]=17")
		say("created", sh.ok("GET", "/v1/payment_intents/"+pi, ""))
		say("presented", sh.pay(pi, ""))
		say("authorised", sh.ok("GET", "/v1/charges/"+sh.ok("GET", "/v1/payment_intents/"+pi, "").str("latest_charge"), ""))
		say("captured in part", sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=2000", "Idempotency-Key: op_1"))
		say("refunded in part", sh.ok("POST", "/v1/refunds", "payment_intent="+pi+"&amount=500"))
		say("refused", sh.send("POST", "/v1/payment_intents/"+pi+"/cancel", ""))
		other := sh.intent("1005", "")
		say("declined", sh.pay(other, ""))
		say("events", sh.ok("GET", "/v1/events", "limit=2&types[]=payment_intent.*"))
		golden(t, "payment", text.String())
	})
}

func TestEveryAnswerNamesItsRequest(t *testing.T) {
	sh := newShop(t)
	seen := map[string]bool{}
	for _, r := range []*response{
		sh.send("GET", "/v1/account", ""), sh.send("GET", "/v1/account", "bogus=1"), sh.send("GET", "/v1/nothing", ""),
		sh.send("POST", "/v1/refunds", ""),
	} {
		id := r.header.Get("Request-Id")
		if !strings.HasPrefix(id, "req_") || seen[id] {
			t.Errorf("Request-Id is %q", id)
		}
		seen[id] = true
		if r.status != http.StatusOK && !strings.HasSuffix(r.str("error.request_log_url"), id) {
			t.Errorf("the refusal does not point at its log: %s", r.raw)
		}
	}
}

func TestStripeVersionIsEchoedAndDecidesWhatIsTold(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	const at = "latest_charge.payment_method_details.card_present.location"
	for version, told := range map[string]bool{
		"": true, "2025-08-27.basil": false, "2026-01-28.clover": false, "2026-02-25.clover": true, "2026-08-26.preview": true, "2020-03-02": false,
	} {
		sh.version = version
		r := sh.ok("GET", "/v1/payment_intents/"+pi, "expand[]=latest_charge")
		if got := r.header.Get("Stripe-Version"); version != "" && got != version || got == "" {
			t.Errorf("%q is echoed as %q", version, got)
		}
		if got := r.str(at) == sh.location; got != told {
			t.Errorf("version %q: location told: %v, want %v", version, got, told)
		}
	}
	sh.version = "tomorrow"
	sh.no(http.StatusBadRequest, "", "GET", "/v1/account", "")
}

func TestBadRequestsAreRefusedAsStripeDoes(t *testing.T) {
	sh := newShop(t)
	for _, c := range []struct {
		name, method, path, form, code, param string
		status                                int
	}{
		{"unknown path", "GET", "/v1/nothing", "", "", "", 404},
		{"wrong method", "DELETE", "/v1/payment_intents", "", "", "", 404},
		{"slash too many", "GET", "/v1//account", "", "", "", 404},
		{"unknown parameter", "POST", "/v1/payment_intents", "amount=100&currency=usd&bogus=1", "parameter_unknown", "bogus", 400},
		{"unknown nested parameter", "POST", "/v1/terminal/locations", "display_name=A&address[planet]=Mars", "parameter_unknown", "address[planet]", 400},
		{"unknown filter", "GET", "/v1/refunds", "bogus=1", "parameter_unknown", "bogus", 400},
		{"missing amount", "POST", "/v1/payment_intents", "currency=usd", "parameter_missing", "amount", 400},
		{"missing currency", "POST", "/v1/payment_intents", "amount=100", "parameter_missing", "currency", 400},
		{"amount with a point", "POST", "/v1/payment_intents", "amount=10.50&currency=usd", "parameter_invalid_integer", "amount", 400},
		{"negative amount", "POST", "/v1/payment_intents", "amount=-5&currency=usd", "parameter_invalid_integer", "amount", 400},
		{"amount too small", "POST", "/v1/payment_intents", "amount=49&currency=usd", "amount_too_small", "amount", 400},
		{"amount too large", "POST", "/v1/payment_intents", "amount=100000000&currency=usd", "amount_too_large", "amount", 400},
		{"amount as a list", "POST", "/v1/payment_intents", "amount[]=100&currency=usd", "parameter_invalid_integer", "amount", 400},
		{"no such currency", "POST", "/v1/payment_intents", "amount=100&currency=zzz", "", "currency", 400},
		{"no such method", "POST", "/v1/payment_intents", "amount=100&currency=usd&payment_method_types[]=gold", "", "payment_method_types", 400},
		{"no such capture method", "POST", "/v1/payment_intents", "amount=100&currency=usd&capture_method=later", "", "capture_method", 400},
		{"no e-mail address", "POST", "/v1/payment_intents", "amount=100&currency=usd&receipt_email=me", "email_invalid", "receipt_email", 400},
		{"empty registration code", "POST", "/v1/terminal/readers", "registration_code=", "parameter_invalid_empty", "registration_code", 400},
		{"limit too high", "GET", "/v1/refunds", "limit=101", "parameter_invalid_integer", "limit", 400},
		{"both cursors", "GET", "/v1/refunds", "starting_after=re_1&ending_before=re_2", "parameters_exclusive", "", 400},
		{"no such cursor", "GET", "/v1/refunds", "starting_after=re_1", "resource_missing", "starting_after", 400},
		{"no such intent", "GET", "/v1/payment_intents/pi_none", "", "resource_missing", "intent", 404},
		{"no such reader", "GET", "/v1/terminal/readers/tmr_none", "", "resource_missing", "id", 404},
		{"not expandable", "GET", "/v1/account", "expand[]=id", "", "expand", 400},
		{"malformed escape", "POST", "/v1/refunds", "a=%zz", "", "", 400},
		{"text and hash", "POST", "/v1/refunds", "metadata=1&metadata[a]=1", "", "", 400},
		{"flag that is none", "POST", "/v1/terminal/configurations", "offline[enabled]=yes", "", "offline[enabled]", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			sh.t = t
			r := sh.no(c.status, c.code, c.method, c.path, c.form)
			if got := r.str("error.param"); got != c.param {
				t.Errorf("param is %q, want %q", got, c.param)
			}
		})
	}
}

func TestBodiesThatAreNoFormsAreRefused(t *testing.T) {
	sh := newShop(t)
	sh.no(http.StatusBadRequest, "", "POST", "/v1/refunds", `{"payment_intent":"pi_1"}`, "Content-Type: application/json")
	r := sh.send("POST", "/v1/refunds", "metadata[a]="+strings.Repeat("x", maxBody))
	if r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of over 1 MiB: %d", r.status)
	}
}

// FuzzServe asks a furnished sandbox for anything: it may refuse, it may not fall over.
func FuzzServe(f *testing.F) {
	s, err := New(Options{Seed: 1})
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, "/", strings.NewReader(body))
		req.URL.Path = path
		if method == http.MethodGet {
			req.URL.RawQuery = body
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(s.SecretKey(), "")
		rec := httptest.NewRecorder()
		s.Handler().ServeHTTP(rec, req)
		return rec
	}
	for _, r := range routes {
		form := strings.Join(r.params, "=1&") + "=1&expand[]=data"
		f.Add(r.method, strings.ReplaceAll(r.path, "*", "pi_1"), form)
	}
	f.Add("POST", "/v1/payment_intents", "amount=2500&currency=usd&payment_method_options[card_present][capture_method]=manual")
	f.Add("POST", "/v1/terminal/locations", "display_name=A&address[line1]=1&address[country]=GI")
	f.Add("POST", "/_sandbox/clock", `{"advance":"1h"}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if method != http.MethodGet && method != http.MethodPost && method != http.MethodDelete || strings.HasSuffix(path, "/faults") {
			return // other methods have no route, and trouble on request would be one of ours
		}
		if rec := ask(method, path, body); rec.Code >= 500 {
			t.Errorf("%s %s %s: %d %s", method, path, body, rec.Code, rec.Body)
		}
	})
}
