package sandbox

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

const captures = "/v1/payment_intents/*/capture"

func TestFaultsLeaveTheEffectThatTheyTell(t *testing.T) {
	for _, c := range []struct {
		kind     string
		status   int // 0: no answer
		retried  int // status of the same request under the same key
		replayed bool
		effect   bool // whether the first request had one
	}{
		{"429", 429, 200, false, false},
		{"lock_timeout", 429, 200, false, false},
		{"503", 503, 200, false, false},
		{"reset", 0, 200, false, false},
		{"500", 500, 500, true, false},
		{"500-after", 500, 500, true, true},
		{"lost", 0, 200, true, true},
	} {
		t.Run(c.kind, func(t *testing.T) {
			sh := newShop(t)
			pi := sh.authorised("2500")
			capture := "/v1/payment_intents/" + pi + "/capture"
			sh.Inject(Fault{Method: "POST", Path: captures, Kind: c.kind, Times: 1})
			r, err := sh.do("POST", capture, "", byKey)
			if c.status == 0 && err == nil {
				t.Errorf("an answer came: %d", r.status)
			}
			if c.status != 0 && (err != nil || r.status != c.status) {
				t.Errorf("got %v %v, want %d", r, err, c.status)
			}
			if done := sh.status(pi) == "succeeded"; done != c.effect {
				t.Errorf("had an effect: %v, want %v", done, c.effect)
			}
			again := sh.send("POST", capture, "", byKey)
			if again.status != c.retried || (again.header.Get("Idempotent-Replayed") == "true") != c.replayed {
				t.Errorf("repeated: %d %v, want %d, replayed %v", again.status, again.header, c.retried, c.replayed)
			}
			if c.retried == 500 {
				sh.send("POST", capture, "", "Idempotency-Key: k1-2")
			}
			if got := sh.effects(pi); got != "authorised 2500, captured 2500" {
				t.Errorf("in the end: %s", got)
			}
		})
	}
}

func TestAFaultStrikesAsOftenAsToldAndOnlyWhatMatches(t *testing.T) {
	sh := newShop(t)
	sh.Inject(Fault{Method: "POST", Path: "/v1/refunds", Kind: "429", Times: 2})
	sh.ok("GET", "/v1/refunds", "")
	for range 2 {
		r := sh.no(429, "rate_limit", "POST", "/v1/refunds", "payment_intent=pi_1")
		if r.header.Get("Stripe-Rate-Limited-Reason") == "" {
			t.Error("no reason is told")
		}
	}
	sh.no(400, "resource_missing", "POST", "/v1/refunds", "payment_intent=pi_1")
	sh.Inject(Fault{Kind: "503"})
	for range 3 {
		if r := sh.send("GET", "/v1/account", ""); r.status != 503 || r.body != nil {
			t.Errorf("a gateway's page is %d %s", r.status, r.raw)
		}
	}
	sh.Clear()
	sh.ok("GET", "/v1/account", "")
}

func TestThePathOfAFaultIsAPrefixOrAPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"", "/v1/refunds", true},
		{"/v1/refunds", "/v1/refunds/re_1", true},
		{"/v1/refunds", "/v1/readers", false},
		{"/v1/payment_intents/*/capture", "/v1/payment_intents/pi_1/capture", true},
		{"/v1/payment_intents/*/capture", "/v1/payment_intents/pi_1/cancel", false},
		{"/v1/payment_intents/*", "/v1/payment_intents/pi_1/capture", false},
		{"/v1/payment_intents/*", "/v1/payment_intents/", false},
	} {
		if got := matchPath(c.pattern, c.path); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.path, got)
		}
	}
}

func TestAFaultThatDoesNotExistPanics(t *testing.T) {
	sh := newShop(t)
	defer func() {
		if recover() == nil {
			t.Error("a mistyped fault was taken; the test that wanted it would prove nothing")
		}
	}()
	sh.Inject(Fault{Kind: "hangs"})
}

func TestCloseFreesWhatHangs(t *testing.T) {
	sh := open(t, Options{})
	sh.Inject(Fault{Kind: "hang"})
	ended := make(chan error, 1)
	began := make(chan struct{})
	sh.mirror = func(*http.Request, []byte) { close(began) }
	go func() {
		_, err := sh.do("GET", "/v1/account", "")
		ended <- err
	}()
	<-began
	if err := sh.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("it was answered")
	}
}

func TestAnExpiredCertificateIsTrustedAndExpired(t *testing.T) {
	sh := open(t, Options{})
	for _, expired := range []bool{false, true} {
		cert, pool, err := sh.Certificate(expired)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(sh.Handler())
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		srv.Config.ErrorLog = nil
		srv.StartTLS()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
		resp, err := client.Get(srv.URL + "/v1/account")
		if err == nil {
			resp.Body.Close()
		}
		srv.Close()
		var invalid x509.CertificateInvalidError
		if got := errors.As(err, &invalid) && invalid.Reason == x509.Expired; got != expired {
			t.Errorf("expired %v: %v", expired, err)
		}
	}
}
