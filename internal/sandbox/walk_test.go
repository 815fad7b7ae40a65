package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// walker does random things to one sandbox and keeps what it was answered.
type walker struct {
	s       *Sandbox
	reader  string
	intents []string
	answers map[string]given // by request and key
}

// given is the first answer of a key's life.
type given struct {
	body string
	at   time.Time
}

func (w *walker) post(rt *rapid.T, path, form, key string) (int, string) {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	req.Header.Set("Authorization", "Bearer "+w.s.SecretKey())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	rec := httptest.NewRecorder()
	w.s.Handler().ServeHTTP(rec, req)
	if rec.Code == http.StatusInternalServerError {
		rt.Fatalf("%s %s: %s", path, form, rec.Body)
	}
	return rec.Code, rec.Body.String()
}

func (w *walker) some(rt *rapid.T) string {
	if len(w.intents) == 0 {
		rt.Skip("there is no intent yet")
	}
	return rapid.SampledFrom(w.intents).Draw(rt, "intent")
}

// keyed posts under one of few keys, so that keys are used again.
func (w *walker) keyed(rt *rapid.T, path, form string) {
	key := fmt.Sprintf("k%d", rapid.IntRange(0, 5).Draw(rt, "key"))
	status, body := w.post(rt, path, form, key)
	if status == http.StatusBadRequest && strings.Contains(body, `"idempotency_error"`) {
		return
	}
	at := key + " " + path + " " + form
	now := w.s.Now()
	old, ok := w.answers[at]
	if !ok || now.Sub(old.at) >= keyLife {
		w.answers[at] = given{body, now}
	} else if old.body != body {
		rt.Errorf("%s was answered otherwise:\n%s\n%s", at, old.body, body)
	}
}

func TestWhateverIsAskedForMoneyMovesOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, err := New(Options{Seed: 1})
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		sh := &shop{Sandbox: s, t: t, key: s.SecretKey()}
		sh.furnish()
		w := &walker{s: s, reader: sh.reader, answers: map[string]given{}}
		amount := func() string { return fmt.Sprint(rapid.IntRange(1, 30).Draw(rt, "amount") * 100) }
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(rt *rapid.T) {
				method := rapid.SampledFrom([]string{"manual", "automatic"}).Draw(rt, "method")
				w.intents = append(w.intents, sh.ok("POST", "/v1/payment_intents", "amount="+amount()+
					"&currency=usd&payment_method_types[]=card_present&capture_method="+method).str("id"))
			},
			"process": func(rt *rapid.T) {
				w.post(rt, "/v1/terminal/readers/"+w.reader+"/process_payment_intent", "payment_intent="+w.some(rt), "")
			},
			"present": func(rt *rapid.T) {
				card := rapid.SampledFrom([]string{defaultCard, "4000000000000002", "4000000000005126"}).Draw(rt, "card")
				w.post(rt, "/v1/test_helpers/terminal/readers/"+w.reader+"/present_payment_method",
					"type=card_present&"+url.QueryEscape("card_present[number]")+"="+card, "")
			},
			"capture": func(rt *rapid.T) {
				w.keyed(rt, "/v1/payment_intents/"+w.some(rt)+"/capture", "amount_to_capture="+amount())
			},
			"cancel": func(rt *rapid.T) { w.keyed(rt, "/v1/payment_intents/"+w.some(rt)+"/cancel", "") },
			"refund": func(rt *rapid.T) { w.keyed(rt, "/v1/refunds", "payment_intent="+w.some(rt)+"&amount="+amount()) },
			"wait":   func(rt *rapid.T) { s.Advance(time.Duration(rapid.IntRange(1, 600).Draw(rt, "minutes")) * time.Minute) },
			"forget": func(rt *rapid.T) {
				s.Advance(keyLife)
				clear(w.answers)
			},
			"": func(rt *rapid.T) { balanced(rt, s) },
		})
	})
}

// balanced holds the books of each intent to what money can do.
func balanced(rt *rapid.T, s *Sandbox) {
	type sums struct{ authorised, captured, back, ended int64 }
	all := map[string]*sums{}
	for _, e := range s.Books() {
		sum := all[e.Intent]
		if sum == nil {
			sum = &sums{}
			all[e.Intent] = sum
		}
		switch e.Effect {
		case EffectAuthorised:
			if sum.authorised != 0 {
				rt.Errorf("%s was authorised twice", e.Intent)
			}
			sum.authorised = e.Amount
		case EffectCaptured:
			if sum.captured != 0 || sum.ended != 0 {
				rt.Errorf("%s was captured after %+v", e.Intent, sum)
			}
			sum.captured = e.Amount
		case EffectCanceled, EffectExpired:
			if sum.captured != 0 || sum.ended != 0 {
				rt.Errorf("%s ended after %+v", e.Intent, sum)
			}
			sum.ended++
		case EffectRefunded:
			sum.back += e.Amount
		case EffectRefundFailed:
			sum.back -= e.Amount
		}
		if sum.captured > sum.authorised || sum.back > sum.captured || sum.back < 0 {
			rt.Errorf("%s does not add up: %+v", e.Intent, sum)
		}
	}
}
