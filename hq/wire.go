// Package hq is the conversation between a hub and headquarters, both ends in
// one room: what is said (this file), the hub's end ([Client]) and the
// headquarters' end ([Server]).
package hq

import (
	"encoding/json"
	"time"

	"storehub/doors"
)

// Every request but Enrol carries "Authorization: Bearer <store credential>", and, of a hub
// that enrolled with a key, its signature (see proof.go).
// A refusal is {"error": doors.Error} with its status; anything else that is not
// 2xx, and any transport error, means that nobody knows.
//
//	POST /store/v1/enrol                      EnrolRequest -> Enrolment
//	GET  /store/v1/store                      -> Store
//	POST /store/v1/connection_tokens          TillRequest  -> Stripe's terminal.connection_token, as sent
//	POST /store/v1/stripe/{call}              StripeRequest -> Stripe's object, as sent
//	POST /store/v1/operations                 Submission -> Receipt (202)
//	GET  /store/v1/feed?epoch=&after=&wait=   -> Feed (long poll; wait in seconds, at most 50)
//	GET  /store/v1/chain?epoch=&after=&nonce= -> ChainPage
//	GET  /store/v1/readers                    -> ReaderList
//	PUT  /store/v1/tills                      TillBook     -> TillBook
//	POST /store/v1/resolutions                Resolutions  -> Resolutions
//	GET  /store/v1/evidence                   -> Evidence
//	PUT  /store/v1/report                     Report       -> Reported
//	PUT  /store/v1/certificate                CertificateRequest -> Certificate

// EnrolRequest trades a one-time code for a credential.
type EnrolRequest struct {
	Code        string `json:"code"`
	Fingerprint string `json:"fingerprint"` // of the machine; HQ remembers it
	Version     string `json:"version"`
	Replace     bool   `json:"replace,omitempty"` // end the hub that is on another machine
	// Key is the public half of a key that was made on the machine, in hexadecimal digits:
	// from then on each request is signed with it. "": none is.
	Key string `json:"key,omitempty"`
}

// Enrolment is what a hub keeps. Credential is a secret and is shown once.
type Enrolment struct {
	Store      Store  `json:"store"`
	Credential string `json:"credential"`
}

// Store is headquarters' record of one shop.
type Store struct {
	ID       string     `json:"id"`
	Location string     `json:"location"` // tml_…
	Mode     doors.Mode `json:"mode"`
	Account  string     `json:"account,omitempty"` // Connect account, acct_…
	Name     string     `json:"name,omitempty"`
	TimeZone string     `json:"time_zone"`
	DayEnds  string     `json:"day_ends"` // "04:00"
	// RefundLimit is what a till of scope pos may refund at once, in minor units of the
	// payment's currency; 0: nothing.
	RefundLimit int64 `json:"refund_limit,omitempty"`
	// HeadKey is what headquarters signs heads of the submit chain with (see [Head]).
	// A hub keeps the first it hears of, until it is enrolled anew.
	HeadKey string `json:"head_key,omitempty"`
	// HubName is the public name for which headquarters has the hub's key signed; "": none.
	HubName string `json:"hub_name,omitempty"`
	// Offline is offline.enabled in the Location's effective configuration at Stripe,
	// one of the constants below; "": not known.
	Offline string `json:"offline,omitempty"`
	// UpdateWindow is reboot_window in the same Configuration, its hours such as "02-05";
	// "": not known, and Stripe's own holds.
	UpdateWindow string `json:"update_window,omitempty"`
}

// Whether readers of a Location may take payments offline.
const (
	OfflineOn  = "on"
	OfflineOff = "off"
)

// TillRequest names who asks; headquarters answers for the store's location.
type TillRequest struct {
	Till doors.Till `json:"till"`
}

// StripeRequest is one passed-through call with a normalised form.
type StripeRequest struct {
	Till   doors.Till          `json:"till"`
	Key    string              `json:"key,omitempty"` // the till's Idempotency-Key
	Params map[string][]string `json:"params"`
}

