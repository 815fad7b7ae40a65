package netcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// required are the hosts without which no smart reader takes a payment;
// recommended are asked too, and missed only by receipts, files or browser tills.
var (
	required = []string{
		"api.stripe.com",
		"armada.stripe.com",
		"gator.stripe.com",
		"api.emms.bbpos.com",
		"stripe-point-of-sale-us-west-2.s3.us-west-2.amazonaws.com",
	}
	recommended = []string{"files.stripe.com", "js.stripe.com"}
)

// events stands for *.terminal-events.stripe.com, of which Stripe names no host: any
// name below it was seen to resolve, and that is not promised. So what this one lacks
// counts only where a public resolver, or the same name elsewhere, confirms it.
const events = "hub.terminal-events.stripe.com"

// checker holds one run: what the probes may touch, and what they tell each other.
type checker struct {
	t         Targets
	sys       system
	roots     *x509.CertPool // nil: the system's
	ranges    []netip.Prefix
	badRanges error
	connect   func(ctx context.Context, network, addr string) (net.Conn, error)
	now       func() time.Time // compared with what the network says; the one clock that is judged

	memory    memory // of earlier runs; changed only when all probes have ended
	hostsFile map[string][]netip.Addr

	mu            sync.Mutex
	moved         map[netip.Addr]string // readers found at another address than before
	cards         []card
	main          card
	routes        []route
	gateway       netip.Addr
	resolvers     []netip.AddrPort
	offers        []dhcpOffer
	macs          map[netip.Addr][]string // who answered ARP; nil: not asked
	askedARP      []netip.Addr            // who was asked
	arpError      error                   // why nobody was
	addrs         map[string][]netip.Addr // what the shop's DNS says
	public        map[string][]netip.Addr // what a public resolver says
	hosts         map[string]*visit
	clocks        []clockReading
	privateFailed bool
	silent        silence
	readerNames   privateAnswers
	asks          map[netip.AddrPort]asked
	lookedUp      chan struct{}                     // closed when the names have been looked up
	taken         []taken                           // Stripe's hosts that took a connection, in that order
	reaching      chan struct{}                     // closed when the first of them did
	far           chan struct{}                     // closed when even the first of them was far away
	visited       chan struct{}                     // closed when all visits have ended
	sessions      map[string]tls.ClientSessionCache // by name and address: what was proved at one proves nothing at another
	pathLost      int                               // connections of the path's samples; -1: not measured
	pathCode      string                            // what the path was found to be: wan_lossy, wan_slow or ""
}

// taken is a connection that came about.
type taken struct {
	name, addr string
	connect    time.Duration
}

func newChecker(t Targets) *checker {
	c := &checker{t: t, sys: thisSystem(), now: time.Now, connect: new(net.Dialer).DialContext,
		addrs: map[string][]netip.Addr{}, public: map[string][]netip.Addr{}, hosts: map[string]*visit{}, pathLost: -1, moved: map[netip.Addr]string{},
		asks: map[netip.AddrPort]asked{}, lookedUp: make(chan struct{}), reaching: make(chan struct{}), far: make(chan struct{}), visited: make(chan struct{}), sessions: map[string]tls.ClientSessionCache{}}
	c.ranges, c.badRanges = readRanges(t.RangesFile)
	c.memory = recall(t.StateDir, c.now())
	c.hostsFile = readHostsFile()
	return c
}

// note writes down what later probes will read; they have waited for the writer.
func (c *checker) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// cannot says of a question that this system cannot be asked it, or not by us.
func (c *checker) cannot(err error) string {
	if err == nil {
		return "the LAN was not asked by ARP"
	}
	if !errors.Is(err, errUnsupported) {
		return err.Error()
	}
	goos := c.t.GOOS
	if goos == "" {
		goos = runtime.GOOS
	}
	return "not supported on " + goos + "; a hub on Linux can tell"
}

func (c *checker) run(ctx context.Context) Report {
	start := time.Now()
	r := Report{Started: start.UTC()}
	r.Results = execute(ctx, c.plan(), c.t.Progress)
	c.learn()
	c.memory.keep(c.t.StateDir)
	r.Took = time.Since(start)
	return r
}

