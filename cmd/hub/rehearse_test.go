package main

import (
	"bytes"
	"testing"

	"storehub/internal/rehearsal"
)

func TestRehearsalAsText(t *testing.T) {
	report := rehearsal.Report{Run: "abc", Results: []rehearsal.Result{
		{Scene: "token", Says: "two requests for a connection token get two tokens", State: rehearsal.Pass, TookMS: 40},
		{Scene: "pin", Says: "a wrong or missing PIN is told as such", State: rehearsal.Pass, Words: []string{"Wrong PIN. Let the customer try again."}, TookMS: 900},
		{Scene: "refund", Says: "a part is refunded, then the rest", State: rehearsal.Fail, Detail: "the refund is failed refund_failed", TookMS: 310},
		{Scene: "events", Says: "Stripe's events of the rehearsal have arrived", State: rehearsal.Unknown, Detail: "none arrived", TookMS: 30000},
	}}
	var b bytes.Buffer
	for _, r := range report.Results {
		writeScene(&b, r)
	}
	if err := writeRehearsal(&b, report); err != nil {
		t.Fatal(err)
	}
	const want = `pass    token        two requests for a connection token get two tokens
pass    pin          a wrong or missing PIN is told as such
                     "Wrong PIN. Let the customer try again."
fail    refund       a part is refunded, then the rest
                     the refund is failed refund_failed
unknown events       Stripe's events of the rehearsal have arrived
                     none arrived

2 scenes passed, 1 failed, 1 could not be told, in 31.3s
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
