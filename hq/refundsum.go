package hq

import (
	"time"

	"storehub/doors"
)

// RefundWindow is the time over which a till's refunds are added up.
const RefundWindow = 24 * time.Hour

// mayRefundMore refuses a till whose refunds would come to more than the shop allows
// (money.md 1.5): those that it asked for as operations, by whatever road, and those at
// readers. It is asked in the transaction that records the refund.
func (t *tx) mayRefundMore(store string, till doors.Till, amount *int64) error {
	if till.Scope == doors.ScopeManager {
		return nil
	}
	p, err := t.policy(store)
	if isNoRows(err) || err == nil && p.Policy.RefundSum == nil {
		return nil
	}
	if err != nil {
		return err
	}
	since := ms(t.now.Add(-RefundWindow))
	var before int64
	for _, q := range []string{
		`SELECT coalesce(sum(amount), 0) FROM operations WHERE store = ? AND till = ? AND recorded_at >= ? AND kind = 'refund' AND state <> 'failed'`,
		`SELECT coalesce(sum(amount), 0) FROM actions WHERE store = ? AND till = ? AND created_at >= ? AND amount > 0`,
	} {
		var n int64
		if err := t.QueryRow(q, store, till.Name, since).Scan(&n); err != nil {
			return err
		}
		before += n
	}
	return doors.MayRefundMore(till, amount, before, *p.Policy.RefundSum)
}
