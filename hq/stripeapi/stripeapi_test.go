package stripeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"storehub/doors"
	"storehub/hq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is one request as Stripe would get it.
type seen struct {
	method, path, query string
	header              http.Header
	form                url.Values
}

// stripeIs answers every request in the same way and remembers them.
func stripeIs(t *testing.T, key Key, answer http.HandlerFunc) (*API, *[]seen) {
	t.Helper()
	var list []seen
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(b))
		list = append(list, seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header, form})
		answer(w, r)
	}))
	tr := &http.Transport{}
	t.Cleanup(func() { tr.CloseIdleConnections(); front.Close() })
	a, err := New(Options{Key: key, BaseURL: front.URL, HTTP: &http.Client{Transport: tr}})
	if err != nil {
		t.Fatal(err)
	}
	return a, &list
}

func answers(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const testKey = Key("sk_test_123")

func TestObjectsPassThroughByteForByte(t *testing.T) {
	reader := `{"id": "tmr_1",  "object":"terminal.reader","location":"tml_1","last_seen_at":1790000000123,"a_field_to_come":[null, 1.0]}`
	a, list := stripeIs(t, testKey, answers(200, reader))
	got, err := a.Call(t.Context(), "acct_1", doors.RegisterReader, "call_1", url.Values{"registration_code": {"a-b-c"}, "location": {"tml_1"}})
	if err != nil || string(got) != reader {
		t.Errorf("%s, %v", got, err)
	}
	r := (*list)[0]
	if r.method != "POST" || r.path != "/v1/terminal/readers" || r.form.Encode() != "location=tml_1&registration_code=a-b-c" ||
		r.header.Get("Idempotency-Key") != "call_1" || r.header.Get("Stripe-Account") != "acct_1" || r.header.Get("Authorization") != "Bearer sk_test_123" {
		t.Errorf("request %+v", r)
	}
	if r.header.Get("X-Stripe-Client-Telemetry") != "" {
		t.Error("telemetry is sent")
	}
}

func TestNothingIsRetriedByTheLibrary(t *testing.T) {
	for _, status := range []int{409, 429, 500, 502} {
		a, list := stripeIs(t, testKey, answers(status, `{"error":{"type":"api_error","code":"lock_timeout","message":"m"}}`, "Stripe-Should-Retry", "true"))
		_, err := a.Capture(t.Context(), "", "pi_1", nil, "op_1", "op_1")
		var e *hq.StripeError
		if !errors.As(err, &e) || e.Status != status || len(*list) != 1 {
			t.Errorf("%d: %v after %d requests", status, err, len(*list))
		}
	}
}

func TestAnswersAreToldFromSilence(t *testing.T) {
	for name, c := range map[string]struct {
		serve  http.HandlerFunc
		answer bool
	}{
		"refusal":          {answers(402, `{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"no"}}`), true},
		"replayed failure": {answers(500, `{"error":{"type":"api_error","message":"no"}}`, "Idempotent-Replayed", "true"), true},
		"a proxy's page":   {answers(502, `<html>sk_test_123</html>`), false},
		"an empty 500":     {answers(500, ``), false},
		"not Stripe's":     {answers(403, `{"message":"blocked"}`), false},
		"a portal's 200":   {answers(200, `<html>welcome</html>`), false},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, false},
		"cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := stripeIs(t, testKey, c.serve)
			_, err := a.Capture(t.Context(), "", "pi_1", nil, "op_1", "op_1")
			var e *hq.StripeError
			if err == nil || errors.As(err, &e) != c.answer {
				t.Fatalf("%v; an answer: %v", err, !c.answer)
			}
			if strings.Contains(err.Error(), "sk_test") || strings.Contains(err.Error(), "html") {
				t.Errorf("the error repeats the page: %v", err)
			}
			if name == "refusal" && (e.Code != "card_declined" || e.DeclineCode != "insufficient_funds" || e.Type != "card_error" || e.Message != "no" || e.Replayed) {
				t.Errorf("%#v", e)
			}
			if name == "replayed failure" && !e.Replayed {
				t.Error("the replay is not seen")
			}
		})
	}
}

