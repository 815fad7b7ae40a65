package hq

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"storehub/doors"
)

// twinSpan: the same amount refunded twice on one payment within it is more
// likely one refund asked for twice (money.md 2.5).
const twinSpan = 10 * time.Minute

// capture brings a capture to its end: read, and only if the read shows that it
// is still to be done, write.
func (s *Server) capture(ctx context.Context, st Stripe, o operation) (step, error) {
	in, none, err := s.read(ctx, st, o)
	if err != nil || none != nil {
		return deref(none), err
	}
	end, act := judgeCapture(o.Amount, o.Currency, in)
	if end != nil {
		return *end, nil
	}
	if !act {
		return s.awaiting(ctx, o, "the customer's card has not authorised this payment yet")
	}
	if hold, err := s.proven(ctx, o, in); err != nil || hold != nil {
		return withDeadline(deref(hold), in), err
	}
	last, had, err := s.db.lastAttempt(ctx, o.seq)
	if err != nil {
		return step{}, err
	}
	if !had {
		other, err := s.db.paidOtherwise(ctx, o)
		if err != nil {
			return step{}, err
		}
		if other != "" {
			if hold := gate(o, reasonOrderPaid, "an earlier capture of this order failed and "+other+" paid it since; confirm only if both are owed"); hold != nil {
				return withDeadline(*hold, in), nil
			}
		}
	}
	amount := o.Amount
	if had && last.definite() && last.status < 500 {
		switch {
		case last.code == "amount_too_large":
			hold, err := s.overAmount(ctx, o, in)
			if err != nil || hold != nil {
				return withDeadline(deref(hold), in), err
			}
			amount = &in.Capturable
		case last.n >= maxKeys:
			return refusedFor(last), nil
		}
	}
	a := s.key(o, last, had, amount)
	wait, err := s.write(ctx, o, &a, "capture", func(ctx context.Context) error {
		var err error
		in, err = st.Capture(ctx, o.account, o.line, a.amount, a.key, o.ID)
		return err
	})
	if err != nil || wait != nil {
		return withDeadline(deref(wait), in), err
	}
	end, _ = judgeCapture(o.Amount, o.Currency, in)
	if end == nil { // Stripe said yes, and yet it is not captured: read again
		end = &step{reason: "stripe_failing", message: "Stripe took the capture without capturing", unknown: reasonLooking, trouble: true}
	}
	end.attempt = &a
	return *end, nil
}

// overAmount is nil when the authorised amount is to be captured although more
// was asked: a person said so, or the deadline is near and the store's policy is
// not to let the authorisation go.
func (s *Server) overAmount(ctx context.Context, o operation, in Intent) (*step, error) {
	const message = "more was asked than the card authorised; "
	rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, o.store)
	if err != nil {
		return nil, err
	}
	decideAt := dueBy(o, in).Add(-decideBefore)
	switch {
	case rec.OverAmount == OverHold:
		return gate(o, reasonDecision, message+"a person must decide whether to capture what was authorised"), nil
	case o.decision != dismissed && !s.now().Before(decideAt):
		return nil, nil
	default:
		return gate(o, reasonDecision, message+"a person may decide until the authorised amount is captured, 6 h before it lapses"), nil
	}
}

// judgeCapture applies money.md 2.3 to what a read showed: an end, or that the
// capture can be done now, or neither.
func judgeCapture(asked *int64, currency string, in Intent) (end *step, act bool) {
	want := in.Amount
	if asked != nil {
		want = *asked
	}
	var n step
	switch in.Status {
	case "succeeded":
		switch {
		case !sameCurrency(currency, in):
			n = failed(reasonCurrency, "the payment is in another currency")
		case in.Received != want:
			n = failed(reasonDiffers, "another amount was captured than was asked for")
		default:
			n = step{state: doors.Succeeded}
		}
	case "canceled":
		n = failed(reasonCanceled, "the payment was cancelled")
		if lapsed(in) {
			n = failed(reasonLapsed, "the authorisation lapsed before it was captured")
		}
	case "requires_capture":
		if sameCurrency(currency, in) {
			return nil, true
		}
		n = failed(reasonCurrency, "the payment is in another currency")
	default:
		return nil, false
	}
	n.result = paymentResult(in, asked)
	return &n, false
}

