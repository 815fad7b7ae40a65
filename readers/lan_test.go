package readers

import (
	"slices"
	"testing"
	"time"
)

const (
	placeA = "192.168.1.20"
	placeB = "192.168.1.44"
	macS1  = "02:00:00:00:00:31"
)

// heard is a line of Stripe's list with the time of S1's last word.
func heard(seconds int, online Tri, last int) Observation {
	o := told(seconds, online, placeA)
	o.LastSeen = at(last)
	return o
}

// gone is a probe that found nobody at the address, by ARP too.
func gone(seconds int, address string) Observation {
	o := probed(seconds, No, address)
	o.Present = No
	return o
}

// met is the neighbour table's word on S1.
func met(seconds int, address, mac string) Observation {
	return Observation{Source: FromNeighbour, Serial: "S1", Addr: addr(address), MAC: mac, At: at(seconds)}
}

// TestWhySaysWhatTheLANSays: what keeps a reader from work, before Stripe has noticed
// and against Stripe's word.
func TestWhySaysWhatTheLANSays(t *testing.T) {
	refuses := probed(20, No, placeA)
	refuses.Refused = true
	present := probed(20, No, placeA)
	present.Present = Yes
	for name, c := range map[string]struct {
		seen   []Observation
		state  State
		why    Why
		reason string
	}{
		"unplugged, and Stripe has not noticed": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), gone(20, placeA), heard(30, Yes, 19)},
			StateUnreachable, WhyPoweredOff, "Stripe says online, but nobody has 192.168.1.20 any more, and Stripe has not heard from it since"},
		"unplugged, and Stripe has noticed": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), gone(20, placeA), heard(150, No, 19)},
			StateOffline, WhyPoweredOff, "Stripe says offline, and nothing answers at 192.168.1.20"},
		"kept apart: Stripe goes on hearing it": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), gone(20, placeA), heard(80, Yes, 75)},
			StateUnreachable, WhySilentHere, "Stripe says online, but nothing answers at 192.168.1.20"},
		"kept apart: Stripe calls it online for long": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), gone(20, placeA), heard(201, Yes, 0)},
			StateUnreachable, WhySilentHere, "Stripe says online, but nothing answers at 192.168.1.20"},
		"somebody has its address and is silent": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), present, probed(30, No, placeA)},
			StateUnreachable, WhySilentHere, "Stripe says online, but nothing answers at 192.168.1.20"},
		"one refusal is no lost packet": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), refuses},
			StateUnreachable, WhyPortClosed, "Stripe says online, but what has 192.168.1.20 refuses connections"},
		"it came back": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), gone(20, placeA), probed(30, Yes, placeA)},
			StateOnline, "", "Stripe says online, and it answers at 192.168.1.20"},
		"Stripe calls it offline and goes on hearing it": {[]Observation{heard(0, No, 0), probed(10, Yes, placeA), heard(15, No, 14)},
			StateOffline, WhyStripeOffline, "Stripe says offline, yet it answers at 192.168.1.20, and Stripe goes on hearing from it"},
		"Stripe calls it offline and hears no more": {[]Observation{heard(0, Yes, 0), probed(10, Yes, placeA), heard(150, No, 14), heard(165, No, 14)},
			StateOffline, WhyNoInternet, "Stripe says offline, yet it answers at 192.168.1.20"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Registry
			for _, o := range c.seen {
				r.Observe(o)
			}
			if got := only(t, &r); got.State != c.state || got.Why != c.why || got.Reason != c.reason {
				t.Errorf("got %s, %q (%s), want %s, %q (%s)", got.State, got.Why, got.Reason, c.state, c.why, c.reason)
			}
		})
	}
}

