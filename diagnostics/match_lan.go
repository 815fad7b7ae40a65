package diagnostics

import (
	"fmt"
	"slices"
	"strings"

	"storehub/netcheck"
	"storehub/readers"
)

// matchCoded finds a code that a probe has proved by itself.
func matchCoded(code string, confidence float64) func(*facts) *proof {
	return func(f *facts) *proof {
		p := &proof{confidence: confidence}
		for _, r := range f.coded(code) {
			p.evidence = append(p.evidence, r.Detail)
		}
		if len(p.evidence) == 0 {
			return nil
		}
		return p
	}
}

func matchLink(f *facts) *proof {
	r := f.probe("link")
	if r.Code != "link_down" {
		return nil
	}
	return &proof{confidence: 0.99, evidence: []string{r.Detail}, targets: strs(r, "interfaces")}
}

func matchNoIPv4(f *facts) *proof {
	r := f.probe("ipv4")
	if r.Code != "no_ipv4" {
		return nil
	}
	p := &proof{confidence: 0.99, evidence: []string{r.Detail}, ruledOut: ok(f, "link", "the link is up")}
	if d := f.probe("dhcp"); d.Status == netcheck.Pass {
		p.evidence = append(p.evidence, "yet DHCP works: "+d.Detail)
	}
	return p
}

func matchDHCPSilent(f *facts) *proof {
	r := f.probe("dhcp")
	if r.Code != "dhcp_silent" {
		return nil
	}
	p := &proof{evidence: []string{r.Detail}, ruledOut: ok(f, "link", "the link is up")}
	if f.probe("ipv4").Status != netcheck.Fail {
		p.severity, p.confidence, p.alone = Warning, 0.7, true
	}
	return p
}

// matchSecondServer: the odd server breaks the path only if the hub's own way
// out is the one it named.
func matchSecondServer(f *facts) *proof {
	r := f.probe("dhcp")
	if r.Code != "dhcp_second_server" {
		return nil
	}
	p := &proof{confidence: 0.95, evidence: append([]string{r.Detail}, strs(r, "offers")...), targets: strs(r, "servers"), alone: true}
	gateway := str(f.probe("route"), "gateway")
	alive, asked := f.beyond()
	if (f.failed("gateway") || asked && !alive) && gateway != "" && slices.ContainsFunc(strs(r, "offers"), func(o string) bool { return strings.Contains(o, "router "+gateway) }) {
		p.severity, p.alone = Critical, false
		p.evidence = append(p.evidence, "the hub's way out is "+gateway+", and nothing answers there")
	}
	return p
}

func matchConflict(f *facts) *proof {
	r := f.probe("arp")
	if r.Code != "address_conflict" {
		return nil
	}
	own := slices.ContainsFunc(strs(f.probe("ipv4"), "addresses"), func(s string) bool { return strings.HasPrefix(s, str(r, "address")+"/") })
	p := &proof{confidence: 0.95, evidence: []string{r.Detail}, targets: []string{str(r, "address")}, alone: !own}
	if d := f.probe("reader/" + contested(f)); d.Detail != "" {
		p.evidence = append(p.evidence, d.Detail)
	}
	return p
}

// contested is the address that two devices answer for: what it says may be
// either's word.
func contested(f *facts) string {
	if r := f.probe("arp"); r.Code == "address_conflict" {
		return str(r, "address")
	}
	return ""
}

func matchNotPrivate(f *facts) *proof {
	r := f.probe("ipv4")
	if r.Code != "address_not_private" {
		return nil
	}
	return &proof{confidence: 0.95, evidence: []string{r.Detail}, targets: []string{str(r, "not_private")}}
}

