package hq_test

import (
	"net/http"
	"strings"
	"testing"

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
	till := `"till":{"name":"lane-1","scope":"manager","mode":"test"}`
	call := func(params string) string { return `{` + till + `,"key":"k","params":{` + params + `}}` }
	submit := `{"epoch":"","head":"","operations":[{"number":1,"id":"op_a","kind":"refund","ref":"` + captured + `","amount":100,"currency":"usd","till":"lane-1","mode":"test","created_at":"2026-01-01T00:00:00Z","age_ms":0}]}`
	asked := map[string]bool{}
	before := len(s.box.Books())
	for name, c := range map[string]struct {
		route, path, body string
		want              int
	}{
		"record":     {"GET /store/v1/store", "/store/v1/store", "", 200},
		"feed":       {"GET /store/v1/feed", "/store/v1/feed?after=0&wait=0&epoch=" + s.epoch, "", 200},
		"chain":      {"GET /store/v1/chain", "/store/v1/chain?after=0&nonce=n&epoch=" + s.epoch, "", 200},
		"readers":    {"GET /store/v1/readers", "/store/v1/readers", "", 200},
		"token":      {"POST /store/v1/connection_tokens", "/store/v1/connection_tokens", `{` + till + `}`, 200},
		"read":       {"POST /store/v1/stripe/{call}", "/store/v1/stripe/retrieve_payment_intent", call(`"payment_intent":["` + open + `"]`), 403},
		"update":     {"POST /store/v1/stripe/{call}", "/store/v1/stripe/update_payment_intent", call(`"payment_intent":["` + open + `"]`), 403},
		"locations":  {"POST /store/v1/stripe/{call}", "/store/v1/stripe/list_locations", call(`"location":["` + s.loc + `"]`), 200},
		"list":       {"POST /store/v1/stripe/{call}", "/store/v1/stripe/list_readers", call(`"location":["` + s.loc + `"]`), 200},
		"reader":     {"POST /store/v1/stripe/{call}", "/store/v1/stripe/retrieve_reader", call(`"reader":["` + s.reader + `"]`), 404},
		"arm":        {"POST /store/v1/stripe/{call}", "/store/v1/stripe/process_payment_intent", call(`"reader":["` + s.reader + `"],"payment_intent":["` + open + `"]`), 404},
		"disarm":     {"POST /store/v1/stripe/{call}", "/store/v1/stripe/cancel_action", call(`"reader":["` + s.reader + `"]`), 404},
		"refund":     {"POST /store/v1/stripe/{call}", "/store/v1/stripe/refund_payment", call(`"reader":["` + s.reader + `"],"payment_intent":["` + captured + `"]`), 404},
		"display":    {"POST /store/v1/stripe/{call}", "/store/v1/stripe/set_reader_display", call(`"reader":["` + s.reader + `"],"type":["cart"]`), 404},
		"same id":    {"POST /store/v1/operations", "/store/v1/operations", submit, 202},
		"resolve":    {"POST /store/v1/resolutions", "/store/v1/resolutions", `{"resolutions":[{"id":"op_theirs","by":"x","note":"x","at":"2026-01-01T00:00:00Z"}]}`, 200},
		"report":     {"PUT /store/v1/report", "/store/v1/report", `{"at":"2026-01-01T00:00:00Z","version":"","started_at":"2026-01-01T00:00:00Z","verdict":"ready","causes":[],"queue":{"pending":0,"accepted":0,"parked":0,"unresolved":0},"checklist":[]}`, 200},
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
	if n := len(s.box.Books()); n != before {
		t.Errorf("money moved: %+v", s.box.Books()[before:])
	}
}
