package doors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func charged(currency, readMethod, emv, more string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"id":"pi_3Px1","latest_charge":{"id":"ch_3Px1","amount":1250,"currency":%q,"payment_method_details":{"type":"card_present",
		"card_present":{"brand":"visa","last4":"4242","read_method":%q,"receipt":%s%s}}}}`, currency, readMethod, emv, more))
}

const wholeEMV = `{"account_type":"credit","application_cryptogram":"0DC7D1B5B3C4A1A5","application_preferred_name":"Visa Crédit €","authorization_code":"123456",
	"authorization_response_code":"3030","cardholder_verification_method":"signature","dedicated_file_name":"A0000000031010",
	"terminal_verification_results":"0880008000","transaction_status_information":"6800"}`

// What card schemes want on paper is in the text, in order; the printer gets the same
// text between its commands.
func TestReceiptOnPaper(t *testing.T) {
	r, ok := ReceiptOf(charged("eur", "contact_emv", wholeEMV, ""))
	if !ok || len(r.Missing) != 0 {
		t.Fatalf("%+v", r)
	}
	golden(t, "receipt.txt", r.Text)
	inner, begun := bytes.CutPrefix(r.ESCPOS, []byte("\x1b@\x1bt\x10"))
	inner, cut := bytes.CutSuffix(inner, []byte("\x1bd\x04\x1dVB\x00"))
	if !begun || !cut || !bytes.Contains(inner, []byte("Visa Cr\xe9dit \x80\n")) || bytes.Count(inner, []byte("\n")) != strings.Count(r.Text, "\n") {
		t.Errorf("for the printer: %q", r.ESCPOS)
	}
}

func TestReceiptSaysWhatIsMissing(t *testing.T) {
	const emv = `{"application_preferred_name":"VISA","dedicated_file_name":"A0000000031010"}`
	for _, tt := range []struct {
		name, currency, read, emv, more string
		want                            []string
	}{
		{"whole", "eur", "contact_emv", wholeEMV, "", nil},
		{"account type outside the US", "eur", "contact_emv", emv, "", []string{"account_type"}},
		{"account type in the US", "usd", "contact_emv", emv, "", nil},
		{"taken offline", "eur", "contact_emv", emv, `,"offline":{"stored_at":1790000000}`, nil},
		{"a chip without its hash", "usd", "contactless_emv", "null", "", []string{"application_preferred_name", "dedicated_file_name"}},
		{"a swipe", "eur", "magnetic_stripe_track2", "null", "", nil},
	} {
		if r, ok := ReceiptOf(charged(tt.currency, tt.read, tt.emv, tt.more)); !ok || !slices.Equal(r.Missing, tt.want) {
			t.Errorf("%s: %v lacks %v, want %v", tt.name, ok, r.Missing, tt.want)
		}
	}
}

func TestReceiptCopyIsAnOperation(t *testing.T) {
	r, _ := ReceiptOf(charged("eur", "contact_emv", wholeEMV, ""))
	op, err := r.Copy()
	if err != nil || op.Kind != Receipt || op.Ref != "pi_3Px1" || !strings.Contains(string(op.Data), `"dedicated_file_name":"A0000000031010"`) || !strings.Contains(string(op.Data), `"last4":"4242"`) {
		t.Errorf("%+v %s (%v)", op, op.Data, err)
	}
}

// No text of Stripe's or of an issuer's is a command for the printer, and no line is
// wider than the paper.
func FuzzReceiptOnPaper(f *testing.F) {
	f.Add("Visa \x1b@\x1dV", "contact_emv", "eur", int64(1250))
	f.Add("\x9b\u0085\ufeff", "", "jpy", int64(-1))
	f.Fuzz(func(t *testing.T, name, read, currency string, amount int64) {
		emv, err := json.Marshal(map[string]string{"application_preferred_name": name, "cardholder_verification_method": read})
		if err != nil {
			t.Fatal(err) // strings always become JSON
		}
		r := ReceiptFields{PaymentIntent: name, Amount: amount, Currency: currency, Brand: name, Last4: read, ReadMethod: read, Receipt: emv}
		for line := range strings.Lines(r.text()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > receiptWidth && !strings.HasPrefix(line, onPaper(strings.ToUpper(name))) {
				t.Errorf("%d wide: %q", n, line)
			}
		}
		inner := bytes.TrimSuffix(bytes.TrimPrefix(r.escpos(), []byte(printerBegins)), []byte(printerCuts))
		for _, c := range inner {
			if c < ' ' && c != '\n' || c == 0x7f || c > 0x80 && c < 0xa0 {
				t.Errorf("a command in %q", inner)
			}
		}
	})
}
