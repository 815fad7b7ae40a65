package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"storehub/doors"
)

// The items of Stripe's deployment checklist that scenes prove.
const (
	endToEnd    = "end_to_end"
	captures    = "capture"
	mistakes    = "errors"
	receipts    = "receipts"
	registering = "registration"
)

// scene is one thing that happens at a till. Without a vital one the rest cannot be
// played.
type scene struct {
	name   string
	says   string
	proves []string
	vital  bool
	play   func(ctx context.Context, p *play) error
}

var scenes = []scene{
	{"token", "two requests for a connection token get two tokens", []string{endToEnd}, false, token},
	{"reader", "a simulated reader is there, or is registered", []string{endToEnd}, true, reader},
	{"registration", "a code that no reader shows is refused in the cashier's words", []string{registering}, false, registration},
	{"approved", "a card is accepted, the payment is captured once with its amount", []string{endToEnd, captures}, false, approved},
	{"doubled_tap", "a capture that is asked for twice is one capture; another amount under its key is refused", []string{captures}, false, doubledTap},
	{"cancelled", "a payment that the customer gives up is cancelled", []string{captures}, false, cancelled},
	{"declined", "each way to decline is told in the cashier's words, and hints at no crime", []string{endToEnd, mistakes}, false, declined},
	{"pin", "a wrong or missing PIN is told as such", []string{mistakes}, false, pin},
	{"other_card", "after a decline the same payment takes another card", []string{endToEnd, mistakes}, false, otherCard},
	{"till_lost", "the till dies after the reader was asked: the same request again is the same action", []string{endToEnd, mistakes}, false, tillLost},
	{"reader_lost", "the reader is given up before the card: the same payment goes on", []string{endToEnd, mistakes}, false, readerLost},
	{"answer_lost", "the answer to a capture is lost: asked again, it is done once", []string{captures, mistakes}, false, answerLost},
	{"receipt", "the receipt's fields are there, and a copy is kept", []string{receipts}, false, receipt},
	{"refund", "a part is refunded, then the rest", []string{endToEnd}, false, refund},
	{"events", "Stripe's events of the rehearsal have arrived", nil, false, events},
	{"left", "no money is left on any payment of the rehearsal", []string{captures}, false, nothingLeft},
}

func scenesThatProve(item string) (n int) {
	for _, sc := range scenes {
		if slices.Contains(sc.proves, item) {
			n++
		}
	}
	return n
}

func token(ctx context.Context, p *play) error {
	var secrets [2]string
	for i := range secrets {
		raw, err := p.Doors.ConnectionToken(ctx, p.Till)
		if err != nil {
			return err
		}
		var t struct{ Secret string }
		if json.Unmarshal(raw, &t) != nil || t.Secret == "" {
			return Wrong("the answer holds no secret")
		}
		secrets[i] = t.Secret
	}
	if secrets[0] == secrets[1] {
		return Wrong("both got one and the same token")
	}
	return nil
}

// reader takes a simulated reader of the store that is free, or registers one, which
// stays for the next rehearsal.
func reader(ctx context.Context, p *play) error {
	list, err := p.readers(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		if strings.HasPrefix(r.DeviceType, "simulated_") && (r.Action == nil || r.Action.Status != "in_progress") {
			p.reader = r.ID
			return nil
		}
	}
	r, err := p.call(ctx, doors.RegisterReader, "", "registration_code", "simulated-wpe", "label", "Rehearsal")
	if err == nil && !strings.HasPrefix(r.ID, "tmr_") {
		err = Wrong("the answer is no reader")
	}
	p.reader = r.ID
	return err
}

// registration tries the road of a registration with a code that cannot be one: nothing
// is registered.
func registration(ctx context.Context, p *play) error {
	_, err := p.call(ctx, doors.RegisterReader, "", "registration_code", "no-such-reader", "label", "Rehearsal")
	var refused *doors.Error
	switch {
	case err == nil:
		return Wrong("a reader was registered with it")
	case !errors.As(doors.RegistrationRefused(err), &refused) || refused.Status >= 500:
		return err
	case refused.OperatorMessage == "" || doors.ReadRegistration(refused.Message) != doors.RegistrationUnknown:
		return Wrong("it was refused with %q, for the cashier %q", refused.Message, refused.OperatorMessage)
	}
	p.words = []string{refused.OperatorMessage}
	return nil
}

func approved(ctx context.Context, p *play) error {
	id, err := p.authorised(ctx, 1800)
	if err != nil {
		return err
	}
	if err := p.succeeds(ctx, doors.Capture, id, 1800); err != nil {
		return err
	}
	return p.taken(ctx, id, 1800)
}