// sameCurrency: one that was not named is the payment's.
func sameCurrency(asked string, in Intent) bool {
	return asked == "" || strings.EqualFold(asked, in.Currency)
}

// lapsed tells an authorisation that Stripe let go from one that was cancelled.
func lapsed(in Intent) bool {
	var raw struct {
		Reason string `json:"cancellation_reason"`
	}
	_ = json.Unmarshal(in.Raw, &raw) // no reason: cancelled by someone
	return raw.Reason == "automatic" || raw.Reason == "expired"
}

// cancel brings a cancel to its end. A cancelled payment is the end that was
// asked for, whoever cancelled it: Stripe takes no metadata on a cancel.
func (s *Server) cancel(ctx context.Context, st Stripe, o operation) (step, error) {
	in, none, err := s.read(ctx, st, o)
	if err != nil || none != nil {
		return deref(none), err
	}
	if end := judgeCancel(in); end != nil {
		return *end, nil
	}
	if hold, err := s.proven(ctx, o, in); err != nil || hold != nil {
		return withDeadline(deref(hold), in), err
	}
	last, had, err := s.db.lastAttempt(ctx, o.seq)
	if err != nil {
		return step{}, err
	}
	if had && last.definite() && last.status < 500 && last.n >= maxKeys {
		return refusedFor(last), nil
	}
	a := s.key(o, last, had, nil)
	wait, err := s.write(ctx, o, &a, "cancel", func(ctx context.Context) error {
		var err error
		in, err = st.Cancel(ctx, o.account, o.line, cancelReason(o.Data), a.key, o.ID)
		return err
	})
	if err != nil || wait != nil {
		return deref(wait), err
	}
	end := judgeCancel(in)
	if end == nil {
		end = &step{reason: "stripe_failing", message: "Stripe took the cancel without cancelling", unknown: reasonLooking, trouble: true}
	}
	end.attempt = &a
	return *end, nil
}

func judgeCancel(in Intent) *step {
	var n step
	switch in.Status {
	case "canceled":
		n = step{state: doors.Succeeded}
	case "succeeded":
		n = failed(reasonCaptured, "the payment was captured; it can only be refunded")
	default:
		return nil
	}
	n.result = paymentResult(in, nil)
	return &n
}

// cancelReason is the till's reason if it is one of Stripe's, which takes no other.
func cancelReason(data json.RawMessage) string {
	var d struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(data, &d) // no data: no reason
	if slices.Contains([]string{"duplicate", "fraudulent", "requested_by_customer", "abandoned"}, d.Reason) {
		return d.Reason
	}
	return ""
}

// refund brings a refund to its end. Since an intent can be refunded more than
// once, only refunds that carry this operation's id count as its effect.
func (s *Server) refund(ctx context.Context, st Stripe, o operation) (step, error) {
	in, none, err := s.read(ctx, st, o)
	if err != nil || none != nil {
		return deref(none), err
	}
	if hold, err := s.proven(ctx, o, in); err != nil || hold != nil {
		return deref(hold), err
	}
	nothing, err := s.db.anyFailed(ctx, o, doors.Capture)
	if err != nil {
		return step{}, err
	}
	if end := judgeRefundable(in, o.Currency, nothing); end != nil {
		return *end, nil
	}
	list, err := s.listRefunds(ctx, st, o)
	if err != nil {
		if ctx.Err() != nil {
			return step{}, err
		}
		return step{reason: troubleReason(err), message: "Stripe did not tell which refunds there are", unknown: o.unknown, trouble: true, listed: o.listedAt}, nil
	}
	for _, r := range list {
		if r.Metadata["storehub_op"] == o.ID {
			return judgeRefund(in, r), nil
		}
	}
	last, had, err := s.db.lastAttempt(ctx, o.seq)
	if err != nil {
		return step{}, err
	}
	if !had {
		twin, err := s.db.twinRefund(ctx, o)
		if err != nil {
			return step{}, err
		}
		if twin {
			if hold := gate(o, reasonTwinRefund, "the same amount was refunded on this payment a moment before; a manager must confirm"); hold != nil {
				return *hold, nil
			}
		}
	}
	a := s.key(o, last, had, o.Amount)
	if had && a.n != last.n {
		// Another key could refund twice. A refusal is an end; of an answer that
		// nobody has, two full listings apart in time must show no effect.
		if last.definite() && last.status < 500 && last.code != "idempotency_error" {
			return refusedFor(last), nil
		}
		if o.listedAt.IsZero() || s.now().Sub(o.listedAt) < s.refundGap {
			at := o.listedAt
			if at.IsZero() {
				at = s.now()
			}
			return step{reason: "stripe_failing", message: "looking whether the refund was made", unknown: reasonLooking,
				after: s.refundGap - s.now().Sub(at), listed: at}, nil
		}
	}
	var made RefundObject
	wait, err := s.write(ctx, o, &a, "refund", func(ctx context.Context) error {
		var err error
		made, err = st.Refund(ctx, o.account, o.line, a.amount, a.key, o.ID)
		return err
	})
	if err != nil || wait != nil {
		return deref(wait), err
	}
	end := judgeRefund(in, made)
	end.attempt = &a
	return end, nil
}

