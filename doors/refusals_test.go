package doors

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// bad is a request that must be refused before it has any effect.
type bad struct {
	name    string
	method  string
	target  string
	body    string
	headers []string
	code    string
}

// everyRoute spoils a request to each route in every way that all routes share.
func everyRoute() []bad {
	var list []bad
	for _, r := range routes {
		target := strings.NewReplacer("{id}", "tmr_1", "{payment_intent}", "pi_1").Replace(r.path)
		add := func(name, method, target, body, code string, headers ...string) {
			list = append(list, bad{r.method + " " + r.path + ": " + name, method, target, body, headers, code})
		}
		other := http.MethodDelete
		add("wrong method", other, target, "", "method_not_allowed", asManager)
		if r.scopes != nil {
			add("no credential", r.method, target, "", "unauthorized")
			add("unknown credential", r.method, target, "", "unauthorized", "Authorization: Bearer nobody")
			add("basic credential", r.method, target, "", "unauthorized", "Authorization: Basic "+managerCredential)
			add("unknown credential in the path before a good one", r.method, "/pos/nobody"+target, "", "unauthorized", asManager)
		}
		add("foreign page", r.method, target, "", "origin_not_allowed", asManager, "Origin: https://evil.example")
		add("page without origin", r.method, target, "", "origin_not_allowed", asManager, "Origin: null")
		add("foreign page asks first", http.MethodOptions, target, "", "origin_not_allowed", "Origin: https://evil.example", "Access-Control-Request-Method: POST")
		add("foreign host", r.method, target, "", "host_not_allowed", asManager, "Host: evil.example")
		for scope, who := range map[Scope]string{ScopePOS: asPOS, ScopeMonitor: asMonitor} {
			if r.scopes != nil && !slices.Contains(r.scopes, scope) {
				add("scope "+string(scope), r.method, target, "", "forbidden", who)
			}
		}
		if r.method != post {
			continue
		}
		kind := formBody
		if surfaceOf(r.path) != compat {
			kind = jsonBody
		}
		add("too large", post, target, `{"kind":"`+strings.Repeat("x", MaxBody)+`"}`, "body_too_large", asManager, withKey, kind)
		add("wrong type", post, target, "<a/>", "unsupported_media_type", asManager, withKey, "Content-Type: text/xml")
		if kind == jsonBody {
			add("form", post, target, "a=b", "unsupported_media_type", asManager, withKey, formBody)
			add("latin-1", post, target, `{}`, "unsupported_media_type", asManager, withKey, "Content-Type: application/json; charset=latin1")
			add("no JSON", post, target, `{"a"`, "bad_request", asManager, withKey, jsonBody)
			add("two values", post, target, `{} {}`, "bad_request", asManager, withKey, jsonBody)
			add("a key twice", post, target, `{"ref":"a","REF":"b"}`, "bad_request", asManager, withKey, jsonBody)
			add("bad UTF-8", post, target, "{\"ref\":\"\xff\"}", "bad_request", asManager, withKey, jsonBody)
			add("deep nest", post, target, `{"data":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`, "bad_request", asManager, withKey, jsonBody)
			add("unknown field", post, target, `{"surprise":1}`, "unknown_field", asManager, withKey, jsonBody)
			add("a list", post, target, `[]`, "invalid_field", asManager, withKey, jsonBody)
		} else {
			add("JSON", post, target, `{"a":1}`, "unsupported_media_type", asManager, jsonBody)
			add("broken escape", post, target, "a=%zz", "bad_request", asManager, formBody)
			add("bad UTF-8", post, target, "a=%ff", "bad_request", asManager, formBody)
			add("bad UTF-8 in the query", post, target+"?a=%ff", "", "bad_request", asManager)
			add("a card number in any field", post, target, "note=4242+4242+4242+4242", "card_data", asManager, formBody)
			add("a card number in the query", post, target+"?x=4242424242424242", "", "card_data", asManager)
			add("a file", post, target, "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\nc\r\n--x--\r\n", "bad_request", asManager, "Content-Type: multipart/form-data; boundary=x")
			add("broken multipart", post, target, "--x\r\n", "bad_request", asManager, "Content-Type: multipart/form-data; boundary=x")
		}
	}
	return list
}

