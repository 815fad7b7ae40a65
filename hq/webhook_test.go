package hq_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/sandbox"
)

// event is the text of one of Stripe's events.
func event(id, kind string, live bool, object map[string]any) string {
	b, err := json.Marshal(map[string]any{"id": id, "object": "event", "type": kind, "livemode": live, "created": time.Now().Unix(),
		"api_version": "2031-01-01.nobody_knows", "data": map[string]any{"object": object}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// deliver posts an event as Stripe does.
func (s *shop) deliver(body, secret string, at time.Time) int {
	s.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	req := httptest.NewRequestWithContext(s.t.Context(), "POST", "/stripe/webhook", strings.NewReader(body))
	req.Header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v0=00,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil))))
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, req)
	return w.Code
}

// hooked is a shop that nothing but webhooks wakes: the poll with which headquarters
// begins may come late, and finds nothing either.
func hooked(t *testing.T) *shop {
	t.Helper()
	s := newShop(t, func(o *hq.Options) { o.Poll = time.Hour; o.WebhookSecret = append(o.WebhookSecret, "whsec_second") })
	s.box.Inject(sandbox.Fault{Method: "GET", Path: "/v1/events", Kind: "reset"})
	return s
}

func (s *shop) events() (kinds []string) {
	s.t.Helper()
	f, err := s.client.Feed(s.t.Context(), s.epoch, 0, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, it := range f.Items {
		if it.Type == "event" {
			kinds = append(kinds, it.Event)
		}
	}
	return kinds
}

func TestWebhooksWakeWhatWaits(t *testing.T) {
	s := hooked(t)
	pi := s.created("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.waits("op_1", "awaiting_authorisation")
	s.pay(pi)
	body := event("evt_1", "payment_intent.amount_capturable_updated", false, map[string]any{"id": pi, "object": "payment_intent", "status": "requires_capture"})
	if code := s.deliver(body, "whsec_second", time.Now()); code != 200 {
		t.Fatalf("answered %d", code)
	}
	s.want("op_1", doors.Succeeded, "")
	it := s.until("the event", func(it hq.Item) bool { return it.Type == "event" })
	if it.Event != "payment_intent.amount_capturable_updated" || string(it.Object) != fmt.Sprintf(`{"id":%q,"object":"payment_intent","status":"requires_capture"}`, pi) {
		t.Errorf("line %+v %s", it, it.Object)
	}
	s.exactly(pi, "captured", 1000)
}

func TestWebhooksAreTakenOnceInAnyOrder(t *testing.T) {
	s := hooked(t)
	pi := s.authorised("1000")
	before := event("evt_1", "payment_intent.amount_capturable_updated", false, map[string]any{"id": pi, "object": "payment_intent", "status": "requires_capture"})
	after := event("evt_2", "payment_intent.succeeded", false, map[string]any{"id": pi, "object": "payment_intent", "status": "succeeded"})
	for _, body := range []string{after, after, before, after, before} {
		if code := s.deliver(body, s.box.WebhookSecret(), time.Now()); code != 200 {
			t.Fatalf("answered %d", code)
		}
	}
	if got := s.events(); strings.Join(got, " ") != "payment_intent.succeeded payment_intent.amount_capturable_updated" {
		t.Errorf("events %v", got)
	}
	// The old news did not undo anything: what is true is read.
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
}

func TestWebhooksThatAreNotStripesAreRefused(t *testing.T) {
	s := hooked(t)
	pi := s.created("1000")
	body := event("evt_1", "payment_intent.succeeded", false, map[string]any{"id": pi, "object": "payment_intent"})
	now := time.Now()
	for name, c := range map[string]struct {
		secret string
		at     time.Time
		want   int
	}{
		"another secret":      {"whsec_another", now, 400},
		"empty secret":        {"", now, 400},
		"ten minutes old":     {"whsec_second", now.Add(-10 * time.Minute), 400},
		"from the future":     {"whsec_second", now.Add(10 * time.Minute), 400},
		"a clock that is off": {"whsec_second", now.Add(2 * time.Minute), 200},
	} {
		if code := s.deliver(body, c.secret, c.at); code != c.want {
			t.Errorf("%s: %d, want %d", name, code, c.want)
		}
	}
	if got := s.events(); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}

func TestWebhooksThatConcernNobodyAreDroppedWithThanks(t *testing.T) {
	s := hooked(t)
	pi := s.created("1000")
	for name, body := range map[string]string{
		"live event at a test store": event("evt_1", "payment_intent.succeeded", true, map[string]any{"id": pi, "object": "payment_intent"}),
		"live reader event there":    event("evt_7", "terminal.reader.action_succeeded", true, map[string]any{"id": s.reader, "object": "terminal.reader", "location": s.loc}),
		"unknown payment":            event("evt_2", "payment_intent.succeeded", false, map[string]any{"id": "pi_other", "object": "payment_intent"}),
		"another type":               event("evt_3", "customer.created", false, map[string]any{"id": "cus_1", "object": "customer"}),
		"another account":            strings.Replace(event("evt_4", "payment_intent.succeeded", false, map[string]any{"id": pi, "object": "payment_intent"}), `"id":"evt_4"`, `"id":"evt_4","account":"acct_other"`, 1),
		"no object":                  `{"id":"evt_5","type":"payment_intent.succeeded","data":{}}`,
		"an object of another shape": `{"id":"evt_6","type":"payment_intent.succeeded","data":{"object":[1]}}`,
	} {
		if code := s.deliver(body, "whsec_second", time.Now()); code != 200 {
			t.Errorf("%s: %d", name, code)
		}
	}
	if got := s.events(); len(got) != 0 {
		t.Errorf("events %v", got)
	}
}

func TestWebhookThatIsNotWrittenDownIsSentAgain(t *testing.T) {
	s := hooked(t)
	pi := s.created("1000")
	body := event("evt_1", "payment_intent.succeeded", false, map[string]any{"id": pi, "object": "payment_intent"})
	s.breakAt("event:recorded", 1)
	if code := s.deliver(body, "whsec_second", time.Now()); code != 500 {
		t.Fatalf("answered %d although the disk broke", code)
	}
	if code := s.deliver(body, "whsec_second", time.Now()); code != 200 {
		t.Fatalf("second delivery: %d", code)
	}
	if got := s.events(); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}

func TestAReadersActionIsRoutedByItsPlace(t *testing.T) {
	s := hooked(t)
	body := event("evt_1", "terminal.reader.action_failed", false, map[string]any{"id": s.reader, "object": "terminal.reader", "location": s.loc,
		"action": map[string]any{"type": "process_payment_intent", "status": "failed", "process_payment_intent": map[string]any{"payment_intent": "pi_of_the_sdk"}}})
	if code := s.deliver(body, "whsec_second", time.Now()); code != 200 {
		t.Fatalf("answered %d", code)
	}
	it := s.until("the event", func(it hq.Item) bool { return it.Type == "event" })
	if string(it.Object) != fmt.Sprintf(`{"id":%q,"object":"terminal.reader","status":"failed"}`, s.reader) {
		t.Errorf("object %s", it.Object)
	}
}

func TestADisputeIsAReversalOfTheCapture(t *testing.T) {
	s := hooked(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	body := event("evt_1", "charge.dispute.created", false, map[string]any{"id": "du_1", "object": "dispute", "status": "needs_response", "payment_intent": pi})
	for range 2 {
		if code := s.deliver(body, "whsec_second", time.Now()); code != 200 {
			t.Fatalf("answered %d", code)
		}
	}
	it := s.until("the reversal", func(it hq.Item) bool { return it.Type == "reversal" })
	if it.ID != "op_1" || it.State != doors.Succeeded || !strings.Contains(string(it.Reversal), "du_1") {
		t.Errorf("reversal %+v %s", it, it.Reversal)
	}
}

// TestLostDoubledAndReorderedWebhooks: the sandbox delivers over HTTP, in disorder;
// what it loses is found by asking.
func TestLostDoubledAndReorderedWebhooks(t *testing.T) {
	s := newShop(t)
	front := httptest.NewServer(s.server.Handler())
	defer front.Close()
	s.box.SetWebhookURL(front.URL + "/stripe/webhook")
	defer s.box.SetWebhookURL("")
	s.box.SetWebhookFaults(sandbox.WebhookFaults{Duplicate: true, Reorder: true, Lose: true})
	var pis []string
	for i := range 5 {
		pi := s.created("1000")
		pis = append(pis, pi)
		s.submit(op(doors.Capture, fmt.Sprintf("op_%d", i), pi, 1000))
	}
	for _, pi := range pis {
		s.pay(pi)
	}
	for i, pi := range pis {
		s.want(fmt.Sprintf("op_%d", i), doors.Succeeded, "")
		s.exactly(pi, "captured", 1000)
	}
	seen := map[string]int{}
	for _, it := range s.items {
		if strings.HasPrefix(it.Event, "payment_intent.") { // a reader has one event per payment
			seen[it.Event+string(it.Object)]++
		}
	}
	for k, n := range seen {
		if n > 1 {
			t.Errorf("told %d times: %s", n, k)
		}
	}
}
