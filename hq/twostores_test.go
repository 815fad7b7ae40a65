package hq_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// TestOneStoresCredentialOpensNothingOfAnothers asks at every route, as another
// store's hub and as its tills, for what is the first store's.
func TestOneStoresCredentialOpensNothingOfAnothers(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 manager shp_one")
	open, captured := s.authorised("1000"), s.captured("op_a", "2000", 2000)
	place := s.place()
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0413", Location: place, Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 2"})
	if err != nil {
		t.Fatal(err)
	}
	other := *s
	other.client = &hq.Client{URL: s.client.URL, HTTP: s.client.HTTP, Credential: func() string { return e.Credential }}
	other.epoch, other.head, other.number, other.seq, other.items = "", "", 0, 0, nil
	other.pair("lane-1 manager shp_two")
	armed := s.stripe("GET", "/v1/terminal/readers/"+s.reader, "")
	till := `"till":{"name":"lane-1","scope":"manager","mode":"test"}`
	call := func(params string) string { return `{` + till + `,"key":"k","params":{` + params + `}}` }
	submit := `{"epoch":"","head":"","operations":[{"number":1,"id":"op_a","kind":"refund","ref":"` + captured + `","amount":100,"currency":"usd","till":"lane-1","mode":"test","created_at":"2026-01-01T00:00:00Z","age_ms":0}]}`
	asked := map[string]bool{}
	before := len(s.box.Books())
	for name, c := range map[string]struct {
		route, path, body string
		want              int
	}{
		"record":    {"GET /store/v1/store", "/store/v1/store", "", 200},
		"feed":      {"GET /store/v1/feed", "/store/v1/feed?after=0&wait=0&epoch=" + s.epoch, "", 200},
		"chain":     {"GET /store/v1/chain", "/store/v1/chain?after=0&nonce=n&epoch=" + s.epoch, "", 200},
		"evidence":  {"GET /store/v1/evidence", "/store/v1/evidence", "", 200},
		"readers":   {"GET /store/v1/readers", "/store/v1/readers", "", 200},
		"token":     {"POST /store/v1/connection_tokens", "/store/v1/connection_tokens", `{` + till + `}`, 200},
		"read":      {"POST /store/v1/stripe/{call}", "/store/v1/stripe/retrieve_payment_intent", call(`"payment_intent":["` + open + `"]`), 403},
		"update":    {"POST /store/v1/stripe/{call}", "/store/v1/stripe/update_payment_intent", call(`"payment_intent":["` + open + `"]`), 403},
		"locations": {"POST /store/v1/stripe/{call}", "/store/v1/stripe/list_locations", call(`"location":["` + s.loc + `"]`), 200},
		"list":      {"POST /store/v1/stripe/{call}", "/store/v1/stripe/list_readers", call(`"location":["` + s.loc + `"]`), 200},
		"reader":    {"POST /store/v1/stripe/{call}", "/store/v1/stripe/retrieve_reader", call(`"reader":["` + s.reader + `"]`), 404},
		"arm":       {"POST /store/v1/stripe/{call}", "/store/v1/stripe/process_payment_intent", call(`"reader":["` + s.reader + `"],"payment_intent":["` + open + `"]`), 404},
		"disarm":    {"POST /store/v1/stripe/{call}", "/store/v1/stripe/cancel_action", call(`"reader":["` + s.reader + `"]`), 404},
		"refund":    {"POST /store/v1/stripe/{call}", "/store/v1/stripe/refund_payment", call(`"reader":["` + s.reader + `"],"payment_intent":["` + captured + `"]`), 404},
		"display":   {"POST /store/v1/stripe/{call}", "/store/v1/stripe/set_reader_display", call(`"reader":["` + s.reader + `"],"type":["cart"]`), 404},
		"same id":   {"POST /store/v1/operations", "/store/v1/operations", submit, 202},
		"resolve":   {"POST /store/v1/resolutions", "/store/v1/resolutions", `{"resolutions":[{"id":"op_theirs","by":"x","note":"x","at":"2026-01-01T00:00:00Z"}]}`, 200},
		"report":    {"PUT /store/v1/report", "/store/v1/report", `{"at":"2026-01-01T00:00:00Z","version":"","started_at":"2026-01-01T00:00:00Z","verdict":"ready","causes":[],"queue":{"pending":0,"accepted":0,"parked":0,"unresolved":0},"checklist":[]}`, 200},
		// Whose name is signed for whom: TestAStoreIsSignedForItsOwnNameAndNothingElse.
		"their name": {"PUT /store/v1/certificate", "/store/v1/certificate", `{"csr":""}`, 404},
		"their till": {"PUT /store/v1/tills", "/store/v1/tills", `{"tills":[{"name":"x","scope":"manager","mode":"test","hash":"` + hashOf("shp_one") + `"}]}`, 422},
	} {
		method, _, _ := strings.Cut(c.route, " ")
		asked[c.route] = true
		status, refusal, body := s.ask(method, c.path, e.Credential, map[bool]string{true: "application/json"}[c.body != ""], c.body)
		if status != c.want {
			t.Errorf("%s: %d %q %s, want %d", name, status, refusal, body, c.want)
		}
		for _, theirs := range []string{open, captured, s.reader, s.loc, `"0412"`} {
			if status < 300 && strings.Contains(body, theirs) {
				t.Errorf("%s shows the first store's %s: %s", name, theirs, body)
			}
		}
	}
	for _, route := range hq.StoreRoutes() {
		if !asked[route] {
			t.Errorf("%s is not in this table", route)
		}
	}
	other.epoch, other.number, other.head = "", 1, hq.Chain("", "op_a")
	it := other.until("the refund's end", func(it hq.Item) bool { return it.ID == "op_a" && it.State.Final() })
	if it.State != doors.Failed || it.Reason != "payment_not_yours" {
		t.Errorf("a refund of another store's payment ended %+v", it)
	}
	for path, want := range map[string]int{"/v1/receipts/" + captured: http.StatusForbidden, "/v1/readers": 200, "/v1/operations": 200, "/v1/status": 200} {
		w := s.visit("GET", path, "shp_two", "", "")
		if w.Code != want || want == 200 && (strings.Contains(w.Body.String(), s.reader) || strings.Contains(w.Body.String(), ":2000")) {
			t.Errorf("till at %s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := s.visit("POST", "/pos/shp_two/capture_payment_intent", "", "", "payment_intent_id="+open); w.Code != 402 {
		t.Errorf("till captures another store's payment: %d %s", w.Code, w.Body)
	}
	others := s.stripe("GET", "/v1/payment_intents/"+open, "")
	s.tillTries("shp_two", open, captured)
	if now := s.stripe("GET", "/v1/payment_intents/"+open, ""); !reflect.DeepEqual(now, others) {
		t.Errorf("the first store's payment was %v, and is %v", others, now)
	}
	if rd := s.stripe("GET", "/v1/terminal/readers/"+s.reader, ""); !reflect.DeepEqual(rd["action"], armed["action"]) || rd["location"] != s.loc {
		t.Errorf("the first store's reader: %v", rd)
	}
	if n := len(s.box.Books()); n != before {
		t.Errorf("money moved: %+v", s.box.Books()[before:])
	}
}

// tillTries has another store's till ask at every route of the doors for what is the
// first store's: its payments, its reader, its operation.
func (s *shop) tillTries(credential, open, captured string) {
	s.t.Helper()
	sent := map[string]string{ // what is not here is sent nothing
		"POST /register_reader":                        "registration_code=simulated-wpe&label=x&location=" + s.loc,
		"POST /create_payment_intent":                  "amount=1&currency=usd",
		"POST /capture_payment_intent":                 "payment_intent_id=" + open,
		"POST /cancel_payment_intent":                  "payment_intent_id=" + open,
		"POST /update_payment_intent":                  "payment_intent_id=" + open + "&receipt_email=x@example.com",
		"POST /server-driven/create-payment-intent":    `{"amount":"1"}`,
		"POST /server-driven/process-payment-intent":   `{"reader_id":"` + s.reader + `","payment_intent_id":"` + open + `"}`,
		"POST /server-driven/simulate-payment":         `{"reader_id":"` + s.reader + `"}`,
		"POST /server-driven/capture-payment-intent":   `{"payment_intent_id":"` + open + `"}`,
		"POST /server-driven/cancel-reader-action":     `{"reader_id":"` + s.reader + `"}`,
		"GET /server-driven/retrieve-payment-intent":   "?payment_intent_id=" + open,
		"GET /server-driven/retrieve-reader":           "?reader_id=" + s.reader,
		"POST /v1/operations":                          `{"kind":"refund","ref":"` + captured + `","amount":100,"currency":"usd"}`,
		"POST /v1/readers":                             `{"registration_code":"simulated-wpe","label":"x"}`,
		"POST /v1/readers/{id}/process_payment_intent": `{"payment_intent":"` + open + `"}`,
		"POST /v1/readers/{id}/refund_payment":         `{"payment_intent":"` + captured + `","amount":100}`,
		"POST /v1/readers/{id}/set_reader_display":     `{"type":"cart","cart":{"currency":"usd","total":1,"line_items":[{"description":"x","amount":1,"quantity":1}]}}`,
	}
	path := strings.NewReplacer("{payment_intent}", captured, "/v1/readers/{id}", "/v1/readers/"+s.reader, "{id}", "op_a")
	for _, route := range doors.Routes() {
		method, at, _ := strings.Cut(path.Replace(route), " ")
		bearer, body := credential, sent[route]
		if method == http.MethodGet {
			at, body = at+body, ""
		}
		if !strings.HasPrefix(at, "/v1/") {
			at, bearer = "/pos/"+credential+at, ""
		}
		w := s.visitBriefly(method, at, bearer, "key "+route, body)
		for _, theirs := range []string{open, captured, s.reader, s.loc, `"0412"`} {
			if w.Code < 300 && !strings.Contains(route, " /v1/operations") && strings.Contains(w.Body.String(), theirs) { // which are its own, as it named them
				s.t.Errorf("a till at %s is shown the first store's %s: %s", route, theirs, w.Body)
			}
		}
	}
}

// visitBriefly is visit where an answer may never end.
func (s *shop) visitBriefly(method, path, credential, key, body string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
	defer cancel()
	return s.visitUnder(ctx, method, path, credential, key, body)
}
