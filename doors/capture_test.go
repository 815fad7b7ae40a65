package doors

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const captureForm = "payment_intent_id=pi_1"

func TestCaptureAnswers202WithinTheBudgetWhenNoOutcomeComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Handler(newShop(), Options{})
		started := time.Now()
		w := call(h, post, "/capture_payment_intent", captureForm, asPOS, formBody)
		if took := time.Since(started); took != defaultBudget {
			t.Errorf("answered after %v", took)
		}
		if w.Code != http.StatusAccepted || w.Body.String() != `{"intent":"pi_1","secret":""}` {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func TestCaptureAnswersAtOnceWhenHeadquartersIsKnownToBeOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		h := Handler(s, Options{Known: func() (bool, string) { return true, "The store's internet line is down." }})
		started := time.Now()
		w := call(h, post, "/capture_payment_intent", captureForm, asPOS, formBody)
		if w.Code != http.StatusAccepted || time.Since(started) > 250*time.Millisecond {
			t.Errorf("got %d after %v", w.Code, time.Since(started))
		}
		if len(s.keys) != 1 {
			t.Errorf("promised without storing: %q", s.keys)
		}

		s.asked = nil
		w = call(h, post, "/connection_token", "", asPOS)
		if w.Code != http.StatusPaymentRequired || !strings.HasPrefix(w.Body.String(), "The store's internet line is down.") {
			t.Errorf("token: got %d %s", w.Code, w.Body)
		}
		w = call(h, post, "/v1/connection_tokens", "", asPOS)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"operator_message":"The store's internet line is down."`) {
			t.Errorf("token: got %d %s", w.Code, w.Body)
		}
		if len(s.effects()) != 0 {
			t.Errorf("asked headquarters all the same: %q", s.effects())
		}
	})
}

func TestCaptureDoesNotWaitForAnOutcomeOnceTheLineIsKnownDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		const dies = 900 * time.Millisecond
		h := Handler(newShop(), Options{Known: func() (bool, string) { return time.Since(started) >= dies, "" }})
		w := call(h, post, "/capture_payment_intent", captureForm, asPOS, formBody)
		if took := time.Since(started); w.Code != http.StatusAccepted || took < dies || took > dies+250*time.Millisecond {
			t.Errorf("got %d after %v; the line died after %v", w.Code, took, dies)
		}
	})
}

func TestCaptureThatFailedIsToldInTheCashiersWords(t *testing.T) {
	for _, c := range []struct{ reason, want string }{
		{"amount_differs", "This payment was finished with another amount. Call your manager. (stripe_refused)\n"},
		{"charge_expired_for_capture", "This payment is too old: the bank released the money. (stripe_refused)\n"},
		{"nobody_knows_this_code", "Stripe's own sentence (stripe_refused)\n"},
		{"lost_card", "Card declined. Ask for another card. (stripe_refused)\n"},
	} {
		s := newShop()
		s.outcome = failedWith(c.reason)
		w := call(Handler(s, Options{}), post, "/capture_payment_intent", captureForm, asPOS, formBody)
		if w.Code != http.StatusPaymentRequired || w.Body.String() != c.want {
			t.Errorf("%s: got %d %q", c.reason, w.Code, w.Body)
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s: a refused capture must never be JSON", c.reason)
		}
	}
}

func TestCaptureKeyGrowsOnlyAfterAFinalFailure(t *testing.T) {
	s := newShop()
	h := Handler(s, Options{Budget: time.Millisecond})
	capture := func() int {
		return call(h, post, "/capture_payment_intent", captureForm, asPOS, formBody).Code
	}
	capture() // no outcome yet
	capture() // the same operation again
	s.outcome = failedWith("amount_too_large")
	if code := capture(); code != http.StatusPaymentRequired {
		t.Errorf("failed: got %d", code)
	}
	s.outcome = succeeded
	if code := capture(); code != http.StatusOK {
		t.Errorf("tried again after the failure: got %d", code)
	}
	capture() // succeeded: nothing new
	want := []string{"capture:pi_1:full:1", "capture:pi_1:full:2"}
	if !slices.Equal(s.keys, want) {
		t.Errorf("stored %q, want %q", s.keys, want)
	}
}

func TestCaptureThatFailsAsItIsStoredIsNotTriedAgain(t *testing.T) {
	s := newShop()
	s.now = time.Now().Add(time.Hour) // every operation here is newer than the request
	h := Handler(failing{s}, Options{})
	w := call(h, post, "/capture_payment_intent", captureForm, asPOS, formBody)
	if w.Code != http.StatusPaymentRequired || len(s.keys) != 1 {
		t.Errorf("got %d, stored %q", w.Code, s.keys)
	}
}

func TestEachAmountAndKindHasAKeyOfItsOwn(t *testing.T) {
	s := newShop()
	s.outcome = succeeded
	h := Handler(s, Options{})
	const ref = "0b4f6a3e-96a5-4f0e-9d26-4dd3a2f8e3b1"
	call(h, post, "/capture_payment_intent", "payment_intent_id="+ref+"&amount_to_capture=1250", asPOS, formBody)
	call(h, post, "/capture_payment_intent", "payment_intent_id="+ref, asPOS, formBody)
	call(h, post, "/cancel_payment_intent", "payment_intent_id="+ref, asPOS, formBody)
	want := []string{"capture:" + ref + ":1250:1", "capture:" + ref + ":full:1", "cancel:" + ref + ":full:1"}
	if !slices.Equal(s.keys, want) {
		t.Errorf("stored %q, want %q", s.keys, want)
	}
}

func TestCaptureThatCouldNotBeStoredIsNoPromise(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{{ErrQueueFull, "queue_full"}, {errSilence, "internal"}, {ErrKeyReused, "idempotency_key_reused"}} {
		s := newShop()
		s.putErr = c.err
		w := call(Handler(s, Options{}), post, "/capture_payment_intent", captureForm, asPOS, formBody)
		if w.Code != http.StatusPaymentRequired || w.Header().Get(CodeHeader) != c.code {
			t.Errorf("%v: got %d %s", c.err, w.Code, w.Header().Get(CodeHeader))
		}
	}
}

func TestSampleCaptureSays202WithTheIDAloneWhileNobodyKnows(t *testing.T) {
	h := Handler(newShop(), Options{Budget: time.Millisecond})
	w := call(h, post, "/server-driven/capture-payment-intent", `{"payment_intent_id":"pi_1"}`, asPOS, jsonBody)
	if w.Code != http.StatusAccepted || w.Body.String() != `{"payment_intent":{"id":"pi_1","object":"payment_intent"}}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestSecretsAreForgottenOldestFirst(t *testing.T) {
	s := newSecrets()
	s.remember("first", "a")
	s.remember("kept", "b")
	s.remember("none", "")
	for i := range 2 * secretsKept {
		s.of("kept") // asked for: stays
		s.remember(itoa(int64(i)), "x")
	}
	if s.of("first") != "" || s.of("kept") != "b" || s.of("none") != "" || s.order.Len() != secretsKept {
		t.Errorf("first %q, kept %q, %d kept", s.of("first"), s.of("kept"), s.order.Len())
	}
}

// silentReads is a shop where Stripe's answer to a read never comes.
type silentReads struct{ *shop }

func (s silentReads) Stripe(context.Context, Till, Call, string, url.Values) (json.RawMessage, error) {
	return nil, errSilence
}

func TestSampleCaptureThatIsDoneStaysDoneWhenTheIntentCannotBeRead(t *testing.T) {
	s := newShop()
	s.outcome = succeeded
	w := call(Handler(silentReads{s}, Options{}), post, "/server-driven/capture-payment-intent", `{"payment_intent_id":"pi_1"}`, asPOS, jsonBody)
	if w.Code != http.StatusOK || w.Body.String() != `{"payment_intent":{"id":"pi_1","object":"payment_intent","status":"succeeded"}}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestMetadataNamesTheOrderButNeverHeadquartersOwnKeys(t *testing.T) {
	s := newShop()
	call(Handler(s, Options{}), post, "/create_payment_intent", "amount=100&metadata[order]=A-1041&metadata[storehub_ref]=r&metadata[storehub_op]=forged&surprise=1", asPOS, formBody)
	want := `stripe create_payment_intent key="" amount=100 capture_method=manual currency=usd metadata[order]=A-1041 metadata[storehub_ref]=r payment_method_types[]=card_present`
	if got := s.effects(); len(got) != 1 || got[0] != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}
