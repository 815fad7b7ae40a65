package netcheck

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
)

// Said is what one resolver said of a name.
type Said struct {
	Resolver      netip.AddrPort
	Rcode         string       // NOERROR, NXDOMAIN, …; "" when it did not answer
	Addrs         []netip.Addr // IPv4
	Authoritative bool         // it says so of itself, and did not ask another
	Words         string       // all of that for a person, or why there was no answer
}

// Conclusive reports whether a client would ask no other resolver.
func (s Said) Conclusive() bool { return answer{Rcode: s.Rcode}.conclusive() }

// upstreamOfStub is where systemd-resolved writes whom it asks.
const upstreamOfStub = "/run/systemd/resolve/resolv.conf"

// Resolvers are those that this machine was given, in its order. Where it asks a stub
// of its own, those behind that are among them, if they can be known.
func Resolvers() ([]netip.AddrPort, error) {
	list, err := thisSystem().Resolvers()
	if err != nil || !slices.ContainsFunc(list, func(r netip.AddrPort) bool { return r.Addr().IsLoopback() }) {
		return list, err
	}
	f, err := os.Open(upstreamOfStub)
	if err != nil {
		return list, nil // it is another stub
	}
	defer f.Close()
	behind, err := ParseResolvConf(f)
	return append(list, behind...), err
}

// AskResolvers asks each of them for a name's IPv4 addresses, again if it is silent,
// side by side. The answers are in their order; ctx bounds them.
func AskResolvers(ctx context.Context, name string, resolvers []netip.AddrPort) []Said {
	c := &checker{connect: new(net.Dialer).DialContext}
	out := make([]Said, len(resolvers))
	var all sync.WaitGroup
	for i, r := range resolvers {
		all.Go(func() {
			a := c.askAgain(ctx, r, name)
			if a.Authoritative && len(a.Addrs) > 0 {
				// A forwarder hands on the first answer as it came, this mark included,
				// and gives the next one from memory, without.
				a = c.askAgain(ctx, r, name)
			}
			out[i] = Said{Resolver: r, Rcode: a.Rcode, Addrs: a.Addrs, Authoritative: a.Authoritative, Words: a.said()}
		})
	}
	all.Wait()
	return out
}

// askAgain asks again as a client does that loses patience.
func (c *checker) askAgain(ctx context.Context, server netip.AddrPort, name string) answer {
	first, cancel := context.WithTimeout(ctx, retryAfter)
	defer cancel()
	if a := c.ask(first, "udp", server, name); a.Rcode != "" || ctx.Err() != nil {
		return a
	}
	again, cancel := context.WithTimeout(ctx, retryAfter)
	defer cancel()
	return c.ask(again, "udp", server, name)
}
