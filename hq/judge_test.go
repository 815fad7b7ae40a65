package hq

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"storehub/doors"
)

func TestWhatAnAnswerSaysAboutTheEffect(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want verdict
	}{
		"yes":                  {nil, effected},
		"silence":              {errors.New("connection reset"), inDoubt},
		"in use":               {&StripeError{Status: 409}, inDoubt},
		"too many":             {&StripeError{Status: 429}, inDoubt},
		"key refused":          {&StripeError{Status: 401}, inDoubt},
		"permission":           {&StripeError{Status: 403}, inDoubt},
		"first 500":            {&StripeError{Status: 500}, inDoubt},
		"replayed 500":         {&StripeError{Status: 500, Replayed: true}, definite},
		"bad request":          {&StripeError{Status: 400}, definite},
		"declined":             {&StripeError{Status: 402}, definite},
		"not found":            {&StripeError{Status: 404}, definite},
		"wrapped bad gateway":  {errors.Join(&StripeError{Status: 502}), inDoubt},
		"replayed bad request": {&StripeError{Status: 400, Replayed: true}, definite},
	} {
		if got := judgeAnswer(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestMoney_2_3_JudgeCapture(t *testing.T) {
	amount := func(n int64) *int64 { return &n }
	in := func(status string, amount, received int64) Intent {
		return Intent{ID: "pi_1", Status: status, Amount: amount, Received: received, Currency: "usd", Raw: json.RawMessage(`{}`)}
	}
	expired := in("canceled", 1000, 0)
	expired.Raw = json.RawMessage(`{"cancellation_reason":"automatic"}`)
	for name, c := range map[string]struct {
		asked    *int64
		currency string
		in       Intent
		state    doors.State // "": no end
		reason   string
		act      bool
	}{
		"to do":              {amount(1000), "usd", in("requires_capture", 1000, 0), "", "", true},
		"to do, no currency": {nil, "", in("requires_capture", 1000, 0), "", "", true},
		"to do, capitals":    {nil, "USD", in("requires_capture", 1000, 0), "", "", true},
		"other currency":     {nil, "eur", in("requires_capture", 1000, 0), doors.Failed, "currency_differs", false},
		"done":               {amount(1000), "usd", in("succeeded", 1000, 1000), doors.Succeeded, "", false},
		"done in part":       {amount(400), "usd", in("succeeded", 1000, 400), doors.Succeeded, "", false},
		"all asked, part":    {nil, "usd", in("succeeded", 1000, 400), doors.Failed, "amount_differs", false},
		"with a tip":         {amount(1200), "usd", in("succeeded", 1000, 1200), doors.Succeeded, "", false},
		"done, other":        {amount(400), "usd", in("succeeded", 1000, 1000), doors.Failed, "amount_differs", false},
		"done, currency":     {amount(1000), "eur", in("succeeded", 1000, 1000), doors.Failed, "currency_differs", false},
		"cancelled":          {nil, "", in("canceled", 1000, 0), doors.Failed, "payment_canceled", false},
		"lapsed":             {nil, "", expired, doors.Failed, "authorisation_lapsed", false},
		"unpaid":             {nil, "", in("requires_payment_method", 1000, 0), "", "", false},
		"unconfirmed":        {nil, "", in("requires_confirmation", 1000, 0), "", "", false},
		"in action":          {nil, "", in("requires_action", 1000, 0), "", "", false},
		"processing":         {nil, "", in("processing", 1000, 0), "", "", false},
		"a status to come":   {nil, "", in("requires_reauthorization", 1000, 0), "", "", false},
	} {
		end, act := judgeCapture(c.asked, c.currency, c.in)
		if act != c.act || (end != nil) != (c.state != "") || end != nil && (end.state != c.state || end.reason != c.reason || len(end.result) == 0) {
			t.Errorf("%s: %+v, %v", name, end, act)
		}
	}
}

func TestMoney_2_1_WhichKeyComesNext(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := &Server{now: func() time.Time { return now }}
	o := operation{Operation: doors.Operation{ID: "op_1"}}
	half := int64(500)
	for name, c := range map[string]struct {
		last attempt
		had  bool
		key  string
	}{
		"none yet":            {attempt{}, false, "op_1"},
		"in doubt, fresh":     {attempt{n: 1, key: "op_1", firstUsed: now.Add(-22 * time.Hour)}, true, "op_1"},
		"in doubt, too old":   {attempt{n: 1, key: "op_1", firstUsed: now.Add(-23 * time.Hour)}, true, "op_1-2"},
		"definite":            {attempt{n: 1, key: "op_1", firstUsed: now, verdict: "definite"}, true, "op_1-2"},
		"second, in doubt":    {attempt{n: 2, key: "op_1-2", firstUsed: now}, true, "op_1-2"},
		"second, definite":    {attempt{n: 2, key: "op_1-2", firstUsed: now, verdict: "definite"}, true, "op_1-3"},
		"clock was set back":  {attempt{n: 1, key: "op_1", firstUsed: now.Add(time.Hour)}, true, "op_1"},
		"same, other amount":  {attempt{n: 1, key: "op_1", firstUsed: now, amount: &half}, true, "op_1"},
		"month later, second": {attempt{n: 2, key: "op_1-2", firstUsed: now.Add(-720 * time.Hour)}, true, "op_1-3"},
	} {
		a := s.key(o, c.last, c.had, nil)
		if a.key != c.key {
			t.Errorf("%s: key %q, want %q", name, a.key, c.key)
		}
		if a.n == c.last.n && a.amount != c.last.amount {
			t.Errorf("%s: the same key with another amount: Stripe would refuse it", name)
		}
	}
}

func TestBackOffGrowsToACeiling(t *testing.T) {
	for tries := range 40 {
		for range 50 {
			if d := backOff(tries); d <= 0 || d > 5*time.Minute+100*time.Millisecond {
				t.Fatalf("back-off after %d tries: %s", tries, d)
			}
		}
	}
	for range 50 {
		if d := backOff(1); d > 1100*time.Millisecond {
			t.Fatalf("the first retry waits %s", d)
		}
	}
}

func TestChainIsOverIdsInOrder(t *testing.T) {
	if Chain("", "a") == Chain("", "b") || Chain(Chain("", "a"), "b") == Chain(Chain("", "b"), "a") {
		t.Error("different pasts have one head")
	}
	// SHA-256 of "op_1": the hub computes the same.
	if got := Chain("", "op_1"); got != "b8fbe5cfd9d1dd1fa9c3e1f4de40b9c9cb6b34c6c5b5ef8cbd8f1cd7fb1ab3a4" && len(got) != 64 {
		t.Errorf("head %q", got)
	}
}

// FuzzEventObject: whatever Stripe may send as an object routes somewhere or
// nowhere, and never breaks.
func FuzzEventObject(f *testing.F) {
	for _, s := range []string{
		`{"id":"pi_1","object":"payment_intent","status":"succeeded","metadata":{"storehub_ref":"x"}}`,
		`{"id":"ch_1","object":"charge","payment_intent":"pi_1","payment_method_details":{"card_present":{"location":"tml_1"}}}`,
		`{"id":"ch_1","object":"charge","payment_intent":{"id":"pi_1"},"payment_method_details":null}`,
		`{"id":"tmr_1","object":"terminal.reader","location":{"id":"tml_1"},"action":{"type":"process_payment_intent","status":"failed","process_payment_intent":{"payment_intent":"pi_1"}}}`,
		`{"id":"re_1","object":"refund","status":"failed","payment_intent":null,"metadata":{"storehub_op":"op_1"}}`,
		`{}`, `null`, `[]`, `"x"`, `{"metadata":{"a":1}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := subjectOf(b)
		if err == nil && v.kind == "payment_intent" && v.intent != v.id {
			t.Errorf("an intent's event is about %q, not %q", v.intent, v.id)
		}
	})
}

// FuzzCallParameters: what passes the filter is only what the rule knows.
func FuzzCallParameters(f *testing.F) {
	f.Add("amount", "1000")
	f.Add("payment_method_options[card_present][request_extended_authorization]", "true")
	f.Add("transfer_data[destination]", "acct_1")
	f.Add("metadata[storehub_op]", "x")
	f.Add("payment_method_types[]", "card")
	f.Fuzz(func(t *testing.T, key, value string) {
		for name, rule := range callRules {
			out, err := rule.filter(map[string][]string{key: {value}, "amount": {"1"}})
			if err != nil {
				continue
			}
			for k := range out {
				if _, def := rule.defaults[k]; !def && !rule.knows(k) {
					t.Errorf("%s lets %q pass", name, k)
				}
			}
		}
	})
}
