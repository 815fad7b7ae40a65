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
	Busy       Tri           // an action waits for the customer; only FromStripe
	Reachable  Tri           // TCP 4443 answered; only FromProbe
	Refused    bool          // something is there and refused it; only FromProbe
	Near       Tri           // the address is in one of the hub's own networks; only FromProbe
	Present    Tri           // something has the address, by ARP; only FromProbe
	RTT        time.Duration // only FromProbe
	LastSeen   time.Time     // Stripe's last_seen_at; zero: not told
	Report     *Report       // only FromTill
	At         time.Time     // when it was observed
}

// Report is what a till says of a reader that it uses: what its SDK tells it and
// nobody else sees. Empty fields say nothing.
type Report struct {
	Till      string   `json:"till"`
	Connected Tri      `json:"connected"`          // whether this till's SDK holds the reader now
	Code      string   `json:"code,omitempty"`     // the SDK's error code, such as READER_BUSY
	Battery   *float64 `json:"battery,omitempty"`  // 0 to 1
	Charging  Tri      `json:"charging"`           //
	Update    *float64 `json:"update,omitempty"`   // how far an update of its software is, 0 to 1; 1 is done
	Software  string   `json:"software,omitempty"` // what runs on it
	SDK       string   `json:"sdk,omitempty"`      // the SDK and its version
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
	Why              Why           `json:"why,omitempty"`    // the cause, where the evidence shows one
	Reason           string        `json:"reason,omitempty"` // what State rests on, in words
	BusySince        time.Time     `json:"busy_since,omitzero"`
	Online           Tri           `json:"online"`    // Stripe's word
	Reachable        Tri           `json:"reachable"` // TCP 4443 answers on the LAN
	Near             Tri           `json:"near"`      // its address is in one of the hub's own networks
	RTT              time.Duration `json:"rtt_ns,omitempty"`
	LastSeen         time.Time     `json:"last_seen,omitzero"`
	AddressChanges   int           `json:"address_changes"`
	AddressChangedAt time.Time     `json:"address_changed_at,omitzero"`
	PreviousAddr     netip.Addr    `json:"previous_address,omitzero"`
	StripeAddr       netip.Addr    `json:"stripe_address,omitzero"` // Stripe's word on it, where that is disproved
	Holder           Holder        `json:"holder"`                  // what has hold of it now
	HeldBy           string        `json:"held_by,omitempty"`       // the till whose SDK is connected to it, by its own word
	Battery          *float64      `json:"battery"`                 // 0 to 1; null: not known
	Charging         Tri           `json:"charging"`
	Updating         *float64      `json:"updating,omitempty"` // how far an update is; absent: none is known to run
	SDK              string        `json:"sdk,omitempty"`      // of the till that reported last
	LastError        string        `json:"last_error,omitempty"`
	LastErrorAt      time.Time     `json:"last_error_at,omitzero"`

	night   bool // it is the hour at which readers restart
	freed   bool // the till that held it last says that it let go
	refused bool // the newest probe was
	absent  bool // and nobody has its address
	heard   bool // Stripe has heard from it since it fell silent here
	lively  bool // Stripe calls it offline and goes on hearing from it
	shared  int  // so many readers answer here, and Stripe calls all of them offline
}

// Holder is what has hold of a reader. Only one thing at a time can.
type Holder = string

// The holders. Of tills that do not report it is unknown whether one is connected.
const (
	HeldBySDK          Holder = "sdk"           // a till's, named by HeldBy
	HeldByServerDriven Holder = "server_driven" // an action waits there, since BusySince
	HeldByNobody       Holder = "nobody"        // the till that was connected has let go
	HeldUnknown        Holder = "unknown"
)