// matchNetmask: the gateway is outside the hub's own network, and it shows:
// nothing answers beyond it, or readers next door are cut off.
func matchNetmask(f *facts) *proof {
	if r := f.probe("mask"); r.Code == "wrong_netmask" { // readers on this very wire
		return &proof{confidence: 0.9, evidence: []string{r.Detail}, targets: strs(r, "hidden"),
			title: "The netmask cuts off readers", ruledOut: []string{"another network: they answer ARP on this wire"}}
	}
	r := f.probe("route")
	if r.Code != "wrong_netmask" {
		return nil
	}
	p := &proof{confidence: 0.9, evidence: []string{r.Detail}, targets: []string{str(r, "gateway")}}
	for _, d := range f.under("reader/") {
		if d.Code == "reader_other_subnet" {
			p.evidence = append(p.evidence, d.Detail)
		}
	}
	if alive, _ := f.beyond(); alive && len(p.evidence) == 1 {
		return nil // an on-link route, and it works
	}
	return p
}

func matchGatewaySilent(f *facts) *proof {
	r := f.probe("gateway")
	if r.Code != "gateway_silent" {
		return nil
	}
	if alive, _ := f.beyond(); alive {
		return nil
	}
	return &proof{confidence: 0.95, evidence: []string{r.Detail}, targets: []string{str(r, "gateway")},
		ruledOut: append(ok(f, "link", "the link is up"), ok(f, "ipv4", "the hub has an address")...)}
}

// matchVPN: a VPN that also leads nowhere is why nothing is reached.
func matchVPN(f *facts) *proof {
	p := &proof{confidence: 0.9, alone: true}
	for _, r := range f.coded("vpn_route") {
		p.evidence = append(p.evidence, r.Detail)
		p.targets = append(p.targets, str(r, "tunnel"), str(r, "way"))
	}
	if len(p.evidence) == 0 {
		return nil
	}
	for _, h := range strs(f.probe("ways"), "hosts") {
		p.targets = append(p.targets, h)
		if v := f.probe("https/" + h); v.Status == netcheck.Fail {
			p.severity, p.alone = Critical, false
			p.evidence = append(p.evidence, v.Detail)
		}
	}
	if len(f.proven()) == 0 && f.probe("beyond").Status == netcheck.Fail {
		p.severity, p.alone = Critical, false
		p.evidence = append(p.evidence, "nothing answers by that way")
	}
	return p
}

// matchNoGateway: no default route, or one that names no router on a network that
// needs one.
func matchNoGateway(f *facts) *proof {
	r := f.probe("route")
	alive, asked := f.beyond()
	if r.Code != "no_default_gateway" && (!yes(r, "no_gateway") || alive || !asked) {
		return nil
	}
	p := &proof{confidence: 0.95, evidence: []string{r.Detail}, targets: []string{str(r, "interface")}}
	if yes(r, "no_gateway") {
		p.evidence = append(p.evidence, "no router is named, and nothing beyond the LAN answers")
	}
	return p
}

// perhapsOwnFilter are findings that this machine's own packet filter can feign.
var perhapsOwnFilter = []string{"wan_down", "dns_down", "https_blocked", "firewall_blocks_stripe", "ntp_blocked", "reader_port_blocked"}

// doubt says with a finding that the own filter was not ruled out, where asking
// beneath it needs rights that were not there.
func doubt(f *facts, code string, p *proof) {
	if r := f.probe("host_firewall"); r.Status == netcheck.Unknown && slices.Contains(perhapsOwnFilter, code) {
		p.confidence = min(p.confidence, 0.7)
		p.evidence = append(p.evidence, "not known: "+r.Detail)
	}
}

