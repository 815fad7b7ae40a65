package doors

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const shopPage = "Origin: https://pos.example"

func TestAllowedPageCanReadEveryAnswerAlsoRefusals(t *testing.T) {
	h := Handler(newShop(), Options{Origins: []string{"https://pos.example"}})
	for _, c := range []struct{ method, target, who string }{
		{post, "/connection_token", asPOS},
		{post, "/connection_token", "X: none"},
		{get, "/connection_token", asPOS},
		{get, "/nothing", asPOS},
		{get, "/v1/status", asPOS},
		{get, "/v1/nothing", asPOS},
		{post, "/v1/operations", asPOS},
		{http.MethodOptions, "/v1/operations", "X: none"},
	} {
		w := call(h, c.method, c.target, "", c.who, shopPage)
		if w.Header().Get("Access-Control-Allow-Origin") != "https://pos.example" || !strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Origin") {
			t.Errorf("%s %s (%d): %v", c.method, c.target, w.Code, w.Header())
		}
		if !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), CodeHeader) {
			t.Errorf("%s %s: the code cannot be read", c.method, c.target)
		}
	}
}

func TestPreflightNamesMethodsHeadersAndPrivateNetworks(t *testing.T) {
	s := newShop()
	h := Handler(s, Options{Origins: []string{"https://pos.example"}})
	w := call(h, http.MethodOptions, "/pos/"+posCredential+"/v1/operations", "", shopPage,
		"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: idempotency-key",
		"Access-Control-Request-Private-Network: true", "Access-Control-Request-Local-Network: true")
	if w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Methods":         "POST, GET, OPTIONS",
		"Access-Control-Allow-Headers":         "Accept, Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
		"Access-Control-Allow-Private-Network": "true",
		"Access-Control-Allow-Local-Network":   "true",
		"Access-Control-Max-Age":               "600",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if w := call(h, http.MethodOptions, "/v1/operations", "", shopPage, "Access-Control-Request-Method: POST"); w.Header().Get("Access-Control-Allow-Private-Network") != "" {
		t.Error("offered a private network that nobody asked for")
	}
	if w := call(h, http.MethodOptions, "/connection_token", ""); w.Code != http.StatusNoContent || w.Header().Get("Allow") != "POST, OPTIONS" {
		t.Errorf("without a page: got %d %v", w.Code, w.Header())
	}
	if w := call(h, http.MethodOptions, "/nothing", "", shopPage, "Access-Control-Request-Method: POST"); w.Code != http.StatusNotFound {
		t.Errorf("unknown path: got %d", w.Code)
	}
}

func TestOwnPageMayCallOnlyWhereTheHostIsChecked(t *testing.T) {
	page := []string{asPOS, "Origin: http://hub.local", "Host: hub.local"}
	if w := call(Handler(newShop(), Options{}), get, "/v1/status", "", page...); w.Code != http.StatusForbidden {
		t.Errorf("unchecked host: got %d", w.Code)
	}
	hosts := func(host string) bool { return host == "hub.local" || host == "::1" }
	h := Handler(newShop(), Options{Hosts: hosts})
	if w := call(h, get, "/v1/status", "", page...); w.Code != http.StatusOK {
		t.Errorf("checked host: got %d", w.Code)
	}
	for _, host := range []string{"HUB.local:7443", "hub.local.", "[::1]:7443", "[::1]"} {
		if w := call(h, get, "/v1/status", "", asPOS, "Host: "+host); w.Code != http.StatusOK {
			t.Errorf("%s: got %d", host, w.Code)
		}
	}
}

