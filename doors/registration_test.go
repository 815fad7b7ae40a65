package doors

import (
	"net/http"
	"strings"
	"testing"
)

// Whoever stands before the reader reads what is wrong with its code, on both roads. What
// Stripe says in a code of its own, or in a sentence that nobody knows, is said as ever.
func TestARefusedReadersCodeIsToldInWords(t *testing.T) {
	for _, c := range []struct{ says, stripe, want string }{
		{"This registration code has expired.", "", "The reader's code has expired. Let the reader show a new one."},
		{"The registration code has already been used.", "", "The reader's code was used already, or the reader is registered already. Call IT."},
		{"No such registration code: 'a-b-c'", "resource_missing", "No reader shows this code. Compare it with the reader's screen, or let the reader show a new one."},
		{"The code is invalid, expired or was already used.", "", "No reader shows this code. Compare it with the reader's screen, or let the reader show a new one."},
		{"The location is of another account.", "", "This reader cannot be set up for this store. Call IT."},
		{"Nobody knows this sentence.", "", ErrStripeRefused.OperatorMessage},
		{"No such reader", "terminal_reader_hardware_fault", "The card reader is broken. Take another reader."},
	} {
		s := newShop()
		s.silent = &Error{Status: http.StatusPaymentRequired, Code: ErrStripeRefused.Code, Message: c.says, OperatorMessage: Words(c.stripe, ""), Stripe: c.stripe}
		h := Handler(s, Options{})
		w := call(h, post, "/v1/readers", `{"registration_code":"quick-brown-fox"}`, asManager, jsonBody)
		if !strings.Contains(w.Body.String(), `"operator_message":"`+c.want+`"`) {
			t.Errorf("%s: %d %s", c.says, w.Code, w.Body)
		}
		w = call(h, post, "/register_reader", "registration_code=quick-brown-fox", asManager, formBody)
		if !strings.HasPrefix(w.Body.String(), c.want+" (") {
			t.Errorf("%s: %d %s", c.says, w.Code, w.Body)
		}
	}
}
