package diagnostics

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"storehub/netcheck"
)

// resolved are the public names that the shop's DNS gave an address of.
func resolved(f *facts) []string {
	var out []string
	for _, r := range f.under("dns/") {
		if r.Status == netcheck.Pass {
			out = append(out, strings.TrimPrefix(r.Name, "dns/"))
		}
	}
	for _, r := range f.under("ntp/") {
		if r.Status == netcheck.Pass || r.Status == netcheck.Warn {
			out = append(out, str(r, "host"))
		}
	}
	return out
}

func matchDNSDown(f *facts) *proof {
	list := f.under("resolver/")
	if len(resolved(f)) > 0 {
		return nil
	}
	p := &proof{confidence: 0.9}
	for _, r := range list {
		switch r.Status {
		case netcheck.Fail:
			p.evidence = append(p.evidence, r.Detail)
			p.targets = append(p.targets, str(r, "resolver"))
		case netcheck.Pass, netcheck.Warn:
			return nil
		}
	}
	if len(p.targets) == 0 {
		return nil
	}
	for _, r := range f.under("public/") {
		if yes(r, "alive") {
			p.confidence = 0.97
			p.evidence = append(p.evidence, str(r, "resolver")+" answers the same questions")
			p.ruledOut = []string{"a dead line: public resolvers answer"}
		}
	}
	p.ruledOut = append(p.ruledOut, ok(f, "gateway", "a dead router: it answers ARP")...)
	return p
}

// matchDNSUnreliable: answers are lost often, or the first resolver is dead and
// every question waits for the second.
func matchDNSUnreliable(f *facts) *proof {
	p := &proof{confidence: 0.85}
	for _, r := range f.coded("dns_unreliable") {
		p.evidence = append(p.evidence, r.Detail)
		p.targets = append(p.targets, str(r, "resolver"))
	}
	if first := f.probe("resolver/1"); first.Status == netcheck.Fail && len(resolved(f)) > 0 {
		line := first.Detail + ", yet some names resolve"
		if f.passed("resolver/2") || f.passed("resolver/3") {
			line, p.alone = first.Detail+"; every question waits for the next resolver", true
		}
		p.evidence = append(p.evidence, line)
		p.targets = append(p.targets, str(first, "resolver"))
	}
	if first := f.probe("resolver/1"); first.Status != netcheck.Fail && first.Code != "dns_slow" && len(resolved(f)) > 0 {
		for _, r := range f.under("dns/") {
			if str(r, "said") == "silent" && r.Name != "dns/private" && !hushed(f, str(r, "host")) {
				p.evidence = append(p.evidence, fmt.Sprintf("three questions about %s were lost, and others about it answered", str(r, "host")))
				p.targets = append(p.targets, str(first, "resolver"))
			}
		}
	}
	if len(p.evidence) == 0 {
		return nil
	}
	return p
}

// hushed says whether silence about a name is the resolver's way with that name, and
// not loss: it was never answered about it, or never silent otherwise.
func hushed(f *facts, name string) bool {
	first := f.probe("resolver/1")
	return slices.Contains(strs(first, "silent_about"), name) || num(first, "lost") == 0
}

