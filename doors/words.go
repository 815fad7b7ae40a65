package doors

import "storehub/doors/words"

// declined is all a cashier is told where the bank hints at a crime: whoever
// stands at the till must not learn it from a screen.
const declined = "Card declined. Ask for another card."

// masked are the decline codes that no answer shows.
var masked = map[string]bool{
	"lost_card": true, "stolen_card": true, "fraudulent": true, "merchant_blacklist": true,
	"pickup_card": true, "restricted_card": true,
}

// Helps is what brings a sale on after Stripe refused. Empty: nobody knows.
type Helps string

// What helps.
const (
	Retry       Helps = "retry"        // the same card once more
	SameCard    Helps = "same_card"    // the same card, after the customer did what the sentence says
	AnotherCard Helps = "another_card" // or another way to pay
	TheReader   Helps = "reader"       // someone has to look at the reader
	AManager    Helps = "manager"      // someone who may decide
	IT          Helps = "it"           // someone who may set things up
	Nothing     Helps = "nothing"      // it is done, or cannot be
)

// saying is what a cashier reads, and what helps.
type saying struct {
	helps    Helps
	sentence string
}

// sayings is one per code: Stripe's decline codes, Stripe's error codes,
// and the reasons for which an operation ends failed.
var sayings = map[string]saying{
	// Money and limits.
	"insufficient_funds":              {AnotherCard, "Card declined: not enough money. Ask for another card."},
	"card_velocity_exceeded":          {AnotherCard, "Card declined: its limit is used up. Ask for another card."},
	"withdrawal_count_limit_exceeded": {AnotherCard, "Card declined: its limit is used up. Ask for another card."},
	"invalid_amount":                  {Nothing, "That amount is not possible with this card."},

	// PIN and wallet.
	"incorrect_pin":                         {SameCard, "Wrong PIN. Let the customer try again."},
	"invalid_pin":                           {SameCard, "Wrong PIN. Let the customer try again."},
	"pin_try_exceeded":                      {AnotherCard, "Wrong PIN too often. Ask for another card."},
	"offline_pin_required":                  {SameCard, "Ask the customer to insert the card and enter the PIN."},
	"online_or_offline_pin_required":        {SameCard, "Ask the customer to enter the PIN, or to insert the card."},
	"mobile_device_authentication_required": {SameCard, "Ask the customer to unlock the phone and tap again."},

	// Worth one more try.
	"approve_with_id":      {Retry, "The bank did not answer clearly. Try once more."},
	"issuer_not_available": {Retry, "The customer's bank does not answer. Try once more."},
	"processing_error":     {Retry, "The payment was not processed. Try once more."},
	"reenter_transaction":  {Retry, "The payment was not processed. Try once more."},
	"try_again_later":      {Retry, "The customer's bank does not answer. Try once more."},

	// No other way with this card.
	"expired_card":           {AnotherCard, "This card has expired. Ask for another card."},
	"duplicate_transaction":  {Nothing, "The bank sees this payment twice. Check whether it went through already."},
	"card_not_supported":     {AnotherCard, "This card does not work here. Ask for another card."},
	"currency_not_supported": {AnotherCard, "This card does not work in this currency. Ask for another card."},
	"testmode_decline":       {AnotherCard, "This is a test. A test card is needed."},
	"card_declined":          {AnotherCard, declined},
	"generic_decline":        {AnotherCard, declined},

	// Readers.
	"terminal_reader_timeout":                         {TheReader, "The reader did not answer in time. Look at the reader, then try again."},
	"terminal_reader_offline":                         {TheReader, "The card reader is offline. Check its power and network."},
	"terminal_reader_busy":                            {TheReader, "The card reader is busy. Wait a moment, or cancel on the reader."},
	"terminal_reader_hardware_fault":                  {TheReader, "The card reader is broken. Take another reader."},
	"terminal_reader_invalid_location_for_payment":    {IT, "This reader belongs to another store. Call IT."},
	"terminal_reader_invalid_location_for_activation": {IT, "This reader cannot be set up for this store. Call IT."},
	"terminal_location_country_unsupported":           {IT, "Card readers do not work in this store's country. Call IT."},
	"intent_invalid_state":                            {Nothing, "This payment is already done or cancelled."},

	// Captures, cancels, refunds.
	"payment_intent_unexpected_state":      {Nothing, "This payment cannot be finished: it is already done, cancelled or not yet paid."},
	"charge_already_captured":              {Nothing, "This payment was already finished."},
	"charge_expired_for_capture":           {Nothing, "This payment is too old: the bank released the money."},
	"capture_charge_authorization_expired": {Nothing, "This payment is too old: the bank released the money."},
	"authorisation_lapsed":                 {Nothing, "This payment is too old: the bank released the money."},
	"capture_unauthorized_payment":         {Nothing, "This payment was never approved by the bank."},
	"amount_too_large":                     {AManager, "That is more than the bank approved. Call your manager."},
	"amount_too_small":                     {Nothing, "That amount is too small for a card payment."},
	"amount_differs":                       {AManager, "This payment was finished with another amount. Call your manager."},
	"charge_already_refunded":              {Nothing, "This payment was already given back."},
	"nothing_captured":                     {Nothing, "Nothing was taken from this card, so nothing can be given back."},
	"not_captured":                         {Nothing, "This payment is not finished yet. Cancel it instead of refunding it."},
	"refund_failed":                        {AManager, "The bank did not take the refund. Call your manager."},
	"already_captured":                     {Nothing, "This payment was already finished."},
	"canceled":                             {Nothing, "This payment was cancelled."},
	"awaiting_authorisation":               {Nothing, "This payment was never approved by the bank."},
	"needs_decision":                       {AManager, "This payment waits for a decision. Call your manager."},
	"resource_missing":                     {Nothing, "The payment service does not know this payment."},

	// Ours.
	"mode_mismatch":            {AManager, ErrModeMismatch.OperatorMessage},
	"idempotency_key_reused":   {AManager, ErrKeyReused.OperatorMessage},
	"payment_not_yours":        {Nothing, ErrNotYourPayment.OperatorMessage},
	"refund_needs_card":        {SameCard, ErrRefundNeedsCard.OperatorMessage},
	"action_unresolved":        {TheReader, ErrDecisionPending.OperatorMessage},
	"account_mode_mismatch":    {AManager, "Test and real payments were mixed up. Call your manager."},
	"rate_limit":               {Retry, "Too many requests. Wait a moment and try again."},
	"lock_timeout":             {Retry, "The payment is being worked on. Wait a moment and try again."},
	"idempotency_key_in_use":   {Retry, "The payment is being worked on. Wait a moment and try again."},
	"api_key_expired":          {IT, "The payment service refused headquarters. Call IT."},
	"platform_api_key_expired": {IT, "The payment service refused headquarters. Call IT."},
}

