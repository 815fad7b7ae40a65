package hq

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"storehub/doors"
)

// The kinds of cases, for ever. Each is told once: an order whose payment is a
// case is none of its own.
const (
	caseAboutToLapse    = "about_to_lapse"         // a capture is asked for and the authorisation ends soon
	caseUncaptured      = "uncaptured"             // its capture failed and the authorisation still stands
	caseUnnamed         = "unnamed_authorisation"  // no operation names it (money.md 3.3)
	caseLapsed          = "authorisation_lapsed"   // nobody captured it in time
	caseNoOrder         = "captured_without_order" // money without an order
	caseNoPayment       = "order_without_payment"  // an order without money
	caseAmount          = "amount_differs"         // order, operation and Stripe name different amounts
	caseOrphan          = "orphan_intent"          // begun, never paid, and nobody asks for it
	caseNotForwarded    = "offline_not_forwarded"  // recorded offline, not at Stripe
	caseOfflineDeclined = "offline_declined"       // forwarded, and declined
	caseTwin            = "twin_charge"            // one order paid twice
	caseRefundFailed    = "refund_failed"
	caseUnknown         = "operation_unknown" // nobody can say what became of it
)

// Case is one thing on which the tills' orders, the operations and Stripe differ.
type Case struct {
	Kind     string          `json:"kind"`
	Ref      string          `json:"ref"` // payment, operation or order
	Order    string          `json:"order,omitempty"`
	Amount   int64           `json:"amount"` // at stake, in minor units
	Currency string          `json:"currency,omitempty"`
	Note     string          `json:"note"`
	Deadline *time.Time      `json:"deadline,omitempty"`
	Finding  int64           `json:"finding,omitempty"`  // the number to decide it by
	Proposal json.RawMessage `json:"proposal,omitempty"` // what confirming does
}

const (
	// lapsesSoon: a person reads the report in the morning and has the day.
	lapsesSoon = 14 * time.Hour
	// abandonedAfter: nobody stands at a reader for so long.
	abandonedAfter = time.Hour
)

// dayFacts is what is compared: the operations since the day began, and the
// store's payments at Stripe around it.
type dayFacts struct {
	from, to, now time.Time
	operations    []operation
	payments      []Intent // with Created
}

// payment is an intent with what names it.
type payment struct {
	Intent
	order string
	ops   []operation
	today bool
}

// judgeDay is the comparison: a pure function, so that a whole day can be tested.
func judgeDay(f dayFacts) []Case {
	var cases []Case
	in := func(t time.Time) bool { return !t.Before(f.from) && t.Before(f.to) }
	byLine := map[string][]operation{}
	var orders []operation
	for _, o := range f.operations {
		switch {
		case o.Kind == doors.Order:
			orders = append(orders, o)
		case o.Kind.Money():
			byLine[o.line] = append(byLine[o.line], o)
			if c, ok := judgeOperation(o, in, f.now); ok {
				cases = append(cases, c)
			}
		}
	}
	known := map[string]bool{} // orders that tills recorded, by every name
	byRef := map[string]string{}
	for _, o := range orders {
		known[nameOf(o)] = true
		byRef[o.Ref] = nameOf(o)
	}
	byOrder := map[string][]*payment{}
	payments := make([]*payment, 0, len(f.payments))
	for _, i := range f.payments {
		p := &payment{Intent: i, ops: byLine[i.ID], today: in(i.Created)}
		p.order = cmp.Or(orderNamed(p.ops), byRef[i.ID], i.Metadata["order"], i.Metadata["order_id"])
		payments = append(payments, p)
		if p.order != "" {
			byOrder[p.order] = append(byOrder[p.order], p)
		}
	}
	twins, twinOf := judgeTwins(byOrder, orders)
	told := map[string]bool{} // orders with a case of their own
	for _, c := range twins {
		told[c.Order] = true
	}
	cases = append(cases, twins...)
	for _, p := range payments {
		if !p.today || twinOf[p.ID] {
			continue
		}
		if c, ok := judgePayment(p, len(orders) > 0, known, f.now); ok {
			cases = append(cases, c)
			told[p.order] = true
		}
	}
	for _, o := range orders {
		if !in(o.mentionedAt) || told[nameOf(o)] {
			continue
		}
		if c, ok := judgeOrder(o, byOrder[nameOf(o)], f.operations); ok {
			cases = append(cases, c)
		}
	}
	slices.SortStableFunc(cases, func(a, b Case) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Ref, b.Ref)) })
	return cases
}