// judgeRefundable applies money.md 2.5 to the payment; nil: it can be refunded.
func judgeRefundable(in Intent, currency string, captureFailed bool) *step {
	var n step
	switch {
	case in.MethodType == "interac_present":
		n = failed(reasonNeedsCard, "this card can be refunded only at a reader, with the card")
	case in.Status != "succeeded" && captureFailed:
		n = failed(reasonNothing, "the capture failed: there is nothing to refund")
	case in.Status != "succeeded":
		n = failed(reasonNotCaptured, "the payment was not captured: cancel it instead")
	case !sameCurrency(currency, in):
		n = failed(reasonCurrency, "the payment is in another currency")
	default:
		return nil
	}
	n.result = paymentResult(in, nil)
	return &n
}

func judgeRefund(in Intent, r RefundObject) step {
	n := step{state: doors.Succeeded}
	if r.Status == "failed" || r.Status == "canceled" {
		n = failed(reasonRefundFailed, "the bank did not take the refund: "+r.Reason)
	}
	n.result, _ = json.Marshal(struct { // strings and an integer always encode
		Refund        string `json:"refund"`
		PaymentIntent string `json:"payment_intent"`
		Status        string `json:"status"`
		Amount        int64  `json:"amount_refunded"`
		Currency      string `json:"currency"`
		Reason        string `json:"failure_reason,omitempty"`
	}{r.ID, in.ID, r.Status, r.Amount, r.Currency, r.Reason})
	return n
}

func (s *Server) listRefunds(ctx context.Context, st Stripe, o operation) ([]RefundObject, error) {
	ctx, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	list, err := st.Refunds(ctx, o.account, o.line)
	s.heard(ctx, st.Mode(), "refunds", err)
	return list, err
}

// forwarded ends the record of an offline payment once it is forwarded and
// authorised.
func (s *Server) forwarded(ctx context.Context, st Stripe, o operation) (step, error) {
	in, none, err := s.read(ctx, st, o)
	if err != nil || none != nil {
		return deref(none), err
	}
	n := step{state: doors.Succeeded}
	switch in.Status {
	case "requires_capture", "succeeded":
	case "canceled":
		n = failed(reasonCanceled, "the payment was cancelled")
	default:
		return s.awaiting(ctx, o, "the offline payment is not authorised yet")
	}
	n.result = paymentResult(in, o.Amount)
	return n, nil
}

// paymentResult is what a till is told of the payment: figures, never the card.
func paymentResult(in Intent, asked *int64) json.RawMessage {
	b, _ := json.Marshal(struct { // strings and integers always encode
		PaymentIntent string `json:"payment_intent"`
		Status        string `json:"status"`
		Amount        int64  `json:"amount"`
		Asked         *int64 `json:"amount_asked,omitempty"`
		Received      int64  `json:"amount_received"`
		Currency      string `json:"currency"`
		Charge        string `json:"charge,omitempty"`
	}{in.ID, in.Status, in.Amount, asked, in.Received, in.Currency, in.LatestCharge})
	return b
}

// withDeadline lets the hub know how long there is time, as soon as Stripe says.
func withDeadline(n step, in Intent) step {
	if n.state == "" || n.state == doors.Accepted {
		n.deadline = in.CaptureBefore
	}
	return n
}

func deref(n *step) step {
	if n == nil {
		return step{}
	}
	return *n
}
