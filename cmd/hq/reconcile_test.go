package main

import (
	"bytes"
	"testing"
	"time"

	"storehub/hq"
)

// TestReconciliationTexts holds the report as people and spreadsheets get it.
func TestReconciliationTexts(t *testing.T) {
	at := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	soon := at.Add(30 * time.Hour)
	list := []hq.Reconciliation{
		{Store: "0412", Day: "2026-11-25", From: at, To: at.Add(24 * time.Hour), Orders: 212, Operations: 430, Payments: 215, Decided: 1,
			Received: map[string]int64{"usd": 1_234_500, "jpy": 900},
			Cases: []hq.Case{
				{Kind: "twin_charge", Ref: "pi_2", Order: "A-7", Amount: 1250, Currency: "usd", Finding: 17, Proposal: []byte(`{"kind":"refund","ref":"pi_2","amount":1250}`),
					Note: "the order was paid by pi_1 before; confirm to refund this one"},
				{Kind: "unnamed_authorisation", Ref: "pi_3", Amount: 990, Currency: "jpy", Finding: 18, Deadline: &soon, Note: "no till asked for the money"},
				{Kind: "order_without_payment", Ref: "=HYPERLINK(1)", Order: "=HYPERLINK(1)", Finding: 19, Note: "Stripe received nothing for it"},
			},
			Waiting: []hq.Finding{{ID: 9, Code: "twin_refund", At: at, Note: "refund of pi_9: a manager must confirm"}}},
		{Store: "0413", Day: "2026-11-24", From: at, To: at.Add(25 * time.Hour), Received: map[string]int64{}, Cases: []hq.Case{}},
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"reconcile.txt":  func(b *bytes.Buffer) error { return writeReconciliations(b, list) },
		"reconcile.csv":  func(b *bytes.Buffer) error { return writeCases(b, list) },
		"reconcile.json": func(b *bytes.Buffer) error { return writeJSON(b, list) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}
