package readers

import (
	"net/netip"
	"time"
)

const (
	// heardAfter: the newest list may be half a minute old when a reader falls silent
	// here. What Stripe hears within that time is from before.
	heardAfter = 45 * time.Second
	// stripeNotices: Stripe calls a reader offline two minutes after its last word. One
	// that it still calls online later than this it hears.
	stripeNotices = 3 * time.Minute
)

// move takes over the address of a sighting. What was measured at another
// address says nothing about this one.
func (e *entry) move(o Observation) {
	if !o.Addr.IsValid() || o.At.Before(e.addrAt) {
		return
	}
	e.addrAt = o.At
	if e.Addr == o.Addr {
		return
	}
	if placed(e.Addr) && placed(o.Addr) {
		e.PreviousAddr, e.AddressChangedAt = e.Addr, o.At
		e.AddressChanges++
	}
	if e.Addr, e.MAC = o.Addr, o.MAC; e.Addr == e.StripeAddr {
		e.StripeAddr = netip.Addr{} // it is back where Stripe says it is
	}
	e.lose()
}

// found takes over the address at which the reader's own hardware address answers:
// Stripe's older word is disproved until it is another one.
func (e *entry) found(o Observation) {
	before := e.Addr
	e.move(o)
	if e.Addr == before {
		return
	}
	e.StripeAddr = netip.Addr{}
	if placed(e.toldAddr) && e.toldAddr != e.Addr {
		e.StripeAddr = e.toldAddr
	}
}

// lose forgets what probes have measured.
func (e *entry) lose() {
	e.Reachable, e.Near, e.RTT, e.misses = Unknown, Unknown, 0, 0
	e.refused, e.absent, e.heard, e.silentAt = false, false, false, time.Time{}
}

// probed takes in the answer of a probe, if it was one of the present address.
func (e *entry) probed(o Observation) {
	if o.Reachable == Unknown || o.At.Before(e.probedAt) || (o.Addr.IsValid() && o.Addr != e.Addr) {
		return
	}
	if o.Reachable == Yes {
		e.lose()
		e.probedAt, e.Near, e.Reachable, e.RTT = o.At, o.Near, Yes, o.RTT
		return
	}
	e.probedAt, e.Near = o.At, o.Near
	if e.misses++; e.silentAt.IsZero() {
		e.silentAt, e.lastThen = o.At, e.LastSeen
	}
	if o.Present != Unknown {
		e.absent = o.Present == No
	}
	// A refusal, and an address that nobody has, are no lost packets.
	if e.Reachable != Yes || e.misses >= missesToUnreachable || o.Refused || o.Present == No {
		e.Reachable, e.RTT, e.refused = No, 0, o.Refused
	}
	if e.misses >= missesToUnreachable {
		e.StripeAddr = netip.Addr{} // it is not where it was found either: Stripe's word counts again
	}
	e.listen()
}

// listen says whether Stripe has heard from the reader since it fell silent here,
// by Stripe's clock alone or by this machine's alone.
func (e *entry) listen() {
	e.heard = !e.silentAt.IsZero() && e.Online == Yes &&
		(e.LastSeen.Sub(e.lastThen) > heardAfter || e.toldAt.Sub(e.silentAt) > stripeNotices)
}

// share tells readers that Stripe calls offline and that answer here how many they
// are, if Stripe calls none that answers here online: one reader's own way to the
// internet is not what ails them all.
func (r *Registry) share() (changes []change) {
	n := 0
	for _, e := range r.entries {
		if e.Reachable != Yes {
			continue
		}
		if e.Online == Yes {
			n = 0
			break
		}
		if e.Online == No {
			n++
		}
	}
	for _, e := range r.entries {
		shared := 0
		if e.Reachable == Yes && e.Online == No {
			shared = n
		}
		if shared == e.shared {
			continue
		}
		before := e.Reader
		e.shared = shared
		e.judge()
		changes = append(changes, compare(before, e.Reader)...)
	}
	return changes
}

// placed reports whether an address can be moved from and to.
func placed(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() }