func (r Reader) holder() Holder {
	switch {
	case !r.BusySince.IsZero():
		return HeldByServerDriven
	case r.HeldBy != "":
		return HeldBySDK
	case r.freed:
		return HeldByNobody
	}
	return HeldUnknown
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

// Why is what keeps a reader from work, in one word.
type Why = string

// The causes. Empty is a reader that works, or one of which the evidence shows none.
const (
	WhyPoweredOff    Why = "powered_off"    // off, unplugged or not on the network: silent here and at Stripe
	WhyMoved         Why = "moved"          // it works, at another address than the one that Stripe tells tills
	WhyNoInternet    Why = "no_internet"    // it answers here and Stripe does not hear of it
	WhyOtherSubnet   Why = "other_subnet"   // its address is in another network than the hub's
	WhyPortClosed    Why = "port_closed"    // what has its address refuses: it restarts, updates, or is another device
	WhySilentHere    Why = "silent_here"    // Stripe hears it and this network does not: kept apart, or it has moved
	WhyStripeOffline Why = "stripe_offline" // Stripe's word alone, or against what is seen here
	WhyRestarting    Why = "restarting"     // it is away at the hour at which readers restart and update
	WhyBusy          Why = "busy"           // it waits for a customer
	WhyUpdating      Why = "updating"       // a till says that its software is being replaced
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

// judge sets State, Why and Reason from what was seen.
func (r *Reader) judge() {
	r.Holder = r.holder()
	r.State, r.Why, r.Reason = r.verdict()
	if r.Updating != nil {
		r.Why, r.Reason = WhyUpdating, fmt.Sprintf("its software is being updated (%.0f %%)", *r.Updating*100)
		return
	}
	if r.night && (r.State == StateOffline || r.State == StateUnreachable) && r.Why != WhyOtherSubnet {
		r.Why, r.Reason = WhyRestarting, r.Reason+"; readers restart and update at this hour"
		return
	}
	if r.State == StateOnline && !r.BusySince.IsZero() {
		r.Why, r.Reason = WhyBusy, r.Reason+"; an action waits there since "+r.BusySince.UTC().Format("15:04:05 UTC")
	}
}

func (r *Reader) verdict() (state State, why Why, reason string) {
	if r.Mobile() {
		if r.HeldBy != "" {
			return StateOnline, "", fmt.Sprintf("till %q is connected to it", r.HeldBy)
		}
		return StateUnknown, "", "mobile readers report no status of their own, and no till says that it is connected"
	}
	stripe := map[Tri]string{Yes: "Stripe says online", No: "Stripe says offline", Unknown: "Stripe's word is not known"}[r.Online]
	switch r.Reachable {
	case Yes:
		switch r.Online {
		case Yes:
			if r.StripeAddr.IsValid() {
				return StateOnline, WhyMoved, fmt.Sprintf("%s, and it answers at %s; Stripe still tells tills %s", stripe, r.Addr, r.StripeAddr)
			}
			return StateOnline, "", fmt.Sprintf("%s, and it answers at %s", stripe, r.Addr)
		case No:
			yet := fmt.Sprintf("%s, yet it answers at %s", stripe, r.Addr)
			switch {
			case r.lively:
				return StateOffline, WhyStripeOffline, yet + ", and Stripe goes on hearing from it"
			case r.shared > 1:
				return StateOffline, WhyStripeOffline, fmt.Sprintf("%s, and so do all %d that Stripe calls offline", yet, r.shared)
			}
			return StateOffline, WhyNoInternet, yet
		}
		return StateUnknown, "", fmt.Sprintf("it answers at %s, but Stripe's word is not known", r.Addr)
	case No:
		state, what := StateUnreachable, fmt.Sprintf("nothing answers at %s", r.Addr)
		if r.Online == No {
			state = StateOffline
		}
		switch {
		case r.refused:
			why, what = WhyPortClosed, fmt.Sprintf("what has %s refuses connections", r.Addr)
		case r.Near == No:
			why, what = WhyOtherSubnet, what+", which is in another network than the hub"
		case r.Online == No:
			why = WhyPoweredOff
		case r.absent && !r.heard:
			why, what = WhyPoweredOff, fmt.Sprintf("nobody has %s any more, and Stripe has not heard from it since", r.Addr)
		default:
			why = WhySilentHere
		}
		switch r.Online {
		case Yes:
			return state, why, stripe + ", but " + what
		case No:
			return state, why, stripe + ", and " + what
		}
		return state, why, what + ", and Stripe's word is not known"
	}
	switch r.Online {
	case Yes:
		return StateOnline, "", stripe
	case No:
		return StateOffline, WhyStripeOffline, stripe
	}
	return StateUnknown, "", stripe
}
