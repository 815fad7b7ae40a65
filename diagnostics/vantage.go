package diagnostics

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"storehub/netcheck"
	"storehub/readers"
)

// Sight is what became of a browser's request to a reader. A browser tells little: a
// refused connection and a certificate that it does not trust are one to it.
type Sight string

// The sights.
const (
	SightAnswered Sight = "answered" // something came back, whatever it was
	SightRejected Sight = "rejected" // it failed at once: refused, or not trusted; the browser does not say which
	SightSilent   Sight = "silent"   // nothing came back in time
	SightBlocked  Sight = "blocked"  // the browser asked nobody: the permission is denied
	SightUnknown  Sight = "unknown"  // it failed, late, and the browser does not say why
)

// PermissionDenied is Chrome's Local Network Access permission, refused.
const PermissionDenied = "denied"

// Vantage is what a browser on another device of the shop saw.
type Vantage struct {
	At     time.Time   `json:"at"`
	Addr   netip.Addr  `json:"address"`          // of the device, as the hub saw it or a person read it there; invalid: not known
	Near   readers.Tri `json:"near"`             // in one of the hub's own networks
	Own    bool        `json:"own,omitempty"`    // it is the hub's own machine
	Opened bool        `json:"opened"`           // the hub's page opened there; false: a person says that it did not
	Others bool        `json:"others,omitempty"` // another device had spoken to the hub within the hour
	HubMS  int         `json:"hub_ms,omitempty"` // median of its questions to the hub
	Lost   int         `json:"lost,omitempty"`   // of those, without an answer
	// Permission is granted, prompt or denied; "": the browser has none, or does not tell.
	Permission string          `json:"permission,omitempty"`
	Readers    []VantageReader `json:"readers,omitempty"`
}

// VantageReader is one reader as a browser sees it.
type VantageReader struct {
	Addr  netip.Addr `json:"address"`
	Sight Sight      `json:"sight"`
	MS    int        `json:"ms"`
}

// Joined is what a vantage point and the hub tell together. Code "": nothing is wrong,
// or it cannot be told; Sentence says which.
type Joined struct {
	Code     string
	Sentence string
	Targets  []string

	confidence float64
	title      string
	remedy     []string
	ruledOut   []string
	explains   bool // it is why the hub does not see readers
	doubts     bool // the hub's own guess of isolation: nobody sees those readers
}

// Join judges a vantage point by what the hub itself sees. It is a pure function.
func Join(in Input, v Vantage) Joined { return gather(in).join(v) }

func (f *facts) join(v Vantage) Joined {
	var j Joined
	switch {
	case v.Opened && v.Permission == PermissionDenied:
		j = Joined{Code: "browser_lan_denied", confidence: 0.85, Targets: v.targets(),
			Sentence: "the browser denies Local Network Access; what the network does there is not known"}
	case v.Own:
		j.Sentence = "this is the hub's own machine, so it says nothing about the network"
	case !v.Opened:
		j = f.joinClosed(v)
	case len(v.Readers) == 0:
		j.Sentence = "the hub answers there; no reader's address is known, so none was tried"
	case v.Near == readers.Yes:
		j = f.joinNear(v)
	default:
		j = f.joinFar(v)
	}
	who := "another device"
	if v.Addr.IsValid() {
		who = v.Addr.String()
	}
	j.Sentence = fmt.Sprintf("from %s at %s: %s", who, v.At.UTC().Format("15:04 UTC"), j.Sentence)
	return j
}

func (v Vantage) targets() []string {
	if !v.Addr.IsValid() {
		return nil
	}
	return []string{v.Addr.String()}
}