// taken demands that exactly that amount was captured.
func (p *play) taken(ctx context.Context, id string, amount int64) error {
	o, err := p.intent(ctx, id)
	if err == nil && (o.Status != "succeeded" || o.Received != amount) {
		err = Wrong("the payment is %s with %d, want succeeded with %d", o.Status, o.Received, amount)
	}
	if err == nil {
		p.settled = append(p.settled, id)
	}
	return err
}

func doubledTap(ctx context.Context, p *play) error {
	id, err := p.authorised(ctx, 1900)
	if err != nil {
		return err
	}
	key := p.key("doubled")
	var ids [2]string
	for i := range ids {
		op, err := p.promiseAs(ctx, key, doors.Capture, id, 1900, nil)
		if err != nil {
			return err
		}
		if ids[i] = op.ID; op.State != doors.Succeeded {
			return Wrong("the capture is %s %s", op.State, op.Reason)
		}
	}
	if ids[0] != ids[1] {
		return Wrong("it became two operations")
	}
	if _, err := p.promiseAs(ctx, key, doors.Capture, id, 1000, nil); !errors.Is(err, doors.ErrKeyReused) {
		return Wrong("another amount under the same key was answered %v, want %s", err, doors.ErrKeyReused.Code)
	}
	return p.taken(ctx, id, 1900)
}

func cancelled(ctx context.Context, p *play) error {
	id, err := p.authorised(ctx, 2000)
	if err != nil {
		return err
	}
	if err := p.succeeds(ctx, doors.Cancel, id, 0); err != nil {
		return err
	}
	return p.has(ctx, id, "canceled")
}

// decline is a way to say no. The amount's last two digits, or the card, choose it
// (docs.stripe.com/terminal/references/testing).
type decline struct {
	amount int64
	card   string // "": one that is accepted but for the amount
	code   string
}

func declined(ctx context.Context, p *play) error {
	return p.declines(ctx, []decline{
		{2101, "", "call_issuer"},
		{2105, "", "generic_decline"},
		{2165, "", "withdrawal_count_limit_exceeded"},
		{2100, "4000000000009995", "insufficient_funds"},
		{2100, "4000000000000069", "expired_card"},
		{2100, "4000000000000119", "processing_error"},
		{2100, "4000000000009987", "lost_card"},
		{2100, "4000000000009979", "stolen_card"},
	})
}

func pin(ctx context.Context, p *play) error {
	return p.declines(ctx, []decline{
		{2202, "", "offline_pin_required"},
		{2203, "", "online_or_offline_pin_required"},
		{2255, "", "incorrect_pin"},
		{2275, "", "pin_try_exceeded"},
	})
}

// secretive are declines of which a cashier learns no more than of any other.
var secretive = map[string]bool{"lost_card": true, "stolen_card": true}

func (p *play) declines(ctx context.Context, ways []decline) error {
	generic := doors.Words("card_declined", "generic_decline")
	for _, d := range ways {
		id, err := p.create(ctx, d.amount)
		if err != nil {
			return err
		}
		said, err := p.declinedBy(ctx, id, d)
		if err != nil {
			return err
		}
		words := doors.Words("card_declined", said)
		switch {
		case words == "":
			return Wrong("nothing is said to the cashier of %s", said)
		case secretive[d.code] != (words == generic) && d.code != "generic_decline" && d.code != "call_issuer":
			return Wrong("of %s the cashier is told %q", said, words)
		}
		p.words = append(p.words, words)
		if err := p.succeeds(ctx, doors.Cancel, id, 0); err != nil {
			return err
		}
	}
	return nil
}

// declinedBy has a payment declined, and returns the decline code that the payment
// tells.
func (p *play) declinedBy(ctx context.Context, id string, d decline) (string, error) {
	if err := p.arm(ctx, id); err != nil {
		return "", err
	}
	if err := p.card(ctx, d.card); err != nil {
		return "", err
	}
	o, err := p.intent(ctx, id)
	if err != nil {
		return "", err
	}
	e := o.LastPaymentError
	if o.Status != "requires_payment_method" || e == nil {
		return "", Wrong("after %s the payment is %s, want requires_payment_method with its error", d.code, o.Status)
	}
	said := e.DeclineCode
	if said == "" {
		said = e.Code
	}
	if said != d.code {
		return "", Wrong("the payment was declined with %s, want %s", said, d.code)
	}
	return said, nil
}

