package hub

import (
	"context"
	"errors"
	"net/url"
	"sync"

	"storehub/doors"
	"storehub/offlinequeue"
)

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
	r, ok := doors.ReceiptOf(raw)
	if !ok {
		return nil, missing
	}
	if t.Name != rehearsalTill {
		h.marks.set(markReceipt, h.now())
		h.keepReceipt(ctx, t, r)
	}
	return r, nil
}

// keepReceipt keeps a copy of what was given out, once for each payment: it goes to
// headquarters like all that is promised.
func (h *Hub) keepReceipt(ctx context.Context, t doors.Till, r doors.ReceiptFields) {
	op, err := r.Copy()
	if err == nil {
		_, err = h.Put(ctx, t, "receipt-copy:"+r.PaymentIntent, op)
	}
	if err != nil && !errors.Is(err, doors.ErrKeyReused) { // reused: Stripe knows more by now, and the first copy is what was printed
		h.log.Warn("keep a copy of a receipt", "payment", r.PaymentIntent, "err", err)
	}
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
