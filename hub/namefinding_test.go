package hub

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storehub/netcheck"
)

// TestMoney_4_4_WhatResolversSayOfTheHubsName is each answer that a resolver may give.
func TestMoney_4_4_WhatResolversSayOfTheHubsName(t *testing.T) {
	says := func(who, rcode string, authoritative bool, addrs ...string) netcheck.Said {
		s := netcheck.Said{Resolver: netip.AddrPortFrom(netip.MustParseAddr(who), 53), Rcode: rcode, Authoritative: authoritative, Words: strings.Join(addrs, ", ")}
		for _, a := range addrs {
			s.Addrs = append(s.Addrs, netip.MustParseAddr(a))
		}
		if len(addrs) == 0 {
			s.Words = rcode
		}
		return s
	}
	const router, cloud, hub = "192.168.50.1", "198.51.100.53", "192.168.50.21"
	cards := [][]netip.Prefix{{netip.MustParsePrefix("127.0.0.1/8")}, {netip.MustParsePrefix(hub + "/24")}, {netip.MustParsePrefix("203.0.113.21/24")}}
	for _, c := range []struct {
		name   string
		said   []netcheck.Said
		asksUs string
		told   bool
		want   string // evidence; "" is none
	}{
		{name: "nobody is asked"},
		{name: "silence", said: []netcheck.Said{says(router, "", false)}},
		{name: "no idea", said: []netcheck.Said{says(router, "SERVFAIL", false), says(cloud, "REFUSED", false)}},
		{name: "an entry in the router", said: []netcheck.Said{says(router, "NOERROR", true, hub)}, told: true},
		{name: "a resolver in a network of public addresses", said: []netcheck.Said{says("203.0.113.1", "NOERROR", true, "203.0.113.21")}, told: true},
		{name: "the hub itself", said: []netcheck.Said{says(hub, "NOERROR", true, hub)}, told: true},
		{name: "the router asks the hub", said: []netcheck.Said{says(router, "NOERROR", false, hub)}, asksUs: router, told: true},
		{name: "another asks the hub, the router does not", said: []netcheck.Said{says(router, "NOERROR", false, hub)}, asksUs: "192.168.50.9", told: true,
			want: "192.168.50.1 knows hub.shop.example (192.168.50.21) from another resolver: its answer is not authoritative"},
		{name: "from upstream", said: []netcheck.Said{says(router, "NOERROR", false, hub)}, told: true,
			want: "192.168.50.1 knows hub.shop.example (192.168.50.21) from another resolver: its answer is not authoritative"},
		{name: "another machine", said: []netcheck.Said{says(router, "NOERROR", true, "192.168.50.22")}, told: true,
			want: "192.168.50.1 leads hub.shop.example to 192.168.50.22, which is not this hub"},
		{name: "another machine too", said: []netcheck.Said{says(router, "NOERROR", true, hub, "192.168.50.22")}, told: true,
			want: "192.168.50.1 leads hub.shop.example to 192.168.50.22, which is not this hub"},
		{name: "each till itself", said: []netcheck.Said{says(router, "NOERROR", true, "127.0.0.1")}, told: true,
			want: "192.168.50.1 leads hub.shop.example to 127.0.0.1, which is not this hub"},
		{name: "unknown", said: []netcheck.Said{says(router, "NXDOMAIN", true)}, told: true, want: "192.168.50.1 does not know hub.shop.example: NXDOMAIN"},
		{name: "no address", said: []netcheck.Said{says(router, "NOERROR", true)}, told: true, want: "192.168.50.1 does not know hub.shop.example: NOERROR"},
		{name: "a public resolver alone", said: []netcheck.Said{says(cloud, "NOERROR", true, hub)}, told: true, want: "198.51.100.53, which knows hub.shop.example, is on the internet"},
		{name: "a public resolver behind one that holds", said: []netcheck.Said{says(router, "NOERROR", true, hub), says(cloud, "NXDOMAIN", false)}, told: true},
		{name: "one of two on the LAN does not know", said: []netcheck.Said{says(router, "NOERROR", true, hub), says("192.168.50.2", "NXDOMAIN", false)}, told: true,
			want: "192.168.50.2 does not know hub.shop.example: NXDOMAIN"},
		{name: "one of two is silent", said: []netcheck.Said{says("192.168.50.2", "", false), says(router, "NOERROR", true, hub)}, told: true},
		{name: "a stub of this machine", said: []netcheck.Said{says("127.0.0.53", "NOERROR", false, hub)}},
	} {
		v := shopView{cards, cards, func(a netip.Addr) bool { return c.asksUs != "" && a == netip.MustParseAddr(c.asksUs) }}
		against, told := judgeName(hubName, c.said, v)
		if got := strings.Join(against, "; "); got != c.want || told != c.told {
			t.Errorf("%s: told %t: %q, want %t: %q", c.name, told, got, c.told, c.want)
		}
	}
}

// Silence neither makes a finding nor ends one; since is when it was first there.
func TestMoney_4_4_SilenceAboutTheNameChangesNothing(t *testing.T) {
	var n nameKnown
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if n.note(hubName, nil, false, at) || len(n.findings()) != 0 {
		t.Errorf("silence is %+v", n.findings())
	}
	if !n.note(hubName, []string{"a"}, true, at) || !n.note(hubName, []string{"b"}, true, at.Add(time.Hour)) || n.note(hubName, nil, false, at.Add(2*time.Hour)) {
		t.Error("news is not told from silence")
	}
	f := n.findings()
	if len(f) != 1 || f[0].Code != "hub_name_needs_internet" || !f[0].Since.Equal(at) || !slices.Equal(f[0].Evidence, []string{"b"}) || !slices.Equal(f[0].Targets, []string{hubName}) {
		t.Errorf("the finding is %+v", f)
	}
	if !n.note(hubName, nil, true, at) || n.note(hubName, nil, true, at) || len(n.findings()) != 0 {
		t.Errorf("mended, it is %+v", n.findings())
	}
}

// The LAN is asked with each look at the network, and never with checks off, or where
// no till elsewhere can be meant.
func TestMoney_4_4_TheNameIsLookedForWithTheNetwork(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   int
	}{
		"as shipped":   {func(c *Config) {}, 3},
		"without name": {func(c *Config) { c.TLS.Name = "" }, 0},
		"on loopback":  {func(c *Config) { c.Listen = "127.0.0.1:7443" }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			parts := testParts(newFakeHQ(), &recorder{})
			parts.Resolvers = func() ([]netip.AddrPort, error) { asked++; return nil, nil }
			cfg := testConfig(t.TempDir())
			cfg.TLS.Name, cfg.Listen, cfg.Checks.Every = hubName, ":7443", time.Minute
			c.change(&cfg)
			h, err := New(cfg, parts)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+30*time.Second)
			defer cancel()
			_ = h.monitor.run(ctx)
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if asked != c.want {
				t.Errorf("%s: the LAN was asked %d times, want %d", name, asked, c.want)
			}
		})
	}
}
