package hq

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"storehub/doors"
)

// maxKeys bounds how many keys are spent on one operation that Stripe keeps
// refusing although a read says it should work.
const maxKeys = 5

// isIntent reports whether ref has the form of a PaymentIntent's id.
func isIntent(ref string) bool { return strings.HasPrefix(ref, "pi_") }

// read asks Stripe for the operation's intent. The step is for when there is
// nothing to judge.
func (s *Server) read(ctx context.Context, st Stripe, o operation) (Intent, *step, error) {
	ctx, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	in, err := st.Intent(ctx, o.account, o.line)
	s.heard(ctx, st.Mode(), "intent", err)
	switch {
	case err == nil:
		return in, nil, nil
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return in, nil, err // the program is stopping: nothing was seen
	case livesInTheOtherMode(err, st.Mode()):
		end := failed(reasonMode, "this payment was made in the other mode")
		return in, &end, nil
	case refusalOf(err, http.StatusNotFound):
		wait, err := s.awaiting(ctx, o, "Stripe does not know this payment yet")
		return in, &wait, err
	default:
		return in, &step{reason: troubleReason(err), message: "Stripe did not tell how the payment stands", unknown: o.unknown, trouble: true, listed: o.listedAt}, nil
	}
}

// awaiting is for a payment that is not authorised: it rests until it is, or
// until patience ends.
func (s *Server) awaiting(ctx context.Context, o operation, message string) (step, error) {
	limit, reason, end := patience, reasonAwaiting, reasonNeverCame
	if o.Kind == doors.OfflinePayment {
		limit, reason, end = patienceOffline, reasonForwarding, reasonNotForwarded
	} else {
		var offline bool
		err := s.db.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operations WHERE store = ? AND kind = 'offline_payment' AND (ref = ? OR line = ?))`,
			o.store, o.Ref, o.line).Scan(&offline)
		if err != nil {
			return step{}, err
		}
		if offline {
			limit = patienceOffline
		}
	}
	age := s.now().Sub(o.recordedAt)
	switch {
	case age > limit:
		return failed(end, fmt.Sprintf("not authorised within %d hours", int(limit.Hours()))), nil
	case o.decision == dismissed:
		return failed(reasonDismissed, "a person decided against it"), nil
	}
	n := rest(reason, message)
	if o.Kind != doors.OfflinePayment {
		n.ask = age > worrying
	}
	return n, nil
}

// gate holds an operation until a person has confirmed it, which makes it nil.
func gate(o operation, reason, message string) *step {
	switch {
	case strings.Contains(" "+o.decision, " "+reason+" "):
		return nil
	case o.decision == dismissed:
		n := failed(reasonDismissed, "a person decided against it")
		return &n
	}
	n := rest(reason, message)
	n.ask = true
	return &n
}

// resolve finds the intent behind an offline ref. A candidate counts once it is
// authorised (for a cancel: unless it is canceled): until then another intent may
// still be made under the same ref.
func (s *Server) resolve(ctx context.Context, st Stripe, o operation) (step, error) {
	found, err := s.candidates(ctx, st, o)
	if err != nil {
		if ctx.Err() != nil {
			return step{}, err
		}
		return step{reason: troubleReason(err), message: "Stripe did not tell which payment this is", trouble: true}, nil
	}
	var chosen []Intent
	declined := false
	for _, in := range found {
		switch in.Status {
		case "requires_capture", "succeeded":
			chosen = append(chosen, in)
		case "canceled":
		default:
			declined = declined || in.LatestCharge != ""
			if o.Kind == doors.Cancel {
				chosen = append(chosen, in)
			}
		}
	}
	if len(chosen) == 0 {
		if declined && o.Kind == doors.OfflinePayment {
			return failed(reasonDeclined, "the payment was declined when it was forwarded"), nil
		}
		return s.awaiting(ctx, o, "no authorised payment with this reference is known yet")
	}
	var line string
	err = s.db.tx(ctx, func(t *tx) error {
		line = chosen[0].ID
		// Once one intent of a ref has been chosen, it stays the one.
		for _, in := range chosen {
			var used bool
			if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM operations WHERE store = ? AND ref = ? AND line = ?)`, o.store, o.Ref, in.ID).Scan(&used); err != nil {
				return err
			}
			if used {
				line = in.ID
			}
		}
		if len(chosen) > 1 {
			_, err := t.find(o.store, "twin_charge", o.Ref, fmt.Sprintf("%d payments with one reference; %s is used, the others wait for a person", len(chosen), line))
			return err
		}
		return nil
	})
	return step{line: line}, err
}

