package hub

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"storehub/doors"
)

// A till refunds in 24 hours up to what headquarters decided, by operations and at
// readers together; what it asks for again is repeated, and a manager may do more.
func TestMoney_1_5_TheHubAddsUpATillsRefunds(t *testing.T) {
	f := newFakeHQ()
	f.answers[doors.RefundPayment] = `{"id":"tmr_1"}`
	s := open(t, f, t.TempDir())
	f.decide(`{"version":1,"by":"A. Meyer","at":"2026-11-26T09:00:00Z","refund_limit":600,"refund_sum":1000}`)
	eventually(t, "the policy", func() bool { return s.hub.refundLimit() == 600 })
	credential := map[string]string{}
	for name, scope := range map[string]doors.Scope{"one": doors.ScopePOS, "two": doors.ScopePOS, "office": doors.ScopeManager} {
		var err error
		if credential[name], err = s.hub.Pair(name, scope, doors.Test); err != nil {
			t.Fatal(err)
		}
	}
	refund := func(who, key string, amount int) int {
		status, _ := s.ask("POST", "/v1/operations", credential[who], fmt.Sprintf(`{"kind":"refund","ref":"pi_1","amount":%d}`, amount), "Idempotency-Key", key)
		return status
	}
	atReader := func(who, key string, amount int) int {
		status, _ := s.ask("POST", "/v1/readers/tmr_1/refund_payment", credential[who], fmt.Sprintf(`{"payment_intent":"pi_1","amount":%d}`, amount), "Idempotency-Key", key)
		return status
	}
	for i, c := range []struct {
		got  int
		want bool
	}{
		{refund("one", "k1", 500), true},
		{atReader("one", "r1", 200), true},
		{atReader("one", "r1", 200), true}, // once
		{refund("one", "k2", 301), false},
		{refund("one", "k2", 300), true},
		{refund("one", "k3", 1), false},
		{refund("one", "k1", 500), true}, // the same one again
		{refund("two", "k1", 600), true},
		{refund("office", "k1", 5000), true},
	} {
		if ok := c.got == http.StatusAccepted || c.got == http.StatusOK; ok != c.want || !c.want && c.got != http.StatusForbidden {
			t.Errorf("%d: %d", i, c.got)
		}
	}
	// Many at once come to no more.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { refund("two", fmt.Sprint("c", i), 100) })
	}
	wg.Wait()
	var sum int64
	for op, err := range s.hub.queue.All() {
		if err != nil {
			t.Fatal(err)
		}
		if op.Till == "two" {
			sum += *op.Amount
		}
	}
	if sum != 1000 {
		t.Errorf("a till refunded %d at once, 1000 are allowed", sum)
	}
}
