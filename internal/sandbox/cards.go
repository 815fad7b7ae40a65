package sandbox

import "strings"

// testCard is what Stripe's documented test number stands for.
type testCard struct {
	brand, funding string
	declined       string // decline code; "": accepted
	interac        bool   // settles at once, is refunded in person only
	single         bool   // eftpos: settles at once, whatever was asked
	verification   string // cardholder verification; "": by the way it was read
	refundFails    bool   // a refund succeeds, and fails later
}

// Stripe's published test numbers; none is a card.
var testCards = map[string]testCard{
	"4242424242424242":    {brand: "visa", funding: "credit"},
	"4000056655665556":    {brand: "visa", funding: "debit"},
	"5555555555554444":    {brand: "mastercard", funding: "credit"},
	"5200828282828210":    {brand: "mastercard", funding: "debit"},
	"5105105105105100":    {brand: "mastercard", funding: "prepaid"},
	"378282246310005":     {brand: "amex", funding: "credit"},
	"371449635398431":     {brand: "amex", funding: "credit"},
	"6011111111111117":    {brand: "discover", funding: "credit"},
	"6011000990139424":    {brand: "discover", funding: "credit"},
	"3056930009020004":    {brand: "diners", funding: "credit"},
	"36227206271667":      {brand: "diners", funding: "credit"},
	"3566002020360505":    {brand: "jcb", funding: "credit"},
	"6200000000000005":    {brand: "unionpay", funding: "credit"},
	"4506445006931933":    {brand: "interac", funding: "debit", interac: true},
	"6280000360000978":    {brand: "eftpos_au", funding: "debit", single: true},
	"4000050360000001":    {brand: "visa", funding: "debit", single: true},
	"5555050360000080":    {brand: "mastercard", funding: "debit", single: true},
	"4000002500001001":    {brand: "visa", funding: "debit"},
	"5555552500001001":    {brand: "mastercard", funding: "debit"},
	"4711009900000316877": {brand: "girocard", funding: "debit"},
	"4001007020000002":    {brand: "visa", funding: "credit", verification: "offline_pin"},
	"4000008260000075":    {brand: "visa", funding: "credit", verification: "offline_pin"},
	"4001000360000005":    {brand: "visa", funding: "credit", verification: "online_pin"},
	"4000002760000008":    {brand: "visa", funding: "credit", verification: "online_pin"},
	"4000000000000002":    {brand: "visa", funding: "credit", declined: "generic_decline"},
	"4000000000009995":    {brand: "visa", funding: "credit", declined: "insufficient_funds"},
	"4000000000009987":    {brand: "visa", funding: "credit", declined: "lost_card"},
	"4000000000009979":    {brand: "visa", funding: "credit", declined: "stolen_card"},
	"4000000000000069":    {brand: "visa", funding: "credit", declined: "expired_card"},
	"4000000000000119":    {brand: "visa", funding: "credit", declined: "processing_error"},
	"4000000000005126":    {brand: "visa", funding: "credit", refundFails: true},
}

const (
	defaultCard    = "4242424242424242"
	defaultInterac = "4506445006931933"
)

// amountDecline is the rule of test amounts: the last two digits choose the
// answer of the bank. Amounts that end otherwise are approved.
func amountDecline(amount int64) string {
	return map[int64]string{
		1: "call_issuer", 2: "offline_pin_required", 3: "online_or_offline_pin_required", 5: "generic_decline",
		55: "incorrect_pin", 65: "withdrawal_count_limit_exceeded", 75: "pin_try_exceeded",
	}[amount%100]
}

// declineError is a decline as last_payment_error tells it. The error's code is
// the decline code for the few that have a code of their own.
func declineError(decline string) *apiError {
	e := &apiError{Status: 402, Type: cardFailure, Code: "card_declined", DeclineCode: decline,
		AdviceCode: "try_again_later", Message: "Your card was declined."}
	switch decline {
	case "expired_card", "processing_error", "incorrect_pin":
		e.Code = decline
	case "lost_card", "stolen_card":
		e.AdviceCode = "do_not_try_again"
	case "insufficient_funds":
		e.Message = "Your card has insufficient funds."
	}
	return e
}

func lastFour(number string) string { return number[len(number)-4:] }

// cleanNumber takes the spaces and dashes out that people type.
func cleanNumber(n string) string { return strings.NewReplacer(" ", "", "-", "").Replace(n) }
