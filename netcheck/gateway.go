package netcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// probeARP asks the LAN who has the gateway's, the readers' and our own address.
func (c *checker) probeARP(ctx context.Context) Result {
	k := c.main
	if len(k.MAC) != 6 || len(k.v4()) == 0 {
		return Result{Status: Unknown, Detail: k.Name + " has no Ethernet address"}
	}
	own := k.v4()[0]
	targets := []netip.Addr{own.Addr()}
	if c.gateway.IsValid() {
		targets = append(targets, c.gateway)
	}
	for _, r := range c.t.Readers {
		// One outside the own subnet is asked for too: if it answers, it is on this
		// wire, and the mask is wrong.
		if a, err := netip.ParseAddr(r); err == nil && c.private(a) && !slices.Contains(targets, a) {
			targets = append(targets, a)
		}
	}
	macs, err := c.sys.ARP(ctx, k, own.Addr(), targets)
	if err != nil {
		c.note(func() { c.arpError = err })
		return Result{Status: Unknown, Detail: "ask the LAN by ARP: " + c.cannot(err)}
	}
	// A second card in the same LAN answers for this machine's own address.
	for a, list := range macs {
		macs[a] = slices.DeleteFunc(list, func(m string) bool {
			return slices.ContainsFunc(c.cards, func(k card) bool { return k.MAC.String() == m })
		})
		if len(macs[a]) == 0 {
			delete(macs, a)
		}
	}
	c.note(func() { c.macs, c.askedARP = macs, targets })
	said := map[string]any{}
	for _, t := range targets {
		if t != own.Addr() || len(macs[t]) > 0 {
			said[t.String()] = orEmpty(macs[t])
		}
	}
	ev := map[string]any{"answers": said, "interface": k.Name}
	if m := macs[own.Addr()]; len(m) > 0 {
		ev["address"], ev["claimed_by"] = own.Addr().String(), m
		return Result{Status: Fail, Code: "address_conflict", Evidence: ev,
			Detail: fmt.Sprintf("%s also belongs to %s", own.Addr(), strings.Join(m, ", "))}
	}
	for _, t := range targets {
		if len(macs[t]) > 1 {
			ev["address"], ev["claimed_by"] = t.String(), macs[t]
			code := "address_conflict"
			if t == c.gateway {
				code = "gateway_spoofed"
			}
			return Result{Status: Warn, Code: code, Evidence: ev, Detail: fmt.Sprintf("%s is claimed by %s", t, strings.Join(macs[t], " and "))}
		}
	}
	return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%d of %d addresses answered", len(macs), len(targets)-1)}
}

// probeGateway: does the router live? It need not answer a ping.
func (c *checker) probeGateway(ctx context.Context) Result {
	g := c.gateway
	if !g.IsValid() && c.routesUnknown() {
		return Result{Status: Unknown, Detail: "the routing table cannot be read on this system"}
	}
	if !g.IsValid() {
		return Result{Status: Pass, Detail: "the line needs no gateway address"}
	}
	ev := map[string]any{"gateway": g.String()}
	if m := c.macs[g]; len(m) > 0 {
		ev["mac"] = m[0]
		return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%s is %s", g, m[0])}
	}
	if c.byHand(g) {
		return Result{Status: Pass, Evidence: ev, Detail: g.String() + " is entered in the neighbour table by hand"}
	}
	if c.macs == nil {
		alive, known := c.neighbourAnswers(ctx, g)
		switch {
		case alive:
			return Result{Status: Pass, Evidence: ev, Detail: g.String() + " answers"}
		case !known:
			return Result{Status: Unknown, Evidence: ev, Detail: "whether the gateway answers: " + errNeedsRaw.Error()}
		}
	}
	return Result{Status: Fail, Code: "gateway_silent", Evidence: ev, Detail: g.String() + " does not answer ARP"}
}

// byHand says whether a person entered that neighbour's hardware address.
func (c *checker) byHand(a netip.Addr) bool {
	list, _ := c.sys.Neighbours()
	return slices.ContainsFunc(list, func(n neighbour) bool { return n.Addr == a && n.Fixed })
}

