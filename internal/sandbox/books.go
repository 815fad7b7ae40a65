package sandbox

import (
	"slices"
	"time"
)

// The effects that the books tell.
const (
	EffectAuthorised   = "authorised"
	EffectCaptured     = "captured"
	EffectCanceled     = "canceled"
	EffectRefunded     = "refunded"
	EffectRefundFailed = "refund_failed" // a refund that had succeeded came back
	EffectDisputed     = "disputed"
	EffectExpired      = "expired"
	EffectMailed       = "receipt_mailed"     // a receipt went to the address that a charge was given
	EffectNotMailed    = "receipt_not_mailed" // so it would have, in live mode
)

// Entry is one line of the books: what really happened to an intent's money.
type Entry struct {
	Intent string    `json:"intent"`
	Effect string    `json:"effect"`
	Amount int64     `json:"amount"`
	Key    string    `json:"key,omitempty"` // the idempotency key it came under
	At     time.Time `json:"at"`
}

// Books is everything that happened, oldest first.
func (s *Sandbox) Books() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return slices.Clone(s.st.Books)
}

// enter writes a line; c is nil where time alone did it.
func (s *Sandbox) enter(intent, effect string, amount int64, c *call) {
	e := Entry{Intent: intent, Effect: effect, Amount: amount, At: s.now()}
	if c != nil {
		e.Key = c.key
	}
	s.st.Books = append(s.st.Books, e)
}