func TestPathsAreCleanedAndNeverRedirected(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/", Handler(newShop(), Options{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	behindMux := Collapse(mux)
	for _, target := range []string{
		"/connection_token", "//connection_token", "///connection_token", "/connection_token/", "/connection_token//",
		"/pos/" + posCredential + "/connection_token", "/pos/" + posCredential + "//connection_token", "//pos/" + posCredential + "/connection_token/",
		"/x/../connection_token", "/./connection_token", "/pos/" + posCredential + "/./connection_token",
	} {
		if w := call(behindMux, post, target, "", asPOS); w.Code != http.StatusOK || w.Header().Get("Location") != "" {
			t.Errorf("%s: got %d", target, w.Code)
		}
		if w := call(Handler(newShop(), Options{}), post, target, "", asPOS); w.Code != http.StatusOK {
			t.Errorf("%s without a mux: got %d", target, w.Code)
		}
	}
	if w := call(behindMux, get, "//healthz", ""); w.Code != http.StatusOK {
		t.Errorf("//healthz: got %d", w.Code)
	}
}

func TestCredentialInThePathWins(t *testing.T) {
	h := Handler(newShop(), Options{})
	if w := call(h, post, "/pos/"+posCredential+"/connection_token", "", "Authorization: Bearer for-someone-else"); w.Code != http.StatusOK {
		t.Errorf("got %d", w.Code)
	}
	for _, target := range []string{"/pos/" + posCredential, "/pos/" + posCredential + "/"} {
		if w := call(h, get, target, ""); w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "Store Hub is running.") {
			t.Errorf("%s: got %d %s", target, w.Code, w.Body)
		}
	}
	if w := call(h, http.MethodHead, "/v1/status", "", asPOS); w.Code != http.StatusOK {
		t.Errorf("HEAD: got %d", w.Code)
	}
}

// TestLogNeverHoldsACredentialOrCardData sends both in every place a till has.
func TestLogNeverHoldsACredentialOrCardData(t *testing.T) {
	var log bytes.Buffer
	s := newShop()
	s.silent = errSilence
	h := Handler(s, Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Budget: time.Millisecond})
	const wrong = "cred-of-nobody"
	for _, target := range []string{
		"/pos/" + posCredential + "/connection_token", "/pos/" + wrong + "/connection_token", "/pos/" + posCredential + "/nothing",
		"/pos/" + posCredential, "/pos/" + posCredential + "/v1/nothing/" + posCredential, "/Pos/" + posCredential + "/x",
		"/pos/" + posCredential + "/capture_payment_intent?payment_intent_id=4242424242424242",
	} {
		for _, method := range []string{get, post, http.MethodPut} {
			call(h, method, target, "", "Referer: http://hub/pos/"+posCredential, "Authorization: Bearer "+wrong)
		}
	}
	call(h, post, "/v1/operations", `{"kind":"capture","ref":"pi_1","data":{"lane":"4242424242424242"}}`, asPOS, jsonBody, withKey)
	call(h, post, "/v1/operations", `{"4242424242424242":1}`, asPOS, jsonBody, withKey)
	if log.Len() == 0 {
		t.Fatal("nothing was logged")
	}
	for _, secret := range []string{posCredential, wrong, "4242424242424242"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s:\n%s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), "i/o timeout") {
		t.Error("the log does not say why headquarters was silent")
	}
}

func TestNothingBehindTheDoorSeesTheCredential(t *testing.T) {
	r := httptest.NewRequest(post, "/pos/"+posCredential+"/x?a=1", nil)
	r.Header.Set("Authorization", "Bearer "+managerCredential)
	r.Header.Set("Referer", "http://hub/pos/"+posCredential+"/")
	q := enter(httptest.NewRecorder(), r)
	if q.credential != posCredential || q.URL.RawQuery != "a=1" {
		t.Errorf("got %q, %v", q.credential, q.URL)
	}
	seen := fmt.Sprint(q.URL, q.RequestURI, q.Header)
	for _, secret := range []string{posCredential, managerCredential} {
		if strings.Contains(seen, secret) {
			t.Errorf("%s is in %s", secret, seen)
		}
	}
	if r.Header.Get("Authorization") == "" {
		t.Error("the caller's own request was changed")
	}
}