// Submission offers operations in the order of their numbers. Numbers are the
// hub's, without gaps, from 1; Head is the submit chain's hash before the first
// of them (see [Chain]).
type Submission struct {
	Epoch      string      `json:"epoch"` // "" when the hub has none yet
	Head       string      `json:"head"`
	Operations []Submitted `json:"operations"`
}

// Submitted is one operation on its way. AgeMS is how long ago the till first
// mentioned it, so that no wall clock has to agree.
type Submitted struct {
	Number    uint64          `json:"number"`
	ID        string          `json:"id"`
	Kind      doors.Kind      `json:"kind"`
	Ref       string          `json:"ref"`
	Amount    *int64          `json:"amount,omitempty"`
	Currency  string          `json:"currency,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Till      string          `json:"till"`
	Mode      doors.Mode      `json:"mode"`
	CreatedAt time.Time       `json:"created_at"`
	AgeMS     int64           `json:"age_ms"`
	// Erased says that the hub has destroyed the key of Data, which is absent: what is
	// offered is not compared with what is recorded.
	Erased bool `json:"erased,omitempty"`
	// Set when an operation that has its outcome is offered again to a
	// headquarters that forgot it.
	Settled *Item `json:"settled,omitempty"`
}

// Receipt means that headquarters has every operation of the submission on its disk.
type Receipt struct {
	Epoch           string `json:"epoch"`
	AcceptedThrough uint64 `json:"accepted_through"`
	Head            string `json:"head"` // the submit chain's hash at AcceptedThrough
}

// Feed is a store's numbered outcomes and events, without gaps within an epoch.
type Feed struct {
	Epoch           string `json:"epoch"`
	AcceptedThrough uint64 `json:"accepted_through"`
	Head            string `json:"head"`
	Items           []Item `json:"items"`
}

// Item is one line of the feed. Type "operation" carries the state of an
// operation: accepted (with reason, unknown or deadline), succeeded or failed.
// Type "reversal" adds Reversal. Type "event" carries one of Stripe's events
// that concerns the store (Event, Object); "finding" one of headquarters' that a
// person must look at before a deadline; "policy" what was decided for the shop, the
// last line of which holds.
type Item struct {
	Seq      uint64          `json:"seq"`
	Type     string          `json:"type"`
	At       time.Time       `json:"at"`
	ID       string          `json:"id,omitempty"` // operation id
	State    doors.State     `json:"state,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Message  string          `json:"message,omitempty"`
	Unknown  *doors.Unknown  `json:"unknown,omitempty"`
	Deadline *time.Time      `json:"deadline,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Reversal json.RawMessage `json:"reversal,omitempty"`
	Event    string          `json:"event,omitempty"`  // Stripe's event type
	Object   json.RawMessage `json:"object,omitempty"` // {"id":…,"object":…,"status":…}, never the whole
	Policy   json.RawMessage `json:"policy,omitempty"` // a ShopPolicy
}

// Resolutions tells what persons in the shop have seen to. It may be told again.
type Resolutions struct {
	Resolutions []Resolution `json:"resolutions"`
}

// Resolution is that a person settled a failure of money: who, when, and how.
type Resolution struct {
	ID   string    `json:"id"` // operation id
	By   string    `json:"by"`
	Note string    `json:"note"`
	At   time.Time `json:"at"`
}

// ReaderList is the store's readers as Stripe last told headquarters.
type ReaderList struct {
	At      time.Time         `json:"at"`                 // when Stripe said so
	AgainMS int64             `json:"again_ms,omitempty"` // when Stripe will be asked again, in ms from now; 0: not told
	Readers []json.RawMessage `json:"readers"`

	// Software is what readers of the whole fleet run; a headquarters need not tell it.
	Software []Software `json:"software,omitempty"`
}