// Words gives the one sentence a cashier is shown for Stripe's error code and
// decline code; the decline code says more and goes first. Codes that nobody
// here knows, and those that must stay between bank and cardholder, sound alike.
func Words(code, declineCode string) string { return say(code, declineCode).sentence }

func say(code, declineCode string) saying {
	unknown := saying{AnotherCard, declined}
	if masked[declineCode] || masked[code] {
		return unknown
	}
	if s, ok := sayings[declineCode]; ok {
		return s
	}
	if declineCode != "" {
		return unknown
	}
	if s, ok := sayings[code]; ok {
		return s
	}
	return saying{sentence: ErrStripeRefused.OperatorMessage}
}

// forTill is a refusal as a till may see it: Stripe's codes put into words, and
// a masked decline code taken off together with the sentence that came with it.
func forTill(e *Error) *Error {
	if e.Stripe == "" && e.DeclineCode == "" {
		return e
	}
	c := *e
	said := say(e.Stripe, e.DeclineCode)
	c.Helps = said.helps
	if e.Code == ErrStripeRefused.Code && !e.said || e.OperatorMessage == "" {
		c.OperatorMessage = said.sentence
	}
	if masked[e.DeclineCode] || masked[e.Stripe] {
		c.DeclineCode, c.Stripe = "generic_decline", "card_declined"
		c.Message = "the card was declined"
		c.OperatorMessage = declined
	}
	return &c
}

// operationForTill hides the same from an operation's end, and says it in the till's
// language.
func operationForTill(t Till, op Operation) Operation {
	if masked[op.Reason] {
		op.Reason, op.Message = "card_declined", declined
	}
	op.Message = words.In(t.Language, op.Message)
	return op
}

// ForPeople is an operation as a screen in the shop may show it: where the bank hints at
// a crime it says no more than a cashier is told, and nothing of what Stripe answered.
func ForPeople(op Operation) Operation {
	if masked[op.Reason] {
		op.Result = nil
	}
	return operationForTill(Till{}, op)
}
