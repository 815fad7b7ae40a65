package main

import (
	"bytes"
	"testing"

	"storehub/doors"
	"storehub/hq"
)

func TestReadsAreTold(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdout: &out}
	budgets := []hq.ReadBudget{
		{Mode: doors.Live, Reads: 4210, Today: 90, Payments: 5100, Budget: 2_550_000, Used: 0.0016, Slowed: 1},
		{Mode: doors.Test, Account: "acct_1", Reads: 9900, Today: 320, Payments: 3, Budget: 10_000, Used: 0.99, Slowed: 60},
	}
	if err := (&readsCmd{Format: "text"}).write(a, budgets); err != nil {
		t.Fatal(err)
	}
	const want = `MODE  ACCOUNT        READS IN 30 DAYS  BUDGET   USED  PAYMENTS  POLLS
live  the key's own  4210              2550000  0 %   5100      at full pace
test  acct_1         9900              10000    99 %  3         60.0 times slower
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}
