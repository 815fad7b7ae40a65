package storesim

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"storehub/doors"
)

// Till is an unmodified POS app: it knows the base URL and nothing else.
type Till struct {
	s      *Store
	t      testing.TB
	hqRoad bool // it uses the second address that it was given
	asked  int  // requests it made there
}

// Till is the store's till.
func (s *Store) Till() *Till { return &Till{s: s, t: s.t} }

// ToHeadquarters points the till at its second address, as a cashier does when
// the hub is dead.
func (p *Till) ToHeadquarters() { p.hqRoad = true }

// base is where the till calls.
func (p *Till) base() string {
	if p.hqRoad {
		p.asked++
		return p.s.sys.HQURL
	}
	return p.s.sys.HubURL
}

// Post sends a form to a door of Stripe's example backend.
func (p *Till) Post(door string, form url.Values) Answer {
	p.t.Helper()
	header := http.Header{}
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	a, err := request(p.t.Context(), http.MethodPost, p.base()+"/pos/"+p.s.sys.POSCredential+"/"+door, header, form.Encode())
	p.s.must("post "+door, err)
	return a
}

// API speaks to /v1 with the till's credential; body is JSON or empty.
func (p *Till) API(method, path, key, body string) Answer {
	p.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + p.s.sys.POSCredential}}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	a, err := request(p.t.Context(), method, p.base()+path, header, body)
	p.s.must(method+" "+path, err)
	return a
}

// Token asks for a connection token and returns its secret.
func (p *Till) Token() string {
	p.t.Helper()
	a := p.Post("connection_token", nil)
	var v struct{ Secret string }
	if a.Status != http.StatusOK || a.JSON(&v) != nil || v.Secret == "" {
		p.t.Fatalf("connection_token: %d %s", a.Status, a.Body)
	}
	return v.Secret
}

// Authorise makes an intent and has a customer present a card at the first
// reader: it returns an intent that waits for its capture.
func (p *Till) Authorise(amount int64) string {
	p.t.Helper()
	intent, refusal := p.TryAuthorise(amount)
	if intent == "" {
		p.t.Fatalf("create_payment_intent: %d %s", refusal.Status, refusal.Body)
	}
	return intent
}

// TryAuthorise is Authorise in a shop where the line may be cut: when no intent
// could be made, it returns none and the refusal.
func (p *Till) TryAuthorise(amount int64) (intent string, refusal Answer) {
	p.t.Helper()
	a := p.Post("create_payment_intent", url.Values{"amount": {fmt.Sprint(amount)}, "currency": {"usd"}})
	if a.Status != http.StatusOK {
		return "", a
	}
	var v struct{ Intent, Secret string }
	if a.JSON(&v) != nil || v.Intent == "" || v.Secret == "" {
		p.t.Fatalf("create_payment_intent: %d %s", a.Status, a.Body)
	}
	reader := p.s.sys.Readers()[0]
	p.s.AtStripe(http.MethodPost, "/v1/terminal/readers/"+reader+"/process_payment_intent", url.Values{"payment_intent": {v.Intent}})
	p.s.AtStripe(http.MethodPost, "/v1/test_helpers/terminal/readers/"+reader+"/present_payment_method", nil)
	pi := p.s.AtStripe(http.MethodGet, "/v1/payment_intents/"+v.Intent, nil)
	if pi["status"] != "requires_capture" {
		p.t.Fatalf("%s is %v after the card was presented, want requires_capture", v.Intent, pi["status"])
	}
	return v.Intent, Answer{}
}

// Capture asks for the capture of all that was authorised and returns the status.
func (p *Till) Capture(intent string) int {
	p.t.Helper()
	a := p.Post("capture_payment_intent", url.Values{"payment_intent_id": {intent}})
	if a.Status == http.StatusOK || a.Status == http.StatusAccepted {
		var v struct{ Intent, Secret string }
		if err := a.JSON(&v); err != nil || v.Intent != intent {
			p.t.Fatalf("capture of %s: %d %s", intent, a.Status, a.Body)
		}
	}
	return a.Status
}

// WantCapture asks for a capture and fails unless it is answered so.
func (p *Till) WantCapture(intent string, status int) {
	p.t.Helper()
	if got := p.Capture(intent); got != status {
		p.t.Fatalf("capture of %s answered %d, want %d", intent, got, status)
	}
}

// Operation is the newest operation of that kind on an intent.
func (p *Till) Operation(kind doors.Kind, ref string) doors.Operation {
	p.t.Helper()
	a := p.API(http.MethodGet, "/v1/operations?limit=1000", "", "")
	var v struct{ Operations []doors.Operation }
	if a.Status != http.StatusOK || a.JSON(&v) != nil {
		p.t.Fatalf("list operations: %d %s", a.Status, a.Body)
	}
	for _, op := range v.Operations {
		if op.Kind == kind && op.Ref == ref {
			return op
		}
	}
	p.t.Fatalf("no %s of %s among %s", kind, ref, a.Body)
	return doors.Operation{}
}

// Await waits at the event stream until the newest operation of that kind on the
// intent has an end, and returns it.
func (p *Till) Await(kind doors.Kind, ref string) doors.Operation {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base()+"/v1/events", nil)
	p.s.must("open events", err)
	req.Header.Set("Authorization", "Bearer "+p.s.sys.POSCredential)
	resp, err := http.DefaultClient.Do(req)
	p.s.must("open events", err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("open events: %s", resp.Status)
	}
	// What ended before the stream was open is not told again.
	if op := p.Operation(kind, ref); op.State.Final() {
		return op
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var op doors.Operation
		if json.Unmarshal([]byte(data), &op) == nil && op.Kind == kind && op.Ref == ref && op.State.Final() {
			return op
		}
	}
	p.t.Fatalf("no end of the %s of %s came by the event stream: %v; it stands at %+v", kind, ref, lines.Err(), p.Operation(kind, ref))
	return doors.Operation{}
}

// WantOutcome waits for the end at the event stream and fails unless it is state.
func (p *Till) WantOutcome(kind doors.Kind, ref string, state doors.State) doors.Operation {
	p.t.Helper()
	op := p.Await(kind, ref)
	if op.State != state {
		p.t.Fatalf("%s of %s ended %s (%s: %s), want %s", kind, ref, op.State, op.Reason, op.Message, state)
	}
	return op
}
