package netcheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// probeWays asks this machine's own routing for every host and reader: what is
// taken another way than the default, the readers do not share.
func (c *checker) probeWays(context.Context) Result {
	main, ok := c.defaultRoute()
	if k, known := c.card(main.Card); !ok || !known || k.Tunnel {
		return Result{} // no way out, or all of it by a VPN, which the route said
	}
	var hosts []string
	var by string
	targets := map[string]netip.Addr{}
	c.note(func() {
		for _, h := range required {
			if a := c.addrs[h]; len(a) > 0 && a[0].Is4() {
				targets[h] = a[0]
			}
		}
	})
	for _, h := range required {
		a, asked := targets[h]
		if !asked || c.onLAN(a) {
			continue
		}
		way, err := c.sys.WayTo(a)
		switch {
		case errors.Is(err, errUnsupported):
			return Result{Status: Unknown, Detail: "which way the hosts' traffic goes: " + c.cannot(err)}
		case err != nil:
			by = "nowhere: a route of this machine refuses it"
		case way.Card != main.Card:
			by = "by " + way.Card
		case way.Gateway != main.Gateway:
			by = "by " + way.Gateway.String()
		default:
			continue
		}
		hosts = append(hosts, h)
	}
	ev := map[string]any{"interface": main.Card}
	if len(hosts) > 0 {
		ev["hosts"], ev["way"] = hosts, strings.TrimPrefix(by, "by ")
		return Result{Status: Warn, Code: "vpn_route", Evidence: ev, Detail: fmt.Sprintf("%s goes %s, all else by %s", strings.Join(hosts, ", "), by, main.Card)}
	}
	for _, r := range c.t.Readers {
		a, err := netip.ParseAddr(r)
		if err != nil {
			continue
		}
		way, err := c.sys.WayTo(a)
		if err != nil || way.Card == main.Card {
			continue
		}
		k, known := c.card(way.Card)
		switch {
		case known && k.Tunnel:
			ev["hosts"], ev["way"] = []string{r}, way.Card
			return Result{Status: Warn, Code: "vpn_route", Evidence: ev, Detail: fmt.Sprintf("the reader %s is asked for by %s, which is a VPN", r, way.Card)}
		case known && k.usable() && !way.Gateway.IsValid():
			ev["readers_by"] = way.Card
			return Result{Status: Warn, Code: "multiple_uplinks", Evidence: ev, Detail: fmt.Sprintf("the readers are reached by %s, the internet by %s", way.Card, main.Card)}
		}
	}
	return Result{Status: Pass, Evidence: ev, Detail: "hosts and readers are reached by " + main.Card}
}

// defaultRoute is the one that the machine prefers.
func (c *checker) defaultRoute() (route, bool) {
	list := slices.DeleteFunc(slices.Clone(c.routes), func(r route) bool { return !isDefault4(r) })
	if len(list) == 0 {
		return route{}, false
	}
	return slices.MinFunc(list, func(a, b route) int { return a.Metric - b.Metric }), true
}
