package lab

import (
	"errors"
	"time"

	"github.com/miekg/dns"
)

// fieldRows are the usual faults in the forms in which shops have them.
var fieldRows = []Row{
	{Name: "events-drop", Does: "a firewall drops what goes to the readers' events", Code: "firewall_blocks_stripe", Target: "terminal-events.stripe.com", done: blocked("198.19.1.30", "drop")},
	{Name: "events-reset", Does: "a middlebox resets the readers' events by name", Code: "firewall_blocks_stripe", Target: "terminal-events.stripe.com", done: func(s *Shop) error {
		return s.filterNames(false, "hub.terminal-events.stripe.com")
	}},
	{Name: "events-denied", Does: "a filter denies the readers' events", Code: "dns_blocks_stripe", Target: "terminal-events.stripe.com", done: dnsSays("/terminal-events.stripe.com/")},
	{Name: "events-zero", Does: "a filter answers 0.0.0.0 for the readers' events", Code: "dns_blocks_stripe", Target: "terminal-events.stripe.com", done: dnsSays("/terminal-events.stripe.com/0.0.0.0")},
	{Name: "events-hijack", Does: "the readers' events lead to a stranger's server", Code: "dns_hijacked", Target: "terminal-events.stripe.com", done: dnsSays("/terminal-events.stripe.com/198.19.6.10")},
	{Name: "firewall-two", Does: "a firewall drops one host and resets another", Code: "firewall_blocks_stripe", Target: "gator.stripe.com", done: func(s *Shop) error {
		return errors.Join(blocked("198.19.1.21", "drop")(s), blocked("198.19.2.10", "reject with tcp reset")(s))
	}},
	{Name: "firewall-one-resets", Does: "one of a host's two addresses is reset", Code: "firewall_blocks_stripe", Target: "api.stripe.com", done: blocked("198.19.1.11", "reject with tcp reset")},
	{Name: "names-stall-two", Does: "a middlebox leaves two names hanging", Code: "firewall_blocks_stripe", Target: "api.stripe.com", done: func(s *Shop) error {
		return s.filterNames(true, "api.stripe.com", "api.emms.bbpos.com")
	}},
	{Name: "firewall-allows-pages", Does: "a firewall lets plain HTTP and DNS through alone", Code: "https_blocked", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		return s.forbid("tcp dport 443 drop", "udp dport != 53 drop")
	}},
	{Name: "udp-dropped", Does: "a firewall drops all UDP but DNS", Code: "ntp_blocked", done: func(s *Shop) error { return s.forbid("udp dport != 53 drop") }},
	{Name: "dns-udp-dropped", Does: "the router drops questions over UDP and takes TCP", Code: "dns_down", done: func(s *Shop) error { return s.deafen(`iifname "lan0" udp dport 53 drop`) }},
	{Name: "dns-three-names", Does: "a filter denies three names", Code: "dns_blocks_stripe", Target: "armada.stripe.com", done: dnsSays("/armada.stripe.com/", "/gator.stripe.com/", "/api.emms.bbpos.com/0.0.0.0")},
	{Name: "dns-slow-1200", Does: "answers take 1.2 s", Code: "dns_slow", done: dnsConducts(dnsConduct{delay: 1200 * time.Millisecond})},
	{Name: "dns-both-dead", Does: "both resolvers are dead", Code: "dns_down", done: func(s *Shop) error { return s.resolver("hub", "192.168.50.98", "192.168.50.99") }},
	{Name: "dns-rebind-first", Does: "the first of two resolvers hides private addresses", Code: "dns_private_filtered", done: func(s *Shop) error {
		return errors.Join(rebind(s), s.resolver("hub", gatewayIP, cloudDNS))
	}},
	{Name: "dns-six-dead", Does: "the first resolver has an IPv6 address where nobody is", Code: "dns_unreliable", done: func(s *Shop) error {
		return errors.Join(s.ip("hub", "addr add fd50::21/64 dev eth0"), s.resolver("hub", "fd50::99", gatewayIP))
	}},
	{Name: "dns-refuses-us", Does: "the router's resolver refuses the hub's network", Code: "dns_down", done: func(s *Shop) error {
		return dnsConducts(dnsConduct{rcode: dns.RcodeNotImplemented})(s)
	}},
	{Name: "mtu-hole-1492", Does: "packets over 1492 bytes vanish", Code: "mtu_black_hole", done: hole(1492)},
	{Name: "mtu-hole-600", Does: "packets over 600 bytes vanish", Code: "mtu_black_hole", done: hole(600)},
	{Name: "clock-2h-ahead", Does: "the hub's clock is 2 hours ahead", Code: "clock_wrong", done: clock(-2 * time.Hour)},
	{Name: "clock-day", Does: "the hub's clock is a day behind", Code: "clock_wrong", done: clock(24 * time.Hour)},
	{Name: "clock-3-years", Does: "the hub's clock is 3 years ahead", Code: "clock_wrong", done: clock(-3 * 365 * 24 * time.Hour)},
	{Name: "clock-75s", Does: "the hub's clock is 75 seconds ahead", Code: "clock_wrong", done: clock(-75 * time.Second)},
	{Name: "dhcp-rogue-dns", Does: "a second box gives out the same network with itself as resolver", Code: "dhcp_second_server", Target: "192.168.50.77", done: func(s *Shop) error {
		return errors.Join(s.rogue("192.168.50.77/24"), s.secondDHCP("--no-ping", "--dhcp-range=192.168.50.200,192.168.50.210,12h", "--dhcp-option=3,"+gatewayIP))
	}},
	{Name: "pool-empty-quiet", Does: "the router's only address is taken, and it is not authoritative", Code: "dhcp_pool_exhausted", Or: "dhcp_silent", Nobody: []string{"no_ipv4"}, done: func(s *Shop) error { return emptyPool(s, true) }},
	{Name: "lease-11h", Does: "leases last 11 hours", Code: "dhcp_lease_short", done: leases("11h")},
	{Name: "line-answers-lost", Does: "answers do not come back through the provider", Code: "wan_down", done: func(s *Shop) error {
		return s.nft("isp", `table ip f { chain transit { type filter hook forward priority 0; iifname "core0" drop; }; }`)
	}},
	{Name: "line-lossy-30", Does: "30 % of the packets are lost each way", Code: "wan_lossy", done: spoilt(impairment{loss: 30})},
	{Name: "line-700", Does: "the line carries 700 kbit/s", Code: "wan_slow", done: spoilt(impairment{kbit: 700})},
	{Name: "line-far-narrow", Does: "400 kbit/s and a round trip of 160 ms", Code: "wan_slow", done: spoilt(impairment{kbit: 400, delay: 80 * time.Millisecond})},
	{Name: "line-1200ms", Does: "a round trip takes 1.2 s", Code: "wan_slow", Or: "wan_lossy", done: spoilt(impairment{delay: 600 * time.Millisecond})},
	{Name: "vpn-default", Does: "a tunnel has the default route", Code: "vpn_route", Target: "tun0", done: func(s *Shop) error {
		return errors.Join(tunnel()(s), s.ip("hub", "route replace default dev tun0"))
	}},
	{Name: "mask-32", Does: "the hub's mask by hand is /32", Code: "wrong_netmask", done: func(s *Shop) error { return s.byHand(hubIP+"/32", gatewayIP) }},
	{Name: "gateway-wrong-by-hand", Does: "the hub's address is set by hand with a router that is not there", Code: "gateway_silent", Target: "192.168.50.2", done: func(s *Shop) error { return s.byHand(hubIP+"/24", "192.168.50.2") }},
	{Name: "gateway-no-router", Does: "the hub's way out is a till", Code: "wan_down", Or: "gateway_silent", done: func(s *Shop) error { return s.byHand(hubIP+"/24", posIP) }},
	{Name: "sessions-3-drop", Does: "more than 3 connections at once are dropped", Code: "sessions_cut", done: func(s *Shop) error {
		return s.forbid("tcp dport 443 ct state new ct count over 3 drop")
	}},
	{Name: "stripe-502-gator", Does: "another of Stripe's hosts answers 502", Code: "stripe_failing", Target: "gator.stripe.com", done: behaves(conduct{status: 502}, "gator.stripe.com")},
	{Name: "stripe-old-tls-armada", Does: "another of Stripe's hosts speaks TLS 1.1 at best", Code: "stripe_failing", Target: "armada.stripe.com", done: behaves(conduct{oldTLS: true}, "armada.stripe.com")},
	{Name: "own-filter-clocks", Does: "the hub's own firewall drops NTP", Code: "host_firewall", Nobody: append([]string{"ntp_blocked"}, feigned...), done: ownRule("out", "output", "udp dport 123 drop")},
	{Name: "own-filter-uid", Does: "the hub's own firewall forbids HTTPS by ICMP", Code: "host_firewall", Nobody: feigned, done: ownRule("out", "output", "tcp dport 443 reject with icmp type admin-prohibited")},
	{Name: "reader-half-lossy", Does: "a reader's link loses 35 % each way", Code: "reader_link_poor", Or: "reader_port_blocked", Target: reader1IP, done: func(s *Shop) error { return s.spoilPort("reader1", impairment{loss: 35}) }},
	{Name: "reader-late", Does: "a reader's link takes 400 ms", Code: "reader_link_poor", Target: reader1IP, done: func(s *Shop) error { return s.spoilPort("reader1", impairment{delay: 200 * time.Millisecond}) }},
	{Name: "reader-twice-hub", Does: "a till has a reader's address", Code: "address_conflict", Nobody: []string{"reader_port_closed"}, Target: reader2IP, done: func(s *Shop) error {
		return s.ip("pos", "addr add "+reader2IP+"/24 dev eth0")
	}},
	{Name: "proxy-8080", Does: "only a proxy on 8080 leads out, all else is dropped", Code: "proxy_required", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		return errors.Join(s.proxyAt("router", "8080", false), s.forbid("tcp dport { 80, 443 } drop", "udp dport 123 drop"))
	}},
}

