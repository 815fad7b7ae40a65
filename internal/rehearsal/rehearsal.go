// Package rehearsal plays what happens at a till, with Stripe's test cards on a
// simulated reader, through a real hub and its headquarters: approved, declined in
// each way, interrupted and resumed with the same payment, captured, refunded.
// It leaves no money behind, even when it is ended in the middle: the next one
// cleans up.
package rehearsal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/doors"
)

// State is what became of a scene.
type State string

// The states. Unknown is no "no": the hub or what stands behind it did not answer.
const (
	Pass    State = "pass"
	Fail    State = "fail"
	Unknown State = "unknown"
	Planned State = "planned" // it was asked what would be played
)

// Result is one scene as it went.
type Result struct {
	Scene  string   `json:"scene"`
	Says   string   `json:"says"` // what must happen
	State  State    `json:"state"`
	Detail string   `json:"detail,omitempty"`
	Words  []string `json:"words,omitempty"` // what the cashier was told
	TookMS int64    `json:"took_ms"`
	Proves []string `json:"proves,omitempty"` // items of the checklist
}

// Report is the whole rehearsal.
type Report struct {
	Run       string    `json:"run"`
	StartedAt time.Time `json:"started_at"`
	Results   []Result  `json:"results"`
}

// Of says how the scenes went that prove an item: whether one went otherwise than it
// must, and which. Where one could not be told, or none was played, nobody knows.
func (r Report) Of(item string) (State, string) {
	played, failed, untold := 0, []string(nil), []string(nil)
	for _, res := range r.Results {
		if !slices.Contains(res.Proves, item) {
			continue
		}
		switch played++; res.State {
		case Fail:
			failed = append(failed, res.Scene+": "+res.Detail)
		case Unknown:
			untold = append(untold, res.Scene+": "+res.Detail)
		}
	}
	switch {
	case failed != nil:
		return Fail, strings.Join(failed, "; ")
	case untold != nil:
		return Unknown, strings.Join(untold, "; ")
	case played < scenesThatProve(item):
		return Unknown, "it was not played to its end"
	}
	if played == 1 {
		return Pass, "1 scene on a simulated reader"
	}
	return Pass, fmt.Sprintf("%d scenes on a simulated reader", played)
}

// Whole reports whether every scene passed.
func (r Report) Whole() bool {
	for _, res := range r.Results {
		if res.State != Pass {
			return false
		}
	}
	return len(r.Results) > 0
}

// Notes are what a rehearsal writes down before it does anything, so that the next
// one can clean up after one that was ended. The zero Notes leave nothing to do.
type Notes struct {
	Run     string   `json:"run,omitempty"`
	Making  string   `json:"making,omitempty"` // key of a PaymentIntent that may or may not have been made
	Amount  int64    `json:"amount,omitempty"` // its amount
	Intents []string `json:"intents,omitempty"`
}

// Stage is where a rehearsal is played.
type Stage struct {
	Doors    doors.Backend
	Till     doors.Till // scope manager, mode test
	Currency string     // "": usd
	Before   Notes      // of a rehearsal that did not end
	// Remember is on disk when it returns.
	Remember func(Notes) error
	// LastEvent is when Stripe's last event came, the zero time if none ever did.
	LastEvent func() time.Time
	Patience  time.Duration // for what headquarters does in its own time; 0: 60 s
}

// goodbye is how long a rehearsal that was ended goes on to clean up.
const goodbye = 3 * time.Second

// ErrLive says that nothing is rehearsed with real money.
var ErrLive = errors.New("a rehearsal needs a till of mode test")

