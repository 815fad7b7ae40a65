package hq

import (
	"context"
	"time"

	"storehub/doors"
)

// Priority says who goes first where the rights to ask Stripe do not do for all
// (money.md 2.7).
type Priority int

// From last to first.
const (
	ForReads     Priority = iota // nobody waits for it: what nobody said more about
	ForMoney                     // an operation, or a till's call
	ForDeadlines                 // an operation whose authorisation lapses soon
	ForTokens                    // without a token a till takes no payment
)

type priorityKey struct{}

type priority struct {
	of       Priority
	deadline time.Time
}

// WithPriority marks what is asked under ctx. Of equal priority the earlier deadline
// goes first.
func WithPriority(ctx context.Context, p Priority, deadline time.Time) context.Context {
	return context.WithValue(ctx, priorityKey{}, priority{p, deadline})
}

// PriorityOf is what ctx was marked with.
func PriorityOf(ctx context.Context) (Priority, time.Time) {
	p, _ := ctx.Value(priorityKey{}).(priority) // not marked: a read
	return p.of, p.deadline
}

// urgentLeft: with less than this until its authorisation lapses nothing goes before
// an operation (money.md 3.2).
const urgentLeft = 12 * time.Hour

// assumedSlack: by so much an authorisation may live longer than is assumed.
const assumedSlack = 3 * time.Hour

// mustEnd is when an operation's authorisation lapses, as far as known.
func (o operation) mustEnd() time.Time {
	if o.Deadline != nil {
		return *o.Deadline
	}
	return o.mentionedAt.Add(assumedLife)
}

// urgent reports whether a capture lapses soon. When it has lapsed, there is no hurry
// any more; what headquarters only assumes may be wrong by some hours.
func (o operation) urgent(now time.Time) bool {
	left := o.mustEnd().Sub(now)
	return o.Kind == doors.Capture && -assumedSlack < left && left < urgentLeft
}

// priority is what the operation's requests to Stripe are worth.
func (o operation) priority(now time.Time) Priority {
	if o.urgent(now) {
		return ForDeadlines
	}
	if o.Kind == doors.Receipt {
		return ForReads
	}
	return ForMoney
}