// matchHostFirewall: the machine itself said that it may not.
func matchHostFirewall(f *facts) *proof {
	p := &proof{confidence: 0.85}
	if r := f.probe("host_firewall"); r.Code == "host_firewall" {
		p.confidence = 0.95
		p.evidence, p.targets = append(p.evidence, r.Detail), append(p.targets, str(r, "address"))
	}
	for _, r := range append(f.under("https/"), f.under("reader/")...) {
		if str(r, "problem") == "prohibited" || str(r, "tcp") == "prohibited" {
			p.evidence = append(p.evidence, r.Detail)
			p.targets = append(p.targets, strings.TrimPrefix(strings.TrimPrefix(r.Name, "https/"), "reader/"))
		}
	}
	for _, r := range append(f.under("resolver/"), f.under("ntp/")...) {
		if strings.Contains(str(r, "said"), "prohibited") || str(r, "problem") == "prohibited" {
			p.evidence = append(p.evidence, r.Detail)
			p.targets = append(p.targets, or(str(r, "resolver"), str(r, "host")))
		}
	}
	if f.probe("ways").Code == "vpn_route" { // a route that forbids is no filter
		return nil
	}
	if len(p.evidence) == 0 {
		return nil
	}
	return p
}

func matchLeaseShort(f *facts) *proof {
	r := f.probe("dhcp")
	if r.Code != "dhcp_lease_short" {
		return nil
	}
	return &proof{confidence: 0.95, evidence: []string{r.Detail}, targets: strs(r, "servers")}
}

// silentReaders are those that the LAN probe could not find, and whether Stripe
// sees them alive.
func silentReaders(f *facts) (silent []netcheck.Result, witnessed []string, answering int) {
	for _, r := range f.under("reader/") {
		switch {
		case yes(r, "alive"):
			answering++
		case r.Code == "reader_offline":
			silent = append(silent, r)
			for _, known := range f.Readers {
				if known.Addr.String() == str(r, "address") && online(known) == readers.Yes {
					witnessed = append(witnessed, str(r, "address"))
				}
			}
		}
	}
	return silent, witnessed, answering
}

// matchIsolation: neighbours that live are not to be seen. Without a witness two
// silent at once are needed, and it stays a guess.
func matchIsolation(f *facts) *proof {
	silent, witnessed, answering := silentReaders(f)
	if !f.passed("gateway") || answering > 0 || len(silent) == 0 || len(silent) < 2 && len(witnessed) == 0 {
		return nil
	}
	p := &proof{confidence: 0.75, evidence: []string{f.probe("gateway").Detail + " and answers"}, ruledOut: ok(f, "arp", "no address is claimed twice")}
	if len(witnessed) > 0 {
		p.confidence = 0.9
		p.evidence = append(p.evidence, fmt.Sprintf("Stripe sees %s online", strings.Join(witnessed, ", ")))
	}
	for _, r := range silent {
		p.evidence = append(p.evidence, r.Detail+" ("+str(r, "arp")+")")
		p.targets = append(p.targets, str(r, "address"))
	}
	if f.Integration == "server-driven" {
		p.severity = Info // readers and hub meet at Stripe only
	}
	return p
}

// matchIPv6: only where IPv4 is fine, or it is a detail of something graver.
func matchIPv6(f *facts) *proof {
	r := f.probe("ipv6")
	if r.Code != "ipv6_broken" || len(f.proven()) == 0 {
		return nil
	}
	return &proof{confidence: 0.85, evidence: append([]string{r.Detail}, said(r, "said")...), targets: strs(r, "addresses"),
		ruledOut: []string{"a dead line: IPv4 reaches " + f.proven()[0]}}
}

// matchMulticast: a device that answers alone is not heard among many.
func matchMulticast(f *facts) *proof {
	r := f.probe("multicast")
	if r.Code != "multicast_filtered" {
		return nil
	}
	p := &proof{confidence: 0.9, evidence: []string{r.Detail}, targets: strs(r, "filtered"), ruledOut: []string{"devices without mDNS: they answer it by unicast"}}
	if heard := strs(r, "answered_multicast"); len(heard) > 0 {
		p.confidence = 0.75
		p.evidence = append(p.evidence, "heard by multicast: "+strings.Join(heard, ", "))
	}
	return p
}

// ok is one line for ruled_out, if that probe passed.
func ok(f *facts, probe, line string) []string {
	if f.probe(probe).Status == netcheck.Pass {
		return []string{line}
	}
	return nil
}
