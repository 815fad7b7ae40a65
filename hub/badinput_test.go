package hub

import (
	"net/http"
	"strings"
	"testing"

	"storehub/doors"
)

// Claim: whatever is wrong with what comes in at a door, the answer is a 4xx that
// says so, and nothing is on the disk or at headquarters.
func TestBadInputStoresNothing(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir(), func(c *Config, _ *Parts) { c.API.Origins = []string{"https://pos.example.com"} })
	eventually(t, "the heartbeat came back", func() bool { return s.hub.heartbeat.Load() != 0 })
	pos, err := s.hub.Pair("pos", doors.ScopePOS, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	monitor, err := s.hub.Pair("monitor", doors.ScopeMonitor, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"kind":"capture","ref":"pi_1","amount":1250,"currency":"eur"}`
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	key := []string{"Idempotency-Key", "k"}
	compat := "/pos/" + pos
	for _, tc := range []struct {
		what, method, path, credential, body string
		headers                              []string
		status                               int // 0: any 4xx
	}{
		{"no credential", "POST", "/v1/operations", "", good, key, 401},
		{"wrong credential", "POST", "/v1/operations", "shp_wrong", good, key, 401},
		{"wrong credential in the path", "POST", "/pos/shp_wrong/capture_payment_intent", "", "payment_intent_id=pi_1", form, 401},
		{"a monitor", "POST", "/v1/operations", monitor, good, key, 403},
		{"a till that refunds", "POST", "/v1/operations", pos, `{"kind":"refund","ref":"pi_1","amount":1}`, key, 403},
		{"foreign origin", "POST", "/v1/operations", pos, good, append([]string{"Origin", "https://evil.example.com"}, key...), 403},
		{"foreign origin at the compatibility door", "POST", compat + "/capture_payment_intent", "", "payment_intent_id=pi_1", append([]string{"Origin", "https://evil.example.com"}, form...), 403},
		{"no key", "POST", "/v1/operations", pos, good, nil, 400},
		{"an endless key", "POST", "/v1/operations", pos, good, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400},
		{"wrong method", "PUT", "/v1/operations", pos, good, key, 405},
		{"wrong type", "POST", "/v1/operations", pos, good, append([]string{"Content-Type", "text/plain"}, key...), 415},
		{"no body", "POST", "/v1/operations", pos, "", key, 0},
		{"half a body", "POST", "/v1/operations", pos, good[:20], key, 400},
		{"two bodies", "POST", "/v1/operations", pos, good + good, key, 400},
		{"bad UTF-8", "POST", "/v1/operations", pos, "{\"kind\":\"capture\",\"ref\":\"pi_\xff\"}", key, 400},
		{"too large", "POST", "/v1/operations", pos, `{"kind":"order","ref":"o","data":{"lines":"` + strings.Repeat("x", 65<<10) + `"}}`, key, 413},
		{"unknown field", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","tip":5}`, key, 400},
		{"a field twice", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","ref":"pi_2"}`, key, 400},
		{"unknown kind", "POST", "/v1/operations", pos, `{"kind":"payout","ref":"pi_1"}`, key, 422},
		{"amount with a point", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":10.50,"currency":"eur"}`, key, 0},
		{"amount as a power", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":1e3,"currency":"eur"}`, key, 0},
		{"amount as text", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":"5","currency":"eur"}`, key, 0},
		{"amount null", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":null}`, key, 0},
		{"amount 0", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":0,"currency":"eur"}`, key, 422},
		{"negative amount", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":-1,"currency":"eur"}`, key, 422},
		{"amount too large", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":100000000,"currency":"eur"}`, key, 422},
		{"unknown currency", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"pi_1","amount":5,"currency":"xxx"}`, key, 422},
		{"no ref", "POST", "/v1/operations", pos, `{"kind":"capture"}`, key, 0},
		{"a ref that is none", "POST", "/v1/operations", pos, `{"kind":"capture","ref":"ch_1"}`, key, 422},
		{"a card number", "POST", "/v1/operations", pos, `{"kind":"receipt","ref":"pi_1","data":{"email":"4242 4242 4242 4242"}}`, key, 422},
		{"NaN captured", "POST", compat + "/capture_payment_intent", "", "payment_intent_id=pi_1&amount_to_capture=NaN", form, 402},
		{"nothing captured", "POST", compat + "/capture_payment_intent", "", "payment_intent_id=", form, 402},
		{"a JSON body for a form", "POST", compat + "/capture_payment_intent", "", `{"payment_intent_id":"pi_1"}`, nil, 402},
		{"no such route", "POST", "/v1/captures", pos, good, key, 404},
		{"no such compatibility route", "POST", compat + "/capture", "", "payment_intent_id=pi_1", form, 404},
		{"an operation of nobody", "GET", "/v1/operations/op_x", pos, "", nil, 404},
		{"a state there is not", "GET", "/v1/operations?state=done", pos, "", nil, 0},
		{"an event id that is none", "GET", "/v1/events", pos, "", []string{"Last-Event-ID", "x"}, 422},
	} {
		status, body := s.ask(tc.method, tc.path, tc.credential, tc.body, tc.headers...)
		if status < 400 || status > 499 || tc.status != 0 && status != tc.status || body == "" {
			t.Errorf("%s: %d %s", tc.what, status, body)
		}
	}
	for kind, states := range s.hub.queue.Stats().Operations {
		for state, n := range states {
			if n != 0 && kind != string(doors.Heartbeat) {
				t.Errorf("%d %s %s are stored", n, state, kind)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ops) != 1 || len(f.calls) != 0 || f.tokens != 0 { // the heartbeat
		t.Errorf("headquarters has %d operations, %d calls, %d tokens", len(f.ops), len(f.calls), f.tokens)
	}
}

func TestAnAllowedPageMayAskFromABrowser(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) { c.API.Origins = []string{"http://localhost:3000"} })
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.addr.URL+"/pos/"+s.credential+"/connection_token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "http://localhost:3000")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
		t.Errorf("%s, allow %q", resp.Status, resp.Header.Get("Access-Control-Allow-Origin"))
	}
}