// TestAReaderIsWhereItsHardwareAddressIs: Stripe's older word is disproved until it
// is another one, or the reader is not where it was found either.
func TestAReaderIsWhereItsHardwareAddressIs(t *testing.T) {
	r, changes := recorder()
	for _, o := range []Observation{told(0, Yes, placeA), probed(1, Yes, placeA), met(2, placeA, macS1), gone(10, placeA), met(11, placeB, macS1), probed(12, Yes, placeB)} {
		r.Observe(o)
	}
	r.Observe(told(15, Yes, placeA)) // Stripe repeats what it said
	x := only(t, r)
	if x.Addr != addr(placeB) || x.StripeAddr != addr(placeA) || x.PreviousAddr != addr(placeA) || x.AddressChanges != 1 || x.MAC != macS1 ||
		x.State != StateOnline || x.Why != WhyMoved || x.Reason != "Stripe says online, and it answers at 192.168.1.44; Stripe still tells tills 192.168.1.20" {
		t.Errorf("found: %+v", x)
	}
	if want := []string{"S1 new", "S1 reachable", "S1 unreachable", "S1 moved", "S1 reachable"}; !slices.Equal(*changes, want) {
		t.Errorf("told %v, want %v", *changes, want)
	}
	r.Observe(told(30, Yes, placeB)) // Stripe has learned it
	if x = only(t, r); x.Addr != addr(placeB) || x.StripeAddr.IsValid() || x.AddressChanges != 1 || x.Why != "" {
		t.Errorf("learned: %+v", x)
	}
	r.Observe(told(45, Yes, placeA)) // it goes back, and Stripe says so first
	if x = only(t, r); x.Addr != addr(placeA) || x.AddressChanges != 2 {
		t.Errorf("back: %+v", x)
	}
	for _, o := range []Observation{probed(46, Yes, placeA), met(47, placeA, macS1), gone(50, placeA), met(51, placeB, macS1), gone(60, placeB), gone(70, placeB), told(75, Yes, placeA)} {
		r.Observe(o)
	}
	if x = only(t, r); x.Addr != addr(placeA) || x.StripeAddr.IsValid() {
		t.Errorf("lost where it was found: %+v", x)
	}
	r.Observe(met(76, placeA, macS1))
	if r.Observe(met(77, placeB, macS1)); only(t, r).StripeAddr != addr(placeA) {
		t.Errorf("not found: %+v", only(t, r))
	}
	r.Observe(Observation{Source: FromTill, Serial: "S1", Addr: addr(placeA), At: at(300)}) // Stripe is silent, and a till sees it where Stripe had said
	if x = only(t, r); x.Addr != addr(placeA) || x.StripeAddr.IsValid() {
		t.Errorf("back where Stripe had said: %+v", x)
	}
	r.Observe(told(310, Yes, placeA))
	r.Observe(met(311, placeB, "02:00:00:00:00:99")) // somebody else
	if x = only(t, r); x.Addr != addr(placeA) {
		t.Errorf("a stranger's address was taken: %+v", x)
	}
}

// TestWhatAilsAllReadersIsNotOneReadersLine: of one that is offline at Stripe among
// others that are online it is; the change is told.
func TestWhatAilsAllReadersIsNotOneReadersLine(t *testing.T) {
	other := func(o Observation) Observation { o.Serial, o.ID = "S2", ""; return o }
	r, changes := recorder()
	for _, o := range []Observation{told(0, Yes, placeA), other(told(0, Yes, placeB)), probed(1, Yes, placeA), other(probed(1, Yes, placeB)), told(2, No, placeA)} {
		r.Observe(o)
	}
	why := func() (out []Why) {
		for _, x := range r.Snapshot() {
			out = append(out, x.Why)
		}
		return out
	}
	if got := why(); !slices.Equal(got, []Why{WhyNoInternet, ""}) {
		t.Errorf("one is offline: %q", got)
	}
	*changes = nil
	r.Observe(other(told(3, No, placeB)))
	if got := why(); !slices.Equal(got, []Why{WhyStripeOffline, WhyStripeOffline}) {
		t.Errorf("all are offline: %q", got)
	}
	if want := []string{"S2 offline", "S1 cause", "S2 cause"}; !slices.Equal(*changes, want) {
		t.Errorf("told %v, want %v", *changes, want)
	}
	r.Observe(other(told(4, Yes, placeB)))
	if got := why(); !slices.Equal(got, []Why{WhyNoInternet, ""}) {
		t.Errorf("the other is back: %q", got)
	}
	r.Sweep(at(4).Add(staleProbe + time.Second))
	if got := why(); !slices.Equal(got, []Why{"", ""}) {
		t.Errorf("nobody has looked for long: %q", got)
	}
}
