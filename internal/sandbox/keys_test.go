package sandbox

import (
	"net/http"
	"strings"
	"testing"
)

func TestKeysAreTakenAsBearerAndAsBasic(t *testing.T) {
	sh := newShop(t)
	for _, key := range []string{sh.SecretKey(), sh.RestrictedKey()} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", sh.srv.URL+"/v1/terminal/readers", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(key, "")
		resp, err := sh.srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("Basic %.8s…: %s", key, resp.Status)
		}
		sh.key = key
		sh.ok("GET", "/v1/terminal/readers", "")
	}
}

func TestForeignKeysAreRefusedAndNotRepeated(t *testing.T) {
	sh := newShop(t)
	live := "sk_" + "live_" + "0123456789abcdef"
	for _, key := range []string{"", "sk_test_", "sk_test_of_another_account", live, "pk_test_x", sh.SecretKey() + "x"} {
		sh.key = key
		r := sh.no(http.StatusUnauthorized, "", "GET", "/v1/terminal/readers", "")
		if r.header.Get("WWW-Authenticate") == "" {
			t.Error("a 401 names no scheme")
		}
		if len(key) > 12 && strings.Contains(r.raw, key) {
			t.Errorf("the refusal repeats the key: %s", r.raw)
		}
	}
}

func TestARestrictedKeyMayDoWhatHeadquartersNeedsAndNoMore(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	sh.key = sh.RestrictedKey()
	sh.ok("POST", "/v1/terminal/connection_tokens", "")
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "")
	sh.ok("POST", "/v1/refunds", "payment_intent="+pi)
	sh.ok("GET", "/v1/events", "")
	for _, path := range []string{"/v1/balance", "/v1/payouts", "/v1/customers"} {
		r := sh.no(http.StatusForbidden, "", "GET", path, "")
		if r.str("error.type") != "invalid_request_error" || r.str("error.message") == "" {
			t.Errorf("%s: not Stripe's shape: %s", path, r.raw)
		}
	}
	sh.no(http.StatusForbidden, "", "POST", "/v1/payment_methods/pm_1/attach", "customer=cus_1")
	sh.ok("GET", "/v1/webhook_endpoints", "")
	sh.no(http.StatusForbidden, "", "POST", "/v1/webhook_endpoints", "url=https://example.com/hook&enabled_events[]=*")
}

func TestAnotherAccountIsRefused(t *testing.T) {
	sh := newShop(t)
	sh.ok("GET", "/v1/account", "", "Stripe-Account: "+sh.Account())
	sh.no(http.StatusForbidden, "account_invalid", "GET", "/v1/account", "", "Stripe-Account: acct_other")
}

func TestNewRefusesKeysOfTheWrongKind(t *testing.T) {
	for _, o := range []Options{
		{SecretKey: "rk_test_1"}, {RestrictedKey: "sk_test_1"}, {WebhookSecret: "secret"}, {SecretKey: "sk_" + "live_1"},
	} {
		if s, err := New(o); err == nil {
			s.Close()
			t.Errorf("%+v was taken", o)
		}
	}
}
