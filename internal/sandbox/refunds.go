package sandbox

import (
	"fmt"
	"time"
)

// refundFailure is how long after its success a refund to the test card that
// refuses refunds comes back, on the account's clock.
const refundFailure = 10 * time.Minute

type refund struct {
	ID                     string             `json:"id"`
	Object                 string             `json:"object"`
	Amount                 int64              `json:"amount"`
	BalanceTransaction     *string            `json:"balance_transaction"`
	Charge                 string             `json:"charge"`
	Created                int64              `json:"created"`
	Currency               string             `json:"currency"`
	Customer               *string            `json:"customer"`
	CustomerAccount        null               `json:"customer_account"`
	DestinationDetails     destinationDetails `json:"destination_details"`
	FailureReason          string             `json:"failure_reason,omitempty"`
	Metadata               map[string]string  `json:"metadata"`
	PaymentIntent          string             `json:"payment_intent"`
	PaymentMethod          *string            `json:"payment_method"`
	Reason                 *string            `json:"reason"`
	ReceiptNumber          null               `json:"receipt_number"`
	SourceTransferReversal null               `json:"source_transfer_reversal"`
	Status                 string             `json:"status"`
	TransferReversal       null               `json:"transfer_reversal"`
}

type destinationDetails struct {
	Card cardDestination `json:"card"`
	Type string          `json:"type"`
}

type cardDestination struct {
	ReferenceStatus string `json:"reference_status"`
	ReferenceType   string `json:"reference_type"`
	Type            string `json:"type"`
}

// refundRecord is a refund and when it will come back.
type refundRecord struct {
	refund
	FailAt time.Time `json:"_fail_at,omitzero"`
}

func (re *refundRecord) ident() string { return re.ID }
func (re *refundRecord) wire() any     { return re.refund }

// refundTarget reads the intent or the charge that is to be refunded.
func (c *call) refundTarget() (intent, charge string) {
	intent, charge = c.text("payment_intent"), c.text("charge")
	if intent == "" && charge == "" {
		c.fail(invalid("parameter_missing", "", "One of the following params should be provided for this request: payment_intent or charge."))
	}
	return intent, charge
}

// refundable finds intent and charge, and refuses what has nothing captured.
func (s *Sandbox) refundable(c *call, id, charge string) (*intentRecord, *chargeRecord, *apiError) {
	if id == "" {
		ch, ok := s.st.Charges.get(charge)
		if !ok {
			return nil, nil, noSuch("charge", charge, "charge")
		}
		id = ch.PaymentIntent
	}
	in, ok := s.st.Intents.get(id)
	if !ok {
		return nil, nil, noSuch("payment_intent", id, "payment_intent")
	}
	ch := s.chargeOf(in)
	if charge != "" && (ch == nil || ch.ID != charge) {
		return nil, nil, noSuch("charge", charge, "charge")
	}
	if ch == nil || !ch.Captured {
		e := invalid("payment_intent_unexpected_state", "payment_intent",
			"This PaymentIntent ("+in.ID+") does not have a successful charge to refund.")
		e.PaymentIntent = in.wire(c.version)
		return nil, nil, e
	}
	return in, ch, nil
}

// refunded is what went back of a charge, without the part never captured.
func (ch *chargeRecord) refunded() int64 { return ch.AmountRefunded - (ch.Amount - ch.AmountCaptured) }

// refundAmount is the amount asked for, or what is left.
func (s *Sandbox) refundAmount(ch *chargeRecord, asked *int64) (int64, *apiError) {
	left := ch.AmountCaptured - ch.refunded()
	if left == 0 {
		return 0, invalid("charge_already_refunded", "", "Charge "+ch.ID+" has already been refunded.")
	}
	if asked == nil {
		return left, nil
	}
	if *asked > left {
		return 0, invalid("", "amount", fmt.Sprintf("Refund amount (%d) is greater than unrefunded amount on charge (%d).", *asked, left))
	}
	return *asked, nil
}