// joinClosed: a person says that the hub's page does not open there.
func (f *facts) joinClosed(v Vantage) Joined {
	seen, unseen := 0, 0
	for _, r := range f.readerAddrs() {
		switch tcp, _ := f.hubSees(r); tcp {
		case readers.Yes:
			seen++
		case readers.No:
			unseen++
		}
	}
	const closed = "the hub's page does not open, a person says"
	switch {
	case v.Near == readers.No:
		return Joined{Code: "reader_other_subnet", confidence: 0.8, title: "A till is in another network than the hub", Targets: v.targets(),
			Sentence: closed + ", and the address is in none of the hub's networks"}
	case v.Near == readers.Unknown:
		return Joined{Sentence: closed + "; whether it is kept apart, in another network, or shut out by the hub's own firewall is not known without its address"}
	case v.Others:
		return Joined{Code: "client_isolation", confidence: 0.75, Targets: v.targets(), title: "The network keeps a till apart",
			Sentence: closed + ", though it is in the hub's network", ruledOut: []string{"the hub's own firewall: other devices reached the hub within the hour"}}
	case seen > 0:
		return Joined{Code: "host_firewall", confidence: 0.6, Targets: v.targets(), title: "The hub's own packet filter may keep tills out",
			remedy:   []string{"Allow the port of listen in hub.yaml in, in this machine's firewall."},
			Sentence: closed + ", no other device has reached the hub within the hour, and the hub reaches readers; that this one device is kept apart is not ruled out: try a second one"}
	case unseen > 0:
		return Joined{Code: "client_isolation", confidence: 0.7, Targets: v.targets(),
			Sentence: closed + ", and the hub reaches no reader either, though all are in one network"}
	}
	return Joined{Sentence: closed + "; whether it is kept apart or shut out by the hub's own firewall is not known: no reader tells"}
}

// tally is how the two sights of the readers go together.
type tally struct {
	both, onlyHub, onlyThere, neither []string
	answered                          int // of onlyThere, beyond doubt
	mute, alive                       int // of onlyThere, by the hub's ARP
}

func (f *facts) tally(v Vantage) (t tally) {
	for _, r := range v.Readers {
		addr := r.Addr.String()
		tcp, arp := f.hubSees(r.Addr)
		there := r.Sight == SightAnswered || r.Sight == SightRejected
		switch {
		case tcp == readers.Yes && there:
			t.both = append(t.both, addr)
		case tcp == readers.Yes && r.Sight == SightSilent:
			t.onlyHub = append(t.onlyHub, addr)
		case tcp == readers.No && there:
			t.onlyThere = append(t.onlyThere, addr)
			if r.Sight == SightAnswered {
				t.answered++
			}
			switch arp {
			case readers.Yes:
				t.alive++
			case readers.No:
				t.mute++
			}
		case tcp == readers.No && r.Sight == SightSilent:
			t.neither = append(t.neither, addr)
		}
	}
	return t
}

// joinNear: the device is in the hub's own network, and reaches the hub.
func (f *facts) joinNear(v Vantage) Joined {
	t := f.tally(v)
	list := func(addrs []string) string { return strings.Join(addrs, ", ") }
	switch {
	case len(t.onlyThere) > 0 && t.mute > 0:
		return Joined{Code: "client_isolation", confidence: 0.8, Targets: t.onlyThere, explains: true, title: "The network keeps the hub and readers apart",
			Sentence: list(t.onlyThere) + " gives a sign of life there, and to the hub not even by ARP"}
	case len(t.onlyThere) > 0 && len(t.both) > 0:
		return Joined{Sentence: list(t.onlyThere) + " gives a sign of life there and not to the hub, which reaches others; why is not known"}
	case len(t.onlyThere) > 0:
		j := Joined{Code: "host_firewall", confidence: 0.85, Targets: t.onlyThere, explains: true,
			Sentence: list(t.onlyThere) + " gives a sign of life there and none to the hub"}
		if t.alive > 0 {
			j.ruledOut = []string{"client isolation: the hub hears those readers by ARP"}
		} else {
			j.confidence = 0.6
			j.Sentence += "; whether the hub hears them by ARP is not known, so client isolation is not ruled out"
		}
		if t.answered == 0 {
			j.confidence = min(j.confidence, 0.65)
		}
		return j
	case len(t.onlyHub) > 0 && len(t.both) == 0:
		j := Joined{Code: "client_isolation", confidence: 0.75, Targets: t.onlyHub, title: "The network keeps a till and the readers apart",
			Sentence: "the hub answers, and " + list(t.onlyHub) + ", which the hub reaches, does not",
			ruledOut: []string{"another network: the device is in the hub's", "the hub's own firewall: the device reaches the hub"}}
		if len(t.onlyHub) > 1 {
			j.confidence = 0.85
		}
		return j
	case len(t.onlyHub) > 0:
		return Joined{Sentence: list(t.both) + " gives a sign of life there, " + list(t.onlyHub) + " does not, and the hub reaches all of them; why is not known"}
	case len(t.neither) > 0 && len(t.both) == 0:
		return Joined{Sentence: list(t.neither) + " is silent there as it is to the hub; it may be switched off", doubts: true}
	case len(t.both) > 0:
		return Joined{Sentence: "hub and readers give a sign of life there"}
	}
	return Joined{Sentence: "the hub answers there; of the readers nothing can be told"}
}

