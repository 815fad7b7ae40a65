package hub

import (
	"context"
	"encoding/json"
	"net/url"
	"sync"

	"storehub/doors"
	"storehub/offlinequeue"
)

// ReceiptFields is GET /v1/receipts/{payment_intent}: what card schemes want on
// paper, as Stripe names it. No card number: brand and last four are all there is.
type ReceiptFields struct {
	PaymentIntent string          `json:"payment_intent"`
	Amount        int64           `json:"amount"`
	Currency      string          `json:"currency"`
	Charge        string          `json:"charge"`
	Method        string          `json:"method"` // card_present or interac_present
	Brand         string          `json:"brand,omitempty"`
	Last4         string          `json:"last4,omitempty"`
	ReadMethod    string          `json:"read_method,omitempty"`
	Receipt       json.RawMessage `json:"receipt,omitempty"` // Stripe's receipt hash; absent for swipes
}

// Receipt implements [doors.Backend]. A till sees the receipts of its own payments.
func (h *Hub) Receipt(ctx context.Context, t doors.Till, paymentIntent string) (any, error) {
	missing := doors.ErrNotFound.With("no receipt for %s of this till", paymentIntent)
	if t.Scope == doors.ScopePOS && !h.owns(t, paymentIntent) {
		return nil, missing
	}
	params := url.Values{"payment_intent": {paymentIntent}, "expand[]": {"latest_charge"}}
	raw, err := h.Stripe(ctx, t, doors.RetrievePaymentIntent, "", params)
	if err != nil {
		return nil, err
	}
	r, ok := receiptOf(raw)
	if !ok {
		return nil, missing
	}
	h.marks.set(markReceipt, h.now())
	return r, nil
}

func receiptOf(intent json.RawMessage) (ReceiptFields, bool) {
	type present struct {
		Brand      string          `json:"brand"`
		Last4      string          `json:"last4"`
		ReadMethod string          `json:"read_method"`
		Receipt    json.RawMessage `json:"receipt"`
	}
	var pi struct {
		ID     string          `json:"id"`
		Charge json.RawMessage `json:"latest_charge"`
	}
	var charge struct {
		ID       string `json:"id"`
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
		Details  struct {
			Type    string   `json:"type"`
			Card    *present `json:"card_present"`
			Interac *present `json:"interac_present"`
		} `json:"payment_method_details"`
	}
	if json.Unmarshal(intent, &pi) != nil || json.Unmarshal(pi.Charge, &charge) != nil || charge.ID == "" {
		return ReceiptFields{}, false // not charged yet, or the charge was not expanded
	}
	p := charge.Details.Card
	if p == nil {
		p = charge.Details.Interac
	}
	if p == nil {
		return ReceiptFields{}, false
	}
	out := ReceiptFields{
		PaymentIntent: pi.ID, Amount: charge.Amount, Currency: charge.Currency, Charge: charge.ID,
		Method: charge.Details.Type, Brand: p.Brand, Last4: p.Last4, ReadMethod: p.ReadMethod,
	}
	if string(p.Receipt) != "null" {
		out.Receipt = p.Receipt
	}
	return out, true
}

// owns: the till created the intent here, or has an operation on it.
func (h *Hub) owns(t doors.Till, intent string) bool {
	if h.owners.of(intent) == t.Name {
		return true
	}
	for op, err := range h.queue.All() {
		if err != nil {
			return false
		}
		if op.Ref == intent && op.Till == t.Name && op.State != offlinequeue.Failed {
			return true
		}
	}
	return false
}

// ownersKept: a day of a busy shop's payments.
const ownersKept = 4096

// owners remembers, in memory alone, which till created an intent.
type owners struct {
	mu    sync.Mutex
	till  map[string]string
	order []string
}

func (o *owners) remember(intent, till string) {
	if intent == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.till == nil {
		o.till = map[string]string{}
	}
	if _, known := o.till[intent]; !known {
		o.order = append(o.order, intent)
	}
	o.till[intent] = till
	if len(o.order) > ownersKept {
		delete(o.till, o.order[0])
		o.order = o.order[1:]
	}
}

func (o *owners) of(intent string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.till[intent]
}