// Run plays every scene and tells each result as it comes. It errs when it could not
// begin, or not clean up what an earlier one left.
func Run(ctx context.Context, s Stage, tell func(Result)) (Report, error) {
	if s.Till.Mode != doors.Test {
		return Report{}, ErrLive
	}
	if s.Currency == "" {
		s.Currency = "usd"
	}
	if s.Patience == 0 {
		s.Patience = time.Minute
	}
	p := &play{Stage: s, notes: s.Before}
	if err := p.cleanUp(ctx); err != nil {
		return Report{}, fmt.Errorf("clean up after the rehearsal before: %w", err)
	}
	p.notes = Notes{Run: strings.ToLower(rand.Text()[:12])}
	p.began = time.Now()
	report := Report{Run: p.notes.Run, StartedAt: p.began.UTC().Truncate(time.Second)}
	for _, sc := range scenes {
		p.words = nil
		began := time.Now()
		sceneCtx, cancel := context.WithTimeout(ctx, 2*s.Patience)
		err := sc.play(sceneCtx, p)
		cancel()
		if ctx.Err() != nil {
			// Whoever ended it waits a moment; what is not ended now the next one ends.
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			_ = p.cleanUp(late)
			cancel()
			return report, ctx.Err()
		}
		r := Result{Scene: sc.name, Says: sc.says, Words: p.words, Proves: sc.proves, TookMS: time.Since(began).Milliseconds()}
		r.State, r.Detail = Judge(err)
		report.Results = append(report.Results, r)
		if tell != nil {
			tell(r)
		}
		if err != nil && sc.vital {
			break
		}
	}
	return report, nil
}

// no is a scene that went otherwise than it must.
type no string

func (n no) Error() string { return string(n) }

// Wrong is how a scene ends that went otherwise than it must. Any other error but a
// refusal leaves open how it went.
func Wrong(format string, args ...any) error { return no(fmt.Sprintf(format, args...)) }

// Judge says what became of a scene that ended so, and why.
func Judge(err error) (State, string) {
	var unmet no
	var refused *doors.Error
	switch {
	case err == nil:
		return Pass, ""
	case errors.As(err, &unmet):
		return Fail, err.Error()
	case errors.As(err, &refused) && refused.Status < 500:
		return Fail, "it was refused: " + err.Error()
	}
	return Unknown, err.Error()
}

// play is one rehearsal on its way.
type play struct {
	Stage
	notes   Notes
	began   time.Time
	keys    int // used so far
	words   []string
	reader  string
	settled []string // captured payments
}

// key is a new Idempotency-Key of this run.
func (p *play) key(what string) string {
	p.keys++
	return "rehearsal-" + p.notes.Run + "-" + strconv.Itoa(p.keys) + "-" + what
}

func (p *play) remember() error {
	if p.Remember == nil {
		return nil
	}
	if err := p.Remember(p.notes); err != nil {
		return fmt.Errorf("write down what is under way: %w", err)
	}
	return nil
}

// call passes a call on as the till.
func (p *play) call(ctx context.Context, c doors.Call, key string, pairs ...string) (object, error) {
	params := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		params.Set(pairs[i], pairs[i+1])
	}
	raw, err := p.Doors.Stripe(ctx, p.Till, c, key, params)
	if err != nil {
		return object{}, err
	}
	return read(raw)
}

// object is what matters of one of Stripe's objects.
type object struct {
	ID               string          `json:"id"`
	Object           string          `json:"object"`
	Status           string          `json:"status"`
	Amount           int64           `json:"amount"`
	Received         int64           `json:"amount_received"`
	DeviceType       string          `json:"device_type"`
	LatestCharge     json.RawMessage `json:"latest_charge"` // an id, or the charge where that was asked for
	LastPaymentError *struct {
		Code        string `json:"code"`
		DeclineCode string `json:"decline_code"`
	} `json:"last_payment_error"`
	Action *struct {
		Type    string `json:"type"`
		Status  string `json:"status"`
		Process *struct {
			Intent string `json:"payment_intent"`
		} `json:"process_payment_intent"`
	} `json:"action"`
}

func read(raw json.RawMessage) (object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o.ID == "" {
		return o, Wrong("the answer is none of Stripe's objects: %.60q", raw)
	}
	return o, nil
}

// create makes a payment. It is written down before, so that it can be found again.
func (p *play) create(ctx context.Context, amount int64) (string, error) {
	if err := p.settle(ctx); err != nil {
		return "", fmt.Errorf("find the payment before: %w", err)
	}
	p.notes.Making, p.notes.Amount = p.key("create"), amount
	if err := p.remember(); err != nil {
		return "", err
	}
	o, err := p.make(ctx, p.notes.Making, amount)
	if err != nil {
		var refused *doors.Error
		if errors.As(err, &refused) && refused.Status < 500 { // at the first asking: there is none
			p.notes.Making = ""
			return "", errors.Join(err, p.remember())
		}
		return "", err
	}
	p.notes.Intents, p.notes.Making = append(p.notes.Intents, o.ID), ""
	return o.ID, p.remember()
}