// joinFar: the device is in another network than the hub, or nobody knows. A router may
// reject what a reader never saw, so that a failure at once tells nothing here.
func (f *facts) joinFar(v Vantage) Joined {
	var silent, answered []string
	for _, r := range v.Readers {
		switch tcp, _ := f.hubSees(r.Addr); {
		case r.Sight == SightAnswered:
			answered = append(answered, r.Addr.String())
		case r.Sight == SightSilent && tcp == readers.Yes:
			silent = append(silent, r.Addr.String())
		}
	}
	switch {
	case v.Near != readers.No && len(silent) > 0:
		return Joined{Sentence: strings.Join(silent, ", ") + " is silent there; whether the device is in the hub's network is not known"}
	case v.Near != readers.No:
		return Joined{Sentence: "whether the device is in the hub's network is not known"}
	case len(silent) > 0:
		return Joined{Code: "reader_other_subnet", confidence: 0.85, Targets: v.targets(), title: "A till is in another network than the readers",
			Sentence: "the device is in none of the hub's networks, and " + strings.Join(silent, ", ") + ", which the hub reaches, does not answer there",
			ruledOut: []string{"client isolation: the device is in another network altogether"}}
	case len(answered) > 0:
		return Joined{Sentence: "the device is in none of the hub's networks, and " + strings.Join(answered, ", ") + " answers there all the same"}
	}
	return Joined{Sentence: "the device is in none of the hub's networks; whether it reaches readers is not known"}
}

// readerAddrs are the readers that have a place on the LAN.
func (f *facts) readerAddrs() (out []netip.Addr) {
	for _, r := range f.Readers {
		if r.Probeable() {
			out = append(out, r.Addr)
		}
	}
	return out
}

// hubSees says whether the hub gets through to a reader's port, and whether it hears the
// reader by ARP. The registry's word on the port is newer than the probe's.
func (f *facts) hubSees(a netip.Addr) (tcp, arp readers.Tri) {
	p, asked := f.byName["reader/"+a.String()]
	asked = asked && p.Status != netcheck.Unknown && p.Status != netcheck.Skip
	if asked && str(p, "arp") != "" {
		arp = readers.Of(yes(p, "alive"))
	}
	for _, r := range f.Readers {
		if r.Addr == a && r.Reachable != readers.Unknown {
			tcp = r.Reachable
		}
	}
	if asked && (tcp == readers.Unknown || tcp == readers.No && str(p, "tcp") == "refused") {
		tcp = readers.Of(str(p, "tcp") == "connected" || str(p, "tcp") == "refused")
	}
	return tcp, arp
}

// withVantage adds to a rule what other devices of the shop show. Alone it is a warning:
// one device's trouble does not stop the shop.
func withVantage(code string, own func(*facts) *proof) func(*facts) *proof {
	return func(f *facts) *proof {
		p := own(f)
		if f.Hub == nil {
			return p
		}
		alone := p == nil
		for _, v := range f.Hub.Vantages {
			j := f.join(v)
			switch {
			case j.Code == code:
			case code == "client_isolation" && j.doubts && !alone:
				p.confidence = min(p.confidence, 0.6)
				p.evidence = append(p.evidence, j.Sentence)
				continue
			default:
				continue
			}
			if p == nil {
				p = &proof{severity: Warning, title: j.title, since: v.At, alone: true}
			}
			if alone && j.explains {
				p.alone = false
			}
			p.confidence = max(p.confidence, j.confidence)
			p.evidence = append(p.evidence, j.Sentence)
			p.ruledOut = append(p.ruledOut, j.ruledOut...)
			p.targets = append(p.targets, j.Targets...)
			if alone && len(p.remedy) == 0 {
				p.remedy = j.remedy
			}
		}
		return p
	}
}

func nothingOwn(*facts) *proof { return nil }
