package doors

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestOperationIsStoredAsItWasAskedAndShownWhole(t *testing.T) {
	const uuid = "0b4f6a3e-96a5-4f0e-9d26-4dd3a2f8e3b1"
	for _, c := range []struct{ name, body string }{
		{"capture", `{"kind":"capture","ref":"pi_1","amount":1250,"currency":"eur","data":{"order":"A-1041","lane":"2"}}`},
		{"capture_full", `{"kind":"capture","ref":"pi_1"}`},
		{"cancel", `{"kind":"cancel","ref":"` + uuid + `","data":{"reason":"abandoned"}}`},
		{"refund", `{"kind":"refund","ref":"pi_1","amount":1}`},
		{"offline_payment", `{"kind":"offline_payment","ref":"` + uuid + `","amount":99999999,"currency":"jpy","data":{"stored_at":"2026-11-23T09:12:07Z","reader":"tmr_1","order":"4242424242424242"}}`},
		{"order", `{"kind":"order","ref":"4242424242424242","data":{"lines":[{"sku":"A","quantity":0.5,"amount":-100},"bread"]}}`},
		{"receipt_drops_cardholder_and_expiry", `{"kind":"receipt","ref":"pi_1","data":{"last4":"4242","email":"a@example.com","locale":"de-AT","cardholder_name":"A","exp_month":12,"dedicated_file_name":"A0","preferred_locales":["de","en"]}}`},
		{"heartbeat", `{"kind":"heartbeat"}`},
		{"null_data_fields_are_absent", `{"kind":"capture","ref":"pi_1","data":{"order":null}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop()
			w := call(Handler(s, Options{}), post, "/v1/operations", c.body, asManager, jsonBody, withKey)
			golden(t, "operations/"+c.name+".golden", strings.Join(s.effects(), "\n")+"\n"+http.StatusText(w.Code)+"\n"+w.Body.String()+"\n")
		})
	}
}

func TestSameKeyGivesTheSameOperationAndAnotherBodyIsRefused(t *testing.T) {
	s := newShop()
	h := Handler(s, Options{})
	put := func(body string) (int, Operation) {
		w := call(h, post, "/v1/operations", body, asPOS, jsonBody, withKey)
		var op Operation
		_ = json.Unmarshal(w.Body.Bytes(), &op)
		return w.Code, op
	}
	code, first := put(`{"kind":"capture","ref":"pi_1","data":{"order":"1","lane":"2"}}`)
	again, second := put(` {"ref":"pi_1", "data":{"lane":"2","order":"1"}, "kind":"capture"}`)
	if code != http.StatusAccepted || again != http.StatusAccepted || first.ID == "" || first.ID != second.ID {
		t.Errorf("got %d %v, %d %v", code, first, again, second)
	}
	if other, _ := put(`{"kind":"capture","ref":"pi_1","amount":1}`); other != http.StatusConflict {
		t.Errorf("another body under the key: got %d", other)
	}
	w := call(h, get, "/v1/operations/"+first.ID, "", asMonitor)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), first.ID) {
		t.Errorf("look at it: got %d %s", w.Code, w.Body)
	}
}

func TestListShowsStatesAndNeverAMaskedReason(t *testing.T) {
	s := newShop()
	s.list = []Operation{{ID: "op_2", State: Failed, Reason: "stolen_card", Message: "stolen"}, {ID: "op_1", State: Pending}}
	h := Handler(s, Options{})
	w := call(h, get, "/v1/operations?state=failed&limit=5", "", asMonitor)
	if !strings.Contains(w.Body.String(), "op_2") || strings.Contains(w.Body.String(), "op_1") || strings.Contains(w.Body.String(), "stolen") {
		t.Errorf("got %s", w.Body)
	}
	w = call(h, get, "/v1/operations?state=accepted", "", asMonitor)
	if w.Body.String() != `{"operations":[]}` {
		t.Errorf("no operations: got %s", w.Body)
	}
}

func TestReaderActionsBecomeStripesParameters(t *testing.T) {
	for _, c := range []struct{ name, path, body string }{
		{"register", "/v1/readers", `{"registration_code":"simulated-wpe","label":"Lane 1"}`},
		{"process", "/v1/readers/tmr_1/process_payment_intent", `{"payment_intent":"pi_1","process_config":{"skip_tipping":true,"enable_customer_cancellation":false,"tipping":{"amount_eligible":900}}}`},
		{"cancel_without_body", "/v1/readers/tmr_1/cancel_action", ``},
		{"cancel", "/v1/readers/tmr_1/cancel_action", `{}`},
		{"refund", "/v1/readers/tmr_1/refund_payment", `{"payment_intent":"pi_1","amount":500}`},
		{"display", "/v1/readers/tmr_1/set_reader_display", `{"type":"cart","cart":{"currency":"eur","tax":0,"total":430,"line_items":[{"description":"Coffee","amount":450,"quantity":2},{"description":"Voucher","amount":-20}]}}`},
		{"report", "/v1/readers/WSC513000001/reports", `{"connected":true,"code":"READER_BUSY","battery":0.8,"charging":false,"update":1,"software":"2.44.1.0","sdk":"terminal-ios 4.6.0"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop()
			w := call(Handler(s, Options{}), post, c.path, c.body, asManager, jsonBody, withKey)
			golden(t, "readers/"+c.name+".golden", strings.Join(s.effects(), "\n")+"\n"+w.Body.String()+"\n")
		})
	}
}

func TestWhatTheBackendKnowsIsShownAsItIs(t *testing.T) {
	h := Handler(newShop(), Options{})
	for path, want := range map[string]string{
		"/v1/readers":                `[{"serial":"WSC513000001"}]`,
		"/v1/status":                 `{"can_take_payments":true}`,
		"/v1/diagnosis":              `{"verdict":"ready"}`,
		"/v1/checklist":              `{"items":[]}`,
		"/v1/receipts/pi_1":          `{"payment_intent":"pi_1"}`,
		"/v1/readers/tmr_1/timeline": `{"reader":"tmr_1","since":"0001-01-01T00:00:00Z"}`,
		"/v1/readers/WSC1/timeline?since=2026-11-23T09:00:00Z": `{"reader":"WSC1","since":"2026-11-23T09:00:00Z"}`,
	} {
		if w := call(h, get, path, "", asPOS); w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
	}
}

// Whoever has a code has no credential yet.
func TestACodeNeedsNoCredential(t *testing.T) {
	w := call(Handler(newShop(), Options{}), post, "/v1/pairings", `{"code":"K7QM-2XPD"}`, jsonBody)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"credential":"cred-new-11d0"`) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
