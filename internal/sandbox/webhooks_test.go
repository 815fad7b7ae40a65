package sandbox

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"
)

// inbox is an endpoint without a socket. It notes what comes and when.
type inbox struct {
	mu     sync.Mutex
	events []stripe.Event
	at     []time.Time
	secret string
	refuse int // so many deliveries are answered 500
	fail   error

	redirect bool
}

func (b *inbox) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	ev, err := webhook.ConstructEventWithOptions(payload, r.Header.Get("Stripe-Signature"), b.secret,
		webhook.ConstructEventOptions{IgnoreAPIVersionMismatch: true})
	if err != nil {
		return nil, err
	}
	b.events, b.at = append(b.events, ev), append(b.at, time.Now())
	status := http.StatusOK
	if b.refuse > 0 {
		b.refuse--
		status = http.StatusInternalServerError
	}
	if b.redirect {
		status = http.StatusTemporaryRedirect
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(bytes.NewReader(nil)), Request: r,
		Header: http.Header{"Location": {"https://elsewhere.example"}}}, nil
}

// types are the events that came, in order.
func (b *inbox) types() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, ev := range b.events {
		out = append(out, string(ev.Type))
	}
	return out
}

// hooked is a bubble whose events go to an inbox.
func hooked(t *testing.T, f func(sh *shop, in *inbox)) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{secret: "whsec_test"}
		s, err := New(Options{Seed: 1, WebhookURL: "https://hq.example/stripe", WebhookSecret: in.secret, WebhookClient: &http.Client{Transport: in}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		sh := &shop{Sandbox: s, t: t, key: s.SecretKey()}
		sh.furnish()
		f(sh, in)
	})
}

func TestEventsComeSignedAndInOrder(t *testing.T) {
	hooked(t, func(sh *shop, in *inbox) {
		pi := sh.authorised("2500")
		sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "", "Idempotency-Key: op_1")
		synctest.Wait()
		want := []string{"payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated",
			"terminal.reader.action_succeeded", "charge.captured", "payment_intent.succeeded"}
		if got := in.types(); !slices.Equal(got, want) {
			sh.t.Errorf("came %v, want %v", got, want)
		}
		last := in.events[len(in.events)-1]
		if last.Request.IdempotencyKey != "op_1" || last.APIVersion != accountVersion || last.Livemode || last.Account != "" {
			sh.t.Errorf("%+v", last)
		}
		if first := in.events[0]; !strings.Contains(string(first.Data.Raw), `"requires_payment_method"`) {
			sh.t.Errorf("the object is not as it stood then: %s", first.Data.Raw)
		}
		r := sh.ok("GET", "/v1/events/"+last.ID, "")
		if r.num("pending_webhooks") != 0 {
			sh.t.Errorf("still pending: %s", r.raw)
		}
	})
}