func (s *Sandbox) createRefund(c *call) (any, *apiError) {
	asked, meta := c.amount("amount"), c.metadata(nil)
	pi, charge := c.refundTarget()
	reason := c.oneOf("reason", "duplicate", "fraudulent", "requested_by_customer")
	if e := c.begin(); e != nil {
		return nil, e
	}
	in, ch, e := s.refundable(c, pi, charge)
	if e != nil {
		return nil, e
	}
	if ch.PaymentMethodDetails.InteracPresent != nil {
		return nil, invalid("charge_not_refundable", "", "An Interac payment can be refunded in person only, with the card it was made with.")
	}
	amount, e := s.refundAmount(ch, asked)
	if e != nil {
		return nil, e
	}
	return s.giveBack(c, in, ch, amount, optional(reason), meta).wire(), nil
}

// giveBack moves the money of a refund.
func (s *Sandbox) giveBack(c *call, in *intentRecord, ch *chargeRecord, amount int64, reason *string, meta map[string]string) *refundRecord {
	balance := s.id("txn_3", 23)
	re := &refundRecord{refund: refund{
		ID: s.id("re_3", 23), Object: "refund", Amount: amount, BalanceTransaction: &balance, Charge: ch.ID,
		Created: s.now().Unix(), Currency: ch.Currency, Customer: in.Customer, Metadata: meta, PaymentIntent: in.ID,
		PaymentMethod: &ch.PaymentMethod, Reason: reason, Status: "succeeded",
		DestinationDetails: destinationDetails{Type: "card", Card: cardDestination{"pending", "acquirer_reference_number", "refund"}},
	}}
	if testCards[ch.Number].refundFails {
		re.FailAt = s.now().Add(refundFailure)
		s.dueBy(re.FailAt)
	}
	s.st.Refunds.add(re)
	ch.AmountRefunded += amount
	ch.Refunded = ch.refunded() == ch.AmountCaptured
	s.enter(in.ID, EffectRefunded, amount, c)
	s.emit(c, "refund.created", re.wire())
	s.emit(c, "charge.refunded", ch.wire(accountVersion))
	return re
}

// failRefund takes a refund back that the bank would not have.
func (s *Sandbox) failRefund(re *refundRecord) {
	re.FailAt, re.Status, re.FailureReason = time.Time{}, "failed", "expired_or_canceled_card"
	if ch, ok := s.st.Charges.get(re.Charge); ok {
		ch.AmountRefunded -= re.Amount
		ch.Refunded = false
	}
	s.enter(re.PaymentIntent, EffectRefundFailed, re.Amount, nil)
	s.emit(nil, "refund.updated", re.wire())
	s.emit(nil, "refund.failed", re.wire())
}

// refundInPerson ends the refund_payment action of a reader.
func (s *Sandbox) refundInPerson(c *call, a *action) *apiError {
	r := a.RefundPayment
	in, ch, e := s.refundable(c, r.PaymentIntent, r.Charge)
	if e != nil {
		return e
	}
	amount, e := s.refundAmount(ch, r.Amount)
	if e != nil {
		return e
	}
	r.Refund = s.giveBack(c, in, ch, amount, nil, r.Metadata).ID
	return nil
}

func (s *Sandbox) getRefund(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	re, ok := s.st.Refunds.get(c.ids[0])
	if !ok {
		return nil, noSuch("refund", c.ids[0], "")
	}
	return re.wire(), nil
}

func (s *Sandbox) listRefunds(c *call) (any, *apiError) {
	intent, charge, when := c.text("payment_intent"), c.text("charge"), c.created()
	return page(c, "refund", &s.st.Refunds,
		func(re *refundRecord) bool {
			return (intent == "" || re.PaymentIntent == intent) && (charge == "" || re.Charge == charge) && when(re.Created)
		},
		func(re *refundRecord) any { return re.wire() })
}
