package hq_test

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"storehub/doors"
	"storehub/internal/sandbox"
)

// arm has a reader ask for a card for the payment.
func (s *shop) arm(key, reader, intent string) error {
	_, err := s.client.Stripe(s.t.Context(), s.till, doors.ProcessPaymentIntent, key, url.Values{"reader": {reader}, "payment_intent": {intent}})
	return err
}

// doing is the status of the reader's action; "": it has none.
func (s *shop) doing(reader string) string {
	s.t.Helper()
	a, _ := s.stripe("GET", "/v1/terminal/readers/"+reader, "")["action"].(map[string]any)
	status, _ := a["status"].(string)
	return status
}

// Nobody tells headquarters of this card: it asks.
func TestMoney_2_6_AnArmedReaderIsPolled(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	if err := s.arm("k1", s.reader, pi); err != nil {
		t.Fatal(err)
	}
	if n := s.server.OpenActions(t); n != 1 {
		t.Fatalf("%d actions are open", n)
	}
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+s.reader+"/present_payment_method", "")
	s.shift.Add(int64(10 * time.Second))
	waitFor(t, "the end of the action", func() bool { return s.server.OpenActions(t) == 0 })
}

func TestMoney_2_6_AReaderThatAsksNobodyIsCalledOff(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	if err := s.arm("k1", s.reader, pi); err != nil {
		t.Fatal(err)
	}
	s.shift.Add(int64(time.Minute)) // a customer may take so long
	waitFor(t, "some looks at the reader", func() bool {
		n, _ := strconv.Atoi(figure(t, s.client, `storehub_hq_stripe_requests_total{call="retrieve_reader",mode="test",result="ok"}`))
		return n >= 5
	})
	if s.doing(s.reader) != "in_progress" || s.server.OpenActions(t) != 1 {
		t.Fatal("called off while a customer looks for a card")
	}
	s.shift.Add(int64(3 * time.Minute))
	waitFor(t, "the reader to be free", func() bool { return s.server.OpenActions(t) == 0 })
	if now := s.doing(s.reader); now == "in_progress" {
		t.Error("the reader still asks for a card")
	}
	if n := len(s.box.Books()); n != 0 {
		t.Errorf("%d effects", n)
	}
	if err := s.arm("k2", s.reader, pi); err != nil {
		t.Errorf("the payment cannot go on: %v", err)
	}
}

// A reader that has the card and does not say so is left alone: the payment says it.
func TestMoney_2_6_AReaderWithACardIsNeverCalledOff(t *testing.T) {
	s := newShop(t)
	s.box.SetReader(s.reader, sandbox.ReaderState{Stuck: true})
	pi := s.created("1000")
	if err := s.arm("k1", s.reader, pi); err != nil {
		t.Fatal(err)
	}
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+s.reader+"/present_payment_method", "")
	if _, err := s.client.Stripe(t.Context(), s.till, doors.CancelAction, "", url.Values{"reader": {s.reader}}); !isRefusal(err, "action_unresolved") {
		t.Errorf("a till called it off: %v", err)
	}
	s.shift.Add(int64(10 * time.Minute))
	waitFor(t, "the end of the action", func() bool { return s.server.OpenActions(t) == 0 })
	if now := s.doing(s.reader); now != "in_progress" {
		t.Errorf("headquarters called it off: its action is %q", now)
	}
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
}

// Another payment on the reader is not called off for ours.
func TestMoney_2_6_AReaderThatWentOnIsLeftAlone(t *testing.T) {
	s := newShop(t)
	ours, theirs := s.created("1000"), s.created("2000")
	if err := s.arm("k1", s.reader, ours); err != nil {
		t.Fatal(err)
	}
	s.stripe("POST", "/v1/terminal/readers/"+s.reader+"/process_payment_intent", "payment_intent="+theirs)
	s.shift.Add(int64(10 * time.Minute))
	waitFor(t, "the end of our action", func() bool { return s.server.OpenActions(t) == 0 })
	if s.doing(s.reader) != "in_progress" {
		t.Error("the other payment was called off")
	}
}

func TestMoney_2_6_ARefundAtAReaderIsNotRepeatedUnread(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("5000")
	s.submit(op(doors.Capture, "op_1", pi, 5000))
	s.want("op_1", doors.Succeeded, "")
	refund := func(key, amount string) error {
		_, err := s.client.Stripe(t.Context(), s.till, doors.RefundPayment, key, url.Values{"reader": {s.reader}, "payment_intent": {pi}, "amount": {amount}})
		return err
	}
	if err := refund("k1", "400"); err != nil {
		t.Fatal(err)
	}
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+s.reader+"/present_payment_method", "")
	made := s.stripe("GET", "/v1/refunds?payment_intent="+pi, "")["data"].([]any)
	if len(made) != 1 || made[0].(map[string]any)["metadata"].(map[string]any)["storehub_op"] == nil {
		t.Fatalf("refunds: %v; want one that carries its operation", made)
	}
	if err := refund("k2", "400"); !isRefusal(err, "action_unresolved") {
		t.Errorf("the same amount again: %v", err)
	}
	if err := refund("k3", "300"); err != nil {
		t.Errorf("another amount: %v", err)
	}
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+s.reader+"/present_payment_method", "")
	if n, amount := s.effects(pi, "refunded"); n != 2 || amount != 700 {
		t.Errorf("refunded %d times, %d in all", n, amount)
	}
}