func TestARefusedEventIsTriedAgainWithGrowingPauses(t *testing.T) {
	hooked(t, func(sh *shop, in *inbox) {
		in.refuse = 2
		sh.intent("2500", "")
		synctest.Wait()
		if r := sh.ok("GET", "/v1/events", "delivery_success=false"); r.num("data.0.pending_webhooks") != 1 {
			sh.t.Errorf("not pending: %s", r.raw)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(in.at) != 3 || in.at[1].Sub(in.at[0]) != webhookPauses[0] || in.at[2].Sub(in.at[1]) != webhookPauses[1] {
			sh.t.Errorf("tried at %v", in.at)
		}
		if in.events[0].ID != in.events[2].ID {
			sh.t.Error("another event was tried")
		}
		if r := sh.ok("GET", "/v1/events", "delivery_success=true"); r.num("data.0.pending_webhooks") != 0 {
			sh.t.Errorf("still pending: %s", r.raw)
		}
	})
}

func TestAnEventIsGivenUpInTheEnd(t *testing.T) {
	hooked(t, func(sh *shop, in *inbox) {
		in.fail = errors.New("connection refused")
		sh.intent("2500", "")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		in.mu.Lock()
		in.fail = nil
		in.mu.Unlock()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := in.types(); len(got) != 0 {
			sh.t.Errorf("came after all: %v", got)
		}
		if r := sh.ok("GET", "/v1/events", "delivery_success=false"); len(r.at("data").([]any)) != 1 {
			sh.t.Errorf("not listed as undelivered: %s", r.raw)
		}
	})
}

func TestDisorderOnRequest(t *testing.T) {
	const created, canceled = "payment_intent.created", "payment_intent.canceled"
	for _, c := range []struct {
		name   string
		faults WebhookFaults
		want   []string
	}{
		{"none", WebhookFaults{}, []string{created, canceled}},
		{"duplicate", WebhookFaults{Duplicate: true}, []string{created, created, canceled, canceled}},
		{"reorder", WebhookFaults{Reorder: true}, []string{canceled, created}},
		{"lose", WebhookFaults{Lose: true}, nil},
		{"duplicate and reorder", WebhookFaults{Duplicate: true, Reorder: true}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			hooked(t, func(sh *shop, in *inbox) {
				sh.SetWebhookFaults(c.faults)
				pi := sh.intent("2500", "")
				sh.ok("POST", "/v1/payment_intents/"+pi+"/cancel", "")
				time.Sleep(time.Minute)
				synctest.Wait()
				got := in.types()
				if c.name == "duplicate and reorder" {
					if n := len(got); n != 4 || slices.IsSortedFunc(got, func(a, b string) int { return -strings.Compare(a, b) }) {
						sh.t.Errorf("came %v", got)
					}
					return
				}
				if !slices.Equal(got, c.want) {
					sh.t.Errorf("came %v, want %v", got, c.want)
				}
				if n := len(sh.ok("GET", "/v1/events", "").at("data").([]any)); n != 2 {
					sh.t.Errorf("%d events are listed, want both whatever became of them", n)
				}
			})
		})
	}
}

func TestAnEventWithoutSuccessorIsNotHeldForEver(t *testing.T) {
	hooked(t, func(sh *shop, in *inbox) {
		sh.SetWebhookFaults(WebhookFaults{Reorder: true})
		sh.intent("2500", "")
		time.Sleep(reorderHold)
		synctest.Wait()
		if got := in.types(); len(got) != 1 {
			sh.t.Errorf("came %v", got)
		}
	})
}

func TestARedirectIsAFailedDelivery(t *testing.T) {
	hooked(t, func(sh *shop, in *inbox) {
		in.redirect = true
		sh.intent("2500", "")
		synctest.Wait()
		if got := in.types(); len(got) != 1 {
			sh.t.Errorf("came %v", got)
		}
		if r := sh.ok("GET", "/v1/events", ""); r.num("data.0.pending_webhooks") != 1 {
			sh.t.Errorf("taken as delivered: %s", r.raw)
		}
	})
}

func TestASlowEndpointHoldsNoAnswerUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		s, err := New(Options{WebhookURL: "https://hq.example", WebhookClient: &http.Client{Transport: slow}})
		if err != nil {
			t.Fatal(err)
		}
		sh := &shop{Sandbox: s, t: t, key: s.SecretKey()}
		before := time.Now()
		sh.intent("2500", "")
		if took := time.Since(before); took != 0 {
			t.Errorf("the answer took %s", took)
		}
		if err := s.Close(); err != nil || time.Since(before) != 0 {
			t.Errorf("Close took %s: %v", time.Since(before), err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestEndpointsMadeByTheAPIHaveASecretAndATasteOfTheirOwn(t *testing.T) {
	hooked(t, func(sh *shop, in *inbox) {
		sh.SetWebhookURL("")
		made := sh.ok("POST", "/v1/webhook_endpoints", "url=https://other.example/hook&enabled_events[]=payment_intent.canceled&enabled_events[]=charge.*")
		in.secret = made.str("secret")
		pi := sh.authorised("2500")
		sh.ok("POST", "/v1/payment_intents/"+pi+"/cancel", "")
		synctest.Wait()
		if got, want := in.types(), []string{"charge.succeeded", "charge.refunded", "payment_intent.canceled"}; !slices.Equal(got, want) {
			sh.t.Errorf("came %v, want %v", got, want)
		}
		if r := sh.ok("GET", "/v1/webhook_endpoints", ""); r.at("data.0.secret") != nil {
			sh.t.Error("the secret is told twice")
		}
		sh.no(400, "url_invalid", "POST", "/v1/webhook_endpoints", "url=hq&enabled_events[]=*")
	})
}
