package netcheck

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Follow-ups ask only when something failed, and only to tell causes apart.

// doubted are the names worth asking a public resolver: those that the shop's
// DNS could not give, or gave an address of that does not prove itself.
func (c *checker) doubted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.resolvers) == 0 {
		return nil
	}
	var names []string
	for _, h := range slices.Concat(required, []string{events}) {
		v := c.hosts[h]
		if len(c.addrs[h]) == 0 || v != nil && (v.stage == "tcp" || v.problem == "untrusted" || v.problem == "wrong_name") {
			names = append(names, h)
		}
	}
	if c.privateFailed || len(names) > 0 {
		names = append(names[:min(len(names), 2)], privateTest)
	}
	return names
}

// anchors are addresses on 443 that have nothing to do with Stripe: the public
// resolvers, which are asked anyway when things fail.
var anchors = publicResolvers

// reached says whether any host on 443 took a connection.
func (c *checker) reached() (proven, connected []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, v := range c.hosts {
		if v.stage != "tcp" {
			connected = append(connected, name)
		}
		if v.proven {
			proven = append(proven, name)
		}
	}
	slices.Sort(proven)
	slices.Sort(connected)
	return proven, connected
}

// probeBeyond looks for any sign of life beyond the gateway when no host proved itself.
func (c *checker) probeBeyond(ctx context.Context) Result {
	if proven, _ := c.reached(); len(proven) > 0 {
		return Result{Status: Pass, Detail: "hosts on the internet prove themselves", Evidence: map[string]any{"alive": true}}
	}
	said := map[string]any{}
	open := []string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, a := range anchors {
		wg.Go(func() {
			addr := netip.AddrPortFrom(a, 443).String()
			conn, err := c.dial(ctx, "tcp", addr)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				said[addr] = problem(err)
				return
			}
			conn.Close()
			said[addr] = "connected"
			open = append(open, addr)
		})
	}
	wg.Wait()
	slices.Sort(open)
	ev := map[string]any{"said": said, "open": open}
	if len(open) == 0 {
		return Result{Status: Fail, Detail: "nothing on port 443 beyond the gateway takes a connection", Evidence: ev}
	}
	return Result{Status: Pass, Detail: "reached " + strings.Join(open, ", "), Evidence: ev}
}

// smallSegments is a segment size that every IPv4 path carries (RFC 879).
const smallSegments = 536

// probeMTU repeats a handshake that stalled, with small segments. A second try
// with another name in it shows that size, not the name, was the trouble.
func (c *checker) probeMTU(ctx context.Context) Result {
	var stalled *visit
	full := 0
	c.note(func() {
		for _, e := range c.endpoints() {
			v := c.hosts[e.String()]
			if v == nil || !e.tls {
				continue
			}
			if v.stage == "http" || v.stage == "done" || v.issuer != "" {
				full++ // a certificate chain is larger than one packet
			}
			if v.stage == "tls" && v.problem == "silent" && stalled == nil {
				stalled = v
			}
		}
	})
	if stalled == nil {
		if full == 0 {
			return Result{}
		}
		return Result{Status: Pass, Detail: "full-size packets pass", Evidence: map[string]any{"full_size_answers": full}}
	}
	var small, otherName error
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := c.sys.DialMSS(ctx, stalled.addr, smallSegments)
		if err == nil {
			err = hello(ctx, conn, stalled.name)
		}
		small = err
	})
	wg.Go(func() {
		conn, err := c.dial(ctx, "tcp", stalled.addr)
		if err == nil {
			err = hello(ctx, conn, "example.com")
		}
		otherName = err
	})
	wg.Wait()
	ev := map[string]any{"host": stalled.name, "small_segments": outcome(small), "other_name_full_size": outcome(otherName), "full_size_answers": full}
	switch {
	case small == nil && otherName != nil && full == 0:
		return Result{Status: Fail, Code: "mtu_black_hole", Evidence: ev, Detail: fmt.Sprintf(
			"%s answers in segments of %d bytes and is silent in full-size ones", stalled.name, smallSegments)}
	case small != nil && strings.Contains(small.Error(), errUnsupported.Error()):
		return Result{Status: Unknown, Evidence: ev, Detail: "segment size cannot be set on this system; try from a Linux machine"}
	}
	return Result{Status: Pass, Evidence: ev, Detail: "packet size makes no difference"}
}

// hello does a handshake and closes. The far end has proved nothing: only whether
// it answers counts, so an alert is an answer too.
func hello(ctx context.Context, conn net.Conn, name string) error {
	defer conn.Close()
	watch := &watched{Conn: conn}
	err := tls.Client(watch, &tls.Config{ServerName: name, InsecureSkipVerify: true}).HandshakeContext(ctx)
	if err != nil && watch.got && problem(err) != "silent" {
		return nil
	}
	return err
}

func outcome(err error) string {
	if err == nil {
		return "answered"
	}
	return problem(err)
}

// sniProbe tells a filter by name from a filter by address and from a sick host:
// the same name at an unrelated address, and another name at the same one.
func (c *checker) sniProbe(e endpoint) func(context.Context) Result {
	return func(ctx context.Context) Result {
		var v *visit
		elsewhere := netip.AddrPortFrom(anchors[0], 443).String()
		c.note(func() {
			v = c.hosts[e.String()]
			for _, o := range c.hosts {
				if o.proven && (v == nil || o.addr != v.addr) {
					elsewhere = o.addr
				}
			}
		})
		if v == nil || v.stage != "tls" || !slices.Contains([]string{"silent", "reset", "closed"}, v.problem) {
			return Result{}
		}
		var same, other error
		var wg sync.WaitGroup
		wg.Go(func() { same = c.helloTo(ctx, elsewhere, e.name) })
		wg.Go(func() { other = c.helloTo(ctx, v.addr, "example.com") })
		wg.Wait()
		ev := map[string]any{"host": e.name, "problem": v.problem, "elsewhere": elsewhere,
			"same_name_elsewhere": outcome(same), "other_name_here": outcome(other)}
		switch {
		case same != nil:
			return Result{Status: Fail, Evidence: ev, Detail: fmt.Sprintf("the name %s is cut off at an unrelated address too (%s)", e.name, outcome(same))}
		case other != nil:
			return Result{Status: Warn, Evidence: ev, Detail: fmt.Sprintf("%s answers no name at all; the name %s passes elsewhere", v.addr, e.name)}
		}
		return Result{Status: Warn, Evidence: ev, Detail: fmt.Sprintf("the name %s passes elsewhere: its own host does not answer", e.name)}
	}
}

func (c *checker) helloTo(ctx context.Context, addr, name string) error {
	conn, err := c.dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return hello(ctx, conn, name)
}
