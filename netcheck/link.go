package netcheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// probeLink: is there a cable or an association?
func (c *checker) probeLink(context.Context) Result {
	cards, err := c.sys.Cards()
	if err != nil {
		return Result{Status: Unknown, Detail: fmt.Sprintf("list interfaces: %v", err)}
	}
	c.note(func() { c.cards = cards })
	var seen, usable []string
	for _, k := range cards {
		if k.Loopback {
			continue
		}
		state := "down"
		switch {
		case k.Up && k.Carrier:
			state = "up"
		case k.Up:
			state = "no carrier"
		}
		seen = append(seen, k.Name+" "+state)
		if k.usable() {
			usable = append(usable, k.Name)
		}
	}
	ev := map[string]any{"interfaces": orEmpty(seen)}
	if len(usable) == 0 {
		what := "no network interface but the loopback"
		if len(seen) > 0 {
			what = "no interface has a link: " + strings.Join(seen, ", ")
		}
		return Result{Status: Fail, Code: "link_down", Detail: what, Evidence: ev}
	}
	return Result{Status: Pass, Detail: strings.Join(usable, ", ") + " up", Evidence: ev}
}

// probeIPv4: does the machine have an address that a reader could talk to?
func (c *checker) probeIPv4(context.Context) Result {
	routes, _ := c.sys.Routes()
	main := pickMain(c.cards, routes)
	c.note(func() { c.main = main; c.routes = routes })
	var have, lame, global6 []string
	for _, k := range c.cards {
		if !k.usable() {
			continue
		}
		for _, a := range k.Addrs {
			switch {
			case a.Addr().Is4() && linkLocal.Contains(a.Addr()):
				lame = append(lame, fmt.Sprintf("%s on %s", a.Prefix, k.Name))
			case a.Addr().Is4():
				have = append(have, fmt.Sprintf("%s on %s", a.Prefix, k.Name))
			case a.Addr().IsGlobalUnicast() && !a.Addr().IsPrivate():
				global6 = append(global6, fmt.Sprintf("%s on %s", a.Prefix, k.Name))
			}
		}
	}
	ev := map[string]any{"addresses": orEmpty(have), "interface": main.Name}
	if len(have) == 0 {
		r := Result{Status: Fail, Code: "no_ipv4", Evidence: ev, Detail: "no IPv4 address on " + main.Name}
		if len(lame) > 0 {
			ev["self_assigned"] = lame
			r.Detail = "only a self-assigned address: " + strings.Join(lame, ", ")
		}
		if len(global6) > 0 {
			ev["ipv6"] = global6
			if slices.ContainsFunc(routes, func(r route) bool { return r.Dst.Bits() == 0 && r.Dst.Addr().Is6() }) {
				r.Code, r.Detail = "ipv6_only", "IPv6 only: "+strings.Join(global6, ", ")
			}
		}
		return r
	}
	r := Result{Status: Pass, Detail: strings.Join(have, ", "), Evidence: ev}
	for _, p := range main.v4() {
		if !c.private(p.Addr()) && !linkLocal.Contains(p.Addr()) {
			ev["not_private"] = p.Addr().String()
			r.Status, r.Code = Warn, "address_not_private"
			r.Detail = fmt.Sprintf("%s on %s is not a private address", p.Addr(), main.Name)
		}
	}
	return r
}

// pickMain is the card of the shop's LAN: where the default route leaves, else
// the first usable one with an IPv4 address, else the first usable one.
func pickMain(cards []card, routes []route) card {
	best, rank := card{}, -1
	for _, k := range cards {
		if !k.usable() {
			continue
		}
		r := 0
		if len(k.v4()) > 0 {
			r = 1
		}
		if slices.ContainsFunc(routes, func(r route) bool { return isDefault4(r) && r.Card == k.Name }) {
			r = 2
		}
		if r > rank {
			best, rank = k, r
		}
	}
	return best
}

func isDefault4(r route) bool { return r.Dst.IsValid() && r.Dst.Addr().Is4() && r.Dst.Bits() == 0 }

// probeRoute: is there a way out, and only one?
func (c *checker) probeRoute(context.Context) Result {
	var defaults []route
	for _, r := range c.routes {
		if isDefault4(r) {
			defaults = append(defaults, r)
		}
	}
	if len(defaults) == 0 {
		if c.routesUnknown() {
			return Result{Status: Unknown, Detail: "the routing table cannot be read on this system"}
		}
		return Result{Status: Fail, Code: "no_default_gateway", Detail: "no IPv4 default route",
			Evidence: map[string]any{"interface": c.main.Name}}
	}
	slices.SortStableFunc(defaults, func(a, b route) int { return a.Metric - b.Metric })
	first := defaults[0]
	c.note(func() { c.gateway = first.Gateway })
	ev := map[string]any{"gateway": first.Gateway.String(), "interface": first.Card}
	r := Result{Status: Pass, Detail: fmt.Sprintf("%s by %s", first.Gateway, first.Card), Evidence: ev}
	if !first.Gateway.IsValid() {
		ev["gateway"], r.Detail = "", "straight out by "+first.Card
		if k, ok := c.card(first.Card); ok && !k.Tunnel {
			ev["no_gateway"] = true
		}
	}
	leavesBy := map[string]bool{}
	var uplinks []string
	for _, d := range defaults {
		if k, ok := c.card(d.Card); ok && !k.Tunnel && !leavesBy[d.Card] {
			leavesBy[d.Card] = true
			uplinks = append(uplinks, d.Card)
		}
	}
	if len(uplinks) > 1 {
		ev["uplinks"] = uplinks
		r.Status, r.Code = Warn, "multiple_uplinks"
		r.Detail = "default routes by " + strings.Join(uplinks, " and ")
	}
	if p := c.main.v4(); len(p) == 1 && first.Gateway.IsValid() && first.Card == c.main.Name && !p[0].Contains(first.Gateway) {
		ev["address"], ev["gateway_outside"] = p[0].String(), true
		r.Status, r.Code = Warn, "wrong_netmask"
		r.Detail = fmt.Sprintf("gateway %s is outside %s", first.Gateway, p[0])
	}
	if k, ok := c.card(first.Card); ok && k.Tunnel {
		ev["tunnel"] = first.Card
		r.Status, r.Code, r.Detail = Warn, "vpn_route", "everything leaves by "+first.Card+", which is a VPN"
	}
	// A VPN may leave the default route alone and put two halves over it.
	if way, err := c.sys.WayTo(anchors[0]); err == nil && way.Card != "" && way.Card != first.Card && r.Code == "" {
		ev["internet_by"] = way.Card
		r.Status, r.Code, r.Detail = Warn, "multiple_uplinks", "the internet is reached by "+way.Card+", the LAN by "+first.Card
		if k, ok := c.card(way.Card); ok && k.Tunnel {
			ev["tunnel"] = way.Card
			r.Code, r.Detail = "vpn_route", "the internet is reached by "+way.Card+", which is a VPN"
		}
	}
	return r
}

func (c *checker) routesUnknown() bool {
	_, err := c.sys.Routes()
	return err != nil
}

func (c *checker) card(name string) (card, bool) {
	for _, k := range c.cards {
		if k.Name == name {
			return k, true
		}
	}
	return card{}, false
}

// onLAN says whether an address is in a subnet of one of this machine's cards.
func (c *checker) onLAN(a netip.Addr) bool {
	for _, k := range c.cards {
		for _, p := range k.v4() {
			if !k.Loopback && p.Contains(a) {
				return true
			}
		}
	}
	return false
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
