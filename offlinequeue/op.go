// Package offlinequeue answers: what has the shop promised, and what became of it?
package offlinequeue

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// State says how far an operation has come: pending, accepted, succeeded or failed.
type State string

// The states, in the only order they are reached (a person may turn failed into succeeded).
const (
	Pending   State = "pending"   // on this disk
	Accepted  State = "accepted"  // on headquarters' disk
	Succeeded State = "succeeded" // done
	Failed    State = "failed"    // will not be done
)

// Final reports whether the state is an end.
func (s State) Final() bool { return s == Succeeded || s == Failed }

// Op is one promise. ID is unique for ever; Hash is over everything the till
// asked for, so that the same ID with another body is refused.
//
// An operation has two places. Seq is its place among the promises of this
// disk: given by Put, never changed. Number is its place in the submit chain
// that headquarters keeps too: given when it is first offered, because what is
// urgent goes before what was promised earlier. Once given, and on disk before
// the offer leaves, a number stays, and offers are repeated in its order. Only
// a headquarters that lost its part of the chain makes the queue begin a new
// one, in which operations are numbered anew.
type Op struct {
	ID       string          `json:"id"`
	Hash     string          `json:"hash"`
	Kind     string          `json:"kind"`
	Ref      string          `json:"ref"` // order is kept per ref, never across
	Amount   *int64          `json:"amount,omitempty"`
	Currency string          `json:"currency,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Till     string          `json:"till"`
	Mode     string          `json:"mode"`
	Money    bool            `json:"money"` // goes before records
	Created  time.Time       `json:"created"`
	Deadline time.Time       `json:"deadline"` // zero: none

	Seq        uint64          `json:"seq"`    // the order of promises on this disk, from 1 without gaps
	Number     uint64          `json:"number"` // the order of submission, from 1 without gaps; 0: not offered yet
	State      State           `json:"state"`
	Changed    time.Time       `json:"changed"`
	Reason     string          `json:"reason,omitempty"`
	Message    string          `json:"message,omitempty"`
	Unknown    json.RawMessage `json:"unknown,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Reversal   json.RawMessage `json:"reversal,omitempty"`
	Attempts   int             `json:"attempts"`             // how often it was offered
	AcceptedAt time.Time       `json:"accepted_at,omitzero"` // when headquarters first had it
	Parked     *Parked         `json:"parked,omitempty"`     // held back, and its ref with it, until a person retries it
	Notes      []Note          `json:"notes,omitempty"`      // what persons did about it, the latest last
	Resolved   bool            `json:"resolved,omitempty"`   // a person has settled what Unresolved tells
}

// Parked says why an operation is held back: headquarters took others, and this one
// not, again and again.
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

// Unresolved reports whether a person has to see to it: money that failed, or that was
// undone after it had succeeded.
func (o *Op) Unresolved() bool {
	return o.Money && !o.Resolved && (o.State == Failed || o.State == Succeeded && o.Reversal != nil)
}

// Outcome is what headquarters says of one operation. State may be Accepted (with
// a reason or a deadline) as well as an end.
type Outcome struct {
	Seq      uint64 // in headquarters' numbering of this store, within an epoch
	ID       string // "" for a line that is not about an operation: it only moves the cursor
	State    State
	Reason   string
	Message  string
	Unknown  json.RawMessage
	Deadline time.Time
	Result   json.RawMessage
	Reversal json.RawMessage
}

// Cursor is how far the outcomes of an epoch have been settled, and the head of
// the submit chain at the last accepted number.
type Cursor struct {
	Epoch           string `json:"epoch"`
	Seq             uint64 `json:"seq"`
	AcceptedThrough uint64 `json:"accepted_through"`
	Head            string `json:"head"`
}

// Batch is what one Send offers, in the order of numbers. Head is the submit
// chain before the first of them. An operation that has its end already is
// among them when headquarters forgot it, or when its receipt was lost. A batch
// without operations only asks where headquarters stands.
type Batch struct {
	Epoch string
	Head  string
	Ops   []Op
}

// Receipt says how far headquarters has the chain on its disk. When that is less
// than the batch, or a head that is not ours, the rest is offered again from
// there. The zero Receipt says no more than "all of the batch".
type Receipt struct {
	Epoch           string
	AcceptedThrough uint64
	Head            string
}

// The refusals of a queue.
var (
	ErrFull     = errors.New("no room left on the disk")
	ErrReused   = errors.New("the key was used for something else")
	ErrNotFound = errors.New("no such operation")
	ErrInUse    = errors.New("another hub is using it")
	ErrDamaged  = errors.New("the store is damaged and was set aside")
	ErrTooNew   = errors.New("the store was written by a newer version")
	ErrClosed   = errors.New("the queue is closed")

	ErrNotParked   = errors.New("it is not parked")
	ErrNotToSettle = errors.New("there is nothing to settle about it")
)

// Sender offers a batch to headquarters. A nil error means that headquarters has
// all of it on its disk, but for what the receipt says otherwise. A *Refusal means
// that it was answered and not taken. Any other error means that nobody knows.
type Sender interface {
	Send(ctx context.Context, b Batch) (Receipt, error)
}
