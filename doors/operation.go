// Package doors is what a till sees: routes, encodings, refusals and the
// operator's words. The same doors open at the hub and at headquarters; what
// stands behind them is a [Backend].
package doors

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Kind says what an operation asks for.
type Kind string

// The kinds of operation. Money moves by the first four; the rest are records.
const (
	Capture        Kind = "capture"
	Cancel         Kind = "cancel"
	Refund         Kind = "refund"
	OfflinePayment Kind = "offline_payment"
	Order          Kind = "order"
	Receipt        Kind = "receipt"
	Heartbeat      Kind = "heartbeat"
)

// Kinds lists every kind, in the order of the documentation.
var Kinds = []Kind{Capture, Cancel, Refund, OfflinePayment, Order, Receipt, Heartbeat}

// Money reports whether the kind is about money rather than a record of it.
func (k Kind) Money() bool {
	return k == Capture || k == Cancel || k == Refund || k == OfflinePayment
}

// Personal reports whether the kind's data is about a person: of a receipt it is where
// to send it, and what the card's issuer gave (money.md 5.2).
func (k Kind) Personal() bool { return k == Receipt }

// State says how far an operation has come. It moves down this list only,
// except that a person may turn failed into succeeded.
type State string

// The states of an operation.
const (
	Pending   State = "pending"   // on the disk of whoever answered the till
	Accepted  State = "accepted"  // on headquarters' disk
	Succeeded State = "succeeded" // done
	Failed    State = "failed"    // will not be done
)

// Final reports whether the state is an end.
func (s State) Final() bool { return s == Succeeded || s == Failed }

// Mode separates money from rehearsal. Every store, till and operation has one.
type Mode string

// The two modes of Stripe.
const (
	Live Mode = "live"
	Test Mode = "test"
)

// Scope says what a till may do.
type Scope string

// The scopes a credential can have.
const (
	ScopePOS     Scope = "pos"
	ScopeManager Scope = "manager"
	ScopeMonitor Scope = "monitor"
)

// Till is who asks. Its name outlives its credential.
type Till struct {
	Name  string `json:"name"`
	Scope Scope  `json:"scope"`
	Mode  Mode   `json:"mode"`

	Addr     netip.Addr `json:"-"` // where it asks from; invalid where that is not known
	Language string     `json:"-"` // what whoever stands at it reads, see [words.Languages]; "" is English
}

// MayPut refuses what the till's scope may not ask for.
func MayPut(t Till, op Operation, refundLimit int64) error {
	switch {
	case t.Scope != ScopeManager && t.Scope != ScopePOS:
		return ErrForbidden.With("scope %s may not store operations", t.Scope)
	case op.Kind == Refund:
		return MayRefund(t, op.Amount, refundLimit)
	}
	return nil
}

// MayRefund refuses what only a manager may: to refund beyond the shop's limit, in
// minor units, or an amount that is not said.
func MayRefund(t Till, amount *int64, limit int64) error {
	switch {
	case t.Scope == ScopeManager:
		return nil
	case t.Scope != ScopePOS || limit <= 0:
		return ErrForbidden.With("refunds need scope manager").Operator("Refunds need a manager.")
	case amount == nil:
		return ErrForbidden.With("a refund without an amount needs scope manager").Operator(managerRefunds)
	case *amount > limit:
		return ErrForbidden.With("refunds above %d need scope manager", limit).Operator(managerRefunds)
	}
	return nil
}

const managerRefunds = "This refund needs a manager."

// MayRefundMore refuses a till that refunded so much before what would be more than the
// shop allows in sum, in minor units.
func MayRefundMore(t Till, amount *int64, before, most int64) error {
	switch {
	case t.Scope == ScopeManager:
		return nil
	case amount == nil || before+*amount > most:
		return ErrForbidden.With("refunds above %d in a day need scope manager; this till has refunded %d", most, before).Operator(managerRefunds)
	}
	return nil
}

// Operation is one thing the shop was promised, as it is stored, sent and shown.
// Amount is in minor units of Currency; nil means "all of it".
type Operation struct {
	ID        string          `json:"id"`
	Kind      Kind            `json:"kind"`
	Ref       string          `json:"ref"`
	Amount    *int64          `json:"amount,omitempty"`
	Currency  string          `json:"currency,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Till      string          `json:"till"`
	Mode      Mode            `json:"mode"`
	CreatedAt time.Time       `json:"created_at"`

	State    State           `json:"state"`
	Reason   string          `json:"reason,omitempty"`   // a code: why it failed, or why it waits
	Message  string          `json:"message,omitempty"`  // a sentence for whoever reads Reason
	Unknown  *Unknown        `json:"unknown,omitempty"`  // set while nobody can say what became of it
	Deadline *time.Time      `json:"deadline,omitempty"` // after this the money may be gone
	Result   json.RawMessage `json:"result,omitempty"`   // what Stripe said: amount_received, currency, …
	Reversal json.RawMessage `json:"reversal,omitempty"` // what was undone later; the state stays
	Parked   *Parked         `json:"parked,omitempty"`   // set while the hub holds it back
	Notes    []Note          `json:"notes,omitempty"`    // what persons did about it, the latest last
	Resolved bool            `json:"resolved,omitempty"` // a person has settled that it failed
}

// Parked says why a hub holds an operation back: headquarters took others, and this one
// not, again and again. A person has it offered again.
type Parked struct {
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Message string    `json:"message,omitempty"`
}

// Note is what a person did about an operation.
type Note struct {
	At   time.Time `json:"at"`
	Deed string    `json:"deed"` // retry or resolve
	By   string    `json:"by"`
	Text string    `json:"text"`
}

// Unknown says that an outcome is being looked for, why, and when next.
type Unknown struct {
	Reason   string    `json:"reason"`
	NextLook time.Time `json:"next_look"`
}
