package lab

import (
	"errors"
	"slices"
	"time"
)

// Rows is the whole exam.
var Rows = slices.Concat(lanRows, readerRows, ownRows, dnsRows, nameRows, lineRows, filterRows, stripeRows, fieldRows, pairRows, benignRows, oddRows, soundRows)

// pairRows are two faults at once, and both have to be named.
var pairRows = []Row{
	pair("rebind-reader", "dns-rebind", "reader-off"),
	pair("rebind-lease", "dns-rebind", "lease-short-too"),
	pair("firewall-reader", "firewall-drop", "reader-refuses"),
	pair("firewall-ntp", "firewall-reset", "ntp-dropped"),
	pair("inspection-reader", "inspection", "reader-off"),
	pair("nxdomain-filtered", "dns-nxdomain", "reader-filtered"),
	pair("stripe-reader", "stripe-503", "reader-off"),
	pair("slow-reader", "line-far", "reader-refuses"),
	pair("clock-reader", "clock-ahead", "reader-off"),
	pair("down-reader", "line-down", "reader-off"),
	pair("hijack-ntp", "dns-hijack", "ntp-refuses"),
	pair("hole-reader", "mtu-hole", "reader-refuses"),
	pair("uplinks-stripe", "two-uplinks", "stripe-503"),
	pair("events-reader", "events-drop", "reader-off"),
	pair("slow-names-ntp", "dns-slow-1200", "udp-dropped"),
	pair("rogue-firewall", "dhcp-rogue-dns", "firewall-two"),
	pair("narrow-reader", "line-narrow", "reader-refuses"),
}

// pair makes one row of two; both codes have to be named and nothing beside.
func pair(name, a, b string) Row {
	singles := slices.Concat(lanRows, readerRows, ownRows, dnsRows, nameRows, lineRows, filterRows, stripeRows, fieldRows, []Row{
		// For a router that filters names already: one dnsmasq, two faults.
		{Name: "lease-short-too", Does: "and leases last 2 minutes", Code: "dhcp_lease_short", done: func(s *Shop) error {
			p := usualPool
			p.lease = "2m"
			return errors.Join(s.dhcpdPool(&p, "--stop-dns-rebind"), s.lease("hub", "eth0"))
		}},
	})
	rows, unknown := Find(singles, []string{a, b})
	if unknown != "" {
		panic("lab: a pair of an unknown row: " + unknown)
	}
	return Row{Name: "pair-" + name, Does: rows[0].Does + "; " + rows[1].Does, Both: []string{rows[0].Code, rows[1].Code},
		Beside: slices.Concat(rows[0].Beside, rows[1].Beside), HealthyFirst: rows[0].HealthyFirst || rows[1].HealthyFirst,
		done: func(s *Shop) error { return errors.Join(rows[0].done(s), rows[1].done(s)) }}
}

// benignRows are odd but sound: to blame anything here is as bad as to miss a fault.
var benignRows = []Row{
	{Name: "healthy", Does: "nothing", done: func(*Shop) error { return nil }},
	{Name: "healthy-again", Does: "nothing, seen a second time", HealthyFirst: true, done: func(*Shop) error { return nil }},
	{Name: "gateway-deaf-to-ping", Does: "the router answers no ping", done: func(s *Shop) error { return s.deafen("icmp type echo-request drop") }},
	{Name: "pppoe", Does: "the line carries 1492 bytes, and says so", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "link set wan0 mtu 1492"), s.ip("isp", "link set lan0 mtu 1492"))
	}},
	{Name: "tunnel-line", Does: "the line carries 1400 bytes, and says so", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "link set wan0 mtu 1400"), s.ip("isp", "link set lan0 mtu 1400"))
	}},
	{Name: "mss-clamped", Does: "packets over 1400 bytes vanish, and the router clamps segments", done: func(s *Shop) error {
		return errors.Join(hole(1400)(s), s.nft("router", "add chain inet shop clamp { type filter hook forward priority -10; }\nadd rule inet shop clamp tcp flags syn tcp option maxseg size set 1200\n"))
	}},
	{Name: "public-dns", Does: "DHCP names public resolvers", done: func(s *Shop) error {
		return errors.Join(s.dhcpd("--dhcp-option=6,"+cloudDNS+","+googleDNS), s.lease("hub", "eth0"))
	}},
	{Name: "static-hub", Does: "the hub's address is set by hand", done: func(s *Shop) error { return s.byHand(hubIP+"/24", gatewayIP) }},
	{Name: "no-dhcp-static", Does: "no DHCP at all, all addresses by hand", done: func(s *Shop) error { return errors.Join(s.dhcpdPool(nil), s.byHand(hubIP+"/24", gatewayIP)) }},
	{Name: "far-line", Does: "a sound line with a round trip of 220 ms", done: spoilt(impairment{delay: 110 * time.Millisecond})},
	{Name: "wireless-line", Does: "30 ms of jitter, 1 % loss", done: spoilt(impairment{delay: 15 * time.Millisecond, jitter: 30 * time.Millisecond, loss: 1})},
	{Name: "four-mbit", Does: "a line of 4 Mbit/s each way", done: spoilt(impairment{kbit: 4000})},
	{Name: "dual-stack", Does: "IPv6 beside IPv4, and it works", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "addr add 2001:2:0:50::1/64 dev lan0"), s.ip("hub", "addr add 2001:2:0:50::21/64 dev eth0", "route add default via 2001:2:0:50::1"))
	}},
	{Name: "ipv6-hole", Does: "IPv6 is announced and leads nowhere", Info: "ipv6_broken", done: func(s *Shop) error {
		return s.ip("hub", "addr add 2001:2:0:50::21/64 dev eth0", "route add default via 2001:2:0:50::99")
	}},
	{Name: "two-nats", Does: "a second router in a row", Info: "double_nat", done: upstream("10.9.9")},
	{Name: "carrier-nat", Does: "the provider shares an address", Info: "carrier_nat", done: upstream("100.64.9")},
	{Name: "no-icmp-line", Does: "the router passes no ping outward", done: func(s *Shop) error { return s.forbid("icmp type echo-request drop") }},
	{Name: "idle-bridge", Does: "the hub has a container bridge and an idle card", done: func(s *Shop) error {
		return s.ip("hub", "link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up",
			"link add eth7 type veth peer name eth8", "link set eth7 up")
	}},
}

// upstream puts the router behind another translator, in that network.
func upstream(net string) func(*Shop) error {
	return func(s *Shop) error {
		return errors.Join(
			s.ip("isp", "addr add "+net+".1/24 dev lan0"),
			s.dropAddresses("router", "wan0"),
			s.ip("router", "addr add "+net+".2/24 dev wan0", "route add default via "+net+".1"),
			s.nft("isp", `table ip nat { chain after { type nat hook postrouting priority 100; oifname "core0" masquerade; }; }`))
	}
}

// distant is the shop of the endurance run: healthy, far and a little lossy.
var distant = Row{Name: "healthy-2%-80ms", Does: "2 % loss and 80 ms of round trip", done: spoilt(impairment{delay: 40 * time.Millisecond, loss: 2})}
