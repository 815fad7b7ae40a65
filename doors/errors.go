package doors

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal: an answer, not a silence. It is what /v1 sends under
// "error" and what headquarters sends to a hub.
type Error struct {
	Status          int    `json:"-"`
	Code            string `json:"code"`
	Message         string `json:"message"`          // for a developer
	OperatorMessage string `json:"operator_message"` // for a cashier
	Doc             string `json:"doc,omitempty"`
	DeclineCode     string `json:"decline_code,omitempty"`
	Stripe          string `json:"stripe_code,omitempty"` // Stripe's own code, where it refused
	Helps           Helps  `json:"helps,omitempty"`       // what brings the sale on, where Stripe refused
	said            bool   // OperatorMessage is of this very refusal, not of its code
	RetryAfter      int    `json:"retry_after,omitempty"` // seconds; 0: not said
}

// Error gives the code and the developer's sentence.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is makes errors.Is compare refusals by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// With returns a copy that says in particular what was wrong.
func (e *Error) With(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// Operator returns a copy with another sentence for the cashier.
func (e *Error) Operator(sentence string) *Error {
	c := *e
	c.OperatorMessage = sentence
	return &c
}

func refusal(status int, code, message, operator string) *Error {
	return &Error{Status: status, Code: code, Message: message, OperatorMessage: operator, Doc: "docs/api.md#" + code}
}

// The catalogue: every refusal there is. Codes are for ever.
var (
	ErrUnauthorized    = refusal(http.StatusUnauthorized, "unauthorized", "missing or unknown credential", "This till is not paired with the store's hub. Call your manager.")
	ErrForbidden       = refusal(http.StatusForbidden, "forbidden", "this credential's scope does not allow that", "This till may not do that. Call your manager.")
	ErrOrigin          = refusal(http.StatusForbidden, "origin_not_allowed", "requests from this web origin are not allowed", "This web page may not use the store's hub.")
	ErrHost            = refusal(http.StatusForbidden, "host_not_allowed", "the Host header names another server", "This address does not belong to the store's hub.")
	ErrNotFound        = refusal(http.StatusNotFound, "not_found", "no such thing here", "That could not be found.")
	ErrMethod          = refusal(http.StatusMethodNotAllowed, "method_not_allowed", "wrong HTTP method", "The till sent something the hub does not understand.")
	ErrContentType     = refusal(http.StatusUnsupportedMediaType, "unsupported_media_type", "wrong Content-Type", "The till sent something the hub does not understand.")
	ErrTooLarge        = refusal(http.StatusRequestEntityTooLarge, "body_too_large", "the body is larger than 64 KiB", "The till sent something the hub does not understand.")
	ErrBadRequest      = refusal(http.StatusBadRequest, "bad_request", "the body could not be read", "The till sent something the hub does not understand.")
	ErrUnknownField    = refusal(http.StatusBadRequest, "unknown_field", "a field is not known", "The till sent something the hub does not understand.")
	ErrMissingField    = refusal(http.StatusBadRequest, "missing_field", "a field is missing", "The till sent something the hub does not understand.")
	ErrInvalidField    = refusal(http.StatusUnprocessableEntity, "invalid_field", "a field has a value that cannot be", "The till sent something the hub does not understand.")
	ErrInvalidAmount   = refusal(http.StatusUnprocessableEntity, "invalid_amount", "amounts are decimal integers in minor units, 1 to 99999999", "That amount is not possible.")
	ErrInvalidCurrency = refusal(http.StatusUnprocessableEntity, "invalid_currency", "not a currency Stripe Terminal takes", "That currency is not possible.")
	ErrCardData        = refusal(http.StatusUnprocessableEntity, "card_data", "a value looks like a card number; card data is never accepted here", "Never type card numbers into the till.")
	ErrKeyMissing      = refusal(http.StatusBadRequest, "idempotency_key_missing", "the header Idempotency-Key is missing or malformed", "The till sent something the hub does not understand.")
	ErrKeyReused       = refusal(http.StatusConflict, "idempotency_key_reused", "this Idempotency-Key was used for something else", "The till mixed up two payments. Call your manager.")
	ErrModeMismatch    = refusal(http.StatusConflict, "mode_mismatch", "live and test may not be mixed", "Test and real payments were mixed up. Call your manager.")
	ErrQueueFull       = refusal(http.StatusInsufficientStorage, "queue_full", "the hub's disk has no room left", "The store's hub is full. Call IT before taking more cards.")
	ErrMirrorAway      = refusal(http.StatusInsufficientStorage, "queue_mirror_away", "the second copy that queue.mirror asks for cannot be written; nothing was stored", "The store's hub misses its second disk. Plug it in, or call IT.")
	ErrRateLimited     = refusal(http.StatusTooManyRequests, "rate_limited", "too many requests", "Too many requests. Wait a moment and try again.")
	ErrHQUnreachable   = refusal(http.StatusServiceUnavailable, "hq_unreachable", "headquarters did not answer", "Card payments are down: the hub cannot reach headquarters.")
	ErrStripeRefused   = refusal(http.StatusPaymentRequired, "stripe_refused", "Stripe refused the call", "The payment service refused that.")
	ErrStripeSilent    = refusal(http.StatusServiceUnavailable, "stripe_unreachable", "headquarters had no answer from Stripe", "Card payments are down: the payment service does not answer.")
	ErrRefundNeedsCard = refusal(http.StatusConflict, "refund_needs_card", "this card can be refunded only at a reader, with the card", "Refund this card at the reader, with the customer's card.")
	ErrDecisionPending = refusal(http.StatusConflict, "action_unresolved", "another reader action for this payment is not resolved yet", "The reader is still busy with this payment.")
	ErrPairingCode     = refusal(http.StatusForbidden, "pairing_code_refused", "the code is unknown, used or expired", "That code does not work. Ask for a new one.")
	ErrEnrolCode       = refusal(http.StatusForbidden, "enrolment_code_refused", "the one-time code is unknown, used or expired", "")
	ErrCredential      = refusal(http.StatusUnauthorized, "credential_refused", "headquarters does not know this store's credential", "")
	ErrHubElsewhere    = refusal(http.StatusConflict, "hub_enrolled_elsewhere", "the store has a hub on another machine", "")
	ErrHubDuplicated   = refusal(http.StatusForbidden, "hub_duplicated", "another hub has this store's identity", "Card payments are down: two hubs claim to be this store's. Call IT.")
	ErrHubRevoked      = refusal(http.StatusForbidden, "hub_revoked", "this hub may only hand over what it promised", "Card payments are down: this hub was taken out of service. Call IT.")
	ErrLocation        = refusal(http.StatusConflict, "location_mismatch", "Stripe does not know the store's Location there", "")
	ErrAccountMode     = refusal(http.StatusConflict, "account_mode_mismatch", "the key, the account and the mode do not belong together", "")
	ErrNotYourPayment  = refusal(http.StatusForbidden, "payment_not_yours", "the payment was not made for this store", "This payment belongs to another store.")
	ErrInternal        = refusal(http.StatusInternalServerError, "internal", "something broke here", "Something went wrong in the store's hub. Try again.")
)