// probeMask: does the mask hide a reader that is on this wire?
func (c *checker) probeMask(context.Context) Result {
	if len(c.main.v4()) == 0 || c.macs == nil {
		return Result{}
	}
	own := c.main.v4()[0]
	// Who shares this much with the hub is meant to share its network.
	lan := []netip.Prefix{netip.PrefixFrom(own.Addr(), min(own.Bits(), 24)).Masked()}
	for _, o := range c.offers {
		if n, ok := o.network(); ok && n.Contains(own.Addr()) {
			lan = append(lan, n)
		}
	}
	var hidden []string
	for _, r := range c.t.Readers {
		a, err := netip.ParseAddr(r)
		if err == nil && (!c.onLAN(a) || a == broadcast(own)) && len(c.macs[a]) > 0 && in(lan, a) {
			hidden = append(hidden, r)
		}
	}
	if len(hidden) == 0 {
		return Result{}
	}
	return Result{Status: Warn, Code: "wrong_netmask", Evidence: map[string]any{"address": own.String(), "hidden": hidden},
		Detail: fmt.Sprintf("%s answers ARP on this wire and is outside %s", strings.Join(hidden, ", "), own)}
}

// broadcast is a network's last address, which no machine can have.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | uint32(1<<(32-p.Bits())-1)
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// neighbourAnswers makes the kernel ask for an address and reads its table. It
// is what is left without the right to raw sockets.
func (c *checker) neighbourAnswers(ctx context.Context, a netip.Addr) (alive, known bool) {
	if conn, err := c.dial(ctx, "udp", netip.AddrPortFrom(a, 9).String()); err == nil {
		_, _ = conn.Write([]byte{0}) // the discard port: only the ARP request before it matters
		conn.Close()
	}
	end, _ := ctx.Deadline()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	seen := false
	for time.Until(end) > 200*time.Millisecond {
		list, err := c.sys.Neighbours()
		if err != nil {
			return false, false
		}
		for _, n := range list {
			if n.Addr != a {
				continue
			}
			seen = true
			if n.Alive {
				return true, true
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, seen
		}
	}
	list, _ := c.sys.Neighbours()
	for _, n := range list {
		if n.Addr == a {
			return !n.Dead && n.MAC != "", true // an old entry that was not yet disproved
		}
	}
	return false, seen
}

// readerPort is where Terminal SDKs talk to smart readers on the LAN (observed;
// Stripe publishes no list of ports).
const readerPort = "4443"

// readerPatience lets a reader on Wi-Fi wake up: two more ARP requests, two SYNs.
const readerPatience = 2200 * time.Millisecond

// readerProbe: is there a sign of that reader on the LAN?
func (c *checker) readerProbe(addr string) func(context.Context) Result {
	return func(ctx context.Context) Result {
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return Result{Status: Unknown, Detail: fmt.Sprintf("%q is no address", addr)}
		}
		ev := map[string]any{"address": addr, "port": readerPort, "on_lan": c.onLAN(a)}
		took, err := c.reach(ctx, net.JoinHostPort(addr, readerPort))
		if err == nil {
			ev["tcp"], ev["connect_ms"], ev["alive"] = "connected", ms(took), true
			if !c.onLAN(a) {
				return Result{Status: Warn, Code: "reader_other_subnet", Evidence: ev, Detail: addr + " answers, but is not in this subnet"}
			}
			return c.readerLink(ctx, addr, took, ev)
		}
		ev["tcp"] = problem(err)
		if to, mac := c.replaced(ctx, a); to.IsValid() {
			c.note(func() { c.moved[to] = mac })
			ev["alive"], ev["moved_to"], ev["mac"] = true, to.String(), mac
			return Result{Status: Warn, Code: "reader_moved", Evidence: ev, Detail: fmt.Sprintf("%s (%s) is at %s now; another device has its old address", addr, mac, to)}
		}
		if problem(err) == "refused" {
			ev["alive"] = true
			return Result{Status: Warn, Code: "reader_port_closed", Evidence: ev, Detail: addr + " lives, but refuses " + readerPort}
		}
		if !c.onLAN(a) {
			ev["alive"] = false
			return Result{Status: Warn, Code: "reader_other_subnet", Evidence: ev, Detail: addr + " is not in this subnet and does not answer"}
		}
		alive, how := c.answersARP(a)
		ev["alive"], ev["arp"] = alive, how
		if alive {
			if problem(err) == "silent" {
				c.note(func() { c.silent.readers = append(c.silent.readers, a) })
			}
			return Result{Status: Warn, Code: "reader_port_blocked", Evidence: ev, Detail: addr + " lives, but " + readerPort + " is silently dropped"}
		}
		if to, mac := c.whereTo(ctx, a); to.IsValid() {
			c.note(func() { c.moved[to] = mac })
			ev["alive"], ev["moved_to"], ev["mac"] = true, to.String(), mac
			return Result{Status: Warn, Code: "reader_moved", Evidence: ev, Detail: fmt.Sprintf("%s (%s) is at %s now", addr, mac, to)}
		}
		return Result{Status: Fail, Code: "reader_offline", Evidence: ev, Detail: addr + " gives no sign of life"}
	}
}