// soundRows are odd shops of the field in which nothing is wrong.
var soundRows = []Row{
	{Name: "events-nowhere", Does: "nobody knows the name that stands for the readers' events", done: dnsConducts(dnsConduct{rcode: dns.RcodeNameError, names: []string{"hub.terminal-events.stripe.com"}})},
	{Name: "events-closes", Does: "the host of the readers' events closes on a name that it does not know", done: behaves(conduct{closes: true}, "hub.terminal-events.stripe.com")},
	{Name: "events-other-name", Does: "the host of the readers' events shows a certificate of another name", done: behaves(conduct{flaw: wrongName}, "hub.terminal-events.stripe.com")},
	{Name: "dns-no-tcp", Does: "the router takes no questions over TCP", done: func(s *Shop) error { return s.deafen(`iifname "lan0" tcp dport 53 drop`) }},
	{Name: "dns-over-six", Does: "the only resolver has an IPv6 address", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "addr add fd50::1/64 dev lan0"), s.ip("hub", "addr add fd50::21/64 dev eth0"), s.dhcpd(), s.resolver("hub", "fd50::1"))
	}},
	{Name: "hub-on-bridge", Does: "the hub's card is a port of a bridge", done: func(s *Shop) error { return s.bridged("br0") }},
	{Name: "hub-on-br-lan", Does: "the hub's card is a port of a bridge called br-lan", done: func(s *Shop) error { return s.bridged("br-lan") }},
	{Name: "second-card-idle", Does: "a second card has a cable and gave itself an address", done: func(s *Shop) error {
		return errors.Join(s.secondCard(), s.ip("hub", "addr del 192.168.60.21/24 dev eth1", "addr add 169.254.3.4/16 dev eth1"))
	}},
	{Name: "page-filtered", Does: "a filter answers one of the known pages itself", done: func(s *Shop) error {
		return errors.Join(s.loginServer(), s.nft("router", `add rule ip nat caught iifname "lan0" ip daddr 198.19.5.11 tcp dport 80 redirect to :`+plainBox))
	}},
	{Name: "pages-foreign", Does: "a cache answers all plain HTTP itself, HTTPS passes", done: func(s *Shop) error { return s.loginPage() }},
	{Name: "mesh-vpn", Does: "a mesh VPN with shared addresses takes its own network", done: func(s *Shop) error {
		return errors.Join(s.exec("hub", "ip", "tuntap", "add", "dev", "mesh0", "mode", "tun"),
			s.ip("hub", "addr add 100.101.102.103/32 dev mesh0", "link set mesh0 up", "route add 100.64.0.0/10 dev mesh0"))
	}},
	{Name: "mask-wide", Does: "the hub's mask by hand is wider than the LAN", done: func(s *Shop) error { return s.byHand(hubIP+"/16", gatewayIP) }},
	{Name: "dhcp-by-server", Does: "another machine than the router gives out addresses", done: func(s *Shop) error {
		return errors.Join(s.dhcpdPool(nil), s.rogue("192.168.50.5/24"), s.secondDHCP("--no-ping", "--dhcp-range=192.168.50.100,192.168.50.180,24h",
			"--dhcp-host=02:50:00:00:01:21,"+hubIP, "--dhcp-option=3,"+gatewayIP, "--dhcp-option=6,"+gatewayIP), s.lease("hub", "eth0"))
	}},
	{Name: "own-filter-sane", Does: "the hub's own firewall lets answers in and nothing else", done: ownRule("in", "input", `policy drop; iifname "lo" accept; ct state established,related accept`)},
	{Name: "line-1500", Does: "a line of 1.5 Mbit/s each way, 50 ms", done: spoilt(impairment{kbit: 1500, delay: 25 * time.Millisecond})},
	{Name: "lease-12h", Does: "leases last a workday to the second", done: leases("12h")},
	{Name: "no-traces", Does: "neither router nor provider sends any ICMP", done: func(s *Shop) error {
		const mute = "table inet mute { chain out { type filter hook output priority 0; meta l4proto icmp drop; }; }"
		return errors.Join(s.nft("router", mute), s.nft("isp", mute))
	}},
	{Name: "three-resolvers", Does: "three resolvers, all sound", done: func(s *Shop) error { return s.resolver("hub", gatewayIP, cloudDNS, googleDNS) }},
	{Name: "clock-57s", Does: "the hub's clock is 57 seconds behind", done: clock(57 * time.Second)},
	{Name: "stripe-404", Does: "Stripe's hosts answer 404", done: behaves(conduct{status: 404}, "")},
	{Name: "dns-late-300", Does: "answers take 300 ms", done: dnsConducts(dnsConduct{delay: 300 * time.Millisecond})},
}

// bridged puts the hub's card into a bridge that has its address, as where virtual
// machines run beside it.
func (s *Shop) bridged(name string) error {
	s.stop("udhcpc-hub")
	return errors.Join(s.dropAddresses("hub", "eth0"), s.ip("hub", "link add "+name+" type bridge", "link set "+name+" address 02:50:00:00:01:21", "link set eth0 master "+name, "link set "+name+" up"),
		s.lease("hub", name))
}