func (p *play) make(ctx context.Context, key string, amount int64) (object, error) {
	o, err := p.call(ctx, doors.CreatePaymentIntent, key, "amount", strconv.FormatInt(amount, 10), "currency", p.Currency,
		"description", "Store Hub rehearsal", "capture_method", "manual", "payment_method_types[]", "card_present")
	if err == nil && !strings.HasPrefix(o.ID, "pi_") {
		err = Wrong("the answer is no PaymentIntent")
	}
	return o, err
}

func (p *play) intent(ctx context.Context, id string) (object, error) {
	return p.call(ctx, doors.RetrievePaymentIntent, "", "payment_intent", id)
}

// arm hands a payment to the reader.
func (p *play) arm(ctx context.Context, intent string) error {
	_, err := p.call(ctx, doors.ProcessPaymentIntent, p.key("process"), "reader", p.reader, "payment_intent", intent)
	return err
}

// card holds a test card to the reader; number "" is one that is accepted. A decline
// is no error of the call's: the payment tells of it.
func (p *play) card(ctx context.Context, number string) error {
	pairs := []string{"reader", p.reader}
	if number != "" {
		pairs = append(pairs, "type", "card_present", "card_present[number]", number)
	}
	_, err := p.call(ctx, doors.PresentPaymentMethod, "", pairs...)
	var refused *doors.Error
	if errors.As(err, &refused) && (refused.DeclineCode != "" || refused.Stripe == "card_declined") {
		return nil
	}
	return err
}

// readers are the store's.
func (p *play) readers(ctx context.Context) ([]object, error) {
	raw, err := p.Doors.Stripe(ctx, p.Till, doors.ListReaders, "", url.Values{})
	if err != nil {
		return nil, err
	}
	var list []object
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, Wrong("the list of readers cannot be read")
	}
	return list, nil
}

// authorised is a payment whose card was accepted.
func (p *play) authorised(ctx context.Context, amount int64) (string, error) {
	id, err := p.create(ctx, amount)
	if err != nil {
		return "", err
	}
	if err := p.arm(ctx, id); err != nil {
		return id, err
	}
	return id, p.accepted(ctx, id)
}

// accepted holds a card to the reader that is accepted for the payment.
func (p *play) accepted(ctx context.Context, id string) error {
	if err := p.card(ctx, ""); err != nil {
		return err
	}
	return p.has(ctx, id, "requires_capture")
}

// has demands that a payment has come to a status.
func (p *play) has(ctx context.Context, id, status string) error {
	o, err := p.intent(ctx, id)
	if err == nil && o.Status != status {
		err = Wrong("the payment is %s, want %s", o.Status, status)
	}
	return err
}

// promise stores an operation and waits for its outcome.
func (p *play) promise(ctx context.Context, kind doors.Kind, intent string, amount int64, data any) (doors.Operation, error) {
	return p.promiseAs(ctx, p.key(string(kind)), kind, intent, amount, data)
}

func (p *play) promiseAs(ctx context.Context, key string, kind doors.Kind, intent string, amount int64, data any) (doors.Operation, error) {
	op := doors.Operation{Kind: kind, Ref: intent}
	if amount > 0 {
		op.Amount, op.Currency = &amount, p.Currency
	}
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			return op, err
		}
		op.Data = b
	}
	op, err := doors.CheckOperation(op)
	if err != nil {
		return op, err
	}
	if op, err = p.Doors.Put(ctx, p.Till, key, op); err != nil {
		return op, err
	}
	return p.await(ctx, op.ID)
}

// await is an operation with its outcome.
func (p *play) await(ctx context.Context, id string) (doors.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	op, err := p.Doors.Await(ctx, p.Till, id)
	if err == nil && !op.State.Final() {
		err = fmt.Errorf("after %s the %s is %s %s", p.Patience, op.Kind, op.State, op.Reason)
	}
	return op, err
}

// succeeds demands that an operation was done.
func (p *play) succeeds(ctx context.Context, kind doors.Kind, intent string, amount int64) error {
	return succeeded(p.promise(ctx, kind, intent, amount, nil))
}

// succeeded demands that an operation whose outcome is there was done.
func succeeded(op doors.Operation, err error) error {
	if err == nil && op.State != doors.Succeeded {
		err = Wrong("the %s is %s %s", op.Kind, op.State, op.Reason)
	}
	return err
}