func TestRedactTakesTheCredentialOut(t *testing.T) {
	for path, want := range map[string]string{
		"/pos/secret/connection_token": "/pos/…/connection_token",
		"//pos//secret/x":              "/pos/…/x",
		"/pos/secret":                  "/pos/…/",
		"/v1/status":                   "/v1/status",
	} {
		if got := Redact(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// watcher sees what stands behind the doors: the request may carry no credential.
type watcher struct {
	*shop
	saw func(ctx context.Context)
}

func (w watcher) ConnectionToken(ctx context.Context, t Till) (json.RawMessage, error) {
	w.saw(ctx)
	return w.shop.ConnectionToken(ctx, t)
}

func TestEveryAnswerIsDueWithinEightSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.silent = errSilence
		h := Handler(watcher{s, func(ctx context.Context) { <-ctx.Done() }}, Options{})
		started := time.Now()
		w := call(h, post, "/connection_token", "", asPOS)
		if took := time.Since(started); took >= 8*time.Second || w.Header().Get(CodeHeader) != "hq_unreachable" {
			t.Errorf("got %s after %v", w.Header().Get(CodeHeader), took)
		}
	})
}

// TestBodyThatNeverComesIsGivenUpAndALateOutcomeIsNot drives a real server over a
// pipe: the time limit on the body must not be left on the connection.
func TestBodyThatNeverComesIsGivenUpAndALateOutcomeIsNot(t *testing.T) {
	for _, want := range []struct {
		credential, body string
		code             int
		took             time.Duration
	}{
		{posCredential, "", http.StatusPaymentRequired, bodyWithin},
		{"nobody", "", http.StatusUnauthorized, bodyWithin},
		{posCredential, captureForm, http.StatusAccepted, defaultBudget},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := dial(t, &http.Server{Handler: Handler(newShop(), Options{})})
			started := time.Now()
			fmt.Fprintf(client, "POST /pos/%s/capture_payment_intent HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n%s", want.credential, len(captureForm), want.body)
			res, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if took := time.Since(started); res.StatusCode != want.code || took != want.took {
				t.Errorf("%s, body %q: got %d after %v", want.credential, want.body, res.StatusCode, took)
			}
		})
	}
}

