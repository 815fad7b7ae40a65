package doors

import "encoding/json"

// ReceiptFields is GET /v1/receipts/{payment_intent}: what card schemes want on
// paper, as Stripe names it. No card number: brand and last four are all there is.
type ReceiptFields struct {
	PaymentIntent string          `json:"payment_intent"`
	Amount        int64           `json:"amount"`
	Currency      string          `json:"currency"`
	Charge        string          `json:"charge"`
	Method        string          `json:"method"` // card_present or interac_present
	Brand         string          `json:"brand,omitempty"`
	Last4         string          `json:"last4,omitempty"`
	ReadMethod    string          `json:"read_method,omitempty"`
	Receipt       json.RawMessage `json:"receipt,omitempty"` // Stripe's receipt hash; absent for swipes
	// Missing are fields that card schemes want on paper and Stripe has not told.
	Missing []string `json:"missing,omitempty"`
	// The card's part of the receipt, ready for paper of 42 characters: as text, and for
	// a printer of the ESC/POS family (base64).
	Text   string `json:"text"`
	ESCPOS []byte `json:"escpos"`
}

// ReceiptOf reads what a receipt shows out of a PaymentIntent with its charge
// expanded; false: there is nothing to show yet.
func ReceiptOf(intent json.RawMessage) (ReceiptFields, bool) {
	type present struct {
		Brand      string          `json:"brand"`
		Last4      string          `json:"last4"`
		ReadMethod string          `json:"read_method"`
		Receipt    json.RawMessage `json:"receipt"`
		Offline    struct {
			StoredAt *int64 `json:"stored_at"`
		} `json:"offline"`
	}
	var pi struct {
		ID     string          `json:"id"`
		Charge json.RawMessage `json:"latest_charge"`
	}
	var charge struct {
		ID       string `json:"id"`
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
		Details  struct {
			Type    string   `json:"type"`
			Card    *present `json:"card_present"`
			Interac *present `json:"interac_present"`
		} `json:"payment_method_details"`
	}
	if json.Unmarshal(intent, &pi) != nil || json.Unmarshal(pi.Charge, &charge) != nil || charge.ID == "" {
		return ReceiptFields{}, false // not charged yet, or the charge was not expanded
	}
	p := charge.Details.Card
	if p == nil {
		p = charge.Details.Interac
	}
	if p == nil {
		return ReceiptFields{}, false
	}
	out := ReceiptFields{
		PaymentIntent: pi.ID, Amount: charge.Amount, Currency: charge.Currency, Charge: charge.ID,
		Method: charge.Details.Type, Brand: p.Brand, Last4: p.Last4, ReadMethod: p.ReadMethod,
	}
	if string(p.Receipt) != "null" {
		out.Receipt = p.Receipt
	}
	out.Missing = out.lacks(p.Offline.StoredAt != nil)
	out.Text, out.ESCPOS = out.text(), out.escpos()
	return out, true
}
