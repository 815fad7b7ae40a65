package hub

import (
	"net/http"
	"testing"

	"storehub/doors"
)

// The shop's limit comes with headquarters' record of the store, and holds by an
// operation and at a reader.
func TestMoney_1_5_TheHubHoldsTillsToTheShopsLimit(t *testing.T) {
	f := newFakeHQ()
	f.store.RefundLimit = 500
	f.answers[doors.RefundPayment] = `{"id":"tmr_1"}`
	s := open(t, f, t.TempDir())
	eventually(t, "the limit is known", func() bool { s.hub.fleet.look(); return s.hub.refundLimit() == 500 })
	till, err := s.hub.Pair("till", doors.ScopePOS, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	manager, err := s.hub.Pair("office", doors.ScopeManager, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who, amount    string
		want, atReader int
	}{
		{till, `,"amount":500`, http.StatusAccepted, http.StatusOK},
		{till, `,"amount":501`, http.StatusForbidden, http.StatusForbidden},
		{till, ``, http.StatusForbidden, http.StatusForbidden},
		{manager, ``, http.StatusAccepted, http.StatusOK},
	} {
		key := "key" + c.amount + c.who[:8]
		if status, body := s.ask("POST", "/v1/operations", c.who, `{"kind":"refund","ref":"pi_1"`+c.amount+`}`, "Idempotency-Key", key); status != c.want {
			t.Errorf("refund %q: %d %s, want %d", c.amount, status, body, c.want)
		}
		if status, body := s.ask("POST", "/v1/readers/tmr_1/refund_payment", c.who, `{"payment_intent":"pi_1"`+c.amount+`}`, "Idempotency-Key", key); status != c.atReader {
			t.Errorf("refund %q at the reader: %d %s, want %d", c.amount, status, body, c.atReader)
		}
	}
}
