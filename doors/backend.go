package doors

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// Call names one of Stripe's actions that a till may ask for and that is passed
// on at once or refused at once: it is never queued.
type Call string

// The calls. Parameters are Stripe's own, as a normalised form: every key in the
// spelling a[b][c], no value "null" or "NaN".
const (
	CreatePaymentIntent   Call = "create_payment_intent"
	RetrievePaymentIntent Call = "retrieve_payment_intent" // payment_intent
	UpdatePaymentIntent   Call = "update_payment_intent"   // payment_intent, receipt_email
	CreateSetupIntent     Call = "create_setup_intent"
	AttachPaymentMethod   Call = "attach_payment_method_to_customer" // payment_method
	CreateLocation        Call = "create_location"
	ListLocations         Call = "list_locations" // answers a bare JSON array
	RegisterReader        Call = "register_reader"
	RetrieveReader        Call = "retrieve_reader"        // reader
	ListReaders           Call = "list_readers"           // answers a bare JSON array
	ProcessPaymentIntent  Call = "process_payment_intent" // reader, payment_intent
	CancelAction          Call = "cancel_action"          // reader
	RefundPayment         Call = "refund_payment"         // reader, payment_intent, amount
	SetReaderDisplay      Call = "set_reader_display"     // reader, type, cart[…]
	PresentPaymentMethod  Call = "present_payment_method" // reader; test mode only
)

// Backend is what stands behind the doors. A refusal is an *[Error]; any other
// error means that nobody knows, and is answered as hq_unreachable (from Put, where
// headquarters is not asked, as internal).
// Implementations check scope and mode; the doors check shape.
type Backend interface {
	// Till says whose credential this is, or refuses with unauthorized.
	Till(ctx context.Context, credential string) (Till, error)

	// Trade takes a code that was shown to a person and returns what the till needs to
	// call, or refuses with pairing_code_refused. Whoever asks is not known yet.
	Trade(ctx context.Context, code string) (any, error)

	// ConnectionToken returns Stripe's terminal.connection_token as Stripe sent it.
	ConnectionToken(ctx context.Context, t Till) (json.RawMessage, error)

	// Stripe passes one call on and returns Stripe's object as Stripe sent it.
	// key is the till's Idempotency-Key, empty where the door has none.
	Stripe(ctx context.Context, t Till, c Call, key string, params url.Values) (json.RawMessage, error)

	// Put stores the operation under the till's key. When it returns without an
	// error the operation is on disk. The same key gives the same operation
	// again, in the state it has reached; another body under it is refused with
	// idempotency_key_reused. Put sets ID, Till, Mode, CreatedAt and State.
	Put(ctx context.Context, t Till, key string, op Operation) (Operation, error)

	// Await returns when the operation has an outcome or ctx ends, whichever is
	// first, with the operation as it then stands. The end of ctx is no error.
	Await(ctx context.Context, t Till, id string) (Operation, error)

	// Operation refuses with not_found, also for another till's operation
	// unless t may see all.
	Operation(ctx context.Context, t Till, id string) (Operation, error)

	// Operations lists, newest first, at most limit, those in state (all if empty).
	Operations(ctx context.Context, t Till, state State, limit int) ([]Operation, error)

	// Readers, Status, Diagnosis, Checklist and Receipt return values that are
	// encoded as JSON as they are.
	Readers(ctx context.Context, t Till) (any, error)
	Status(ctx context.Context, t Till) (any, error)
	Diagnosis(ctx context.Context, t Till) (any, error)
	Checklist(ctx context.Context, t Till) (any, error)
	Receipt(ctx context.Context, t Till, paymentIntent string) (any, error)

	// ReportReader takes in what a till says of a reader, named by id or serial
	// number, and returns the reader as it then stands. ReaderTimeline is how one
	// stood since then (zero: as far back as is kept). Both refuse with not_found.
	ReportReader(ctx context.Context, t Till, reader string, r ReaderReport) (any, error)
	ReaderTimeline(ctx context.Context, t Till, reader string, since time.Time) (any, error)

	// Events sends what happened after the event numbered after (0: from now
	// on, unless resume is true), calling send until it errs or ctx ends.
	Events(ctx context.Context, t Till, after uint64, resume bool, send func(Event) error) error
}

// ReaderReport is what a till's SDK tells it of a reader. What is absent is not
// known: it takes nothing back.
type ReaderReport struct {
	Connected *bool    `json:"connected,omitempty"` // whether this till's SDK holds it now
	Code      string   `json:"code,omitempty"`      // the SDK's error code, such as READER_BUSY
	Battery   *float64 `json:"battery,omitempty"`   // 0 to 1
	Charging  *bool    `json:"charging,omitempty"`
	Update    *float64 `json:"update,omitempty"`   // how far an update of its software is, 0 to 1; 1 is done
	Software  string   `json:"software,omitempty"` // what runs on it
	SDK       string   `json:"sdk,omitempty"`      // the SDK and its version
}

// Event is one line of the stream at /v1/events. Seq grows by one without gaps
// as long as the process lives; Data is encoded as JSON.
type Event struct {
	Seq  uint64 `json:"seq"`
	Type string `json:"type"` // operation.changed, operation.reversed, reader.changed, diagnosis.changed, …
	Till string `json:"-"`    // whose operation it is; empty: everyone's
	Data any    `json:"data"`
}
