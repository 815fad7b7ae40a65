package sandbox

import (
	"net/netip"
	"strings"
	"time"
)

type reader struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	Action          *action           `json:"action"`
	DeviceSwVersion *string           `json:"device_sw_version"`
	DeviceType      string            `json:"device_type"`
	IPAddress       string            `json:"ip_address"`
	Label           string            `json:"label"`
	LastSeenAt      *int64            `json:"last_seen_at"` // milliseconds
	Livemode        bool              `json:"livemode"`
	Location        *string           `json:"location"`
	Metadata        map[string]string `json:"metadata"`
	SerialNumber    string            `json:"serial_number"`
	Status          string            `json:"status"`
}

// readerRecord is a reader and what the test's hands do to it.
type readerRecord struct {
	reader
	State ReaderState `json:"_state"`
}

func (rd *readerRecord) ident() string { return rd.ID }

// ReaderState is what befalls a simulated reader. The zero value is a reader
// that is online and idle.
type ReaderState struct {
	Offline  bool `json:"offline,omitempty"`   // Stripe hears nothing of it; actions: terminal_reader_offline
	Gone     bool `json:"gone,omitempty"`      // without power or network: last_seen_at stands still, and it is offline once Stripe notices
	Busy     bool `json:"busy,omitempty"`      // its menu is open, or it updates; actions: terminal_reader_busy
	TimesOut bool `json:"times_out,omitempty"` // process_payment_intent: terminal_reader_timeout, though the reader got the action
	Stuck    bool `json:"stuck,omitempty"`     // a card presented takes its effect, the action stays in_progress without an event

	// When it stored, without a line, the payments that it forwards now; zero: it pays online.
	StoredAt time.Time `json:"stored_at,omitzero"`

	Address  netip.Addr `json:"address,omitzero"`   // ip_address; invalid: 0.0.0.0, as simulated readers tell
	Software string     `json:"software,omitempty"` // device_sw_version; "": a recent one
	Device   string     `json:"device,omitempty"`   // device_type, such as stripe_s700 for a reader that is on a LAN; "": simulated, as registered
	Since    time.Time  `json:"since,omitzero"`     // when it went offline or away; set by SetReader
}

// noticed is how long Stripe calls a reader online after its last word.
const noticed = 2 * time.Minute

// silent reports whether Stripe hears nothing of the reader.
func (st ReaderState) silent() bool { return st.Offline || st.Gone }

// offline reports whether Stripe calls it offline.
func (st ReaderState) offline(now time.Time) bool {
	return st.Offline || st.Gone && now.Sub(st.Since) >= noticed
}

// SetReader puts a reader into a state; false: there is no such reader.
func (s *Sandbox) SetReader(id string, st ReaderState) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rd, ok := s.st.Readers.get(id)
	if !ok {
		return false
	}
	st.Since = time.Time{}
	if st.silent() {
		st.Since = s.now()
		if rd.State.silent() {
			st.Since = rd.State.Since
		}
	}
	rd.State = st
	s.keeper.changed()
	return true
}

// software is what a reader runs when its state does not say.
const software = "2.44.1.0"

// readerWire is the reader as it stands now.
func (s *Sandbox) readerWire(rd *readerRecord) any {
	out := rd.reader
	version := firstOf(rd.State.Software, software)
	seen := s.now().UnixMilli()
	out.Status = "online"
	if rd.State.silent() {
		seen = rd.State.Since.UnixMilli()
	}
	if rd.State.offline(s.now()) {
		out.Status = "offline"
	}
	out.DeviceSwVersion, out.LastSeenAt, out.IPAddress = &version, &seen, "0.0.0.0"
	if rd.State.Address.IsValid() {
		out.IPAddress = rd.State.Address.String()
	}
	out.DeviceType = firstOf(rd.State.Device, out.DeviceType)
	return out
}

// simulated are the registration codes that make a reader in test mode.
var simulated = map[string]struct{ device, serial string }{
	"simulated-wpe":  {"simulated_wisepos_e", "simulated-wpe-"},
	"simulated-s700": {"simulated_stripe_s700", "simulated-s700-"},
	"simulated-s710": {"simulated_stripe_s710", "simulated-s710-"},
}

// inShops are the readers that stand for simulated ones in live mode.
var inShops = map[string]string{
	"simulated_wisepos_e":   "bbpos_wisepos_e",
	"simulated_stripe_s700": "stripe_s700",
	"simulated_stripe_s710": "stripe_s710",
}

func (s *Sandbox) createReader(c *call) (any, *apiError) {
	code, label, where := c.need("registration_code"), c.text("label"), c.text("location")
	meta := c.metadata(nil)
	if e := c.begin(); e != nil {
		return nil, e
	}
	kind, ok := simulated[strings.ToLower(code)]
	if s.live {
		kind.device = inShops[kind.device]
	}
	if !ok || s.live && c.restricted {
		return nil, invalid("", "registration_code", "No reader shows this registration code: it may be mistyped, or used, or too old.")
	}
	if _, ok := s.st.Locations.get(where); where != "" && !ok {
		return nil, noSuch("location", where, "location")
	}
	rd := &readerRecord{reader: reader{
		ID: s.id("tmr_", 14), Object: "terminal.reader", DeviceType: kind.device, Livemode: s.live,
		Location: optional(where), Metadata: meta,
	}}
	rd.SerialNumber = kind.serial + strings.ToLower(s.random(8)) + "-" + strings.ToLower(s.random(4))
	rd.Label = firstOf(label, rd.SerialNumber)
	s.st.Readers.add(rd)
	return s.readerWire(rd), nil
}

func (s *Sandbox) listReaders(c *call) (any, *apiError) {
	device, where, serial := c.text("device_type"), c.text("location"), c.text("serial_number")
	status := c.oneOf("status", "online", "offline")
	return page(c, "reader", &s.st.Readers,
		func(rd *readerRecord) bool {
			return (device == "" || rd.DeviceType == device) && (serial == "" || rd.SerialNumber == serial) &&
				(where == "" || rd.Location != nil && *rd.Location == where) &&
				(status == "" || (status == "offline") == rd.State.offline(s.now()))
		},
		func(rd *readerRecord) any { return s.readerWire(rd) })
}

// needReader finds the reader in the call's path.
func (s *Sandbox) needReader(c *call) (*readerRecord, *apiError) {
	rd, ok := s.st.Readers.get(c.ids[0])
	if !ok {
		return nil, noSuch("reader", c.ids[0], "")
	}
	return rd, nil
}

func (s *Sandbox) getReader(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.needReader(c)
	if e != nil {
		return nil, e
	}
	return s.readerWire(rd), nil
}

func (s *Sandbox) updateReader(c *call) (any, *apiError) {
	rd, e := s.needReader(c)
	if e != nil {
		return nil, e
	}
	label, meta := rd.Label, c.metadata(rd.Metadata)
	if c.given("label") {
		label = firstOf(c.text("label"), rd.SerialNumber)
	}
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd.Label, rd.Metadata = label, meta
	return s.readerWire(rd), nil
}

func (s *Sandbox) deleteReader(c *call) (any, *apiError) {
	if e := c.begin(); e != nil {
		return nil, e
	}
	rd, e := s.needReader(c)
	if e != nil {
		return nil, e
	}
	s.st.Readers.remove(rd.ID)
	return deleted{rd.ID, rd.Object, true}, nil
}