// nameOf is what an order record calls the order.
func nameOf(o operation) string { return cmp.Or(o.order, o.Ref) }

// orderNamed is the order that an operation on the payment names.
func orderNamed(ops []operation) string {
	for _, o := range ops {
		if o.order != "" {
			return o.order
		}
	}
	return ""
}

// judgeOperation looks at an operation by itself.
func judgeOperation(o operation, in func(time.Time) bool, now time.Time) (Case, bool) {
	c := Case{Ref: o.ID, Order: o.order, Currency: o.Currency}
	if o.Amount != nil {
		c.Amount = *o.Amount
	}
	switch {
	case !in(o.storedAt()):
		return c, false
	case o.Kind == doors.OfflinePayment && (!o.State.Final() || o.Reason == reasonNotForwarded):
		c.Kind, c.Ref, c.Note = caseNotForwarded, o.Ref, "taken offline by "+o.Till+" and not at Stripe: leave till and reader on and online"
	case o.Kind == doors.OfflinePayment && o.State == doors.Failed:
		c.Kind, c.Ref, c.Note = caseOfflineDeclined, o.Ref, "taken offline by "+o.Till+" and then: "+cmp.Or(o.Message, o.Reason)
	case o.Kind == doors.Refund && (len(o.Reversal) > 0 || o.Reason == reasonRefundFailed):
		c.Kind, c.Note = caseRefundFailed, "the refund on "+o.line+" did not arrive: pay it back another way"
	case o.unknown != "" && now.Sub(o.recordedAt) > worrying:
		c.Kind, c.Note = caseUnknown, string(o.Kind)+" of "+o.line+": nobody can say yet what became of it; do not repeat it by hand"
	default:
		return c, false
	}
	return c, true
}

// storedAt is when the till took it: of an offline payment, when the reader stored it.
func (o operation) storedAt() time.Time {
	var d struct {
		StoredAt time.Time `json:"stored_at"`
	}
	if o.Kind == doors.OfflinePayment && json.Unmarshal(o.Data, &d) == nil && !d.StoredAt.IsZero() {
		return d.StoredAt
	}
	return o.mentionedAt
}

// kept is the money of a payment that was not given back.
func (p *payment) kept() int64 {
	if p.Status != "succeeded" {
		return 0
	}
	return p.Received - p.AmountRefunded
}

