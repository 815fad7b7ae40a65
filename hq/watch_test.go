package hq_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

func TestMoney_3_3_AnAuthorisationNobodyAsksForIsTold(t *testing.T) {
	s := newShop(t)
	unnamed, named := s.authorised("1000"), s.authorised("2000")
	bySDK := s.stripe("POST", "/v1/payment_intents", "amount=700&currency=usd&capture_method=manual&payment_method_types[]=card_present")["id"].(string)
	s.pay(bySDK) // headquarters hears of it by its event alone
	s.until("the SDK's payment", func(it hq.Item) bool { return it.Type == "event" && strings.Contains(string(it.Object), bySDK) })
	s.submit(op(doors.Capture, "op_1", named, 2000))
	s.want("op_1", doors.Succeeded, "")
	s.nothingFound("unnamed_authorisation")
	s.pass(31 * time.Minute)
	s.finding("unnamed_authorisation", unnamed)
	s.finding("unnamed_authorisation", bySDK)
	told := s.until("the store being told", func(it hq.Item) bool { return it.Type == "finding" })
	if told.Event != "unnamed_authorisation" {
		t.Errorf("told %+v", told)
	}
	list, err := s.server.Findings(t.Context(), "0412")
	if err != nil || len(list) != 2 {
		t.Errorf("findings %+v, %v", list, err)
	}
	if _, _, body := s.ask("GET", "/metrics", "", "", ""); strings.Contains(body, "storehub_hq_next_deadline_timestamp_seconds 0\n") {
		t.Error("the deadline metric does not include it")
	}
	// A till asks after all: it settles.
	s.submit(op(doors.Capture, "op_2", unnamed, 1000))
	s.want("op_2", doors.Succeeded, "")
	s.decide(s.finding("unnamed_authorisation", bySDK), false)
	s.nothingFound("unnamed_authorisation")
	// Near the end of the authorisation it is said once more, louder.
	s.pass(43 * time.Hour)
	s.finding("decision_overdue", bySDK)
}

func TestMoney_3_3_ThePolicySaysWhatBecomesOfIt(t *testing.T) {
	for policy, want := range map[string]struct{ withOrder, without string }{
		hq.UncapturedReport:  {"", ""},
		hq.UncapturedCapture: {"captured", ""},
		hq.UncapturedCancel:  {"", "canceled"},
	} {
		t.Run(policy, func(t *testing.T) {
			s := newShop(t)
			s.configure(hq.Change{Uncaptured: &policy})
			v, err := s.call(doors.CreatePaymentIntent, "", url.Values{"amount": {"1000"}, "currency": {"usd"}, "metadata[order]": {"A-7"}})
			if err != nil {
				t.Fatal(err)
			}
			ordered, stray := v["id"].(string), s.authorised("700")
			s.pay(ordered)
			order := op(doors.Order, "op_o", "A-7", 1000)
			order.Data = []byte(`{"order":"A-7"}`)
			s.submit(order)
			s.want("op_o", doors.Succeeded, "")
			waitFor(t, "both authorisations", func() bool {
				told := slices.DeleteFunc(s.events(), func(kind string) bool { return kind != "payment_intent.amount_capturable_updated" })
				return len(told) == 2
			})
			s.pass(31 * time.Minute)
			for intent, effect := range map[string]string{ordered: want.withOrder, stray: want.without} {
				if effect == "" {
					s.finding("unnamed_authorisation", intent)
					continue
				}
				waitFor(t, effect, func() bool { n, _ := s.effects(intent, effect); return n == 1 })
			}
			for intent, effect := range map[string]string{ordered: want.withOrder, stray: want.without} {
				for _, e := range []string{"captured", "canceled"} {
					if n, _ := s.effects(intent, e); n > 0 && e != effect {
						t.Errorf("%s was %s", intent, e)
					}
				}
			}
		})
	}
}
