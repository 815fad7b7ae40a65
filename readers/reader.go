// Package readers answers: which readers are in the shop?
//
// Many mouths tell of readers (Stripe's list by way of headquarters, probes on
// the LAN, the neighbour table, tills), one [Registry] listens. Readers do not
// announce themselves.
package readers

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Source is who saw a reader.
type Source string

// The sources of a sighting.
const (
	FromStripe    Source = "stripe"    // headquarters' list of Stripe's readers
	FromProbe     Source = "probe"     // TCP 4443 on the LAN
	FromNeighbour Source = "neighbour" // the kernel's neighbour table
	FromTill      Source = "till"      // a till's report
)

// Tri is yes, no, or not known. In JSON it is true, false or null.
type Tri int8

// The three answers.
const (
	Unknown Tri = 0
	Yes     Tri = 1
	No      Tri = -1
)

// Of turns a known answer into a Tri.
func Of(yes bool) Tri {
	if yes {
		return Yes
	}
	return No
}

// String gives yes, no or unknown.
func (t Tri) String() string {
	switch t {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return "unknown"
}

// MarshalJSON gives true, false or null.
func (t Tri) MarshalJSON() ([]byte, error) {
	switch t {
	case Yes:
		return []byte("true"), nil
	case No:
		return []byte("false"), nil
	}
	return []byte("null"), nil
}

// UnmarshalJSON takes true, false or null.
func (t *Tri) UnmarshalJSON(b []byte) error {
	var v *bool
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("read yes or no: %w", err)
	}
	*t = Unknown
	if v != nil {
		*t = Of(*v)
	}
	return nil
}

// Observation is one sighting. Empty fields say nothing.
type Observation struct {
	Source     Source
	Serial     string
	ID         string // tmr_…
	Label      string
	DeviceType string
	Software   string
	Addr       netip.Addr
	MAC        string
	Online     Tri           // Stripe's word; only FromStripe
	Reachable  Tri           // TCP 4443 answered; only FromProbe
	RTT        time.Duration // only FromProbe
	LastSeen   time.Time     // Stripe's last_seen_at; zero: not told
	At         time.Time     // when it was observed
}

// Reader is what the sightings of one serial number add up to. Its JSON is a
// line of GET /v1/readers.
type Reader struct {
	Serial           string        `json:"serial"`
	ID               string        `json:"id,omitempty"`
	Label            string        `json:"label"`
	DeviceType       string        `json:"device_type,omitempty"`
	Software         string        `json:"software,omitempty"`
	Simulated        bool          `json:"simulated,omitempty"`
	Addr             netip.Addr    `json:"address"` // "" while nobody has told one
	MAC              string        `json:"mac,omitempty"`
	State            State         `json:"state"`
	Reason           string        `json:"reason,omitempty"` // what State rests on, in words
	Online           Tri           `json:"online"`           // Stripe's word
	Reachable        Tri           `json:"reachable"`        // TCP 4443 answers on the LAN
	RTT              time.Duration `json:"rtt_ns,omitempty"`
	LastSeen         time.Time     `json:"last_seen,omitzero"`
	AddressChanges   int           `json:"address_changes"`
	AddressChangedAt time.Time     `json:"address_changed_at,omitzero"`
	PreviousAddr     netip.Addr    `json:"previous_address,omitzero"`
}

// State is a reader in one word. See [Reader.judge] for the rules.
type State = string

// The states of a reader.
const (
	StateOnline      State = "online"      // Stripe says online, and nothing on the LAN says otherwise
	StateOffline     State = "offline"     // Stripe says offline
	StateUnreachable State = "unreachable" // nothing answers at its address, and Stripe does not say offline
	StateUnknown     State = "unknown"     // nobody who could tell has told lately
)

// Mobile reports whether the reader hangs on a phone or tablet by Bluetooth, USB
// or as its own hardware: it has no address on the LAN, and Stripe calls it
// offline always.
func (r Reader) Mobile() bool {
	switch strings.TrimPrefix(r.DeviceType, "simulated_") {
	case "bbpos_chipper2x", "bbpos_wisepad3", "stripe_m2", "mobile_phone_reader":
		return true
	}
	return false
}

// simulated reports whether the reader exists at Stripe only. Those have no
// place on any LAN, so that a probe of one means nothing.
func (r Reader) simulated() bool {
	return strings.HasPrefix(r.DeviceType, "simulated_") || (r.Addr.IsValid() && r.Addr.IsUnspecified())
}

// Probeable reports whether the question "does it answer on the LAN?" makes sense.
func (r Reader) Probeable() bool { return r.Addr.IsValid() && !r.Simulated && !r.Mobile() }

// judge sets State and Reason from Online and Reachable.
func (r *Reader) judge() {
	switch {
	case r.Mobile():
		r.State, r.Reason = StateUnknown, "mobile readers report no status of their own"
	case r.Online == Yes && r.Reachable == No:
		r.State, r.Reason = StateUnreachable, fmt.Sprintf("Stripe says online, but nothing answers at %s", r.Addr)
	case r.Online == Yes && r.Reachable == Yes:
		r.State, r.Reason = StateOnline, fmt.Sprintf("Stripe says online, and it answers at %s", r.Addr)
	case r.Online == Yes:
		r.State, r.Reason = StateOnline, "Stripe says online"
	case r.Online == No && r.Reachable == Yes:
		r.State, r.Reason = StateOffline, fmt.Sprintf("Stripe says offline, yet it answers at %s", r.Addr)
	case r.Online == No && r.Reachable == No:
		r.State, r.Reason = StateOffline, fmt.Sprintf("Stripe says offline, and nothing answers at %s", r.Addr)
	case r.Online == No:
		r.State, r.Reason = StateOffline, "Stripe says offline"
	case r.Reachable == No:
		r.State, r.Reason = StateUnreachable, fmt.Sprintf("nothing answers at %s, and Stripe's word is not known", r.Addr)
	case r.Reachable == Yes:
		r.State, r.Reason = StateUnknown, fmt.Sprintf("it answers at %s, but Stripe's word is not known", r.Addr)
	default:
		r.State, r.Reason = StateUnknown, "Stripe's word is not known"
	}
}
