package hq_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/sandbox"
)

// What failed over and over during an outage of Stripe is done within seconds of
// Stripe's return, not at the end of a back-off of minutes.
func TestTheEndOfAnOutageEndsTheBackOff(t *testing.T) {
	s := newShop(t)
	var intents []string
	for range 4 {
		intents = append(intents, s.authorised("1000"))
	}
	for _, intent := range intents { // no event is left that could wake anything
		s.until("the authorisation of "+intent, func(it hq.Item) bool {
			return it.Event == "payment_intent.amount_capturable_updated" && strings.Contains(string(it.Object), intent)
		})
	}
	s.box.Inject(sandbox.Fault{Method: http.MethodGet, Path: "/v1/payment_intents/*", Kind: "reset"})
	s.box.Inject(sandbox.Fault{Method: http.MethodGet, Path: "/v1/events", Kind: "reset"})
	s.box.Inject(sandbox.Fault{Method: http.MethodGet, Path: "/v1/terminal/readers", Kind: "reset"})
	ids := []string{"op_a", "op_b", "op_c", "op_d"}
	for i, id := range ids {
		s.submit(op(doors.Capture, id, intents[i], 0))
	}
	for _, id := range ids {
		s.waits(id, "stripe_unreachable")
	}
	// The outage goes on until everything has been tried a dozen times and is to be
	// looked at again only after this test would have given up.
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		tries, next := s.server.Backlog(t)
		if tries >= 12 && next > 30*time.Second {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("tried %d times only, next look in %v", tries, next)
		}
		if next > 0 { // else it is being looked at
			s.shift.Add(int64(next))
			s.server.Hurry()
		}
	}
	s.box.Clear()
	for i, id := range ids {
		s.want(id, doors.Succeeded, "")
		s.exactly(intents[i], "captured", 1000)
	}
}
