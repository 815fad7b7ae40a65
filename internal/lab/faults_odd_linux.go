package lab

import (
	"errors"
	"time"
)

// oddRows are more shops that are odd and sound.
var oddRows = []Row{
	{Name: "mdns-everywhere", Does: "readers and tills speak mDNS", done: func(s *Shop) error {
		return errors.Join(s.mdns("reader1", reader1IP), s.mdns("reader2", reader2IP), s.mdns("pos", posIP))
	}},
	{Name: "mask-16", Does: "the LAN is a /16", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "addr del 192.168.50.1/24 dev lan0", "addr add 192.168.50.1/16 brd + dev lan0"), s.dhcpd("--dhcp-option=1,255.255.0.0"), s.lease("hub", "eth0"))
	}},
	{Name: "mask-25", Does: "the LAN is a /25", done: func(s *Shop) error {
		p := usualPool
		p.last = "192.168.50.120"
		return errors.Join(s.ip("router", "addr del 192.168.50.1/24 dev lan0", "addr add 192.168.50.1/25 brd + dev lan0"), s.dhcpdPool(&p), s.lease("hub", "eth0"))
	}},
	{Name: "gateway-254", Does: "the router is .254", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "addr add 192.168.50.254/24 brd + dev lan0"), s.dhcpd("--dhcp-option=3,192.168.50.254"), s.lease("hub", "eth0"))
	}},
	{Name: "gateway-by-hand", Does: "the router answers no ARP, and its hardware address is entered by hand", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "link set lan0 arp off"), s.ip("hub", "neigh replace 192.168.50.1 lladdr 02:50:00:00:00:01 dev eth0 nud permanent"),
			s.ip("router", "neigh replace 192.168.50.21 lladdr 02:50:00:00:01:21 dev lan0 nud permanent"))
	}},
	{Name: "many-addresses", Does: "the hub has three addresses on its card", done: func(s *Shop) error {
		return s.ip("hub", "addr add 192.168.50.200/24 dev eth0", "addr add 10.20.30.40/24 dev eth0")
	}},
	{Name: "stub-resolver", Does: "the hub asks a resolver of its own", done: func(s *Shop) error { return s.stub() }},
	{Name: "hosts-file", Does: "the hub's hosts file names Stripe rightly", done: hostsFile("198.19.1.10 api.stripe.com\n192.168.50.22 pos pos.lan")},
	{Name: "names-in-chains", Does: "names lead to names before they lead to addresses", done: dnsConducts(dnsConduct{chain: true})},
	{Name: "names-by-tcp", Does: "answers over UDP are cut, and TCP works", done: dnsConducts(dnsConduct{short: true})},
	{Name: "split-tunnel", Does: "a tunnel takes the head office's network alone", done: tunnel("10.0.0.0/8", "172.20.0.0/16")},
	{Name: "idle-tunnel", Does: "a tunnel that takes nothing", done: tunnel()},
	{Name: "clock-45s", Does: "the hub's clock is 45 seconds behind", done: clock(45 * time.Second)},
	{Name: "clock-45s-ahead", Does: "the hub's clock is 45 seconds ahead", done: clock(-45 * time.Second)},
	{Name: "one-time-server", Does: "one of the time servers is silent", done: func(s *Shop) error { return s.forbid("ip daddr 198.19.4.20 udp dport 123 drop") }},
	{Name: "second-resolver-dead", Does: "the second of two resolvers is dead", done: func(s *Shop) error { return s.resolver("hub", gatewayIP, "192.168.50.99") }},
	{Name: "no-public-dns", Does: "the firewall lets no other DNS through than the router's", done: func(s *Shop) error { return s.forbid("meta l4proto { tcp, udp } th dport 53 drop") }},
	{Name: "pages-redirected", Does: "plain HTTP is passed through a cache", done: func(s *Shop) error { return s.forbid("tcp dport 80 drop") }},
	{Name: "failover-pair", Does: "two DHCP servers that are one pair, resolvers in another order", done: failoverPair},
	{Name: "lease-day", Does: "leases last a day", done: leases("24h")},
	{Name: "lease-for-ever", Does: "leases last for ever", done: leases("infinite")},
	{Name: "far-lossless-2mbit", Does: "2 Mbit/s each way, 60 ms", done: spoilt(impairment{kbit: 2000, delay: 30 * time.Millisecond})},
	{Name: "jumbo-card", Does: "the hub's card takes large frames, the LAN does not", done: func(s *Shop) error { return s.ip("hub", "link set eth0 mtu 1400") }},
	{Name: "guest-card", Does: "the hub has a second card in the guest network, without a way out", done: (*Shop).secondCard},
	{Name: "two-routes-one-card", Does: "two default routes by the same card", done: func(s *Shop) error { return s.ip("hub", "route add default via 192.168.50.1 dev eth0 metric 500") }},
	{Name: "reader-sleeps", Does: "a reader answers 60 ms late and unevenly, as in power save", done: func(s *Shop) error {
		return s.spoilPort("reader1", impairment{delay: 10 * time.Millisecond, jitter: 60 * time.Millisecond})
	}},
	{Name: "reader-lossy-a-little", Does: "a reader's link loses 2 %", done: func(s *Shop) error { return s.spoilPort("reader1", impairment{loss: 2}) }},
	{Name: "private-beyond", Does: "a printer and a camera are silent", done: func(s *Shop) error { return s.ip("sw", "link set p-pos down") }},
}