func otherCard(ctx context.Context, p *play) error {
	id, err := p.create(ctx, 2300)
	if err != nil {
		return err
	}
	if _, err := p.declinedBy(ctx, id, decline{2300, "4000000000009995", "insufficient_funds"}); err != nil {
		return err
	}
	if err := p.arm(ctx, id); err != nil {
		return err
	}
	if err := p.card(ctx, ""); err != nil {
		return err
	}
	if err := p.succeeds(ctx, doors.Capture, id, 2300); err != nil {
		return err
	}
	return p.taken(ctx, id, 2300)
}

func tillLost(ctx context.Context, p *play) error {
	id, err := p.create(ctx, 2400)
	if err != nil {
		return err
	}
	key := p.key("process")
	for range 2 { // the first answer is lost with the till
		if _, err := p.call(ctx, doors.ProcessPaymentIntent, key, "reader", p.reader, "payment_intent", id); err != nil {
			return err
		}
	}
	if err := p.accepted(ctx, id); err != nil {
		return err
	}
	return p.succeeds(ctx, doors.Cancel, id, 0)
}

func readerLost(ctx context.Context, p *play) error {
	id, err := p.create(ctx, 2500)
	if err != nil {
		return err
	}
	if err := p.arm(ctx, id); err != nil {
		return err
	}
	if _, err := p.call(ctx, doors.CancelAction, "", "reader", p.reader); err != nil {
		return err
	}
	if err := p.has(ctx, id, "requires_payment_method"); err != nil {
		return err
	}
	if err := p.arm(ctx, id); err != nil {
		return err
	}
	if err := p.accepted(ctx, id); err != nil {
		return err
	}
	return p.succeeds(ctx, doors.Cancel, id, 0)
}

// answerLost: the till's first request is given up before any answer.
func answerLost(ctx context.Context, p *play) error {
	id, err := p.authorised(ctx, 2600)
	if err != nil {
		return err
	}
	key, amount := p.key("lost"), int64(2600)
	if _, err := p.Doors.Put(ctx, p.Till, key, doors.Operation{Kind: doors.Capture, Ref: id, Amount: &amount, Currency: p.Currency}); err != nil {
		return err
	}
	if err := succeeded(p.promiseAs(ctx, key, doors.Capture, id, amount, nil)); err != nil {
		return err
	}
	return p.taken(ctx, id, amount)
}

func receipt(ctx context.Context, p *play) error {
	if len(p.settled) == 0 {
		return Wrong("no payment was captured that could have a receipt")
	}
	v, err := p.Doors.Receipt(ctx, p.Till, p.settled[0])
	if err != nil {
		return err
	}
	fields, ok := v.(doors.ReceiptFields)
	if !ok {
		return Wrong("the answer is no receipt")
	}
	var emv map[string]any
	if err := json.Unmarshal(fields.Receipt, &emv); err != nil {
		return Wrong("the receipt has no fields of the card's chip")
	}
	if fields.Brand == "" || fields.Last4 == "" {
		return Wrong("the receipt does not name the card's brand and last four")
	}
	copied := map[string]any{"brand": fields.Brand, "last4": fields.Last4}
	for _, field := range []string{"application_preferred_name", "dedicated_file_name", "authorization_response_code"} {
		text, _ := emv[field].(string)
		if text == "" {
			return Wrong("the receipt has no %s", field)
		}
		copied[field] = text
	}
	return succeeded(p.promise(ctx, doors.Receipt, p.settled[0], 0, copied))
}

func refund(ctx context.Context, p *play) error {
	if len(p.settled) == 0 {
		return Wrong("no payment was captured that could be refunded")
	}
	if err := p.succeeds(ctx, doors.Refund, p.settled[0], 300); err != nil {
		return err
	}
	return p.succeeds(ctx, doors.Refund, p.settled[0], 0)
}

func events(ctx context.Context, p *play) error {
	if p.LastEvent == nil {
		return errors.New("nobody tells when events arrive")
	}
	deadline := time.Now().Add(p.Patience / 2)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !p.LastEvent().After(p.began.Add(-time.Second)) {
		if time.Now().After(deadline) {
			return errors.New("none arrived; without webhooks headquarters looks for them now and then")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func nothingLeft(ctx context.Context, p *play) error {
	for len(p.notes.Intents) > 0 {
		if err := p.end(ctx, p.notes.Intents[0]); err != nil {
			return fmt.Errorf("end %s: %w", p.notes.Intents[0], err)
		}
		p.notes.Intents = p.notes.Intents[1:]
		if err := p.remember(); err != nil {
			return err
		}
	}
	p.notes = Notes{Run: p.notes.Run}
	if p.Remember == nil {
		return nil
	}
	return p.Remember(Notes{})
}