func TestServersReadTimeoutDoesNotCutEventsOrCaptures(t *testing.T) {
	for request, alive := range map[string]string{
		"GET /pos/%s/v1/events HTTP/1.1\r\nHost: hub\r\n\r\n":                                                           ": still here",
		"POST /pos/%s/capture_payment_intent?payment_intent_id=pi_1 HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n": `{"intent":"pi_1","secret":""}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			client := dial(t, &http.Server{Handler: Handler(newShop(), Options{}), ReadTimeout: time.Second})
			fmt.Fprintf(client, request, posCredential)
			lines := bufio.NewScanner(client)
			for lines.Scan() && !strings.HasSuffix(lines.Text(), alive) && lines.Text() != "0" {
			}
			if !strings.HasSuffix(lines.Text(), alive) {
				t.Errorf("%.20s ended before %q: %v", request, alive, lines.Err())
			}
		})
	}
}

// dial serves one connection without a network, until the test ends.
func dial(t *testing.T, srv *http.Server) net.Conn {
	l := pipes{make(chan net.Conn), make(chan struct{})}
	go srv.Serve(l)
	client, server := net.Pipe()
	t.Cleanup(func() {
		client.Close()
		srv.Close()
	})
	l.accepted <- server
	return client
}

// pipes is a listener without a network.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error { close(p.closed); return nil }

func (p pipes) Addr() net.Addr { return &net.IPAddr{} }

func TestSilenceIsSaidAsHeadquartersUnreachableWithItsCause(t *testing.T) {
	s := newShop()
	s.silent = errSilence
	sentence := "The store's router does not answer."
	h := Handler(s, Options{Known: func() (bool, string) { return false, sentence }})
	var results []string
	h.(*door).o.OnToken = func(result string, _ time.Duration) { results = append(results, result) }

	w := call(h, post, "/connection_token", "", asPOS)
	if w.Code != http.StatusPaymentRequired || w.Body.String() != sentence+" (hq_unreachable)\n" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
	w = call(h, get, "/v1/status", "", asPOS)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
	golden(t, "refusals/hq_unreachable.golden", w.Body.String()+"\n")
	s.silent = nil
	call(h, post, "/v1/connection_tokens", "", asPOS)
	s.silent = ErrRateLimited
	call(h, post, "/v1/connection_tokens", `{}`, asPOS, jsonBody)
	if got := strings.Join(results, " "); got != "hq_unreachable ok rate_limited" {
		t.Errorf("metrics were told %q", got)
	}
}

func TestStripesRefusalIsToldInWordsAndItsSecretKept(t *testing.T) {
	for _, c := range []struct {
		name    string
		refusal Error
		text    string
	}{
		{"insufficient_funds", Error{Status: 402, Code: "stripe_refused", Message: "Your card has insufficient funds.", Stripe: "card_declined", DeclineCode: "insufficient_funds"}, "Card declined: not enough money. Ask for another card. (stripe_refused)\n"},
		{"stolen_card", Error{Status: 402, Code: "stripe_refused", Message: "Your card was reported stolen.", Stripe: "card_declined", DeclineCode: "stolen_card", OperatorMessage: "The card is stolen."}, "Card declined. Ask for another card. (stripe_refused)\n"},
		{"rate_limited", Error{Status: 429, Code: "rate_limited", Message: "too many", OperatorMessage: "Wait.", RetryAfter: 3}, "Wait. (rate_limited)\n"},
	} {
		s := newShop()
		s.silent = &c.refusal
		h := Handler(s, Options{})
		w := call(h, post, "/create_payment_intent", "amount=100", asPOS, formBody)
		if w.Code != http.StatusPaymentRequired || w.Body.String() != c.text {
			t.Errorf("%s: got %d %q", c.name, w.Code, w.Body)
		}
		w = call(h, post, "/v1/readers/tmr_1/cancel_action", "", asPOS, withKey)
		if w.Code != c.refusal.Status {
			t.Errorf("%s: got %d", c.name, w.Code)
		}
		golden(t, "refusals/"+c.name+".golden", "Retry-After: "+w.Header().Get("Retry-After")+"\n"+w.Body.String()+"\n")
		w = call(h, get, "/server-driven/list-readers", "", asPOS)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: the sample was answered %d", c.name, w.Code)
		}
		golden(t, "refusals/"+c.name+"_sample.golden", w.Body.String()+"\n")
	}
}

func TestPanicIsARefusalAndNotABrokenLine(t *testing.T) {
	h := Handler(watcher{newShop(), func(context.Context) { panic("index out of range") }}, Options{})
	w := call(h, post, "/connection_token", "", asPOS)
	if w.Code != http.StatusPaymentRequired || w.Header().Get(CodeHeader) != "internal" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("an aborted handler must stay aborted")
		}
	}()
	h = Handler(watcher{newShop(), func(context.Context) { panic(http.ErrAbortHandler) }}, Options{})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(post, "/pos/"+posCredential+"/connection_token", nil))
}

// whence is a shop that answers with where the asking till is.
type whence struct{ *shop }

func (whence) Readers(_ context.Context, t Till) (any, error) { return t.Addr, nil }

func TestTheBackendLearnsWhereATillAsksFrom(t *testing.T) {
	for remote, want := range map[string]string{
		"192.168.7.22:50123":          `"192.168.7.22"`,
		"[::ffff:192.168.7.22]:50123": `"192.168.7.22"`,
		"[fe80::1%eth0]:50123":        `"fe80::1"`,
		"@":                           `""`, // a unix socket
	} {
		r := httptest.NewRequest(get, "/pos/"+posCredential+"/v1/readers", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		Handler(whence{newShop()}, Options{}).ServeHTTP(w, r)
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: %d %s, want %s", remote, w.Code, got, want)
		}
	}
}