// oneRoute spoils what only that route has.
func oneRoute() []bad {
	var list []bad
	form := func(path, body, code string, who string) {
		list = append(list, bad{path + ": " + body, post, path, body, []string{who, formBody}, code})
	}
	body := func(path, body, code string, headers ...string) {
		if headers == nil {
			headers = []string{asManager, withKey}
		}
		list = append(list, bad{path + ": " + body, post, path, body, append(headers, jsonBody), code})
	}
	look := func(target, code string) {
		list = append(list, bad{target, get, target, "", []string{asManager}, code})
	}

	body("/v1/pairings", `{}`, "missing_field")
	body("/v1/pairings", `{"code":" "}`, "missing_field")
	body("/v1/pairings", `{"code":7}`, "invalid_field")
	body("/v1/pairings", `{"code":"0000-0000"}`, "pairing_code_refused")

	for _, amount := range []string{"", "null", "NaN", "0", "-1", "+1", "10.50", "1e3", "100000000", "0100", "１２", "1 000", "1,000", "0x10", "100&amount=200"} {
		form("/create_payment_intent", "amount="+amount, "invalid_amount", asPOS)
		form("/capture_payment_intent", strings.ReplaceAll("payment_intent_id=pi_1&amount_to_capture="+amount, "&amount=", "&amount_to_capture="), "invalid_amount", asPOS)
	}
	form("/create_payment_intent", "", "missing_field", asPOS)
	for _, currency := range []string{"us", "dollars", "btc", "us%20d"} {
		form("/create_payment_intent", "amount=100&currency="+currency, "invalid_currency", asPOS)
	}
	for _, key := range []string{"transfer_data[destination]", "on_behalf_of", "application_fee_amount", "customer", "transfer_data"} {
		form("/create_payment_intent", "amount=100&"+key+"=acct_1", "forbidden", asManager)
		form("/create_setup_intent", key+"=acct_1", "forbidden", asManager)
	}
	form("/create_payment_intent", "amount=100&capture_method=later", "invalid_field", asPOS)
	form("/create_payment_intent", "amount=100&payment_method_types[]=card", "invalid_field", asPOS)
	form("/create_payment_intent", "amount=100&metadata[a]="+strings.Repeat("x", 501), "invalid_field", asPOS)
	for _, path := range []string{"/capture_payment_intent", "/cancel_payment_intent", "/update_payment_intent"} {
		form(path, "", "missing_field", asPOS)
		form(path, "payment_intent_id=", "missing_field", asPOS)
		form(path, "payment_intent_id=null", "missing_field", asPOS)
		form(path, "payment_intent_id=ch_1", "invalid_field", asPOS)
		form(path, "payment_intent_id=pi_1/../../refunds", "invalid_field", asPOS)
		form(path, "payment_intent_id=pi_1_secret_x", "invalid_field", asPOS)
	}
	form("/update_payment_intent", "payment_intent_id=0b4f6a3e-96a5-4f0e-9d26-4dd3a2f8e3b1", "invalid_field", asPOS)
	form("/register_reader", "label=Lane", "missing_field", asManager)
	form("/attach_payment_method_to_customer", "", "missing_field", asManager)
	form("/attach_payment_method_to_customer", "payment_method_id=pm_1", "forbidden", asLive)
	form("/create_location", "display_name=x", "forbidden", asLive)
	form("/create_location", "", "missing_field", asManager)

	const put = "/v1/operations"
	body(put, `{}`, "missing_field")
	for _, amount := range []string{`0`, `-1`, `1.0`, `1e3`, `10.50`, `"5"`, `null`, `100000000`, `true`, `[]`, `9223372036854775808`} {
		body(put, `{"kind":"capture","ref":"pi_1","amount":`+amount+`}`, "invalid_amount")
		body("/v1/readers/tmr_1/refund_payment", `{"payment_intent":"pi_1","amount":`+amount+`}`, "invalid_amount")
	}
	for _, currency := range []string{`"EUR"`, `"eu"`, `""`, `null`, `5`, `"xbt"`} {
		body(put, `{"kind":"capture","ref":"pi_1","amount":1,"currency":`+currency+`}`, "invalid_currency")
	}
	for _, ref := range []string{``, `ch_1`, `pi_`, `pi_1_secret_x`, `pi_1\n`, `0b4f6a3e`} {
		for _, kind := range []string{"capture", "cancel", "refund", "receipt"} {
			body(put, `{"kind":"`+kind+`","ref":"`+ref+`"}`, "invalid_field")
		}
	}
	body(put, `{"kind":"steal","ref":"pi_1"}`, "invalid_field")
	body(put, `{"KIND":"capture","ref":"pi_1"}`, "unknown_field")
	body(put, `{"kind":1,"ref":"pi_1"}`, "invalid_field")
	body(put, `{"kind":"cancel","ref":"pi_1","amount":1}`, "invalid_field")
	body(put, `{"kind":"cancel","ref":"pi_1","currency":"eur"}`, "invalid_field")
	body(put, `{"kind":"order","ref":""}`, "invalid_field")
	body(put, `{"kind":"offline_payment","ref":"0b4f6a3e-96a5-4f0e-9d26-4dd3a2f8e3b1","currency":"eur"}`, "missing_field")
	body(put, `{"kind":"offline_payment","ref":"0b4f6a3e-96a5-4f0e-9d26-4dd3a2f8e3b1","amount":1}`, "missing_field")
	body(put, `{"kind":"offline_payment","ref":"pi_1","amount":1,"currency":"eur"}`, "invalid_field")
	for _, data := range []string{`[]`, `"x"`, `null`, `{"order":5}`, `{"lane":"` + strings.Repeat("x", 65) + `"}`, `{"order":"a\u0000b"}`} {
		body(put, `{"kind":"capture","ref":"pi_1","data":`+data+`}`, "invalid_field")
	}
	body(put, `{"kind":"capture","ref":"pi_1","data":{"email":"a@example.com"}}`, "unknown_field")
	body(put, `{"kind":"heartbeat","data":{"order":"1"}}`, "unknown_field")
	body(put, `{"kind":"receipt","ref":"pi_1","data":{"last4":"42424"}}`, "invalid_field")
	body(put, `{"kind":"receipt","ref":"pi_1","data":{"email":"nobody"}}`, "invalid_field")
	body(put, `{"kind":"receipt","ref":"pi_1","data":{"email":"a@example.com","send":"yes"}}`, "invalid_field")
	body(put, `{"kind":"receipt","ref":"pi_1","data":{"send":true}}`, "missing_field")
	body(put, `{"kind":"capture","ref":"pi_1","data":{"send":true}}`, "unknown_field")
	body(put, `{"kind":"receipt","ref":"pi_1","data":{"preferred_locales":"de"}}`, "invalid_field")
	body(put, `{"kind":"receipt","ref":"pi_1","data":{"preferred_locales":["a\u0007"]}}`, "invalid_field")
	body(put, `{"kind":"capture","ref":"pi_1","`+strings.Repeat("x", 65)+`":1}`, "unknown_field")
	body(put, `{"kind":"offline_payment","ref":"0b4f6a3e-96a5-4f0e-9d26-4dd3a2f8e3b1","amount":1,"currency":"eur","data":{"stored_at":1763889127}}`, "invalid_field")
	body(put, `{"kind":"order","ref":"1","data":{"lines":[{"card":"x"}]}}`, "invalid_field")
	body(put, `{"kind":"order","ref":"1","data":{"lines":[[]]}}`, "invalid_field")
	body(put, `{"kind":"capture","ref":"pi_1","data":{"lane":"4242 4242 4242 4242"}}`, "card_data")
	body(put, `{"kind":"capture","ref":"pi_1","data":{"reason":"%B4242424242424242^A/B^2912101?"}}`, "card_data")
	body(put, `{"kind":"order","ref":"1","data":{"lines":["5555555555554444"]}}`, "card_data")
	body(put, `{"kind":"order","ref":"1","data":{"lines":[{"order":"5555555555554444"}]}}`, "card_data")
	body(put, `{"kind":"capture","ref":"pi_1","pan":4242424242424242}`, "card_data")
	body(put, `{"kind":"capture","ref":"pi_1","amount":4242424242424242}`, "card_data")
	body(put, `{"kind":"capture","ref":"pi_1","data":{"4242424242424242":"x"}}`, "card_data")
	const capture = `{"kind":"capture","ref":"pi_1"}`
	for _, path := range []string{put, "/v1/readers/tmr_1/process_payment_intent", "/v1/readers/tmr_1/cancel_action", "/v1/readers/tmr_1/refund_payment", "/v1/readers/tmr_1/set_reader_display"} {
		body(path, capture, "idempotency_key_missing", asManager)
		body(path, capture, "idempotency_key_missing", asManager, "Idempotency-Key: ")
		body(path, capture, "idempotency_key_missing", asManager, "Idempotency-Key: a b")
		body(path, capture, "idempotency_key_missing", asManager, "Idempotency-Key: ü")
		body(path, capture, "idempotency_key_missing", asManager, "Idempotency-Key: a", "Idempotency-Key: b")
		body(path, capture, "idempotency_key_missing", asManager, "Idempotency-Key: "+strings.Repeat("k", 256))
		body(path, capture, "card_data", asManager, "Idempotency-Key: 4242424242424242")
	}
	body("/v1/readers", `{"label":"x"}`, "missing_field", asManager)
	body("/v1/readers", `{"registration_code":"a\u0007"}`, "invalid_field", asManager)
	body("/v1/readers/reader/cancel_action", `{}`, "not_found")
	body("/v1/readers/tmr_1/process_payment_intent", `{}`, "missing_field")
	body("/v1/readers/tmr_1/process_payment_intent", `{"payment_intent":"0b4f6a3e-96a5-4f0e-9d26-4dd3a2f8e3b1"}`, "invalid_field")
	body("/v1/readers/tmr_1/process_payment_intent", `{"payment_intent":"pi_1","process_config":{"return_url":"x"}}`, "unknown_field")
	for _, cart := range []string{`null`, `{"currency":"eur","total":1,"line_items":[]}`, `{"currency":"eur","total":1,"line_items":[{"amount":1}]}`} {
		body("/v1/readers/tmr_1/set_reader_display", `{"type":"cart","cart":`+cart+`}`, "invalid_field")
	}
	body("/v1/readers/tmr_1/set_reader_display", `{"type":"cart","cart":{"currency":"EUR"}}`, "invalid_currency")
	body("/v1/readers/tmr_1/set_reader_display", `{"type":"cart","cart":{"currency":"eur","line_items":[{"description":"a","amount":1}]}}`, "invalid_amount")
	body("/v1/readers/tmr_1/set_reader_display", `{"type":"cart","cart":{"currency":"eur","total":1.5,"line_items":[{"description":"a","amount":1}]}}`, "invalid_amount")

	const reports = "/v1/readers/tmr_1/reports"
	body(reports, `{}`, "missing_field")
	for _, report := range []string{`{"battery":1.01}`, `{"update":-0.1}`, `{"code":"a b"}`, `{"code":"` + strings.Repeat("a", 65) + `"}`, `{"software":"a\u0007"}`, `{"sdk":"` + strings.Repeat("a", 65) + `"}`} {
		body(reports, report, "invalid_field")
	}
	body(reports, `{"message":"free text"}`, "unknown_field")
	body(reports, `{"software":"4242424242424242"}`, "card_data")
	body("/v1/readers/a.b/reports", `{"connected":true}`, "not_found")

	const sample = "/server-driven/"
	body(sample+"create-payment-intent", `{}`, "missing_field", asPOS)
	body(sample+"create-payment-intent", `{"amount":"12.5"}`, "invalid_amount", asPOS)
	body(sample+"process-payment-intent", `{"payment_intent_id":"pi_1"}`, "missing_field", asPOS)
	body(sample+"process-payment-intent", `{"payment_intent_id":"x","reader_id":"tmr_1"}`, "invalid_field", asPOS)
	body(sample+"capture-payment-intent", `{}`, "missing_field", asPOS)
	body(sample+"simulate-payment", `{"reader_id":"tmr_1"}`, "forbidden", asLive)
	body(sample+"cancel-reader-action", `{"reader_id":"x"}`, "invalid_field", asPOS)
	look(sample+"retrieve-reader", "missing_field")
	look(sample+"retrieve-payment-intent?payment_intent_id=pi_1&x=1", "unknown_field")

	look("/v1/operations?state=lost", "invalid_field")
	look("/v1/operations?limit=0", "invalid_field")
	look("/v1/operations?limit=1001", "invalid_field")
	look("/v1/operations?limit=x", "invalid_field")
	look("/v1/operations?page=2", "unknown_field")
	look("/v1/operations?state=failed&state=pending", "bad_request")
	look("/v1/operations?%zz", "bad_request")
	look("/v1/operations/op_unknown", "not_found")
	look("/v1/operations/%20", "not_found")
	look("/v1/receipts/ch_1", "not_found")
	look("/v1/nothing", "not_found")
	look("/v1", "not_found")
	look("/nothing", "not_found")
	look("/server-driven/nothing", "not_found")
	look("/pos/"+posCredential+"/nothing", "not_found")
	list = append(list, bad{"events from no number", get, "/v1/events", "", []string{asPOS, "Last-Event-ID: x"}, "invalid_field"})
	return list
}

