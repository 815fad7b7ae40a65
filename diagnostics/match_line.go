package diagnostics

import (
	"fmt"
	"slices"
	"strings"

	"storehub/netcheck"
)

func matchPortal(f *facts) *proof {
	r := f.probe("portal")
	if r.Code != "captive_portal" || len(f.proven()) > 0 {
		return nil // a page that changed, or a cache, harms no reader
	}
	p := &proof{confidence: 0.95, evidence: []string{r.Detail}, ruledOut: ok(f, "gateway", "the gateway answers")}
	if l := str(r, "location"); l != "" {
		p.targets = []string{l}
	}
	if v := f.visits(); len(v) > 0 && v[0].Status != netcheck.Skip {
		p.evidence = append(p.evidence, v[0].Detail)
	}
	return p
}

func matchProxy(f *facts) *proof {
	r := f.probe("proxy")
	if r.Code != "proxy_required" || len(f.connected()) > 0 || len(strs(f.probe("beyond"), "open")) > 0 {
		return nil
	}
	return &proof{confidence: 0.9, evidence: append([]string{r.Detail}, said(f.probe("beyond"), "said")...), targets: strs(r, "proxies")}
}

func matchWANDown(f *facts) *proof {
	alive, asked := f.beyond()
	g := f.probe("gateway")
	if alive || !asked || g.Status != netcheck.Pass && g.Status != netcheck.Unknown {
		return nil
	}
	p := &proof{confidence: 0.95, ruledOut: slices.Concat(ok(f, "link", "the link is up"), ok(f, "ipv4", "the hub has an address"), ok(f, "gateway", "the gateway answers"))}
	if g.Status == netcheck.Pass {
		p.evidence = append(p.evidence, "the gateway answers: "+g.Detail)
	} else {
		p.confidence = 0.7
	}
	for _, r := range f.under("resolver/") {
		if r.Status == netcheck.Fail {
			p.evidence = append(p.evidence, r.Detail)
		}
	}
	for _, line := range said(f.probe("beyond"), "said") {
		p.evidence = append(p.evidence, "beyond it "+line)
	}
	return p
}

// narrow says whether the line was found to carry little, evenly: a few questions at
// once overflow it then, and what they lose is no fault of its own.
func narrow(f *facts) bool {
	r := f.probe("rate")
	return r.Code == "wan_slow" && yes(r, "even")
}

// crowdedOut says of a silent visit that the other visits may have filled the line.
func crowdedOut(f *facts, v netcheck.Result) bool {
	return str(v, "problem") == "silent" && narrow(f) && (str(v, "stage") != "tcp" || len(f.coded("wan_lossy")) > 0)
}

func matchLossy(f *facts) *proof {
	if narrow(f) {
		return nil
	}
	return matchCoded("wan_lossy", 0.8)(f)
}

func matchSlow(f *facts) *proof {
	p := matchCoded("wan_slow", 0.9)(f)
	if p == nil {
		return nil
	}
	if narrow(f) {
		for _, r := range f.coded("wan_lossy") {
			p.evidence = append(p.evidence, r.Detail+", under the checks' own load")
		}
	}
	return p
}

// matchMTU: the probe has told size from name already.
func matchMTU(f *facts) *proof {
	r := f.probe("mtu")
	if r.Code != "mtu_black_hole" {
		return nil
	}
	return &proof{confidence: 0.95, evidence: []string{r.Detail, "another name in full-size packets there: " + str(r, "other_name_full_size")},
		targets: []string{str(r, "host")}, ruledOut: []string{"a filter by name: another name is silent too", "a blocked port: connections are taken"}}
}

func matchClock(f *facts) *proof {
	r := f.probe("clock")
	if r.Code != "clock_wrong" {
		return nil
	}
	p := &proof{confidence: 0.97, evidence: []string{r.Detail}}
	for _, line := range said(r, "ahead_s") {
		p.evidence = append(p.evidence, "seconds ahead of this clock, "+line)
	}
	return p
}

// cutOff are the hosts whose handshake was cut, and their follow-up.
func cutOff(f *facts) (byName, sick []netcheck.Result) {
	for _, v := range f.visits() {
		if str(v, "stage") != "tls" || !slices.Contains([]string{"silent", "reset", "closed"}, str(v, "problem")) || perhapsSize(f, v) || crowdedOut(f, v) {
			continue
		}
		s := f.probe("sni/" + strings.TrimPrefix(v.Name, "https/"))
		switch {
		case yes(v, "sample") && s.Status != netcheck.Fail: // its owner may cut off a name that was made up
		case s.Status == netcheck.Warn && str(s, "other_name_here") == "answered":
			sick = append(sick, v)
		default:
			byName = append(byName, v)
		}
	}
	return byName, sick
}

