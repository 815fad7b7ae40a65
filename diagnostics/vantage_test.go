package diagnostics

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/netcheck"
	"storehub/readers"
)

// What the hub sees of one reader.
const (
	hubAnswered = "answers"
	hubRefused  = "refuses"
	hubDropped  = "drops" // alive by ARP, its port silent
	hubMute     = "mute"  // not even by ARP
	hubSilent   = "silent, ARP not asked"
	hubNotKnown = "not known"
)

// seenBy is what a hub knows whose readers, at 192.168.1.11 and on, are as said.
func seenBy(states ...string) Input {
	in := Input{At: at, Integration: "sdk-js", Net: &netcheck.Report{Results: []netcheck.Result{
		{Name: "gateway", Status: netcheck.Pass, Detail: "192.168.1.1 answers"}}}, Hub: &Hub{DiskFreeBytes: -1}}
	for i, state := range states {
		addr := readerAt(i)
		r := readers.Reader{ID: fmt.Sprint("tmr_", i), Addr: addr}
		p := netcheck.Result{Name: "reader/" + addr.String(), Status: netcheck.Warn, Evidence: map[string]any{"address": addr.String(), "tcp": "silent", "arp": "asked"}}
		switch state {
		case hubAnswered:
			r.Reachable, p.Status, p.Evidence["tcp"], p.Evidence["alive"] = readers.Yes, netcheck.Pass, "connected", true
		case hubRefused:
			r.Reachable, p.Code, p.Evidence["tcp"], p.Evidence["alive"] = readers.No, "reader_port_closed", "refused", true
		case hubDropped:
			r.Reachable, p.Code, p.Evidence["alive"] = readers.No, "reader_port_blocked", true
		case hubMute:
			r.Reachable, p.Status, p.Code, p.Evidence["alive"] = readers.No, netcheck.Fail, "reader_offline", false
		case hubSilent:
			r.Reachable = readers.No
		}
		in.Readers = append(in.Readers, r)
		if state != hubSilent && state != hubNotKnown {
			in.Net.Results = append(in.Net.Results, p)
		}
	}
	return in
}

func readerAt(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 1, byte(11 + i)}) }

// from is a browser that reached the hub and saw the readers so.
func from(addr string, near readers.Tri, sights ...Sight) Vantage {
	v := Vantage{At: at.Add(-time.Minute), Addr: netip.MustParseAddr(addr), Near: near, Opened: true, HubMS: 12, Permission: "granted"}
	for i, s := range sights {
		v.Readers = append(v.Readers, VantageReader{readerAt(i), s, 5})
	}
	return v
}

// TestTwoSightsOfOneReader is the whole matrix: what the hub sees, what the device sees,
// where the device is, and its browser's permission.
func TestTwoSightsOfOneReader(t *testing.T) {
	const isolation, other, filter, browser = "client_isolation", "reader_other_subnet", "host_firewall", "browser_lan_denied"
	sights := []Sight{SightAnswered, SightRejected, SightSilent, SightBlocked, SightUnknown}
	near := map[string]map[Sight]string{ // by what the hub sees; absent: nothing is proved
		hubAnswered: {SightSilent: isolation},
		hubRefused:  {SightSilent: isolation},
		hubDropped:  {SightAnswered: filter, SightRejected: filter},
		hubSilent:   {SightAnswered: filter, SightRejected: filter},
		hubMute:     {SightAnswered: isolation, SightRejected: isolation},
		hubNotKnown: {},
	}
	far := map[string]map[Sight]string{hubAnswered: {SightSilent: other}, hubRefused: {SightSilent: other}}
	rows := 0
	for hub := range near {
		for _, sight := range sights {
			for _, place := range []readers.Tri{readers.Yes, readers.No, readers.Unknown} {
				for _, permission := range []string{"granted", "prompt", "denied", ""} {
					want := ""
					switch {
					case permission == PermissionDenied:
						want = browser
					case place == readers.Yes:
						want = near[hub][sight]
					case place == readers.No:
						want = far[hub][sight]
					}
					v := from("192.168.1.77", place, sight)
					v.Permission = permission
					in := seenBy(hub)
					if got := Join(in, v); got.Code != want {
						t.Errorf("the hub: %s; %v there, near %v, permission %q: %q, want %q (%s)", hub, sight, place, permission, got.Code, want, got.Sentence)
					}
					in.Hub.Vantages = []Vantage{v}
					if r := Diagnose(in); want != "" && !slices.Contains(causes(r), want) {
						t.Errorf("the hub: %s; %v there, near %v, permission %q: the diagnosis says %v, want %s", hub, sight, place, permission, causes(r), want)
					}
					rows++
				}
			}
		}
	}
	if rows != 6*5*3*4 {
		t.Errorf("%d rows", rows)
	}
}

