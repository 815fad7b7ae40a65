package doors

import "testing"

func TestMoney_1_5_WhatATillMayRefund(t *testing.T) {
	amount := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		what   string
		scope  Scope
		op     Operation
		limit  int64
		forbid bool
	}{
		{"a till captures", ScopePOS, Operation{Kind: Capture}, 0, false},
		{"a till cancels", ScopePOS, Operation{Kind: Cancel}, 0, false},
		{"a till refunds, no limit is set", ScopePOS, Operation{Kind: Refund, Amount: amount(1)}, 0, true},
		{"a till refunds up to the limit", ScopePOS, Operation{Kind: Refund, Amount: amount(1000)}, 1000, false},
		{"a till refunds more", ScopePOS, Operation{Kind: Refund, Amount: amount(1001)}, 1000, true},
		{"a till refunds all of it", ScopePOS, Operation{Kind: Refund}, 1000, true},
		{"a manager refunds", ScopeManager, Operation{Kind: Refund}, 0, false},
		{"a monitor captures", ScopeMonitor, Operation{Kind: Capture}, 1000, true},
		{"a monitor refunds", ScopeMonitor, Operation{Kind: Refund, Amount: amount(1)}, 1000, true},
		{"nobody in particular refunds", "", Operation{Kind: Refund, Amount: amount(1)}, 1000, true},
	} {
		if err := MayPut(Till{Scope: c.scope}, c.op, c.limit); (err != nil) != c.forbid {
			t.Errorf("%s: %v", c.what, err)
		}
		if c.op.Kind == Refund {
			if err := MayRefund(Till{Scope: c.scope}, c.op.Amount, c.limit); (err != nil) != c.forbid {
				t.Errorf("%s at a reader: %v", c.what, err)
			}
		}
	}
}