// judgeTwins finds orders that were paid more than once: the same amount under
// different intents. An order paid in equal parts is none.
func judgeTwins(byOrder map[string][]*payment, orders []operation) (cases []Case, twin map[string]bool) {
	twin = map[string]bool{}
	asked := map[string]int64{}
	for _, o := range orders {
		if o.Amount != nil {
			asked[nameOf(o)] += *o.Amount
		}
	}
	for order, list := range byOrder {
		slices.SortFunc(list, func(a, b *payment) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
		var sum int64
		for _, p := range list {
			sum += p.kept()
		}
		if asked[order] > 0 && sum <= asked[order] {
			continue
		}
		for i, p := range list {
			first := slices.IndexFunc(list[:i], func(q *payment) bool {
				return q.kept() > 0 && q.Received == p.Received && q.Currency == p.Currency
			})
			if first < 0 || p.kept() <= 0 || !p.today || openRefund(p.ops) {
				continue
			}
			twin[p.ID] = true
			b, _ := json.Marshal(Proposal{Kind: doors.Refund, Ref: p.ID, Amount: p.kept(), Currency: p.Currency, Order: order}) // always encodes
			cases = append(cases, Case{Kind: caseTwin, Ref: p.ID, Order: order, Amount: p.kept(), Currency: p.Currency, Proposal: b,
				Note: "the order was paid by " + list[first].ID + " before; confirm to refund this one"})
		}
	}
	return cases, twin
}

func openRefund(ops []operation) bool {
	return slices.ContainsFunc(ops, func(o operation) bool { return o.Kind == doors.Refund && !o.State.Final() })
}

// judgePayment looks at a payment of the day.
func judgePayment(p *payment, ordersKept bool, known map[string]bool, now time.Time) (Case, bool) {
	c := Case{Ref: p.ID, Order: p.order, Amount: p.Amount, Currency: p.Currency}
	if !p.CaptureBefore.IsZero() && p.Status == "requires_capture" {
		c.Deadline = &p.CaptureBefore
	}
	asked := func(open bool) bool {
		return slices.ContainsFunc(p.ops, func(o operation) bool {
			return (o.Kind == doors.Capture || o.Kind == doors.Cancel) && (!open || !o.State.Final())
		})
	}
	switch p.Status {
	case "requires_capture":
		due := p.CaptureBefore
		if due.IsZero() {
			due = p.Created.Add(assumedLife)
		}
		switch {
		case !asked(false):
			c.Kind, c.Note = caseUnnamed, "a customer's card authorised it and no till asked for the money: capture or cancel it"
		case !asked(true):
			c.Kind, c.Note = caseUncaptured, "its capture failed and the authorisation still stands"
		case due.Sub(now) < lapsesSoon:
			c.Kind, c.Note = caseAboutToLapse, "its capture waits and the authorisation ends soon"
		}
	case "succeeded":
		c.Amount = p.kept()
		if differs, want := amountDiffers(p); differs {
			c.Kind, c.Note = caseAmount, fmt.Sprintf("the till asked for %s, Stripe received %s", doors.Format(want, p.Currency), doors.Format(p.Received, p.Currency))
		} else if ordersKept && p.kept() > 0 && !known[p.order] {
			c.Kind, c.Note = caseNoOrder, "Stripe received it and no till recorded an order for it"
		}
	case "canceled":
		if lapsed(p.Intent) {
			c.Kind, c.Note = caseLapsed, "nobody captured it in time: ask to pay again, or write it off"
		}
	default:
		if len(p.ops) == 0 && now.Sub(p.Created) > abandonedAfter {
			c.Kind, c.Note = caseOrphan, "begun and never paid; it does no harm and can be cancelled"
		}
	}
	return c, c.Kind != ""
}

// amountDiffers reports whether the till's capture named another amount.
func amountDiffers(p *payment) (bool, int64) {
	var want int64
	for _, o := range p.ops {
		if o.Kind != doors.Capture {
			continue
		}
		full := p.Amount
		if o.Amount != nil {
			full = *o.Amount
		}
		if full == p.Received {
			return false, 0
		}
		want = full
	}
	return want != 0, want
}

// judgeOrder looks at an order record of the day whose payments are no cases.
func judgeOrder(o operation, list []*payment, ops []operation) (Case, bool) {
	c := Case{Ref: nameOf(o), Order: nameOf(o), Currency: o.Currency}
	if o.Amount != nil {
		c.Amount = *o.Amount
	}
	var received, all int64 // all: with what was given back, or is about to be
	for _, p := range list {
		switch p.Status {
		case "requires_capture", "processing":
			return c, false // it is on its way, or a case of its own
		case "succeeded":
			all += p.Received
			if p.kept() > 0 && !openRefund(p.ops) {
				received += p.Received
			}
			c.Currency = cmp.Or(c.Currency, p.Currency)
		}
	}
	if received == 0 {
		received = all // a sale that was given back was a sale
	}
	if received == 0 {
		if slices.ContainsFunc(ops, func(m operation) bool { return m.Kind.Money() && m.order == nameOf(o) && promised(m) }) {
			return c, false
		}
		c.Kind, c.Note = caseNoPayment, "a till recorded the order and Stripe received nothing for it"
		return c, true
	}
	if o.Amount != nil && received != *o.Amount {
		c.Kind, c.Note = caseAmount, fmt.Sprintf("the order says %s, Stripe received %s", doors.Format(*o.Amount, c.Currency), doors.Format(received, c.Currency))
		return c, true
	}
	return c, false
}

// promised: its money may still come, or it is a case of its own.
func promised(o operation) bool { return !o.State.Final() || o.Kind == doors.OfflinePayment }
