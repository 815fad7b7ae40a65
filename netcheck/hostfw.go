package netcheck

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// knock is a question that was not answered, to be asked once more through this
// machine's packet filter and beneath it.
type knock struct {
	dst     netip.AddrPort
	next    netip.Addr // whose hardware address the frame goes to
	payload []byte     // of a datagram; nil: a connection
}

// probeHostFirewall knocks beneath this machine's own packet filter where nobody
// answered through it: at a host, a reader, a resolver, a time server. Who answers
// beneath it alone was kept from us by the filter.
func (c *checker) probeHostFirewall(ctx context.Context) Result {
	knocks := c.knocks()
	if len(knocks) == 0 {
		return Result{}
	}
	if c.macs == nil {
		return Result{Status: Unknown, Detail: "whether this machine's own packet filter blocks: " + c.cannot(c.arpError)}
	}
	knocks = slices.DeleteFunc(knocks, func(k knock) bool { return len(c.macs[k.next]) == 0 })
	if len(knocks) == 0 {
		return Result{}
	}
	type said struct {
		Result
		asked bool
	}
	got := make([]said, len(knocks))
	var wg sync.WaitGroup
	for i, k := range knocks {
		wg.Go(func() { got[i].Result, got[i].asked = c.beneath(ctx, k) })
	}
	wg.Wait()
	best := Result{}
	for _, g := range got {
		if g.asked && (best.Status == "" || g.Status == Fail && best.Status != Fail) {
			best = g.Result
		}
	}
	return best
}

// knocks are one question of each kind that was left unanswered.
func (c *checker) knocks() (out []knock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range required {
		if v := c.hosts[h]; v != nil && v.stage == "tcp" {
			if dst, err := netip.ParseAddrPort(v.addr); err == nil {
				out = append(out, knock{dst: dst, next: c.gateway})
				break
			}
		}
	}
	if len(c.silent.readers) > 0 {
		a := c.silent.readers[0]
		out = append(out, knock{dst: netip.AddrPortFrom(a, 4443), next: a})
	}
	if len(c.silent.resolvers) > 0 && len(c.silent.resolvers) == len(c.resolvers) {
		if q, err := new(dns.Msg).SetQuestion(dns.Fqdn(required[0]), dns.TypeA).Pack(); err == nil {
			r := c.silent.resolvers[0]
			next := c.gateway
			if c.onLAN(r.Addr()) {
				next = r.Addr()
			}
			out = append(out, knock{dst: r, next: next, payload: q})
		}
	}
	if len(c.silent.clocks) == len(ntpHosts) {
		q := make([]byte, 48)
		q[0] = 4<<3 | 3 // version 4, client (RFC 5905)
		out = append(out, knock{dst: c.silent.clocks[0], next: c.gateway, payload: q})
	}
	return slices.DeleteFunc(out, func(k knock) bool { return !k.dst.Addr().Is4() })
}

// silence is who was asked and did not answer.
type silence struct {
	readers   []netip.Addr // alive, and their port is silent
	resolvers []netip.AddrPort
	clocks    []netip.AddrPort
}

// beneath asks both ways at the same moment.
func (c *checker) beneath(ctx context.Context, k knock) (r Result, asked bool) {
	mac, err := net.ParseMAC(c.macs[k.next][0])
	if err != nil || len(c.main.v4()) == 0 {
		return Result{}, false
	}
	const tries = 3
	plain := make(chan bool, 1)
	go func() {
		if k.payload == nil {
			plain <- c.anyTakes(ctx, k.dst.String())
			return
		}
		plain <- c.answersNow(ctx, k, tries)
	}()
	self := c.main.v4()[0].Addr()
	answered := false
	if k.payload == nil {
		answered, err = c.sys.RawSYN(ctx, c.main, self, mac, k.dst)
	} else {
		var n int
		n, err = c.sys.RawUDP(ctx, c.main, self, mac, k.dst, k.payload, tries)
		answered = 2*n > tries // one answer of three may be chance on both ways
	}
	ev := map[string]any{"address": k.dst.String()}
	if <-plain {
		return Result{Status: Warn, Evidence: ev, Detail: k.dst.String() + " answers now and did not before"}, true
	}
	switch {
	case err != nil:
		return Result{Status: Unknown, Evidence: ev, Detail: "whether this machine's own filter blocks: " + err.Error()}, true
	case answered:
		return Result{Status: Fail, Code: "host_firewall", Evidence: ev,
			Detail: fmt.Sprintf("%s answers beneath this machine's packet filter and not through it", k.dst)}, true
	}
	return Result{Status: Pass, Evidence: ev, Detail: "this machine's packet filter makes no difference"}, true
}

// anyTakes opens several connections side by side: a filter stops them all, a line
// that loses one packet in three seldom does.
func (c *checker) anyTakes(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const atOnce = 4
	took := make(chan bool, atOnce)
	for range atOnce {
		go func() { took <- c.takesNow(ctx, addr) == nil }()
	}
	taken := false
	for range atOnce { // all of them, so that none outlives the probe
		if <-took {
			taken = true
			cancel()
		}
	}
	return taken
}

// takesNow asks once more, at the same moment: the line may have come back. Who
// refuses at once is asked a few times over: it may have taken too many others.
func (c *checker) takesNow(ctx context.Context, addr string) (err error) {
	const tries, apart = 4, 200 * time.Millisecond
	for range tries {
		var conn net.Conn
		if conn, err = c.dial(ctx, "tcp", addr); err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-time.After(apart):
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// answersNow sends the datagram through the filter and says whether any answer came.
func (c *checker) answersNow(ctx context.Context, k knock, tries int) bool {
	conn, err := c.dial(ctx, "udp", k.dst.String())
	if err != nil {
		return false
	}
	defer conn.Close()
	for range tries {
		_, _ = conn.Write(k.payload) // refused here and now is an answer too: no
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(end.Add(-100 * time.Millisecond))
	}
	buf := make([]byte, 1500)
	for range tries {
		if n, err := conn.Read(buf); err == nil && n > 0 {
			return true
		}
	}
	return false
}