// perhapsSize says of a stalled handshake that its packets may have been too large:
// this system could not ask in smaller ones.
func perhapsSize(f *facts, v netcheck.Result) bool {
	return f.probe("mtu").Status == netcheck.Unknown && str(v, "stage") == "tls" && str(v, "problem") == "silent"
}

// matchHTTPSBlocked: nothing gets a handshake, yet other traffic passes.
func matchHTTPSBlocked(f *facts) *proof {
	asked := 0
	for _, v := range f.under("https/") {
		if v.Status == netcheck.Skip || yes(v, "extra") {
			continue
		}
		asked++
		if perhapsSize(f, v) {
			return nil
		}
		if v.Status == netcheck.Pass || v.Status == netcheck.Warn || str(v, "issuer") != "" || str(v, "problem") == "not_tls" || str(v, "problem") == "alert" {
			return nil
		}
	}
	life := f.otherLife()
	if asked < 2 || len(life) == 0 || len(strs(f.probe("beyond"), "open")) > 0 && len(f.connected()) == 0 {
		return nil
	}
	return &proof{confidence: 0.9, evidence: append([]string{fmt.Sprintf("none of %d hosts answers on 443", asked)}, append(said(f.probe("beyond"), "said"), life...)...),
		ruledOut: []string{"a dead line: other traffic passes"}}
}

// matchFirewall: some hosts are cut off while others are reached.
func matchFirewall(f *facts) *proof {
	p := &proof{confidence: 0.9, severity: Info}
	byName, _ := cutOff(f)
	var blocked []netcheck.Result
	passing := f.probe("again").Status == netcheck.Warn // they take connections one at a time
	for _, v := range f.visits() {
		if v.Status == netcheck.Fail && str(v, "stage") == "tcp" && !passing && !crowdedOut(f, v) && (!yes(v, "sample") || len(elsewhere(f, str(v, "host"))) > 0) {
			blocked = append(blocked, v)
		}
	}
	if a := f.probe("addresses"); a.Status == netcheck.Warn && !passing {
		// Reached, but not at every address: who takes a blocked one hangs.
		p.severity, p.confidence = Warning, 0.8
		p.evidence = append(p.evidence, strs(a, "blocked")...)
		p.targets = append(p.targets, strs(a, "hosts")...)
	}
	for _, v := range append(blocked, byName...) {
		switch {
		case yes(v, "required") && !yes(v, "sample"):
			p.severity = Critical
		case str(v, "host") == "js.stripe.com" && f.Integration == "sdk-js":
			p.severity = Critical // a browser till loads the SDK from there
		case p.severity != Critical:
			p.severity = Warning
		}
		if slices.Contains(p.targets, str(v, "host")) {
			continue
		}
		p.targets = append(p.targets, str(v, "host"))
		p.evidence = append(p.evidence, v.Detail)
		if s := f.probe("sni/" + strings.TrimPrefix(v.Name, "https/")); s.Detail != "" {
			p.evidence = append(p.evidence, s.Detail)
		}
	}
	open := f.proven()
	if len(open) == 0 {
		open = strs(f.probe("beyond"), "open")
	}
	if len(p.targets) == 0 || len(open) == 0 {
		return nil
	}
	p.ruledOut = append([]string{"a dead line: " + some(open) + " reached"}, ok(f, "mtu", "packet size: full-size packets pass")...)
	p.title = "A firewall blocks " + strings.Join(p.targets[:min(2, len(p.targets))], " and ")
	if len(p.targets) > 2 {
		p.title += fmt.Sprintf(" and %d more", len(p.targets)-2)
	}
	return p
}

