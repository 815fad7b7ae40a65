package doors

// declined is all a cashier is told where the bank hints at a crime: whoever
// stands at the till must not learn it from a screen.
const declined = "Card declined. Ask for another card."

// masked are the decline codes that no answer shows.
var masked = map[string]bool{
	"lost_card": true, "stolen_card": true, "fraudulent": true, "merchant_blacklist": true,
	"pickup_card": true, "restricted_card": true,
}

// words is one sentence per code: Stripe's decline codes, Stripe's error codes,
// and the reasons for which an operation ends failed.
var words = map[string]string{
	// Money and limits.
	"insufficient_funds":              "Card declined: not enough money. Ask for another card.",
	"card_velocity_exceeded":          "Card declined: its limit is used up. Ask for another card.",
	"withdrawal_count_limit_exceeded": "Card declined: its limit is used up. Ask for another card.",
	"invalid_amount":                  "That amount is not possible with this card.",

	// PIN and wallet.
	"incorrect_pin":                         "Wrong PIN. Let the customer try again.",
	"invalid_pin":                           "Wrong PIN. Let the customer try again.",
	"pin_try_exceeded":                      "Wrong PIN too often. Ask for another card.",
	"offline_pin_required":                  "Ask the customer to insert the card and enter the PIN.",
	"online_or_offline_pin_required":        "Ask the customer to enter the PIN, or to insert the card.",
	"mobile_device_authentication_required": "Ask the customer to unlock the phone and tap again.",

	// Worth one more try.
	"approve_with_id":      "The bank did not answer clearly. Try once more.",
	"issuer_not_available": "The customer's bank does not answer. Try once more.",
	"processing_error":     "The payment was not processed. Try once more.",
	"reenter_transaction":  "The payment was not processed. Try once more.",
	"try_again_later":      "The customer's bank does not answer. Try once more.",

	// No other way with this card.
	"expired_card":           "This card has expired. Ask for another card.",
	"duplicate_transaction":  "The bank sees this payment twice. Check whether it went through already.",
	"card_not_supported":     "This card does not work here. Ask for another card.",
	"currency_not_supported": "This card does not work in this currency. Ask for another card.",
	"testmode_decline":       "This is a test. A test card is needed.",
	"card_declined":          declined,
	"generic_decline":        declined,

	// Readers.
	"terminal_reader_timeout":                         "The reader did not answer in time. Look at the reader, then try again.",
	"terminal_reader_offline":                         "The card reader is offline. Check its power and network.",
	"terminal_reader_busy":                            "The card reader is busy. Wait a moment, or cancel on the reader.",
	"terminal_reader_hardware_fault":                  "The card reader is broken. Take another reader.",
	"terminal_reader_invalid_location_for_payment":    "This reader belongs to another store. Call IT.",
	"terminal_reader_invalid_location_for_activation": "This reader cannot be set up for this store. Call IT.",
	"terminal_location_country_unsupported":           "Card readers do not work in this store's country. Call IT.",
	"intent_invalid_state":                            "This payment is already done or cancelled.",

	// Captures, cancels, refunds.
	"payment_intent_unexpected_state":      "This payment cannot be finished: it is already done, cancelled or not yet paid.",
	"charge_already_captured":              "This payment was already finished.",
	"charge_expired_for_capture":           "This payment is too old: the bank released the money.",
	"capture_charge_authorization_expired": "This payment is too old: the bank released the money.",
	"authorisation_lapsed":                 "This payment is too old: the bank released the money.",
	"capture_unauthorized_payment":         "This payment was never approved by the bank.",
	"amount_too_large":                     "That is more than the bank approved. Call your manager.",
	"amount_too_small":                     "That amount is too small for a card payment.",
	"amount_differs":                       "This payment was finished with another amount. Call your manager.",
	"charge_already_refunded":              "This payment was already given back.",
	"nothing_captured":                     "Nothing was taken from this card, so nothing can be given back.",
	"not_captured":                         "This payment is not finished yet. Cancel it instead of refunding it.",
	"refund_failed":                        "The bank did not take the refund. Call your manager.",
	"already_captured":                     "This payment was already finished.",
	"canceled":                             "This payment was cancelled.",
	"awaiting_authorisation":               "This payment was never approved by the bank.",
	"needs_decision":                       "This payment waits for a decision. Call your manager.",
	"resource_missing":                     "The payment service does not know this payment.",

	// Ours.
	"mode_mismatch":            ErrModeMismatch.OperatorMessage,
	"idempotency_key_reused":   ErrKeyReused.OperatorMessage,
	"payment_not_yours":        ErrNotYourPayment.OperatorMessage,
	"refund_needs_card":        ErrRefundNeedsCard.OperatorMessage,
	"action_unresolved":        ErrDecisionPending.OperatorMessage,
	"account_mode_mismatch":    "Test and real payments were mixed up. Call your manager.",
	"rate_limit":               "Too many requests. Wait a moment and try again.",
	"lock_timeout":             "The payment is being worked on. Wait a moment and try again.",
	"idempotency_key_in_use":   "The payment is being worked on. Wait a moment and try again.",
	"api_key_expired":          "The payment service refused headquarters. Call IT.",
	"platform_api_key_expired": "The payment service refused headquarters. Call IT.",
}

// Words gives the one sentence a cashier is shown for Stripe's error code and
// decline code; the decline code says more and goes first. Codes that nobody
// here knows, and those that must stay between bank and cardholder, sound alike.
func Words(code, declineCode string) string {
	if masked[declineCode] || masked[code] {
		return declined
	}
	if s := words[declineCode]; s != "" {
		return s
	}
	if declineCode != "" {
		return declined
	}
	if s := words[code]; s != "" {
		return s
	}
	return ErrStripeRefused.OperatorMessage
}

// forTill is a refusal as a till may see it: Stripe's codes put into words, and
// a masked decline code taken off together with the sentence that came with it.
func forTill(e *Error) *Error {
	if e.Stripe == "" && e.DeclineCode == "" {
		return e
	}
	c := *e
	if e.Code == ErrStripeRefused.Code || e.OperatorMessage == "" {
		c.OperatorMessage = Words(e.Stripe, e.DeclineCode)
	}
	if masked[e.DeclineCode] || masked[e.Stripe] {
		c.DeclineCode, c.Stripe = "generic_decline", "card_declined"
		c.Message = "the card was declined"
		c.OperatorMessage = declined
	}
	return &c
}

// operationForTill hides the same from an operation's end.
func operationForTill(op Operation) Operation {
	if masked[op.Reason] {
		op.Reason, op.Message = "card_declined", declined
	}
	return op
}
