package doors

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// receiptWidth is how many characters a line of paper holds that is 80 mm wide.
const receiptWidth = 42

// receiptLines is what is printed of the EMV fields, in order, as card schemes word it
// (docs.stripe.com/terminal/features/receipts).
var receiptLines = []struct{ field, label string }{
	{"application_preferred_name", "Application"},
	{"dedicated_file_name", "AID"},
	{"account_type", "Account type"},
	{"authorization_code", "Authorisation"},
	{"authorization_response_code", "ARC"},
	{"application_cryptogram", "App cryptogram"},
	{"terminal_verification_results", "TVR"},
	{"transaction_status_information", "TSI"},
}

// entries is how the card was read, in words.
var entries = map[string]string{
	"contact_emv": "Chip", "contactless_emv": "Contactless", "contactless_magstripe_mode": "Contactless",
	"magnetic_stripe_track2": "Swiped", "magnetic_stripe_fallback": "Swiped, chip failed",
}

// verifications is how the holder was verified, in words.
var verifications = map[string]string{
	"offline_pin": "PIN verified", "online_pin": "PIN verified", "offline_pin_and_signature": "PIN verified, signature", "signature": "Signature",
	"approval": "Verified on the customer's device", "none": "None", "failure": "Failed",
}

// emv reads the hash of EMV fields; what is no text is left out.
func (r ReceiptFields) emv() map[string]string {
	var raw map[string]any
	_ = json.Unmarshal(r.Receipt, &raw) // none: a swipe
	out := map[string]string{}
	for k, v := range raw {
		if s, ok := v.(string); ok && s != "" {
			out[k] = s
		}
	}
	return out
}

// lacks names the fields that card schemes want on paper and that are not there. A swipe
// has none of them; the account type is optional in the US and not known of a payment
// that was taken offline.
func (r ReceiptFields) lacks(offline bool) []string {
	if len(r.Receipt) == 0 && r.ReadMethod != "contact_emv" && r.ReadMethod != "contactless_emv" {
		return nil
	}
	need := []string{"application_preferred_name", "dedicated_file_name"}
	if r.Currency != "usd" && !offline {
		need = append(need, "account_type")
	}
	var missing []string
	has := r.emv()
	for _, field := range need {
		if has[field] == "" {
			missing = append(missing, field)
		}
	}
	return missing
}

// text is the card's part of a receipt, in lines of receiptWidth: what is sold, and by
// whom, stands above it and is the app's.
func (r ReceiptFields) text() string {
	var b strings.Builder
	line := func(label, value string) {
		label, value = onPaper(label), onPaper(value)
		if value == "" {
			return
		}
		gap := receiptWidth - utf8.RuneCountInString(label) - utf8.RuneCountInString(value)
		if gap < 1 { // the value has lines of its own
			b.WriteString(label + "\n")
			for v := []rune(value); len(v) > 0; v = v[min(len(v), receiptWidth-2):] {
				b.WriteString("  " + string(v[:min(len(v), receiptWidth-2)]) + "\n")
			}
			return
		}
		b.WriteString(label + strings.Repeat(" ", gap) + value + "\n")
	}
	words := func(m map[string]string, code string) string {
		if w, ok := m[code]; ok {
			return w
		}
		return code
	}
	line("Amount", Format(r.Amount, r.Currency))
	if r.Last4 != "" {
		line(strings.ToUpper(r.Brand), "**** "+r.Last4)
	}
	line("Entry", words(entries, r.ReadMethod))
	has := r.emv()
	for _, l := range receiptLines {
		line(l.label, has[l.field])
	}
	line("Cardholder verification", words(verifications, has["cardholder_verification_method"]))
	line("Payment", r.PaymentIntent)
	if strings.Contains(has["cardholder_verification_method"], "signature") {
		b.WriteString("\n\nX " + strings.Repeat("_", receiptWidth-2) + "\n")
	}
	return b.String()
}

// onPaper leaves out what a printer would take for a command.
func onPaper(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == utf8.RuneError {
			return -1
		}
		return c
	}, s)
}

// What a receipt printer of the ESC/POS family is told before and after the text:
// begin anew, take Windows-1252; feed four lines, cut.
const (
	printerBegins = "\x1b@\x1bt\x10"
	printerCuts   = "\x1bd\x04\x1dVB\x00"
)

// escpos is the text for a receipt printer. A letter that it does not have is a question
// mark.
func (r ReceiptFields) escpos() []byte {
	out := []byte(printerBegins)
	for _, c := range r.text() {
		switch {
		case c == '\n', c >= ' ' && c < 0x7f, c >= 0xa0 && c <= 0xff:
			out = append(out, byte(c))
		case c == '€':
			out = append(out, 0x80)
		default:
			out = append(out, '?')
		}
	}
	return append(out, printerCuts...)
}

// Copy is the receipt as an operation that keeps it: evidence for a dispute.
func (r ReceiptFields) Copy() (Operation, error) {
	data := map[string]string{}
	for name, v := range r.emv() {
		if _, kept := receiptData[name]; kept {
			data[name] = v
		}
	}
	for name, v := range map[string]string{"brand": r.Brand, "last4": r.Last4, "read_method": r.ReadMethod} {
		if v != "" {
			data[name] = v
		}
	}
	b, err := json.Marshal(data)
	if err != nil {
		return Operation{}, err
	}
	return CheckOperation(Operation{Kind: Receipt, Ref: r.PaymentIntent, Amount: &r.Amount, Currency: r.Currency, Data: b})
}
