package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"storehub/doors"
	"storehub/readers"
)

// RegisterRequest names a reader by the code that it shows on its screen.
type RegisterRequest struct {
	Code  string `json:"code"`
	Label string `json:"label"` // "" of one that replaces another: that one's
	// Replaces is the serial number or id of a reader whose label and tills the new
	// one takes over.
	Replaces string `json:"replaces,omitempty"`
}

// register passes a registration on and returns Stripe's reader. The Location is
// headquarters' to fill in.
func (h *Hub) register(ctx context.Context, r RegisterRequest) (json.RawMessage, error) {
	if r.Code == "" {
		return nil, doors.ErrMissingField.With("code is required")
	}
	var old readers.Reader
	if r.Replaces != "" {
		var known bool
		if old, known = h.fleet.reader(r.Replaces); !known {
			return nil, doors.ErrNotFound.With("no reader %s here that could be replaced", r.Replaces)
		}
		if r.Label == "" {
			r.Label = old.Label
		}
	}
	t := admin
	if s := h.store.Load(); s != nil {
		t.Mode = s.Mode
	}
	params := url.Values{"registration_code": {r.Code}}
	if r.Label != "" {
		params.Set("label", r.Label)
	}
	raw, err := h.Stripe(ctx, t, doors.RegisterReader, "", params)
	if err != nil || old.Serial == "" {
		return raw, err
	}
	var made struct {
		Serial string `json:"serial_number"`
	}
	if err := json.Unmarshal(raw, &made); err != nil || made.Serial == "" {
		return raw, nil // it is registered: its tills can be told by hand
	}
	for _, till := range h.lanes.at(old.Serial) {
		if _, err := h.lanes.pin(till, made.Serial); err != nil {
			h.log.Error("pin the reader that replaces another", "till", till, "reader", made.Serial, "err", err)
		}
	}
	return raw, nil
}

// The ways in which a registration is refused.
var (
	serialForm = regexp.MustCompile(`^(?i)([a-z]{2,4}[0-9]{9,}[a-z0-9]*|[0-9]{8,}|[0-9]{3}-[0-9]{3}-[0-9]{3})$`)
	codeForm   = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)+$`)
)

// NotACode says why what somebody typed cannot be the code of a reader; "" if it may be.
func NotACode(code string) string {
	switch {
	case serialForm.MatchString(code):
		return fmt.Sprintf("%q looks like a serial number; the code is three words that the reader shows", code)
	case !codeForm.MatchString(code):
		return fmt.Sprintf("%q does not look like a code; it is three words with hyphens between, such as quick-brown-fox", code)
	}
	return ""
}

// RegistrationWords says what is wrong with a code that Stripe refused, and what to
// do; see [doors.ReadRegistration].
func RegistrationWords(err error) (wrong, do string) {
	refusal, ok := errors.AsType[*doors.Error](err)
	if !ok || refusal.Status >= 500 || refusal.Code != doors.ErrStripeRefused.Code {
		return "", ""
	}
	const again = "on the reader: Settings, Generate pairing code; then run this again within a minute"
	switch doors.ReadRegistration(refusal.Message) {
	case doors.RegistrationLocation:
		return "Stripe does not take this store's location for the reader", "compare the store's location and account at headquarters: hq store list"
	case doors.RegistrationExpired:
		return "the code has expired: a reader's code is good for about a minute", again
	case doors.RegistrationUsed:
		return "the code was used already, or its reader is registered already", "look for it with hub readers list; one that is another shop's or account's is deleted there first (Dashboard, Terminal, Readers), then shows a new code"
	case doors.RegistrationUnknown:
		return "no reader shows this code: it is mistyped, too old or used", "compare it with the reader's screen, word by word; else " + again
	}
	return "", again
}
