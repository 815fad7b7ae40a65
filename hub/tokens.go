package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"
	"unicode"
	"unicode/utf8"

	"storehub/doors"
)

// straightThrough is the whole trip to headquarters and back of what is never
// queued. OkHttp gives up at 10 s, the contract says 8: half a second stays for
// the way between till and hub.
const straightThrough = 7500 * time.Millisecond

// knownDeadFor is how long one silent exchange speaks for the next.
const knownDeadFor = 10 * time.Second

// ConnectionToken implements [doors.Backend]: straight through, never kept.
func (h *Hub) ConnectionToken(ctx context.Context, t doors.Till) (json.RawMessage, error) {
	if t.Scope == doors.ScopeMonitor {
		return nil, doors.ErrForbidden
	}
	token, err := through(ctx, h, func(ctx context.Context) (json.RawMessage, error) { return h.hq.ConnectionToken(ctx, t) })
	if err == nil {
		h.tokenAt.Store(h.now().UnixNano())
	}
	return token, err
}

// Stripe implements [doors.Backend].
func (h *Hub) Stripe(ctx context.Context, t doors.Till, c doors.Call, key string, params url.Values) (json.RawMessage, error) {
	if err := mayCall(t, c); err != nil {
		return nil, err
	}
	var amount *int64
	if c == doors.RefundPayment {
		if n, err := doors.ParseAmount(params.Get("amount")); err == nil {
			amount = &n
		}
		if err := doors.MayRefund(t, amount, h.refundLimit()); err != nil {
			return nil, err
		}
	}
	obj, err := through(ctx, h, func(ctx context.Context) (json.RawMessage, error) {
		return h.hq.Stripe(ctx, t, c, key, params)
	})
	if err != nil {
		return nil, err
	}
	switch c {
	case doors.RefundPayment:
		h.refundedAtReader(t, key, amount)
	case doors.CreatePaymentIntent:
		h.owners.remember(objectID(obj), t.Name)
	case doors.RegisterReader:
		if t.Name != rehearsalTill {
			h.marks.set(markRegistered, h.now())
		}
		h.fleet.look()
	}
	return obj, nil
}

// through asks headquarters once, within the time a till waits, and turns silence
// into the sentence that says why.
func through[T any](ctx context.Context, h *Hub, ask func(context.Context) (T, error)) (T, error) {
	var none T
	if down, sentence := h.knownDown(); down {
		return none, doors.ErrHQUnreachable.With("known since the last exchange").Operator(sentence)
	}
	ctx, cancel := context.WithTimeout(ctx, straightThrough)
	defer cancel()
	v, err := ask(ctx)
	if err == nil {
		return v, nil
	}
	if refusal, ok := errors.AsType[*doors.Error](err); ok {
		if refusal.Code == doors.ErrCredential.Code {
			// Ours, not the till's: it must not read this as its own 401.
			return none, doors.ErrHQUnreachable.With("headquarters refuses this hub's credential").
				Operator(notOurHub)
		}
		if refusal.Code == doors.ErrStripeSilent.Code {
			h.monitor.look()
			if why, blocked := h.monitor.whyBlocked(); blocked {
				return none, refusal.Operator(downSentence(why))
			}
		}
		return none, refusal
	}
	h.monitor.refresh() // so that the sentence names what this silence shows
	return none, h.unreachable(err.Error())
}

// knownDown reports that headquarters is silent beyond doubt, with the sentence
// for a cashier: the last exchange failed just now, and the diagnosis agrees
// (money waits for nobody, but one lost packet is no outage).
func (h *Hub) knownDown() (bool, string) {
	s := h.link.state()
	if !s.NoStripe.IsZero() && time.Since(s.NoStripe) <= knownDeadFor {
		// Headquarters is there, in this very process perhaps, and cannot reach Stripe.
		if why, blocked := h.monitor.whyBlocked(); blocked {
			return true, downSentence(why)
		}
	}
	if s.Failing.IsZero() || time.Since(s.LastFail) > knownDeadFor {
		return false, ""
	}
	why, agrees := h.monitor.whyNoHQ()
	if !agrees {
		return false, ""
	}
	return true, downSentence(why)
}

func (h *Hub) unreachable(detail string) *doors.Error {
	err := doors.ErrHQUnreachable.With("headquarters did not answer: %s", detail)
	if why, ok := h.monitor.whyNoHQ(); ok {
		return err.Operator(downSentence(why))
	}
	return err
}

// notOurHub is what a till reads where headquarters refuses the hub.
const notOurHub = "Card payments are down: headquarters does not accept this store's hub."

// downSentence makes "Card payments are down: the store's internet line is cut."
// of what a cause is called.
func downSentence(cause string) string {
	first, size := utf8.DecodeRuneInString(cause)
	second, _ := utf8.DecodeRuneInString(cause[size:])
	if unicode.IsUpper(first) && !unicode.IsUpper(second) { // not "DNS is down"
		cause = string(unicode.ToLower(first)) + cause[size:]
	}
	if cause != "" && cause[len(cause)-1] == '.' {
		cause = cause[:len(cause)-1]
	}
	return "Card payments are down: " + cause + "."
}

func objectID(obj json.RawMessage) string {
	var o struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(obj, &o) // no id: nothing to remember
	return o.ID
}