func surfaceOf(path string) surface {
	return enter(httptest.NewRecorder(), httptest.NewRequest(get, path, nil)).surface
}

func TestBadInputIsRefusedAtEveryDoorWithNothingStored(t *testing.T) {
	all := append(everyRoute(), oneRoute()...)
	for _, c := range all {
		s := newShop()
		s.outcome = succeeded
		h := Handler(s, Options{Hosts: func(host string) bool { return host == "hub.local" }})
		w := call(h, c.method, c.target, c.body, c.headers...)
		path, _, _ := strings.Cut(c.target, "?")
		if problem := wrongRefusal(w, surfaceOf(path), c.code); problem != "" {
			t.Errorf("%s (%.80s): %s; got %d %q", c.name, c.body, problem, w.Code, w.Body)
		}
		if done := s.effects(); len(done) > 0 {
			t.Errorf("%s: had an effect: %q", c.name, done)
		}
	}
	t.Logf("%d refusals", len(all))
}

// wrongRefusal says what is wrong with a refusal, in its surface's encoding.
func wrongRefusal(w *httptest.ResponseRecorder, s surface, code string) string {
	if w.Code < 400 || w.Code > 499 {
		return "not a 4xx"
	}
	if got := w.Header().Get(CodeHeader); got != code {
		return "code is " + got + ", want " + code
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"} {
		if w.Header().Get(name) != want {
			return name + " is missing"
		}
	}
	if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
		return "no Allow"
	}
	text := w.Body.String()
	if s == compat {
		switch {
		case !slices.Contains([]int{401, 402, 403, 404, 405}, w.Code):
			return "a status that apps do not show"
		case !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") || json.Valid(w.Body.Bytes()):
			return "not plain text"
		case !strings.Contains(text, ". ("+code):
			return "no sentence"
		}
		return ""
	}
	var body struct {
		Error struct {
			Code            string `json:"code"`
			Message         string `json:"message"`
			OperatorMessage string `json:"operator_message"`
			Doc             string `json:"doc"`
		} `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		return "no JSON"
	}
	if body.Error.Code != code || body.Error.Message == "" || body.Error.Doc != "docs/api.md#"+code {
		return "an incomplete error"
	}
	if s == own && body.Error.OperatorMessage == "" {
		return "no words for the cashier"
	}
	if s == serverDriven && !slices.Contains([]int{400, 401, 403, 404, 405}, w.Code) {
		return "a status the sample does not know"
	}
	return ""
}
