package sandbox

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const byKey = "Idempotency-Key: k1"

func TestAKeyReplaysItsFirstAnswer(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	capture := "/v1/payment_intents/" + pi + "/capture"
	first := sh.ok("POST", capture, "amount_to_capture=2000", byKey)
	if first.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first answer says that it is replayed")
	}
	again := sh.ok("POST", capture, "amount_to_capture=2000", byKey)
	if again.raw != first.raw {
		t.Errorf("replayed otherwise:\n%s\n%s", first.raw, again.raw)
	}
	if again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("Original-Request") != first.header.Get("Request-Id") {
		t.Errorf("the replay does not say that it is one: %v", again.header)
	}
	if got := sh.effects(pi); got != "authorised 2500, captured 2000" {
		t.Errorf("books: %s", got)
	}
}

func TestAKeyKeepsARefusalThatExecutionMade(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "")
	capture := "/v1/payment_intents/" + pi + "/capture"
	sh.no(http.StatusBadRequest, "payment_intent_unexpected_state", "POST", capture, "", byKey)
	sh.pay(pi, "")
	again := sh.no(http.StatusBadRequest, "payment_intent_unexpected_state", "POST", capture, "", byKey)
	if again.header.Get("Idempotent-Replayed") != "true" {
		t.Error("the refusal was not replayed")
	}
	sh.ok("POST", capture, "", "Idempotency-Key: k1-2")
}

func TestAKeyForgetsARefusedParameter(t *testing.T) {
	sh := newShop(t)
	pi := sh.authorised("2500")
	capture := "/v1/payment_intents/" + pi + "/capture"
	sh.no(http.StatusBadRequest, "parameter_invalid_integer", "POST", capture, "amount_to_capture=x", byKey)
	sh.no(http.StatusBadRequest, "parameter_unknown", "POST", capture, "amount=1", byKey)
	sh.ok("POST", capture, "amount_to_capture=2500", byKey)
}

func TestAKeyIsForOneRequestOnly(t *testing.T) {
	sh := newShop(t)
	pi, other := sh.authorised("2500"), sh.authorised("2500")
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=2000", byKey)
	for _, c := range []struct{ path, form string }{
		{"/v1/payment_intents/" + pi + "/capture", "amount_to_capture=2500"},
		{"/v1/payment_intents/" + pi + "/capture", ""},
		{"/v1/payment_intents/" + other + "/capture", "amount_to_capture=2000"},
		{"/v1/payment_intents/" + pi + "/cancel", ""},
	} {
		r := sh.no(http.StatusBadRequest, "", "POST", c.path, c.form, byKey)
		if r.str("error.type") != "idempotency_error" {
			t.Errorf("%s %s: type %q", c.path, c.form, r.str("error.type"))
		}
	}
	if got := sh.status(other); got != "requires_capture" {
		t.Errorf("a refused request had an effect: %s", got)
	}
	sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=2000", byKey)
}

func TestTheOrderOfParametersIsNoDifference(t *testing.T) {
	sh := newShop(t)
	first := sh.ok("POST", "/v1/payment_intents", "amount=500&currency=usd&metadata[a]=1&metadata[b]=2", byKey)
	again := sh.ok("POST", "/v1/payment_intents", "metadata[b]=2&currency=usd&metadata[a]=1&amount=500", byKey)
	if first.str("id") != again.str("id") {
		t.Error("the same request under the same key made two intents")
	}
}

func TestAKeyIsForgottenAfterADay(t *testing.T) {
	sh := newShop(t)
	create := func() string { return sh.ok("POST", "/v1/payment_intents", "amount=500&currency=usd", byKey).str("id") }
	first := create()
	sh.Advance(23*time.Hour + 59*time.Minute)
	if create() != first {
		t.Error("forgotten before a day was over")
	}
	sh.Advance(2 * time.Minute)
	if create() == first {
		t.Error("still known after a day")
	}
}

func TestAKeyInUseIsAConflictThatIsNotKept(t *testing.T) {
	bubble(t, func(sh *shop) {
		pi := sh.authorised("2500")
		capture := "/v1/payment_intents/" + pi + "/capture"
		sh.Inject(Fault{Path: "/v1/payment_intents/*/capture", Kind: "hang", Times: 1})
		ctx, cancel := context.WithCancel(sh.t.Context())
		go func() {
			defer func() {
				if recover() != http.ErrAbortHandler {
					sh.t.Error("a request that hangs was answered")
				}
			}()
			req := httptest.NewRequestWithContext(ctx, "POST", capture, nil)
			req.Header.Set("Authorization", "Bearer "+sh.key)
			req.Header.Set("Idempotency-Key", "k1")
			sh.Handler().ServeHTTP(httptest.NewRecorder(), req)
		}()
		synctest.Wait() // until it hangs
		r := sh.no(http.StatusConflict, "idempotency_key_in_use", "POST", capture, "", byKey)
		if r.header.Get("Stripe-Should-Retry") != "true" {
			sh.t.Error("a conflict should be retried")
		}
		if b, err := sh.snapshot(); err != nil || !strings.Contains(string(b), `"k1"`) {
			sh.t.Errorf("the key that is held is not in the state: %v", err)
		}
		cancel()
		synctest.Wait()
		sh.ok("POST", capture, "", byKey)
		if got := sh.effects(pi); got != "authorised 2500, captured 2500" {
			sh.t.Errorf("books: %s", got)
		}
	})
}

func TestAKeyHeldWhenTheFileWasWrittenIsFreeAfterARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stripe.json")
	one := open(t, Options{StateFile: file})
	one.mu.Lock()
	one.st.Answers["k1"] = &storedAnswer{Method: "POST", Path: "/v1/refunds", At: one.now()}
	one.mu.Unlock()
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	two := open(t, Options{StateFile: file})
	two.ok("POST", "/v1/payment_intents", "amount=500&currency=usd", byKey)
}

func TestAKeyThatIsTooLongIsRefused(t *testing.T) {
	sh := newShop(t)
	sh.ok("POST", "/v1/terminal/connection_tokens", "", "Idempotency-Key: "+strings.Repeat("k", 255))
	sh.no(http.StatusBadRequest, "", "POST", "/v1/terminal/connection_tokens", "", "Idempotency-Key: "+strings.Repeat("k", 256))
}