// reach connects, and tries anew before the first try is lost: of four tries on a
// poor link one passes. took is that of the one that passed.
func (c *checker) reach(ctx context.Context, addr string) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, readerPatience)
	defer cancel()
	const tries, apart = 4, 400 * time.Millisecond
	type try struct {
		took time.Duration
		err  error
	}
	got := make(chan try, tries)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	next := time.NewTimer(0)
	defer next.Stop()
	for begun, open := 0, 0; ; {
		select {
		case <-next.C:
			if begun == tries {
				continue
			}
			begun, open = begun+1, open+1
			wg.Go(func() {
				start := time.Now()
				conn, err := c.dial(ctx, "tcp", addr)
				if err == nil {
					conn.Close()
				}
				got <- try{time.Since(start), err}
			})
			next.Reset(apart)
		case t := <-got:
			if open--; t.err == nil || problem(t.err) == "refused" {
				return t.took, t.err
			}
			if err == nil {
				err = t.err
			}
			if open == 0 && (begun == tries || problem(t.err) != "silent") {
				return t.took, err
			}
		}
	}
}

// replaced looks for a reader whose address another device has now.
func (c *checker) replaced(ctx context.Context, a netip.Addr) (netip.Addr, string) {
	known, now := c.memory.Neighbours[a], c.macs[a]
	if known.MAC == "" || len(now) != 1 || now[0] == known.MAC {
		return netip.Addr{}, ""
	}
	return c.whereTo(ctx, a)
}

// maxSearch is the largest network in which a lost reader is looked for.
const maxSearch = 1024

// whereTo looks for a reader that earlier runs knew at a, by its hardware
// address.
func (c *checker) whereTo(ctx context.Context, a netip.Addr) (netip.Addr, string) {
	known, ok := c.memory.Neighbours[a]
	lan := c.main.v4()
	if !ok || known.MAC == "" || len(lan) == 0 || !lan[0].Contains(a) || 1<<(32-lan[0].Bits()) > maxSearch {
		return netip.Addr{}, ""
	}
	to, err := c.sys.Find(ctx, c.main, lan[0].Addr(), known.MAC, lan[0])
	if err != nil || to == a {
		return netip.Addr{}, ""
	}
	return to, known.MAC
}

// answersARP says whether a LAN address answered, and how that is known.
func (c *checker) answersARP(a netip.Addr) (bool, string) {
	if c.macs != nil && slices.Contains(c.askedARP, a) {
		if len(c.macs[a]) > 0 {
			return true, "answers ARP"
		}
		return false, "silent to ARP"
	}
	list, err := c.sys.Neighbours()
	if errors.Is(err, errUnsupported) {
		return false, "neighbour table not readable"
	}
	for _, n := range list {
		if n.Addr == a && n.Alive {
			return true, "in the neighbour table"
		}
	}
	return false, "not in the neighbour table"
}
