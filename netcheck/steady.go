package netcheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// visitsMore is how often a host of Stripe's that looked sound is visited once
	// more: one that fails every second time hides from five visits in 1 of 32 runs.
	visitsMore = 4
	// sluggish is an answer that took that much longer than its round trips.
	sluggish = time.Second
	// brisk is what the others take, when one host alone is sluggish.
	brisk = 500 * time.Millisecond
	// distant hosts are visited two at a time, or the round trips would add up.
	distant = 100 * time.Millisecond
	// budgetAddress is for one connection to one more address: room for a second SYN.
	budgetAddress = 1300 * time.Millisecond
)

// probeSteady visits a host of Stripe's a few times more, one after another, when
// all else has ended. It finds what fails or dawdles now and then.
func (c *checker) probeSteady(name string) func(context.Context) Result {
	return func(ctx context.Context) Result {
		var first *visit
		others := brisk
		poor := false
		c.note(func() {
			poor = c.pathCode != "" // then some visits fail by the line
			first = c.hosts[name]
			for _, h := range required {
				if v := c.hosts[h]; h != name && v != nil && v.stage == "done" {
					others = min(others, v.own())
				}
			}
		})
		if poor || first == nil || first.stage != "done" || first.problem != "" || first.status >= 500 {
			return Result{} // it was judged already
		}
		visits := visitsMore
		if name != required[0] && first.own() < sluggish {
			visits = 2 // payments ask the first host; the others for good measure
		}
		said := map[string]int{}
		slow, sound := 0, 1
		var lost bool
		var mu sync.Mutex
		again := func() {
			v := &visit{endpoint: first.endpoint, stage: "tcp", brief: true}
			conn, err := c.dial(ctx, "tcp", first.addr)
			if err == nil {
				c.overTLS(ctx, conn, v, map[string]any{})
				conn.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				lost = true // the line's trouble, or the time is over
			case v.stage == "done" && v.status >= 500:
				said[fmt.Sprintf("HTTP %d", v.status)]++
			case v.problem != "" && ctx.Err() == nil:
				said[v.problem]++
			case v.problem == "":
				if sound++; v.own() > sluggish {
					slow++
				}
			}
		}
		abreast := 1
		if first.connect > distant {
			abreast = 2
		}
		for done := 0; done < visits && !lost; done += abreast {
			var wg sync.WaitGroup
			for range min(abreast, visits-done) {
				wg.Go(func() { again() })
			}
			wg.Wait()
		}
		failed := 0
		for _, n := range said {
			failed += n
		}
		ev := map[string]any{"host": name, "visits": sound + failed, "failed": failed, "said": counts(said), "own_ms": ms(first.own())}
		switch {
		case failed > 0:
			return Result{Status: Warn, Code: "stripe_failing", Evidence: ev, Detail: fmt.Sprintf("%s failed %d of %d visits: %s", name, failed, sound+failed, counts(said))}
		case first.own() > sluggish && slow > 0 && others < brisk:
			return Result{Status: Warn, Code: "stripe_failing", Evidence: ev, Detail: fmt.Sprintf("%s takes %.1f s to answer, visit after visit; others take %.0f ms", name, first.own().Seconds(), ms(others))}
		}
		return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%d of %d visits were answered", sound, sound+failed)}
	}
}

// own is the time that the host took for itself: the whole without round trips.
func (v *visit) own() time.Duration { return v.took - 2*v.connect }

// probeAddresses knocks at the addresses that no visit needed: a client that
// happens to take a blocked one hangs.
func (c *checker) probeAddresses(ctx context.Context) Result {
	rest := map[string]netip.AddrPort{}
	c.note(func() {
		if c.pathCode == "wan_lossy" {
			return // silence would prove nothing
		}
		for _, h := range required {
			v := c.hosts[h]
			if v == nil || v.stage == "tcp" {
				continue
			}
			for i, a := range c.addrs[h] {
				if p := netip.AddrPortFrom(a, 443); i < maxAddrs && p.String() != v.addr {
					rest[p.String()+" "+h] = p
				}
			}
		}
	})
	if len(rest) == 0 {
		return Result{}
	}
	silent := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for key, addr := range rest {
		wg.Go(func() {
			var said string
			for range 2 {
				if said = c.takes(ctx, addr.String()); said == "" {
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			silent[key] = said
		})
	}
	wg.Wait()
	ev := map[string]any{"asked": len(rest)}
	if len(silent) == 0 {
		return Result{Status: Pass, Evidence: ev, Detail: "the hosts' other addresses take connections"}
	}
	var lines, hosts []string
	for key, said := range silent {
		addr, host, _ := strings.Cut(key, " ")
		lines = append(lines, fmt.Sprintf("%s at %s: %s", host, addr, said))
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(lines)
	slices.Sort(hosts)
	ev["hosts"], ev["blocked"] = hosts, lines
	return Result{Status: Warn, Evidence: ev, Detail: "some addresses of a host take no connection, twice: " + strings.Join(lines, "; ")}
}

// takes says why an address takes no connection; "" when it does.
func (c *checker) takes(ctx context.Context, addr string) string {
	ctx, cancel := context.WithTimeout(ctx, budgetAddress)
	defer cancel()
	conn, err := c.dial(ctx, "tcp", addr)
	if err != nil {
		return problem(err)
	}
	conn.Close()
	return ""
}
