package hq

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"storehub/doors"
)

// Stripe is what headquarters needs of Stripe. A *StripeError is an answer; any
// other error means that nobody knows whether there was an effect.
type Stripe interface {
	Mode() doors.Mode
	ConnectionToken(ctx context.Context, account, location string) (json.RawMessage, error)
	// Call performs one of the passed-through calls.
	Call(ctx context.Context, account string, c doors.Call, key string, params url.Values) (json.RawMessage, error)
	Capture(ctx context.Context, account, intent string, amount *int64, key, op string) (Intent, error)
	Cancel(ctx context.Context, account, intent, reason, key, op string) (Intent, error)
	Refund(ctx context.Context, account, intent string, amount *int64, key, op string) (RefundObject, error)
	// MailReceipt has Stripe send its receipt of a charge to an address; in test mode none is sent.
	MailReceipt(ctx context.Context, account, charge, email, key, op string) error
	Intents(ctx context.Context, account string, from, to time.Time) ([]Intent, error) // created in that time, with their charges
	Intent(ctx context.Context, account, intent string) (Intent, error)                // with its latest charge
	Refunds(ctx context.Context, account, intent string) ([]RefundObject, error)       // all pages
	IntentsByRef(ctx context.Context, account, ref string) ([]Intent, error)           // metadata[storehub_ref]
	Readers(ctx context.Context, account, location string) ([]json.RawMessage, error)
	Events(ctx context.Context, account, after string) ([]Event, error) // oldest first
	Verify(payload []byte, signature string, secrets []string) (Event, error)
	// WebhookEndpoints are the platform's own; Undelivered counts events of an account, created
	// after and not after those times, that Stripe could not deliver (at most a hundred).
	WebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, error)
	Undelivered(ctx context.Context, account string, kinds []string, after, until time.Time) (int, error)
	// Configuration is what the readers of a Location are told; LocationsWith lists whose own one it is.
	Configuration(ctx context.Context, account, location string) (Configuration, error)
	LocationsWith(ctx context.Context, account, configuration string) ([]string, error)
	Configure(ctx context.Context, account, id, key string, form url.Values) (string, error) // id "": a new one; returns its id
	Assign(ctx context.Context, account, location, configuration, key string) error
	// CountReads has f called before each request that only reads, with its account.
	CountReads(f func(account string))
	// Restricted refuses a key that can do more than headquarters in a shop may.
	Restricted(ctx context.Context) error
}

// StripeError is an answer of Stripe's that is a refusal or a trouble of its own.
type StripeError struct {
	Status      int
	Type        string
	Code        string
	DeclineCode string
	Message     string
	RequestID   string
	Replayed    bool // Idempotent-Replayed: true
	// Ours: headquarters refused itself, before Stripe was asked, because the rights
	// to ask are used up. RetryAfter is when it may be worth asking again.
	Ours       bool
	RetryAfter time.Duration
}

// Error gives Stripe's code and sentence.
func (e *StripeError) Error() string { return e.Type + " " + e.Code + ": " + e.Message }

// Intent is what headquarters reads of a PaymentIntent.
type Intent struct {
	ID             string
	Status         string
	Amount         int64
	Received       int64 // amount_received
	Capturable     int64
	Currency       string
	CaptureBefore  time.Time // zero: not told
	Location       string    // latest_charge…card_present.location
	CaptureMethod  string
	MethodType     string // card_present, interac_present, …
	Metadata       map[string]string
	LatestCharge   string
	AmountRefunded int64
	Created        time.Time
	Raw            json.RawMessage
}

// RefundObject is what headquarters reads of a Refund.
type RefundObject struct {
	ID       string
	Status   string
	Amount   int64
	Currency string
	Reason   string // failure_reason
	Metadata map[string]string
	Created  time.Time
	Raw      json.RawMessage
}

// Configuration is what readers of a Location are told. It holds secrets.
type Configuration struct {
	ID      string          // of the Location's own; "": it has none
	Own     json.RawMessage // over the default, part by part
	Default json.RawMessage // the account's
}

// WebhookEndpoint is an address that Stripe sends events to.
type WebhookEndpoint struct {
	URL    string
	Status string // enabled, disabled
	Events []string
}

// Event is one of Stripe's events.
type Event struct {
	ID       string
	Type     string
	Created  time.Time
	Livemode bool
	Account  string
	Object   json.RawMessage
}

// verdict is what an answer of Stripe's, or its absence, says about the effect.
type verdict int

const (
	inDoubt  verdict = iota // no answer, or one that does not tell: repeat the same key
	definite                // the key's answer stands for as long as Stripe keeps it
	effected                // done
)

// judgeAnswer says what err, from a write at Stripe, means for its key. Stripe
// keeps and replays errors too: a 5xx that comes back as a replay will come back
// for ever, while a first one may hide an effect. 401 and 403 are about our
// key, not about the payment, and are answered before anything is stored.
func judgeAnswer(err error) verdict {
	if err == nil {
		return effected
	}
	var e *StripeError
	if !errors.As(err, &e) {
		return inDoubt
	}
	switch {
	case e.Status == http.StatusConflict, e.Status == http.StatusTooManyRequests,
		e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return inDoubt
	case e.Status >= 500 && !e.Replayed:
		return inDoubt
	default:
		return definite
	}
}

// refusalOf says whether err is Stripe's refusal of that status.
func refusalOf(err error, status int) bool {
	var e *StripeError
	return errors.As(err, &e) && e.Status == status
}

// livesInTheOtherMode reports whether Stripe refused because the account has the
// object in the mode that is not ours ("No such payment_intent: 'pi_…'; a similar object
// exists in test mode, but a live mode key was used to make this request."). There is no
// code for it, and words may change: false means that Stripe did not say so.
func livesInTheOtherMode(err error, ours doors.Mode) bool {
	other := doors.Test
	if ours == doors.Test {
		other = doors.Live
	}
	var e *StripeError
	return errors.As(err, &e) && e.Status == http.StatusNotFound &&
		strings.Contains(e.Message, "a similar object exists in "+string(other)+" mode")
}

// refusedHere reports whether Stripe was not even asked.
func refusedHere(err error) bool {
	var e *StripeError
	return errors.As(err, &e) && e.Ours
}

// troubleReason is the code a till sees while Stripe does not help.
func troubleReason(err error) string {
	var e *StripeError
	switch {
	case !errors.As(err, &e):
		return "stripe_unreachable"
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return "stripe_key_refused"
	case e.Status == http.StatusTooManyRequests:
		return "stripe_busy"
	default:
		return "stripe_failing"
	}
}
