package doors

import (
	"errors"
	"strings"
)

// Registration is why Stripe did not register a reader. "": it is not known.
type Registration string

// The ways in which a registration is refused.
const (
	RegistrationExpired  Registration = "expired"  // a reader's code is good for about a minute
	RegistrationUsed     Registration = "used"     // the code was, or its reader is registered
	RegistrationUnknown  Registration = "unknown"  // mistyped, expired or used: Stripe does not say
	RegistrationLocation Registration = "location" // the reader's, or the account's, is another
)

// ReadRegistration says what Stripe's sentence means. Stripe has no codes of its own for
// it: its sentence is what there is, and of one that fits nothing it is not guessed.
func ReadRegistration(says string) Registration {
	says = strings.ToLower(says)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(says, w) {
				return true
			}
		}
		return false
	}
	expired, used := has("expired", "too old"), has("already", "been used", "is used", "or used")
	switch {
	case has("location"):
		return RegistrationLocation
	case expired && !used:
		return RegistrationExpired
	case used && !expired:
		return RegistrationUsed
	case expired, has("no such", "no reader", "invalid", "not found", "does not exist", "incorrect"):
		return RegistrationUnknown
	}
	return ""
}

// RegistrationRefused puts Stripe's refusal of a reader's code into the words of whoever
// stands before the reader.
func RegistrationRefused(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != ErrStripeRefused.Code || e.Stripe != "" && sayings[e.Stripe].sentence != "" && e.Stripe != "resource_missing" {
		return err
	}
	c := *e
	switch c.said = true; ReadRegistration(e.Message) {
	case RegistrationExpired:
		return c.Operator("The reader's code has expired. Let the reader show a new one.")
	case RegistrationUsed:
		return c.Operator("The reader's code was used already, or the reader is registered already. Call IT.")
	case RegistrationUnknown:
		return c.Operator("No reader shows this code. Compare it with the reader's screen, or let the reader show a new one.")
	case RegistrationLocation:
		return c.Operator("This reader cannot be set up for this store. Call IT.")
	}
	return err
}