func TestSeveralReadersAndADeviceThatDoesNotOpen(t *testing.T) {
	closed := func(near readers.Tri, others bool) Vantage {
		v := Vantage{At: at, Addr: netip.MustParseAddr("192.168.1.77"), Near: near, Others: others}
		if near == readers.Unknown {
			v.Addr = netip.Addr{}
		}
		return v
	}
	own := from("192.168.1.5", readers.Yes, SightSilent)
	own.Own = true
	ownDenied := own
	ownDenied.Permission = PermissionDenied
	for _, tt := range []struct {
		name string
		in   Input
		v    Vantage
		code string
		says string
	}{
		{"two readers silent there alone", seenBy(hubAnswered, hubAnswered), from("192.168.1.77", readers.Yes, SightSilent, SightSilent), "client_isolation", "which the hub reaches"},
		{"one of two silent there", seenBy(hubAnswered, hubAnswered), from("192.168.1.77", readers.Yes, SightSilent, SightRejected), "", "why is not known"},
		{"one of two silent to the hub alone", seenBy(hubAnswered, hubDropped), from("192.168.1.77", readers.Yes, SightRejected, SightRejected), "", "why is not known"},
		{"nobody sees it", seenBy(hubMute), from("192.168.1.77", readers.Yes, SightSilent), "", "may be switched off"},
		{"all is well", seenBy(hubAnswered, hubAnswered), from("192.168.1.77", readers.Yes, SightRejected, SightAnswered), "", "give a sign of life"},
		{"no reader is known", seenBy(), from("192.168.1.77", readers.Yes), "", "none was tried"},
		{"another network that works", seenBy(hubAnswered), from("10.9.0.4", readers.No, SightAnswered), "", "all the same"},
		{"another network whose router may be the one that rejects", seenBy(hubAnswered), from("10.9.0.4", readers.No, SightRejected), "", "not known"},
		{"the hub's own machine", seenBy(hubAnswered), own, "", "own machine"},
		{"the hub's own machine, and its browser denies", seenBy(hubAnswered), ownDenied, "browser_lan_denied", "not known"},
		{"does not open, another network", seenBy(hubAnswered), closed(readers.No, true), "reader_other_subnet", "none of the hub's networks"},
		{"does not open, others do", seenBy(hubAnswered), closed(readers.Yes, true), "client_isolation", "does not open"},
		{"does not open, nobody did", seenBy(hubAnswered), closed(readers.Yes, false), "host_firewall", "not ruled out"},
		{"does not open, the hub sees nobody", seenBy(hubMute), closed(readers.Yes, false), "client_isolation", "no reader either"},
		{"does not open, no reader tells", seenBy(), closed(readers.Yes, false), "", "not known"},
		{"does not open, nobody says where", seenBy(hubAnswered), closed(readers.Unknown, true), "", "not known without its address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Join(tt.in, tt.v)
			if got.Code != tt.code || !strings.Contains(got.Sentence, tt.says) {
				t.Errorf("%q: %s", got.Code, got.Sentence)
			}
		})
	}
}

// One device's trouble is a warning and explains nothing the hub sees; what it shows
// beside the hub's own proof makes that surer, or less sure.
func TestAVantagePointStopsNoShop(t *testing.T) {
	in := seenBy(hubAnswered, hubAnswered)
	in.Hub.Vantages = []Vantage{from("192.168.1.77", readers.Yes, SightSilent, SightSilent)}
	r := Diagnose(in)
	if r.Verdict != Degraded || len(r.Causes) != 1 || r.Causes[0].Severity != Warning || !r.Causes[0].Since.Equal(at.Add(-time.Minute)) {
		t.Errorf("%s %+v", r.Verdict, r.Causes)
	}

	in = seenBy(hubDropped)
	in.Net.Results[1].Detail = "192.168.1.11 lives, but 4443 is silently dropped"
	in.Hub.Vantages = []Vantage{from("192.168.1.77", readers.Yes, SightAnswered)}
	r = Diagnose(in)
	if got := causes(r); !slices.Equal(got, []string{"host_firewall"}) || symptoms(r)["reader_port_blocked"] != "host_firewall" {
		t.Errorf("causes %v, symptoms %v", got, r.Symptoms)
	}

	// The hub alone guesses at isolation; a device beside it sees nobody either.
	in = seenBy(hubMute, hubMute)
	alone := Diagnose(in).Causes
	in.Hub.Vantages = []Vantage{from("192.168.1.77", readers.Yes, SightSilent, SightSilent)}
	both := Diagnose(in).Causes
	if len(alone) == 0 || len(both) == 0 || both[0].Code != "client_isolation" || both[0].Confidence >= alone[0].Confidence || len(both[0].Evidence) <= len(alone[0].Evidence) {
		t.Errorf("alone %+v, with a device that sees nobody either %+v", alone, both)
	}
	// One that sees them is the witness that was missing.
	in.Hub.Vantages = []Vantage{from("192.168.1.77", readers.Yes, SightAnswered, SightAnswered)}
	if sure := Diagnose(in).Causes; sure[0].Code != "client_isolation" || sure[0].Severity != Critical || sure[0].Confidence <= alone[0].Confidence {
		t.Errorf("alone %+v, with a witness %+v", alone, sure)
	}
}

// Facts that are judged elsewhere and later hold what other devices saw.
func TestAVantagePointOutlivesAFactsFile(t *testing.T) {
	in := seenBy(hubAnswered)
	in.Hub.Vantages = []Vantage{from("192.168.1.77", readers.Yes, SightSilent)}
	var file strings.Builder
	if err := SaveFacts(&file, in); err != nil {
		t.Fatal(err)
	}
	later, err := LoadFacts(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := causes(Diagnose(later)), causes(Diagnose(in)); !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("%v, want %v", got, want)
	}
}
