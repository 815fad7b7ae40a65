package hub

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// refunds keeps two refunds of a till from being judged at once, and remembers those at
// readers, which are not in the queue: in memory, since headquarters counts them too.
type refunds struct {
	sync.Mutex
	atReader []readerRefund
}

type readerRefund struct {
	till   string
	key    string
	at     time.Time
	amount int64
}

// mayRefundMore refuses a till whose refunds of the last 24 hours would come to more
// than headquarters decided (money.md 1.5). The lock is held until the refund is on disk.
func (h *Hub) mayRefundMore(t doors.Till, amount *int64) error {
	most := h.policy.Load().Policy.RefundSum
	if most == nil || t.Scope == doors.ScopeManager {
		return nil
	}
	since := h.now().Add(-hq.RefundWindow)
	var before int64
	for op, err := range h.queue.All() { // the newest first
		if err != nil {
			return fmt.Errorf("add up refunds: %w", err)
		}
		if op.Created.Before(since) {
			break
		}
		if doors.Kind(op.Kind) == doors.Refund && op.Till == t.Name && op.State != offlinequeue.Failed && op.Amount != nil {
			before += *op.Amount
		}
	}
	for _, r := range h.refunds.atReader {
		if r.till == t.Name && !r.at.Before(since) {
			before += r.amount
		}
	}
	return doors.MayRefundMore(t, amount, before, *most)
}

// refundedAtReader remembers what a till had a reader refund, once for each key.
func (h *Hub) refundedAtReader(t doors.Till, key string, amount *int64) {
	if amount == nil {
		return
	}
	h.refunds.Lock()
	defer h.refunds.Unlock()
	now := h.now()
	for len(h.refunds.atReader) > 0 && now.Sub(h.refunds.atReader[0].at) > hq.RefundWindow {
		h.refunds.atReader = h.refunds.atReader[1:]
	}
	r := readerRefund{t.Name, key, now, *amount}
	if !slices.ContainsFunc(h.refunds.atReader, func(o readerRefund) bool { return o.till == r.till && o.key == r.key }) {
		h.refunds.atReader = append(h.refunds.atReader, r)
	}
}
