package sandbox

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// order sends JSON to the sandbox's own door.
func (sh *shop) order(method, path, body string) (int, string) {
	sh.t.Helper()
	req, err := http.NewRequestWithContext(sh.t.Context(), method, sh.srv.URL+"/_sandbox/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		sh.t.Fatal(err)
	}
	req.SetBasicAuth(sh.key, "")
	resp, err := sh.srv.Client().Do(req)
	if err != nil {
		sh.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		sh.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestPeopleMoveTheSandboxByHand(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	do := func(method, path, body string) string {
		t.Helper()
		status, text := sh.order(method, path, body)
		if status != http.StatusOK {
			t.Errorf("%s %s %s: %d %s", method, path, body, status, text)
		}
		return text
	}
	if help := do("GET", "", ""); !strings.Contains(help, "/_sandbox/clock") {
		t.Errorf("help: %s", help)
	}
	do("POST", "faults", `{"method":"POST","path":"/v1/payment_intents/*/capture","kind":"lost","times":1}`)
	if _, err := sh.do("POST", "/v1/payment_intents/"+pi+"/capture", "", byKey); err == nil {
		t.Error("the fault did not strike")
	}
	if books := do("GET", "books", ""); !strings.Contains(books, `"effect": "captured"`) || !strings.Contains(books, `"key": "k1"`) {
		t.Errorf("books: %s", books)
	}
	do("POST", "faults", `{"kind":"503"}`)
	do("DELETE", "faults", "")
	sh.ok("GET", "/v1/account", "")
	do("POST", "clock", `{"advance":"25h"}`)
	if left := time.Until(sh.Now()); left < 24*time.Hour {
		t.Errorf("the clock is %s ahead", left)
	}
	do("POST", "readers", `{"reader":"`+sh.reader+`","offline":true,"address":"10.0.0.7"}`)
	if r := sh.ok("GET", "/v1/terminal/readers/"+sh.reader, ""); r.str("status") != "offline" || r.str("ip_address") != "10.0.0.7" {
		t.Errorf("reader: %s", r.raw)
	}
	do("POST", "webhooks", `{"duplicate":true}`)
	do("POST", "search", `{"lag":"1m"}`)
	if sh.searchLag != time.Minute {
		t.Errorf("lag: %s", sh.searchLag)
	}
}

func TestTheHandsAreRefusedWhatMakesNoSense(t *testing.T) {
	sh := newShop(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "clock", `{"advance":"-1h"}`, 400},
		{"POST", "clock", `{"advance":"soon"}`, 400},
		{"POST", "clock", `{"retreat":"1h"}`, 400},
		{"POST", "clock", ``, 400},
		{"POST", "faults", `{"kind":"earthquake"}`, 400},
		{"POST", "faults", `{"kind":"429","times":-1}`, 400},
		{"POST", "readers", `{"reader":"tmr_none"}`, 400},
		{"POST", "search", `{"lag":"-1s"}`, 400},
		{"GET", "clock", ``, 404},
		{"POST", "books", `{}`, 404},
	} {
		if status, text := sh.order(c.method, c.path, c.body); status != c.status {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, status, text)
		}
	}
	for _, key := range []string{"", "sk_test_wrong", sh.RestrictedKey()} {
		sh.key = key
		if status, _ := sh.order("GET", "books", ""); status != http.StatusUnauthorized {
			t.Errorf("key %.8s: %d", key, status)
		}
	}
}
