package conformance

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"storehub/doors"
)

// create makes a PaymentIntent as a till, with more parameters in pairs.
func (s *session) create(ctx context.Context, key string, amount int64, more ...string) (string, error) {
	params := url.Values{"amount": {strconv.FormatInt(amount, 10)}, "currency": {s.t.Currency},
		"description": {"conformance " + s.tag}, "capture_method": {"manual"}, "payment_method_types[]": {"card_present"}}
	for i := 0; i+1 < len(more); i += 2 {
		params.Set(more[i], more[i+1])
	}
	raw, err := s.hub.Stripe(ctx, s.till(doors.ScopeManager, doors.Test), doors.CreatePaymentIntent, "conformance-"+s.tag+"-"+key, params)
	if err != nil {
		return "", err
	}
	v, err := fields(raw)
	if err != nil {
		return "", err
	}
	id, _ := v["id"].(string)
	if v["object"] != "payment_intent" || !strings.HasPrefix(id, "pi_") || v["amount"] != float64(amount) {
		return "", refuse("the answer is no PaymentIntent of %d", amount)
	}
	return id, nil
}

func create(ctx context.Context, s *session) (err error) {
	s.uncaptured, err = s.create(ctx, "create-1", 800)
	return err
}

func captureEarly(ctx context.Context, s *session) error {
	id, err := s.create(ctx, "create-2", 700)
	if err != nil {
		return err
	}
	o := s.op(doors.Capture, "early", id, 700)
	if _, err := s.offer(ctx, o); err != nil {
		return err
	}
	return s.rests(ctx, o, "awaiting_authorisation")
}

func cancel(ctx context.Context, s *session) error {
	o := s.op(doors.Cancel, "cancel", s.uncaptured, 0)
	if _, err := s.offer(ctx, o); err != nil {
		return err
	}
	return s.ends(ctx, o, doors.Succeeded, "")
}

func refundNothing(ctx context.Context, s *session) error {
	id, err := s.create(ctx, "create-3", 600)
	if err != nil {
		return err
	}
	o := s.op(doors.Refund, "nothing", id, 600)
	if _, err := s.offer(ctx, o); err != nil {
		return err
	}
	return s.ends(ctx, o, doors.Failed, "not_captured")
}

// simulatedCard registers Stripe's simulated reader, once for all runs, and has it
// take Stripe's test card.
func simulatedCard(ctx context.Context, s *session) error {
	manager := s.till(doors.ScopeManager, doors.Test)
	ask := func(c doors.Call, key string, pairs ...string) (map[string]any, error) {
		params := url.Values{}
		for i := 0; i+1 < len(pairs); i += 2 {
			params.Set(pairs[i], pairs[i+1])
		}
		raw, err := s.hub.Stripe(ctx, manager, c, key, params)
		if err != nil {
			return nil, err
		}
		return fields(raw)
	}
	reader, err := ask(doors.RegisterReader, "", "registration_code", "simulated-wpe", "label", "conformance")
	if err != nil {
		return err
	}
	if s.reader, _ = reader["id"].(string); !strings.HasPrefix(s.reader, "tmr_") {
		return refuse("the answer is no reader")
	}
	if s.captured, err = s.create(ctx, "create-4", 1250); err != nil {
		return err
	}
	if _, err := ask(doors.ProcessPaymentIntent, "conformance-"+s.tag+"-process", "reader", s.reader, "payment_intent", s.captured); err != nil {
		return err
	}
	_, err = ask(doors.PresentPaymentMethod, "", "reader", s.reader)
	return err
}

func capture(ctx context.Context, s *session) error {
	o := s.op(doors.Capture, "capture-1", s.captured, 1250)
	if _, err := s.offer(ctx, o); err != nil {
		return err
	}
	return s.ends(ctx, o, doors.Succeeded, "")
}