// matchIntercepted: a certificate by somebody whom nobody trusts, and not
// because DNS led astray.
func matchIntercepted(f *facts) *proof {
	if f.probe("hijack").Code == "dns_hijacked" {
		return nil
	}
	p := &proof{confidence: 0.95}
	var issuers []string
	signed := map[string][]string{}
	for _, v := range f.visits() {
		if str(v, "certificate") == "untrusted" && !yes(v, "extra") {
			p.targets = append(p.targets, str(v, "host"))
			if issuer := str(v, "issuer"); signed[issuer] == nil {
				issuers = append(issuers, issuer)
			}
			signed[str(v, "issuer")] = append(signed[str(v, "issuer")], str(v, "host"))
		}
	}
	for _, issuer := range issuers {
		p.evidence = append(p.evidence, fmt.Sprintf("%q, which is no public authority, signs for %s", issuer, strings.Join(signed[issuer], ", ")))
	}
	if wrong := wrongNames(f); severalPlaces(wrong) { // at one place, DNS led all of them there
		p.confidence = min(p.confidence, 0.8)
		for _, v := range wrong {
			p.targets = append(p.targets, str(v, "host"))
			p.evidence = append(p.evidence, fmt.Sprintf("%s shows a certificate of another name, issued by %q", str(v, "host"), str(v, "issuer")))
		}
	}
	if len(p.targets) == 0 {
		return nil
	}
	if h := f.probe("hijack"); h.Detail != "" {
		p.ruledOut = append(p.ruledOut, "wrong DNS: "+h.Detail)
	}
	p.ruledOut = append(p.ruledOut, ok(f, "clock", "a wrong clock")...)
	return p
}

// severalPlaces says whether visits ended at different addresses.
func severalPlaces(visits []netcheck.Result) bool {
	return slices.ContainsFunc(visits, func(v netcheck.Result) bool { return str(v, "address") != str(visits[0], "address") })
}

// wrongNames are hosts whose certificate is a public one of somebody else.
func wrongNames(f *facts) []netcheck.Result {
	var out []netcheck.Result
	for _, v := range f.visits() {
		if str(v, "certificate") == "wrong_name" && !yes(v, "extra") {
			out = append(out, v)
		}
	}
	return out
}

// matchStripeFailing blames Stripe only when its own address was reached.
func matchStripeFailing(f *facts) *proof {
	p := &proof{confidence: 0.9}
	add := func(v netcheck.Result, line string) {
		p.targets = append(p.targets, str(v, "host"))
		p.evidence = append(p.evidence, line)
	}
	_, sick := cutOff(f)
	for _, v := range f.visits() {
		if yes(v, "extra") || yes(v, "sample") || !yes(v, "required") {
			continue
		}
		switch {
		case v.Code == "stripe_failing":
			add(v, v.Detail)
		case str(v, "stage") == "http" && !crowdedOut(f, v):
			add(v, v.Detail)
		case str(v, "certificate") == "expired" && f.probe("clock").Status == netcheck.Pass:
			add(v, fmt.Sprintf("%s shows a certificate that ended %s", str(v, "host"), str(v, "not_after")))
		case str(v, "problem") == "tls_version":
			add(v, str(v, "host")+" speaks an obsolete TLS")
		case slices.ContainsFunc(sick, func(s netcheck.Result) bool { return s.Name == v.Name }):
			add(v, v.Detail)
			p.evidence = append(p.evidence, f.probe("sni/"+strings.TrimPrefix(v.Name, "https/")).Detail)
		}
	}
	poor := len(f.coded("wan_slow")) > 0 || len(f.coded("wan_lossy")) > 0 // then some visits fail by the line
	for _, s := range f.under("steady/") {
		if s.Code == "stripe_failing" && !poor {
			p.confidence = min(p.confidence, 0.8)
			add(s, s.Detail)
		}
	}
	if len(p.targets) == 0 {
		return nil
	}
	for _, v := range f.visits() {
		if v.Status == netcheck.Pass && len(p.ruledOut) == 0 {
			p.ruledOut = append(p.ruledOut, "the shop's line: "+str(v, "host")+" is reached")
		}
	}
	p.ruledOut = append(p.ruledOut, ok(f, "clock", "a wrong clock")...)
	return p
}

// matchNTP: the internet works and no time server answers.
func matchNTP(f *facts) *proof {
	p := &proof{confidence: 0.85}
	for _, r := range f.under("ntp/") {
		switch r.Status {
		case netcheck.Pass:
			return nil
		case netcheck.Warn:
			p.evidence = append(p.evidence, r.Detail)
			p.targets = append(p.targets, str(r, "host"))
		}
	}
	if len(p.targets) < 2 || len(f.proven()) == 0 || narrow(f) && !slices.ContainsFunc(f.under("ntp/"), func(r netcheck.Result) bool { return str(r, "problem") != "silent" }) {
		return nil // or the checks' own questions filled the line
	}
	return p
}

// some is the first few of a list, with its verb.
func some(list []string) string {
	if len(list) == 1 {
		return list[0] + " is"
	}
	n := min(3, len(list))
	return strings.Join(list[:n-1], ", ") + " and " + list[n-1] + " are"
}
