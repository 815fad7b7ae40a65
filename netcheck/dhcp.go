package netcheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// defaultWorkday is the shortest lease that lets a reader keep its address
// while the shop is open.
const defaultWorkday = 12 * time.Hour

// probeDHCP: who hands out addresses here, and for how long?
func (c *checker) probeDHCP(ctx context.Context) Result {
	routes, _ := c.sys.Routes()
	k := pickMain(c.cards, routes)
	if len(k.MAC) != 6 {
		return Result{Status: Unknown, Detail: k.Name + " has no Ethernet address to ask with"}
	}
	held := c.heldLease(k)
	has := slices.ContainsFunc(k.v4(), func(p netip.Prefix) bool { return !linkLocal.Contains(p.Addr()) })
	wait := budgetDHCP - 100*time.Millisecond
	if !has {
		wait = budgetNoDHCP - 800*time.Millisecond
	}
	window, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	offers, err := c.sys.Discover(window, k)
	ev := map[string]any{"interface": k.Name}
	if held.Length > 0 {
		ev["held_lease_s"] = int64(held.Length / time.Second)
	}
	switch {
	case errors.Is(err, errNeedsRaw), errors.Is(err, errUnsupported):
		if r, short := c.leaseShort(held.Length, "the lease held on "+k.Name, ev); short {
			return r
		}
		return Result{Status: Unknown, Detail: "ask for DHCP offers: " + c.cannot(err), Evidence: ev}
	case err != nil:
		return Result{Status: Unknown, Detail: fmt.Sprintf("ask for DHCP offers: %v", err), Evidence: ev}
	case len(offers) == 0:
		return c.dhcpSilence(ctx, k, has, held, ev)
	}
	c.note(func() { c.offers = offers })
	var lines []string
	for _, o := range offers {
		lines = append(lines, o.String())
	}
	ev["offers"] = lines
	ev["servers"] = servers(offers)
	r := Result{Status: Pass, Detail: "offers from " + strings.Join(servers(offers), ", "), Evidence: ev}
	if a, b, differ := strangers(offers); differ {
		r.Status, r.Code = Warn, "dhcp_second_server"
		r.Detail = fmt.Sprintf("two DHCP servers that disagree: %s and %s", a.Server, b.Server)
		return r
	}
	own := offers[0]
	for _, p := range k.v4() {
		for _, o := range offers {
			if p.Addr() == o.Addr {
				own = o
			}
		}
	}
	if net, ok := own.network(); ok && has && len(k.v4()) == 1 && !net.Contains(k.v4()[0].Addr()) {
		ev["address"], ev["lan"] = k.v4()[0].String(), net.String()
		r.Status, r.Code = Fail, "address_wrong_subnet"
		r.Detail = fmt.Sprintf("%s has %s, but %s hands out addresses of %s", k.Name, k.v4()[0], own.Server, net)
		return r
	}
	length, whose := held.Length, "the lease held on "+k.Name
	if length == 0 {
		length, whose = own.Lease, fmt.Sprintf("the lease that %s offers", own.Server)
	}
	if short, is := c.leaseShort(length, whose, ev); is {
		return short
	}
	return r
}

func (c *checker) leaseShort(length time.Duration, whose string, ev map[string]any) (Result, bool) {
	workday := c.t.Workday
	if workday <= 0 {
		workday = defaultWorkday
	}
	if length <= 0 || length >= workday {
		return Result{}, false
	}
	ev["lease_s"], ev["workday_s"] = int64(length/time.Second), int64(workday/time.Second)
	return Result{Status: Warn, Code: "dhcp_lease_short", Evidence: ev,
		Detail: fmt.Sprintf("%s lasts %s, less than a workday of %s", whose, short(length), short(workday))}, true
}

// dhcpSilence: nobody offered. A server that lives but has nothing left still
// refuses what it can never give.
func (c *checker) dhcpSilence(ctx context.Context, k card, has bool, held lease, ev map[string]any) Result {
	ev["servers"] = []string{}
	ask, cancel := context.WithTimeout(ctx, 600*time.Millisecond)
	defer cancel()
	if server, err := c.sys.Refuses(ask, k); err == nil && server.IsValid() {
		ev["refused_by"] = server.String()
		if !has {
			return Result{Status: Fail, Code: "dhcp_pool_exhausted", Evidence: ev,
				Detail: fmt.Sprintf("%s lives but offers no address", server)}
		}
		return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%s lives and offers nothing to a machine that has an address", server)}
	}
	if !has {
		return Result{Status: Fail, Code: "dhcp_silent", Evidence: ev, Detail: "no DHCP server answers on " + k.Name}
	}
	leased := held.Addr.IsValid() || slices.ContainsFunc(k.Addrs, func(a cardAddr) bool { return a.Addr().Is4() && a.Dynamic })
	if before, ok := c.memory.DHCP[k.MAC.String()]; ok {
		leased = true
		ev["offered_before_by"] = before.By
	}
	if !leased {
		return Result{Status: Pass, Evidence: ev, Detail: "no DHCP server answers; the address is static"}
	}
	return Result{Status: Warn, Code: "dhcp_silent", Evidence: ev,
		Detail: "no DHCP server answers on " + k.Name + "; the address lives until its lease ends"}
}

// heldLease is the lease behind one of the card's addresses, if a client wrote it down.
func (c *checker) heldLease(k card) lease {
	for _, l := range c.sys.Leases() {
		for _, p := range k.v4() {
			if l.Addr == p.Addr() && (l.Card == "" || l.Card == k.Name) {
				return l
			}
		}
	}
	return lease{}
}

func (o dhcpOffer) network() (netip.Prefix, bool) {
	if !o.Addr.IsValid() || o.Mask == 0 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(o.Addr, o.Mask).Masked(), true
}

func (o dhcpOffer) String() string {
	return fmt.Sprintf("%s offers %s/%d, router %s, DNS %s, lease %s", o.Server, o.Addr, o.Mask, join(o.Routers), join(o.DNS), short(o.Lease))
}

func servers(offers []dhcpOffer) []string {
	var out []string
	for _, o := range offers {
		if s := o.Server.String(); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// strangers finds two offers of two servers that are not one failover pair:
// such a pair hands out the same network, router and resolvers.
func strangers(offers []dhcpOffer) (dhcpOffer, dhcpOffer, bool) {
	for _, a := range offers {
		for _, b := range offers {
			an, _ := a.network()
			bn, _ := b.network()
			if a.Server != b.Server && (an != bn || !sameSet(a.Routers, b.Routers) || !sameSet(a.DNS, b.DNS)) {
				return a, b, true
			}
		}
	}
	return dhcpOffer{}, dhcpOffer{}, false
}

// sameSet says whether two lists hold the same, in any order: each server of a pair
// may name itself first.
func sameSet(a, b []netip.Addr) bool {
	in := func(list []netip.Addr) func(netip.Addr) bool {
		return func(x netip.Addr) bool { return !slices.Contains(list, x) }
	}
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

func join(list []netip.Addr) string {
	if len(list) == 0 {
		return "none"
	}
	var s []string
	for _, a := range list {
		s = append(s, a.String())
	}
	return strings.Join(s, " ")
}

// short prints a duration without trailing zero units: 12h, 2m, 1h30m.
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