// matchDNSBlocks: some names are hidden while others resolve.
func matchDNSBlocks(f *facts) *proof {
	p := &proof{confidence: 0.95, severity: Info}
	for _, r := range f.under("dns/") {
		hidden := r.Status == netcheck.Fail || r.Status == netcheck.Unknown && yes(r, "sample") && len(elsewhere(f, str(r, "host"))) > 0
		if r.Name == "dns/private" || !hidden || str(r, "said") == "silent" && !hushed(f, str(r, "host")) {
			continue
		}
		name := str(r, "host")
		switch {
		case yes(r, "required"), yes(r, "sample"), name == "js.stripe.com" && f.Integration == "sdk-js":
			p.severity = Critical
		case p.severity == Info:
			p.severity = Warning
		}
		if yes(r, "hosts_file") {
			p.remedy = []string{"Take the host out of the hub's own hosts file."}
		}
		p.targets = append(p.targets, name)
		p.evidence = append(p.evidence, fmt.Sprintf("%s says of %s: %s", or(str(r, "resolver"), "the shop's DNS"), name, str(r, "said")))
	}
	others := resolved(f)
	if len(p.targets) == 0 || len(others) == 0 {
		return nil
	}
	for _, r := range f.under("public/") {
		for _, line := range said(r, "said") {
			name, _, _ := strings.Cut(line, ":")
			if yes(r, "alive") && slices.Contains(p.targets, name) {
				p.evidence = append(p.evidence, str(r, "resolver")+" says of "+line)
			}
		}
	}
	p.ruledOut = []string{"dead DNS: " + strings.Join(others[:min(2, len(others))], " and ") + " resolve"}
	return p
}

// elsewhere are the addresses that public resolvers give for a name, where they were
// asked.
func elsewhere(f *facts, name string) []string {
	var out []string
	for _, r := range f.under("public/") {
		for _, line := range said(r, "said") {
			at, is := strings.CutPrefix(line, name+": ")
			if a, err := netip.ParseAddr(strings.Split(at, " ")[0]); is && err == nil && !a.IsPrivate() && !a.IsLoopback() && !a.IsUnspecified() {
				out = append(out, at)
			}
		}
	}
	return out
}

func matchDNSPrivate(f *facts) *proof {
	r, first := f.probe("dns/private"), f.probe("resolver/1")
	losing := len(f.coded("wan_lossy")) > 0 || num(first, "lost") > 0 || first.Code == "dns_slow"
	if r.Code != "dns_private_filtered" || str(r, "said") == "silent" && losing {
		return nil // a filter that is silent is so about that name alone
	}
	p := &proof{confidence: 0.97, targets: []string{str(r, "name")}, evidence: []string{fmt.Sprintf("%s answers public names, but not Stripe's test name: %s (want %s)",
		or(str(r, "resolver"), "the shop's DNS"), str(r, "said"), str(r, "want"))}}
	for _, pub := range f.under("public/") {
		for _, line := range said(pub, "said") {
			if line == str(r, "name")+": "+str(r, "want") {
				p.evidence = append(p.evidence, str(pub, "resolver")+" answers it")
			}
		}
	}
	if n := resolved(f); len(n) > 0 {
		p.ruledOut = []string{"dead DNS: " + strings.Join(n[:min(2, len(n))], " and ") + " resolve"}
	}
	switch f.Integration {
	case "sdk-js":
	case "sdk-native", "server-driven":
		p.severity = Info // these never ask for that name
	default:
		// Not known: a browser till would be stopped, any other would not notice.
		p.severity = Warning
		p.remedy = []string{"Set checks.integration to what the tills use: only browser tills (sdk-js) need this."}
	}
	return p
}

func matchDNSHijacked(f *facts) *proof {
	r := f.probe("hijack")
	if r.Code != "dns_hijacked" {
		return hijackedUnproved(f)
	}
	return &proof{confidence: 0.95, evidence: []string{r.Detail}, targets: []string{str(r, "host"), str(r, "local_address")},
		ruledOut: []string{"TLS inspection: the host proves itself at its public address"}}
}

// hijackedUnproved: a host whose name leads to where somebody else, with a public
// certificate of his own, answers. No resolver gives another address, so whether
// all of them were bent or Stripe erred cannot be told.
func hijackedUnproved(f *facts) *proof {
	wrong := wrongNames(f)
	if len(wrong) == 0 || severalPlaces(wrong) {
		return nil
	}
	p := &proof{confidence: 0.65, ruledOut: []string{"TLS inspection: the certificate is by a public authority, for another name"}}
	for _, v := range wrong {
		p.targets = append(p.targets, str(v, "host"))
		p.evidence = append(p.evidence, v.Detail)
	}
	p.targets = append(p.targets, str(wrong[0], "address"))
	return p
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
