package hub

import (
	"context"
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
	}
	return r, nil
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
