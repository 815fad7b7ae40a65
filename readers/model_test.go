package readers

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRegistryAgainstModel walks at random and holds, after each step, what must
// be true of any registry, and that a listener who only hears OnChange knows as
// much as one who looks.
func TestRegistryAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type heardOf struct {
			online, reachable Tri
			moves             int
			busy              bool
		}
		known := map[string]heardOf{} // what the changes told, by serial
		moves := map[string]int{}
		r := &Registry{}
		r.OnChange = func(x Reader, what string) {
			h, ok := known[x.Serial]
			if (what == ChangeNew) == ok {
				t.Fatalf("%s %s, known before: %v", x.Serial, what, ok)
			}
			switch what {
			case ChangeNew:
				h = heardOf{x.Online, x.Reachable, 0, !x.BusySince.IsZero()}
				moves[x.Serial] = 0
			case ChangeGone:
				delete(known, x.Serial)
				return
			case ChangeOnline:
				h.online = Yes
			case ChangeOffline:
				h.online = No
			case ChangeUnknown:
				h.online = Unknown
			case ChangeMoved:
				h.moves++
				if x.PreviousAddr == x.Addr {
					t.Fatalf("%s moved from %s to itself", x.Serial, x.Addr)
				}
			case ChangeBusy, ChangeIdle:
				h.busy = what == ChangeBusy
			case ChangeReachable, ChangeUnreachable:
				h.reachable = Of(what == ChangeReachable)
			case ChangeCause:
			default:
				t.Fatalf("unheard of: %q", what)
			}
			known[x.Serial] = h
		}
		now := noon
		serial := rapid.SampledFrom([]string{"A", "B", "C"})
		tri := rapid.SampledFrom([]Tri{Yes, No, Unknown})
		address := rapid.Custom(func(t *rapid.T) netip.Addr {
			switch n := rapid.IntRange(0, 5).Draw(t, "last"); n {
			case 0:
				return netip.Addr{}
			case 1:
				return netip.IPv4Unspecified()
			default:
				return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
			}
		})
		device := rapid.SampledFrom([]string{"", "stripe_s700", "simulated_wisepos_e", "stripe_m2"})
		line := rapid.Custom(func(t *rapid.T) Observation {
			s := serial.Draw(t, "serial")
			return Observation{Source: FromStripe, Serial: s, ID: "tmr_" + s, DeviceType: device.Draw(t, "device"),
				Addr: address.Draw(t, "addr"), Online: tri.Draw(t, "online"), Busy: tri.Draw(t, "busy")}
		})
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "seconds")) * time.Second)
			},
			"stripe": func(t *rapid.T) {
				o := line.Draw(t, "line")
				o.At = now
				r.Observe(o)
			},
			"list": func(t *rapid.T) {
				r.Replace(now, rapid.SliceOfNDistinct(line, 0, 3, func(o Observation) string { return o.Serial }).Draw(t, "list"))
			},
			"probe": func(t *rapid.T) {
				r.Observe(Observation{Source: FromProbe, Serial: serial.Draw(t, "serial"), Addr: address.Draw(t, "addr"), Reachable: tri.Draw(t, "answer"), Refused: rapid.Bool().Draw(t, "refused"), Near: tri.Draw(t, "near"), Present: tri.Draw(t, "present"), At: now})
			},
			"till": func(t *rapid.T) {
				r.Observe(Observation{Source: FromTill, Serial: serial.Draw(t, "serial"), Addr: address.Draw(t, "addr"), At: now})
			},
			"neighbour": func(t *rapid.T) {
				r.Observe(Observation{Source: FromNeighbour, Addr: address.Draw(t, "addr"), MAC: "aa:bb:cc:dd:ee:ff", At: now})
			},
			"found": func(t *rapid.T) {
				r.Observe(Observation{Source: FromNeighbour, Serial: serial.Draw(t, "serial"), Addr: address.Draw(t, "addr"), MAC: "aa:bb:cc:dd:ee:ff", At: now})
			},
			"sweep": func(*rapid.T) { r.Sweep(now) },
			"": func(t *rapid.T) {
				seen := map[string]bool{}
				for _, x := range r.Snapshot() {
					h, ok := known[x.Serial]
					if seen[x.Serial] || !ok {
						t.Fatalf("%s twice or never told of", x.Serial)
					}
					seen[x.Serial] = true
					if err := invariant(x); err != nil {
						t.Fatalf("%v: %+v", err, x)
					}
					if h.online != x.Online || (x.Reachable != Unknown && h.reachable != x.Reachable) || h.moves != x.AddressChanges || h.busy == x.BusySince.IsZero() {
						t.Fatalf("told %+v, is %+v", h, x)
					}
				}
				if len(seen) != len(known) {
					t.Fatalf("told of %v, there are %v", known, seen)
				}
			},
		})
	})
}

// invariant is what is true of any reader at any time.
func invariant(x Reader) error {
	switch {
	case x.State == "" || x.Reason == "":
		return fmt.Errorf("no state or no reason for it")
	case (x.Simulated || x.Mobile()) && (x.Reachable != Unknown || x.State == StateUnreachable):
		return fmt.Errorf("judged by a probe that means nothing")
	case x.Reachable != Unknown && !x.Probeable():
		return fmt.Errorf("probed without an address")
	case x.RTT != 0 && x.Reachable != Yes:
		return fmt.Errorf("a round trip without an answer")
	case (x.AddressChanges > 0) != x.PreviousAddr.IsValid() || (x.AddressChanges > 0) == x.AddressChangedAt.IsZero():
		return fmt.Errorf("moves, time and previous address disagree")
	case x.Near != Unknown && !x.Probeable():
		return fmt.Errorf("placed without an address")
	case x.Why != "" && x.Why != WhyBusy && x.Why != WhyMoved && x.State == StateOnline:
		return fmt.Errorf("a cause of what is no trouble")
	case x.StripeAddr.IsValid() && x.StripeAddr == x.Addr:
		return fmt.Errorf("Stripe's word is disproved by itself")
	case x.State == StateOffline && x.Why == "":
		return fmt.Errorf("offline for no cause")
	case x.State == StateOnline && x.Online != Yes, x.State == StateOffline && x.Online != No:
		return fmt.Errorf("state is not Stripe's word")
	}
	return nil
}
