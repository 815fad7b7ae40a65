package netcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// mdnsGroup is where multicast DNS speaks (RFC 6762), and mdnsQuestion what every
// responder answers (RFC 6763, section 9).
var mdnsGroup = netip.MustParseAddrPort("224.0.0.251:5353")

const (
	mdnsQuestion = "_services._dns-sd._udp.local."
	// mdnsWindow leaves room for three questions: a responder waits up to 120 ms, and
	// repeats nothing within a second.
	mdnsWindow  = 1400 * time.Millisecond
	mdnsSpacing = 450 * time.Millisecond
	// mdnsNobody ends it when no neighbour has answered by unicast either.
	mdnsNobody = 600 * time.Millisecond
	// mdnsAsked bounds how many neighbours are asked.
	mdnsAsked = 32
)

// probeMulticast asks the neighbours the same by multicast and by unicast. Who
// answers the one and not the other shows that multicast is filtered between us;
// where nobody answers mDNS at all there is nothing to tell.
func (c *checker) probeMulticast(ctx context.Context) Result {
	own := c.main.v4()
	if len(own) == 0 {
		return Result{}
	}
	neighbours := c.neighboursOf(own[0])
	if len(neighbours) == 0 {
		return Result{}
	}
	ctx, cancel := context.WithTimeout(ctx, mdnsWindow)
	defer cancel()
	one, err := c.sys.Unicast(own[0].Addr())
	if errors.Is(err, errUnsupported) {
		return Result{}
	}
	if err != nil {
		return Result{Status: Unknown, Detail: fmt.Sprintf("ask neighbours by mDNS: %v", err)}
	}
	defer one.Close()
	many, err := c.sys.Multicast(c.main)
	if err != nil {
		return Result{Status: Unknown, Detail: fmt.Sprintf("join multicast on %s: %v", c.main.Name, err)}
	}
	defer many.Close()

	var mu sync.Mutex
	byOne, byMany := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	var wg sync.WaitGroup
	for _, l := range []struct {
		conn  net.PacketConn
		heard map[netip.Addr]bool
	}{{one, byOne}, {many, byMany}} {
		stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
		wg.Go(func() {
			hear(l.conn, func(from netip.Addr) {
				mu.Lock()
				defer mu.Unlock()
				l.heard[from] = true
			})
		})
	}
	began := time.Now()
	group := net.UDPAddrFromAddrPort(mdnsGroup)
	for ctx.Err() == nil {
		if q, err := mdnsQuery(); err == nil {
			_, _ = many.WriteTo(q, group) // a filter may refuse it here: then nobody hears it
			for _, n := range neighbours {
				_, _ = one.WriteTo(q, net.UDPAddrFromAddrPort(netip.AddrPortFrom(n, mdnsGroup.Port())))
			}
		}
		select {
		case <-time.After(mdnsSpacing):
		case <-ctx.Done():
		}
		mu.Lock()
		nobody := len(byOne) == 0 && time.Since(began) > mdnsNobody
		all := len(byOne) > 0 && len(deaf(byOne, byMany)) == 0
		mu.Unlock()
		if nobody || all {
			cancel()
		}
	}
	wg.Wait()
	if len(byOne) == 0 {
		return Result{}
	}
	filtered := deaf(byOne, byMany)
	ev := map[string]any{"answered_unicast": sorted(byOne), "answered_multicast": sorted(byMany)}
	if len(filtered) == 0 {
		return Result{Status: Pass, Evidence: ev, Detail: "multicast passes between devices"}
	}
	ev["filtered"] = filtered
	return Result{Status: Warn, Code: "multicast_filtered", Evidence: ev,
		Detail: fmt.Sprintf("%s answers mDNS when asked alone and is not heard by multicast", filtered[0])}
}

// neighboursOf are the machines of this network that were seen lately, readers first.
func (c *checker) neighboursOf(lan netip.Prefix) []netip.Addr {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if a.Is4() && lan.Contains(a) && a != lan.Addr() && !slices.Contains(out, a) && len(out) < mdnsAsked {
			out = append(out, a)
		}
	}
	for _, r := range c.t.Readers {
		if a, err := netip.ParseAddr(r); err == nil {
			add(a)
		}
	}
	add(c.gateway)
	if list, err := c.sys.Neighbours(); err == nil {
		for _, n := range list {
			if !n.Dead {
				add(n.Addr)
			}
		}
	}
	for a := range c.memory.Neighbours {
		add(a)
	}
	return out
}

// hear reads mDNS answers until the connection's deadline.
func hear(conn net.PacketConn, tell func(netip.Addr)) {
	buf := make([]byte, 9000) // RFC 6762, section 17
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dns.Msg
		u, ok := from.(*net.UDPAddr)
		if ok && m.Unpack(buf[:n]) == nil && m.Response {
			tell(u.AddrPort().Addr().Unmap())
		}
	}
}

func mdnsQuery() ([]byte, error) {
	q := new(dns.Msg).SetQuestion(mdnsQuestion, dns.TypePTR)
	q.RecursionDesired = false
	return q.Pack()
}

// deaf are those that answered alone and were not heard among many.
func deaf(byOne, byMany map[netip.Addr]bool) []string {
	out := map[netip.Addr]bool{}
	for a := range byOne {
		if !byMany[a] {
			out[a] = true
		}
	}
	return sorted(out)
}

func sorted(set map[netip.Addr]bool) []string {
	var list []netip.Addr
	for a := range set {
		list = append(list, a)
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return orEmpty(text(list))
}

// openUnicast and openMulticast are the two ears of every system.
func openUnicast(self netip.Addr) (net.PacketConn, error) {
	return net.ListenPacket("udp4", netip.AddrPortFrom(self, 0).String())
}

// openMulticast shares the port with whatever responder this machine runs.
func openMulticast(k card) (net.PacketConn, error) {
	ifi, err := net.InterfaceByIndex(k.Index)
	if err != nil {
		return nil, err
	}
	return net.ListenMulticastUDP("udp4", ifi, net.UDPAddrFromAddrPort(mdnsGroup))
}
