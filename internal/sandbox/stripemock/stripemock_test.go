package stripemock_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"storehub/internal/sandbox/stripemock"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func mirror(m *stripemock.Mock, method, path, body string, headers ...string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	m.Mirror(r, []byte(body))
}

func TestMockTellsLegalRequestsFromOthers(t *testing.T) {
	m, err := stripemock.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := m.Check(); len(got) != 1 || !strings.Contains(got[0], "no request") {
		t.Errorf("nothing mirrored must be no success: %q", got)
	}
	const preview = "Stripe-Version: 2026-08-26.preview"
	mirror(m, "POST", "/v1/terminal/connection_tokens", "location=tml_1")
	mirror(m, "GET", "/v1/payment_intents/pi_1?expand[]=latest_charge", "")
	mirror(m, "POST", "/v1/terminal/configurations/tmc_1", "reader_security[admin_menu_passcode]=73914", preview)
	mirror(m, "POST", "/v1/terminal/connection_tokens/activate", "secret=pst_test_1")
	mirror(m, "GET", "/_sandbox/books", "")
	if got := m.Check(); len(got) != 0 {
		t.Errorf("legal requests were refused: %q", got)
	}
	if n := m.Requests(); n != 3 {
		t.Errorf("%d requests were collected, want 3: the SDK's call and the sandbox's own are none of a backend's", n)
	}
	mirror(m, "POST", "/v1/terminal/connection_tokens", "location=tml_2")
	if n := m.Requests(); n != 3 {
		t.Errorf("a request of the same shape was collected again: %d", n)
	}
	mirror(m, "POST", "/v1/payment_intents/pi_1/capture", "")
	mirror(m, "POST", "/v1/payment_intents/pi_1/cancel", "")
	mirror(m, "POST", "/v1/payment_intents/pi_2/cancel", "")
	if n := m.Requests(); n != 5 {
		t.Errorf("%d requests were collected, want 5: one for each path, whatever the id", n)
	}
	for _, bad := range []struct{ name, method, path, body string }{
		{"unknown parameter", "POST", "/v1/payment_intents", "amount=1&currency=usd&bogus=1"},
		{"missing parameter", "POST", "/v1/payment_intents", "currency=usd"},
		{"wrong type", "POST", "/v1/payment_intents", "amount=abc&currency=usd"},
		{"unknown path", "GET", "/v1/nothing", ""},
		{"preview parameter under a plain version", "POST", "/v1/terminal/configurations", "reader_security[admin_menu_passcode]=73914"},
	} {
		before := len(m.Check())
		mirror(m, bad.method, bad.path, bad.body)
		if got := m.Check(); len(got) != before+1 {
			t.Errorf("%s was not refused: %q", bad.name, got)
		}
	}
}

func TestFixturesHoldTheObjectsOfTheSandbox(t *testing.T) {
	all, err := stripemock.Fixtures()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"terminal.reader", "payment_intent", "charge", "refund", "event"} {
		if len(all[name]) == 0 {
			t.Errorf("no fixture of %s", name)
		}
	}
}
