package netcheck

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// maxHops is how far the routers next to the shop are looked for.
const maxHops = 4

// probeHops names the first routers on the way to Stripe: a private one beyond
// the gateway is a second NAT, one of 100.64/10 is the provider's.
func (c *checker) probeHops(ctx context.Context) Result {
	var dst netip.Addr
	c.note(func() {
		for _, h := range required {
			if v := c.hosts[h]; v != nil && v.stage != "tcp" && !dst.IsValid() {
				if p, err := netip.ParseAddrPort(v.addr); err == nil && p.Addr().Is4() {
					dst = p.Addr()
				}
			}
		}
	})
	if !dst.IsValid() {
		return Result{}
	}
	ctx, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
	defer cancel()
	hops := make([]netip.Addr, maxHops)
	var wg sync.WaitGroup
	for i := range hops {
		wg.Go(func() { hops[i], _ = c.sys.Hop(ctx, dst, i+1) })
	}
	wg.Wait()
	return c.judgeHops(hops)
}

func (c *checker) judgeHops(hops []netip.Addr) Result {
	said := make([]string, 0, len(hops))
	known := 0
	for _, h := range hops {
		if h.IsValid() {
			known++
			said = append(said, h.String())
		} else {
			said = append(said, "?")
		}
	}
	ev := map[string]any{"hops": said}
	if known == 0 {
		return Result{Status: Unknown, Evidence: ev, Detail: "no router names itself"}
	}
	for i, h := range hops {
		if i == 0 || !h.IsValid() || h == c.gateway {
			continue
		}
		switch {
		case shared.Contains(h):
			return Result{Status: Pass, Code: "carrier_nat", Evidence: ev, Detail: fmt.Sprintf("hop %d is %s, an address that providers share among customers", i+1, h)}
		case c.private(h):
			return Result{Status: Pass, Code: "double_nat", Evidence: ev, Detail: fmt.Sprintf("hop %d is %s, a private address beyond the gateway", i+1, h)}
		}
	}
	return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%d of the first %d routers name themselves", known, len(hops))}
}