// candidates are this store's intents with the operation's ref, oldest known first.
func (s *Server) candidates(ctx context.Context, st Stripe, o operation) ([]Intent, error) {
	ctx, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	ids, err := s.db.intentsByRef(ctx, o.store, o.Ref)
	if err != nil {
		return nil, err
	}
	var list []Intent
	for _, id := range ids {
		in, err := st.Intent(ctx, o.account, id)
		s.heard(ctx, st.Mode(), "intent", err)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	searched, err := st.IntentsByRef(ctx, o.account, o.Ref)
	s.heard(ctx, st.Mode(), "intents_by_ref", err)
	if err != nil {
		if len(list) > 0 {
			return list, nil // what headquarters made itself is enough to go on
		}
		return nil, err
	}
next:
	for _, in := range searched {
		for _, known := range list {
			if known.ID == in.ID {
				continue next
			}
		}
		// The reference alone is no proof: another store's app could use it too.
		if own, err := s.owns(ctx, o.store, in); err != nil {
			return nil, err
		} else if own != foreign {
			list = append(list, in)
		}
	}
	return list, nil
}

// ownership says whose an intent is, as far as can be told.
type ownership int

const (
	unproven ownership = iota
	ours
	foreign // proved to be another store's
)

// owns applies money.md 1.3: headquarters made the intent for the store, or its
// charge was made at one of the store's present or former Locations.
func (s *Server) owns(ctx context.Context, store string, in Intent) (ownership, error) {
	owner, err := s.db.intentOwner(ctx, in.ID)
	if err != nil {
		return unproven, err
	}
	if owner == "" && in.Location != "" {
		if owner, err = s.db.locationOwner(ctx, in.Location, store); err != nil {
			return unproven, err
		}
	}
	switch owner {
	case "":
		rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, store)
		if err == nil && rec.TrustKey != "" && in.Metadata[rec.TrustKey] == store {
			return ours, nil
		}
		return unproven, err
	case store:
		return ours, nil
	default:
		return foreign, nil
	}
}

// proven is nil when the operation may act on the intent.
func (s *Server) proven(ctx context.Context, o operation, in Intent) (*step, error) {
	own, err := s.owns(ctx, o.store, in)
	if err != nil || own == ours {
		return nil, err
	}
	const message = "nothing shows that this payment was made at this store's Location"
	var n step
	switch {
	case own == foreign:
		n = failed(reasonNotYours, "the payment was made for another store")
	case o.Kind == doors.Refund, o.Kind == doors.Receipt:
		n = failed(reasonUnproven, message)
	default:
		return gate(o, reasonUnproven, message), nil
	}
	return &n, nil
}

// key chooses the idempotency key for the next write, after a read that showed
// no effect (money.md 2.1, 2.2).
func (s *Server) key(o operation, last attempt, had bool, amount *int64) attempt {
	now := s.now()
	switch {
	case !had:
		return attempt{n: 1, key: o.ID, amount: amount, firstUsed: now}
	case last.verdict == "" && now.Sub(last.firstUsed) < keyLife:
		return last // the same key with the same parameters: at worst Stripe repeats its answer
	default:
		return attempt{n: last.n + 1, key: fmt.Sprintf("%s-%d", o.ID, last.n+1), amount: amount, firstUsed: now}
	}
}

// write makes one write at Stripe. That the key is used is on disk before; what
// came of it is left to settle, together with the operation's state. A nil step
// means that Stripe did it.
func (s *Server) write(ctx context.Context, o operation, a *attempt, name string, do func(context.Context) error) (*step, error) {
	if err := s.db.tx(ctx, func(t *tx) error {
		if err := t.hold(o.lineLease(), s.lease); err != nil {
			return err
		}
		return t.begin(o.seq, *a)
	}); err != nil {
		return nil, err
	}
	if err := s.db.fault("act:before"); err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	err := do(call)
	s.heard(ctx, o.Mode, name, err)
	if ctx.Err() != nil && err != nil {
		return nil, err // the program is stopping: the attempt stays in doubt
	}
	if err := s.db.fault("act:after"); err != nil {
		return nil, err
	}
	var refused *StripeError
	errors.As(err, &refused)
	if refused != nil {
		a.status, a.code, a.message = refused.Status, refused.Code, refused.Message
	}
	switch judgeAnswer(err) {
	case effected:
		a.verdict = "effected"
		return nil, nil
	case definite:
		a.verdict = "definite"
		// The next look reads how the payment stands, then decides. A 5xx that was
		// replayed is an old trouble told again: a new key need not wait for it.
		again := refused != nil && refused.Status >= http.StatusInternalServerError
		return &step{reason: reasonStripeRefused, message: "Stripe refused; how the payment stands is being read", attempt: a, soon: again, trouble: !again}, nil
	default:
		n := &step{reason: troubleReason(err), message: "Stripe did not answer clearly; the same request is repeated", attempt: a, trouble: true}
		if refused == nil || refused.Status >= 500 || refused.Status == http.StatusConflict {
			n.unknown = reasonLooking
		}
		return n, nil
	}
}

// refusedFor ends an operation in Stripe's words.
func refusedFor(a attempt) step {
	reason := a.code
	if reason == "" {
		reason = reasonStripeRefused
	}
	return failed(reason, a.message)
}

// due tells when an authorisation must be used at the latest, as far as known.
func dueBy(o operation, in Intent) time.Time {
	if !in.CaptureBefore.IsZero() {
		return in.CaptureBefore
	}
	return o.mentionedAt.Add(assumedLife)
}