func TestIntentIsReadWithItsChargeAndLocation(t *testing.T) {
	body := `{"id":"pi_1","object":"payment_intent","status":"requires_capture","amount":1000,"amount_received":0,"amount_capturable":1000,
		"currency":"usd","capture_method":"manual","metadata":{"storehub_ref":"x"},"latest_charge":{"id":"ch_1","amount_refunded":5,
		"payment_method_details":{"type":"card_present","card_present":{"capture_before":1790000000,"location":"tml_1"}}}}`
	a, list := stripeIs(t, testKey, answers(200, body))
	in, err := a.Intent(t.Context(), "", "pi_1")
	if err != nil {
		t.Fatal(err)
	}
	if in.Status != "requires_capture" || in.Amount != 1000 || in.Capturable != 1000 || in.Location != "tml_1" || in.LatestCharge != "ch_1" ||
		in.MethodType != "card_present" || in.AmountRefunded != 5 || !in.CaptureBefore.Equal(time.Unix(1790000000, 0)) || in.Metadata["storehub_ref"] != "x" || string(in.Raw) != body {
		t.Errorf("%+v", in)
	}
	r := (*list)[0]
	if r.header.Get("Stripe-Version") != "2026-02-25.clover" || r.query != "expand%5B%5D=latest_charge" {
		t.Errorf("version %q, query %q", r.header.Get("Stripe-Version"), r.query)
	}
}

func TestWritesCarryTheOperation(t *testing.T) {
	amount := int64(700)
	a, list := stripeIs(t, testKey, answers(200, `{"id":"pi_1","status":"succeeded"}`))
	if _, err := a.Capture(t.Context(), "", "pi_1", &amount, "op_1-2", "op_1"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Cancel(t.Context(), "", "pi_1", "duplicate", "op_2", "op_2"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Refund(t.Context(), "", "pi_1", &amount, "op_3", "op_3"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"/v1/payment_intents/pi_1/capture op_1-2 amount_to_capture=700&expand[]=latest_charge&metadata[storehub_op]=op_1",
		"/v1/payment_intents/pi_1/cancel op_2 cancellation_reason=duplicate&expand[]=latest_charge",
		"/v1/refunds op_3 amount=700&metadata[storehub_op]=op_3&payment_intent=pi_1",
	} {
		r := (*list)[i]
		form, _ := url.PathUnescape(r.form.Encode())
		if got := r.path + " " + r.header.Get("Idempotency-Key") + " " + form; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestListingsAreReadToTheirEnd(t *testing.T) {
	a, list := stripeIs(t, testKey, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("starting_after") == "" {
			_, _ = io.WriteString(w, `{"data":[{"id":"re_1","metadata":{"storehub_op":"op_1"}},{"id":"re_2"}],"has_more":true}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"re_3","status":"failed"}],"has_more":false}`)
	})
	refunds, err := a.Refunds(t.Context(), "", "pi_1")
	if err != nil || len(refunds) != 3 || refunds[2].ID != "re_3" || refunds[0].Metadata["storehub_op"] != "op_1" {
		t.Errorf("%+v, %v", refunds, err)
	}
	if q, _ := url.ParseQuery((*list)[1].query); q.Get("starting_after") != "re_2" || q.Get("limit") != "100" || q.Get("payment_intent") != "pi_1" {
		t.Errorf("second page asked with %v", q)
	}
}

func TestEventsComeOldestFirst(t *testing.T) {
	pages := map[string]string{
		"evt_0": `{"data":[{"id":"evt_2","type":"b"},{"id":"evt_1","type":"a","data":{"object":{"id":"pi_1"}}}],"has_more":true}`,
		"evt_2": `{"data":[{"id":"evt_3","type":"c"}],"has_more":false}`,
		"":      `{"data":[{"id":"evt_9","type":"z"}],"has_more":true}`,
	}
	a, _ := stripeIs(t, testKey, func(w http.ResponseWriter, r *http.Request) {
		body, ok := pages[r.URL.Query().Get("ending_before")]
		if !ok {
			w.WriteHeader(404)
			body = `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"no such event"}}`
		}
		_, _ = io.WriteString(w, body)
	})
	for after, want := range map[string]string{"evt_0": "evt_1 evt_2 evt_3", "": "evt_9", "evt_forgotten": "evt_9"} {
		list, err := a.Events(t.Context(), "acct_1", after)
		var ids []string
		for _, e := range list {
			ids = append(ids, e.ID)
			if e.Account != "acct_1" {
				t.Errorf("%s has account %q", e.ID, e.Account)
			}
		}
		if err != nil || strings.Join(ids, " ") != want {
			t.Errorf("after %q: %v, %v; want %s", after, ids, err, want)
		}
	}
}

func TestMoney_4_6_OnlyARestrictedKeyMayLiveInAShop(t *testing.T) {
	forbidden := answers(403, `{"error":{"type":"invalid_request_error","message":"no permission"}}`)
	for name, c := range map[string]struct {
		key   Key
		serve http.HandlerFunc
		want  string
	}{
		"restricted":       {"rk_test_1", forbidden, ""},
		"full":             {"sk_test_1", forbidden, "full secret key"},
		"restricted, rich": {"rk_test_1", answers(200, `{"object":"balance"}`), "it may read /v1/balance"},
		"unknown":          {"rk_test_1", answers(401, `{"error":{"type":"invalid_request_error","message":"bad key"}}`), "answered 401"},
		"one too many": {"rk_live_1", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/customers" {
				_, _ = io.WriteString(w, `{"data":[]}`)
				return
			}
			forbidden(w, r)
		}, "it may read /v1/customers"},
		"silence": {"rk_test_1", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "check Stripe key: ask Stripe"},
	} {
		a, _ := stripeIs(t, c.key, c.serve)
		err := a.Restricted(t.Context())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), string(c.key)) {
			t.Errorf("%s: the key is in the error", name)
		}
	}
}

