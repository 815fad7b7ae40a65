package hq_test

import (
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// gaveUp is a capture of an order that nobody authorised in three days.
func (s *shop) gaveUp(id, order string) (intent string) {
	s.t.Helper()
	intent = s.created("1000")
	o := op(doors.Capture, id, intent, 1000)
	o.Data = []byte(`{"order":"` + order + `"}`)
	s.submit(o)
	s.waits(id, "awaiting_authorisation")
	s.shift.Add(int64(73 * time.Hour))
	s.server.Hurry()
	s.want(id, doors.Failed, "never_authorised")
	s.finding("operation_failed", id)
	return intent
}

// captureElsewhere is what a person does in the Dashboard.
func (s *shop) captureElsewhere(intent string) {
	s.t.Helper()
	s.pay(intent)
	s.stripe("POST", "/v1/payment_intents/"+intent+"/capture", "")
}

func (s *shop) succeededAfterAll(id string) {
	s.t.Helper()
	s.until("the success of "+id, func(it hq.Item) bool { return it.ID == id && it.State == doors.Succeeded })
}

func TestMoney_3_1_WhatFailedAndWasCapturedAllTheSameSucceeds(t *testing.T) {
	for _, step := range []string{"", "amend:record", "event:recorded"} {
		t.Run(step, func(t *testing.T) {
			s := newShop(t)
			pi := s.gaveUp("op_1", "A-7")
			if step != "" {
				broke := s.breakAt(step, 1)
				defer func() {
					if !broke() {
						t.Error("the step did not fail")
					}
				}()
			}
			s.captureElsewhere(pi)
			s.succeededAfterAll("op_1")
			s.nothingFound("operation_failed")
			s.exactly(pi, "captured", 1000)
		})
	}
}

func TestMoney_3_1_BeforeFailedBecomesSucceededAnotherPaymentIsLookedFor(t *testing.T) {
	for name, confirm := range map[string]bool{"confirmed": true, "dismissed": false} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			first := s.gaveUp("op_1", "A-7")
			second := s.authorised("1000")
			o := op(doors.Capture, "op_2", second, 1000)
			o.Data = []byte(`{"order":"A-7"}`)
			s.submit(o)
			s.want("op_2", doors.Succeeded, "")
			s.captureElsewhere(first)
			f := s.finding("order_already_paid", "op_1")
			for _, it := range s.items {
				if it.ID == "op_1" && it.State == doors.Succeeded {
					t.Fatal("nobody was asked")
				}
			}
			s.decide(f, confirm)
			if confirm {
				s.succeededAfterAll("op_1")
				return
			}
			// It stays what it was: what comes next is told, and that is not.
			s.submit(op(doors.Order, "op_3", "A-8", 0))
			s.want("op_3", doors.Succeeded, "")
			for _, it := range s.items {
				if it.ID == "op_1" && it.State == doors.Succeeded {
					t.Error("it succeeded although a person decided against it")
				}
			}
		})
	}
}

// Another amount is no success, whoever captured it.
func TestMoney_3_1_AnotherAmountStaysFailed(t *testing.T) {
	s := newShop(t)
	pi := s.gaveUp("op_1", "A-7")
	s.pay(pi)
	s.stripe("POST", "/v1/payment_intents/"+pi+"/capture", "amount_to_capture=900")
	s.until("Stripe's event", func(it hq.Item) bool { return it.Event == "payment_intent.succeeded" })
	for _, it := range s.items {
		if it.ID == "op_1" && it.State == doors.Succeeded {
			t.Error("it succeeded with another amount")
		}
	}
}
