package netcheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// anchors6 are the public resolvers' addresses of IPv6: no host of Stripe's has one
// that a store may count on.
var anchors6 = []netip.Addr{netip.MustParseAddr("2606:4700:4700::1111"), netip.MustParseAddr("2001:4860:4860::8888")}

// probeIPv6: where IPv6 is announced, does it lead anywhere?
func (c *checker) probeIPv6(ctx context.Context) Result {
	var have []string
	for _, k := range c.cards {
		for _, a := range k.Addrs {
			if k.usable() && a.Addr().Is6() && a.Addr().IsGlobalUnicast() && !a.Addr().IsPrivate() {
				have = append(have, a.String())
			}
		}
	}
	announced := slices.ContainsFunc(c.routes, func(r route) bool { return r.Dst.IsValid() && r.Dst.Addr().Is6() && r.Dst.Bits() == 0 })
	if len(have) == 0 || !announced {
		return Result{}
	}
	said := map[string]any{}
	alive := false
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, a := range anchors6 {
		wg.Go(func() {
			conn, err := c.dial(ctx, "tcp", netip.AddrPortFrom(a, 443).String())
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				conn.Close()
			}
			said[a.String()] = outcome(err)
			alive = alive || err == nil || problem(err) == "refused" || problem(err) == "reset"
		})
	}
	wg.Wait()
	ev := map[string]any{"addresses": have, "said": said}
	if alive {
		return Result{Status: Pass, Evidence: ev, Detail: "IPv6 leads out"}
	}
	return Result{Status: Warn, Code: "ipv6_broken", Evidence: ev, Detail: fmt.Sprintf("%s and a default route are announced, and nothing answers over IPv6", have[0])}
}