// endpoints are the hosts to visit: Stripe's, and those of checks.endpoints.
func (c *checker) endpoints() []endpoint {
	var out []endpoint
	for _, h := range required {
		out = append(out, endpoint{name: h, port: "443", tls: true})
	}
	for _, h := range recommended {
		out = append(out, endpoint{name: h, port: "443", tls: true})
	}
	out = append(out, endpoint{name: events, port: "443", tls: true})
	for _, e := range c.t.Endpoints {
		h, port, err := net.SplitHostPort(e)
		if err != nil {
			h, port = strings.Trim(e, "[]"), "443"
		}
		if !slices.ContainsFunc(out, func(o endpoint) bool { return o.name == h && o.port == port }) {
			out = append(out, endpoint{name: h, port: port, tls: port == "443", extra: true})
		}
	}
	return out
}

func (c *checker) isRequired(host string) bool { return slices.Contains(required, host) }

// plan is every question, in the order in which people read the answers.
func (c *checker) plan() []probe {
	p := []probe{
		{name: "ranges", budget: budgetLocal, run: c.probeRanges},
		{name: "link", budget: budgetLocal, run: c.probeLink},
		{name: "dhcp", needs: []string{"link"}, budget: budgetNoDHCP, run: c.probeDHCP},
		{name: "ipv4", needs: []string{"link"}, budget: budgetLocal, run: c.probeIPv4},
		{name: "route", needs: []string{"ipv4"}, budget: budgetLocal, run: c.probeRoute},
		{name: "arp", needs: []string{"ipv4"}, after: []string{"route"}, budget: budgetARP, run: c.probeARP},
		{name: "gateway", needs: []string{"route"}, after: []string{"arp"}, budget: budgetGateway, run: c.probeGateway},
		{name: "dns", needs: []string{"ipv4"}, after: []string{"gateway"}, budget: budgetLocal, run: c.probeResolvers},
	}
	var resolvers, readers []string
	for _, r := range c.t.Readers {
		readers = append(readers, "reader/"+r)
	}
	for i := range 3 { // resolv.conf(5) knows no more
		resolvers = append(resolvers, fmt.Sprintf("resolver/%d", i+1))
		p = append(p, probe{name: fmt.Sprintf("resolver/%d", i+1), needs: []string{"dns", "gateway"}, budget: budgetResolver, run: c.resolverProbe(i)})
	}
	var lookups, visits []string
	seen := map[string]bool{}
	for _, e := range c.endpoints() {
		if !seen[e.name] {
			seen[e.name] = true
			lookups = append(lookups, "dns/"+e.name)
			p = append(p, probe{name: "dns/" + e.name, needs: []string{"dns", "gateway"}, budget: budgetLookup, run: c.lookupProbe(e.name)})
		}
	}
	p = append(p,
		probe{name: "private names", quiet: true, needs: []string{"dns", "gateway"}, budget: budgetLookup, run: c.askPrivate},
		probe{name: "lookups", quiet: true, after: append(slices.Clone(lookups), "private names"), budget: budgetLocal, run: c.endLookups},
		probe{name: "dns/private", needs: []string{"dns", "gateway"}, after: append(slices.Clone(lookups), "private names"), budget: budgetAgain, run: c.probePrivate})
	for _, e := range c.endpoints() {
		visits = append(visits, "https/"+e.String())
		p = append(p, probe{name: "https/" + e.String(), needs: []string{"gateway", "dns/" + e.name},
			budget: budgetConnect + budgetTLS + budgetHTTP, run: c.visitProbe(e)})
	}
	p = append(p,
		probe{name: "visits", quiet: true, after: visits, budget: budgetLocal, run: c.endVisits},
		probe{name: "measurable", quiet: true, after: lookups, budget: budgetConnect + budgetTLS + budgetHTTP + budgetLocal/2, run: c.awaitMeasurable})
	ntp := []string{}
	for _, h := range ntpHosts {
		ntp = append(ntp, "ntp/"+h)
		p = append(p, probe{name: "ntp/" + h, needs: []string{"dns", "gateway"}, budget: budgetLookup + time.Second, run: c.ntpProbe(h)})
	}
	p = append(p, probe{name: "portal", needs: []string{"dns", "gateway"}, budget: budgetLookup + budgetFollowUp, run: c.probePortal})
	first := append(append(slices.Clone(lookups), visits...), "dns/private")
	for _, a := range publicResolvers {
		p = append(p, probe{name: "public/" + a.String(), needs: []string{"gateway"}, after: first, budget: budgetFollowUp, run: c.publicProbe(a)})
	}
	p = append(p,
		probe{name: "beyond", needs: []string{"gateway"}, after: append(slices.Clone(visits), "portal"), budget: budgetFollowUp, run: c.probeBeyond},
		probe{name: "proxy", needs: []string{"gateway"}, after: append(slices.Clone(visits), "dhcp"), budget: budgetFollowUp, run: c.probeProxy},
		probe{name: "mtu", needs: []string{"gateway"}, after: visits, budget: budgetFollowUp, run: c.probeMTU},
	)
	for _, e := range c.endpoints() {
		p = append(p, probe{name: "sni/" + e.String(), needs: []string{"gateway"}, after: visits, budget: budgetFollowUp, run: c.sniProbe(e)})
	}
	var publics []string
	for _, a := range publicResolvers {
		publics = append(publics, "public/"+a.String())
	}
	p = append(p,
		probe{name: "hijack", needs: []string{"gateway"}, after: publics, budget: budgetFollowUp, run: c.probeHijack},
		probe{name: "again", needs: []string{"gateway"}, after: append(slices.Clone(visits), "path"), budget: budgetFollowUp, run: c.probeAgain},
		probe{name: "host_firewall", needs: []string{"gateway"}, after: slices.Concat(visits, ntp, resolvers, readers), budget: budgetFollowUp, run: c.probeHostFirewall},
		probe{name: "addresses", needs: []string{"gateway"}, after: append(slices.Clone(visits), "path", "again"), budget: budgetConnect + budgetLocal, run: c.probeAddresses},
		probe{name: "ways", needs: []string{"route"}, after: lookups, budget: budgetLocal, run: c.probeWays},
		probe{name: "multicast", needs: []string{"ipv4"}, after: []string{"arp"}, budget: mdnsWindow + budgetLocal, run: c.probeMulticast},
		probe{name: "ipv6", needs: []string{"link"}, after: []string{"ipv4"}, budget: budgetFollowUp, run: c.probeIPv6},
		probe{name: "wifi", needs: []string{"link"}, after: []string{"ipv4"}, budget: budgetLocal, run: c.probeWiFi},
		probe{name: "mask", needs: []string{"ipv4"}, after: []string{"arp", "dhcp"}, budget: budgetLocal, run: c.probeMask},
		probe{name: "hops", needs: []string{"gateway"}, after: visits, budget: budgetFollowUp, run: c.probeHops},
		probe{name: "rate", needs: []string{"gateway"}, after: append(slices.Clone(visits), "path"), budget: budgetRate, run: c.probeRate},
		probe{name: "path", needs: []string{"gateway"}, after: []string{"measurable"}, budget: 2 * pathRound, run: c.probePath},
		probe{name: "clock", needs: []string{"gateway"}, after: append(append(slices.Clone(visits), ntp...), "portal"), budget: budgetLocal, run: c.probeClock},
	)
	for _, h := range required {
		if strings.HasSuffix(h, ".stripe.com") {
			p = append(p, probe{name: "steady/" + h, needs: []string{"gateway"}, after: append(slices.Clone(visits), "path", "again", "rate"), budget: budgetConnect, run: c.probeSteady(h)})
		}
	}
	for _, r := range c.t.Readers {
		p = append(p, probe{name: "reader/" + r, needs: []string{"ipv4"}, after: []string{"arp"}, budget: budgetReader, run: c.readerProbe(r)})
	}
	if c.t.HQ != "" {
		hq := probe{name: "hq", needs: []string{"gateway", "dns"}, budget: budgetHQ, run: c.probeHQ}
		if u, err := url.Parse(c.t.HQ); err == nil {
			if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.IsLoopback() || u.Hostname() == "localhost" {
				hq.needs = nil
			} else if err == nil {
				hq.needs = []string{"ipv4"}
			}
		}
		p = append(p, hq)
	}
	return p
}

// dial connects. DNS names never reach it: probes look up by themselves, so that
// a failed lookup is never mistaken for a failed connection.
func (c *checker) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.connect(ctx, network, addr)
}

// problem is an error in one of a few words, which rules can rely on.
func problem(err error) string {
	var ne net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.Is(err, os.ErrPermission):
		return "prohibited" // by this machine's packet filter, or by an ICMP that says so
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return "silent"
	case errors.As(err, &ne) && ne.Timeout():
		return "silent"
	case isEOF(err):
		return "closed"
	}
	return problemOther(err)
}

func problemOther(err error) string {
	s := err.Error()
	switch { // Windows' names for the same
	case strings.Contains(s, "actively refused"):
		return "refused"
	case strings.Contains(s, "forcibly closed"):
		return "reset"
	case strings.Contains(s, "unreachable"):
		return "unreachable"
	}
	return s
}