func TestKeysHaveNoPrintableForm(t *testing.T) {
	k := Key("sk_live_secret")
	b, err := json.Marshal(struct{ Key Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
	for _, s := range []string{k.String(), fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %q", k, k, k, k, k), string(b), log.String()} {
		if strings.Contains(s, "secret") {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if k, err := ReadKey(write("good", " rk_live_1\n", 0o600)); err != nil || string(k) != "rk_live_1" {
		t.Errorf("%v", err)
	}
	for name, file := range map[string]string{"missing": filepath.Join(dir, "none"), "publishable": write("pk", "pk_live_1", 0o600), "empty": write("empty", "", 0o600)} {
		if _, err := ReadKey(file); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if runtime.GOOS != "windows" {
		if _, err := ReadKey(write("open", "rk_live_1", 0o644)); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("a key that everyone may read: %v", err)
		}
	}
	for key, want := range map[Key]doors.Mode{"sk_test_1": doors.Test, "rk_test_1": doors.Test, "sk_live_1": doors.Live, "rk_live_1": doors.Live, "whsec_1": "", "": ""} {
		if m, err := key.Mode(); m != want || (err == nil) != (want != "") {
			t.Errorf("%q is of mode %q, %v", string(key), m, err)
		}
	}
}

func TestIdsAreNotInEndpointNames(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/payment_intents/pi_1/capture":                                     "/v1/payment_intents/*/capture",
		"/v1/payment_intents":                                                  "/v1/payment_intents",
		"/v1/test_helpers/terminal/readers/tmr_1/present_payment_method":       "/v1/test_helpers/terminal/readers/*/present_payment_method",
		"/v1/terminal/locations/tml_1":                                         "/v1/terminal/locations/*",
		"/v1/payment_methods/" + url.PathEscape("pm_1/../..") + "/attach":      "/v1/payment_methods/*/attach",
		"/v1/terminal/readers/" + url.PathEscape("tmr_x?y") + "/cancel_action": "/v1/terminal/readers/*/cancel_action",
	} {
		if got := endpoint(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"id":"evt_1","type":"x","data":{"object":{}}}`), "t=1790000000,v1=00")
	f.Add([]byte(``), "")
	f.Add([]byte(`{`), "t=,v1=")
	f.Add([]byte(`{}`), "t=99999999999999999999,v1=zz,v0=")
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		if e, err := verify(body, signature, []string{"whsec_nobody_knows"}, time.Unix(1_790_000_000, 0)); err == nil {
			t.Errorf("took %+v without knowing the secret", e)
		}
	})
}

func FuzzDecodeIntent(f *testing.F) {
	f.Add([]byte(`{"id":"pi_1","status":"succeeded","latest_charge":"ch_1"}`))
	f.Add([]byte(`{"id":"pi_1","status":"succeeded","latest_charge":{"id":"ch_1","payment_method_details":{"interac_present":{}}}}`))
	f.Add([]byte(`{"id":"pi_1","status":"succeeded","latest_charge":null,"amount":1e3}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := decodeIntent(b)
		if err == nil && (in.ID == "" || in.Status == "") {
			t.Error("an intent without id or status")
		}
	})
}
