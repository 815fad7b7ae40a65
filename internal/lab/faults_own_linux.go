package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ownRows are faults of the hub's own machine: its filter, routes, hosts file.
var ownRows = []Row{
	{Name: "own-filter-answers", Does: "the hub's own firewall drops every answer", Code: "host_firewall", Nobody: feigned, done: ownRule("in", "input", "tcp sport 443 drop; udp sport 53 drop")},
	{Name: "own-filter-names", Does: "the hub's own firewall drops the answers of DNS", Code: "host_firewall", Nobody: feigned, done: ownRule("in", "input", "meta l4proto { tcp, udp } th sport 53 drop")},
	{Name: "own-filter-questions", Does: "the hub's own firewall drops questions of DNS", Code: "host_firewall", Nobody: feigned, done: ownRule("out", "output", "meta l4proto { tcp, udp } th dport 53 drop")},
	{Name: "own-filter-one", Does: "the hub's own firewall drops what goes to one host", Code: "host_firewall", Nobody: feigned, done: ownRule("out", "output", "ip daddr 198.19.1.20 drop")},
	{Name: "own-filter-readers", Does: "the hub's own firewall drops what goes to the readers", Code: "host_firewall", Nobody: feigned, done: ownRule("out", "output", "tcp dport 4443 drop")},
	{Name: "own-filter-all", Does: "the hub's own firewall drops everything", Code: "host_firewall", Nobody: feigned, done: ownRule("in", "input", `iifname "eth0" drop`)},
	{Name: "own-hosts-loopback", Does: "the hub's hosts file leads Stripe to the hub itself", Code: "dns_blocks_stripe", Target: "api.stripe.com", done: hostsFile("127.0.0.1 api.stripe.com")},
	{Name: "own-hosts-stranger", Does: "the hub's hosts file leads Stripe to a stranger", Code: "dns_hijacked", Target: "api.stripe.com", done: hostsFile("198.19.6.10 api.stripe.com")},
	{Name: "route-of-hosts", Does: "a host route leads Stripe's traffic to another machine of the LAN", Code: "vpn_route", Nobody: []string{"firewall_blocks_stripe"}, Target: posIP, done: func(s *Shop) error {
		return s.ip("hub", "route add 198.19.1.0/24 via "+posIP)
	}},
	{Name: "route-by-tunnel", Does: "a tunnel takes Stripe's traffic alone", Code: "vpn_route", Nobody: []string{"firewall_blocks_stripe"}, Target: "tun0", done: tunnel("198.19.0.0/16")},
	{Name: "route-prohibited", Does: "a route of the hub forbids Stripe's addresses", Code: "vpn_route", Nobody: []string{"firewall_blocks_stripe"}, done: func(s *Shop) error { return s.ip("hub", "route add unreachable 198.19.1.0/24") }},
	{Name: "route-without-gateway", Does: "the hub's default route names no gateway", Code: "no_default_gateway", done: func(s *Shop) error { return s.ip("hub", "route replace default dev eth0") }},
	{Name: "uplink-elsewhere", Does: "the hub goes out by the guest network, the readers are in the shop's", Code: "multiple_uplinks", done: func(s *Shop) error {
		return errors.Join(s.secondCard(), s.ip("hub", "route del default", "route add default via 192.168.60.1 dev eth1"))
	}},
}

// feigned are what the own filter looks like to who may not knock beneath it.
var feigned = []string{"wan_down", "dns_down", "https_blocked", "firewall_blocks_stripe", "reader_port_blocked"}

func ownRule(chain, hook, rules string) func(*Shop) error {
	return func(s *Shop) error {
		return s.nft("hub", fmt.Sprintf("table inet own { chain %s { type filter hook %s priority 0; %s; }; }", chain, hook, rules))
	}
}

func hostsFile(lines string) func(*Shop) error {
	return func(s *Shop) error {
		return os.WriteFile(filepath.Join("/etc/netns", s.ns("hub"), "hosts"), []byte("127.0.0.1 localhost\n"+lines+"\n"), 0o644)
	}
}

// tunnel gives the hub a tunnel that takes those networks.
func tunnel(nets ...string) func(*Shop) error {
	return func(s *Shop) error {
		lines := []string{"addr add 10.99.0.2/24 dev tun0", "link set tun0 up"}
		for _, n := range nets {
			lines = append(lines, "route add "+n+" dev tun0")
		}
		return errors.Join(s.exec("hub", "ip", "tuntap", "add", "dev", "tun0", "mode", "tun"), s.ip("hub", lines...))
	}
}

// secondCard plugs the hub into the guest network as well.
func (s *Shop) secondCard() error {
	return errors.Join(
		command("ip", "", "link", "add", "p-hub2", "netns", s.ns("sw"), "type", "veth", "peer", "name", "eth1", "netns", s.ns("hub")),
		s.ip("sw", "link set p-hub2 master br-guest up"),
		s.ip("hub", "link set eth1 up", "addr add 192.168.60.21/24 dev eth1"))
}

// readerRows are faults between the hub and the readers.
var readerRows = []Row{
	{Name: "mask-hides-reader", Does: "the router's mask hides a reader and not itself", Code: "wrong_netmask", Nobody: []string{"reader_other_subnet"}, Target: reader2IP, done: func(s *Shop) error {
		return errors.Join(s.dhcpd("--dhcp-option=1,255.255.255.224"), s.lease("hub", "eth0"))
	}},
	{Name: "mask-hides-readers", Does: "the hub's mask by hand hides both readers", Code: "wrong_netmask", Nobody: []string{"reader_other_subnet"}, Target: reader1IP, done: func(s *Shop) error { return s.byHand("192.168.50.5/28", gatewayIP) }},
	{Name: "reader-forbids", Does: "a reader's port is forbidden by ICMP", Code: "reader_port_blocked", Or: "reader_port_closed", Target: reader1IP, done: func(s *Shop) error {
		return s.nft("reader1", "table inet f { chain in { type filter hook input priority 0; tcp dport 4443 reject with icmp type admin-prohibited; }; }")
	}},
	{Name: "readers-refuse", Does: "both readers' software is down", Code: "reader_port_closed", Target: reader2IP, done: func(s *Shop) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return errors.Join(s.readers["reader1"].Close(), s.readers["reader2"].Close())
	}},
	{Name: "readers-filtered", Does: "the switch drops 4443", Code: "reader_port_blocked", Target: reader1IP, done: func(s *Shop) error {
		const f = "table inet f { chain in { type filter hook input priority 0; tcp dport 4443 drop; }; }"
		return errors.Join(s.nft("reader1", f), s.nft("reader2", f))
	}},
	{Name: "reader-replaced", Does: "a reader moved, and another device has its old address", Code: "reader_moved", Nobody: []string{"reader_port_closed"}, Target: "192.168.50.140", HealthyFirst: true, done: func(s *Shop) error {
		return errors.Join(s.ip("reader1", "addr del "+reader1IP+"/24 dev eth0", "addr add 192.168.50.140/24 dev eth0"), s.rogue(reader1IP+"/24"), s.forget())
	}},
	{Name: "multicast-cut-there", Does: "the switch passes no multicast to a device that speaks mDNS", Code: "multicast_filtered", Target: reader1IP, done: func(s *Shop) error {
		return errors.Join(s.mdns("reader1", reader1IP), s.ip("sw", "link set p-reader1 type bridge_slave mcast_flood off"))
	}},
	{Name: "multicast-cut-here", Does: "the switch passes no multicast to the hub", Code: "multicast_filtered", Target: posIP, done: func(s *Shop) error {
		return errors.Join(s.mdns("pos", posIP), s.exec("hub", "ip", "neigh", "replace", posIP, "lladdr", "02:50:00:00:01:22", "dev", "eth0", "nud", "stale"),
			s.ip("sw", "link set p-hub type bridge_slave mcast_flood off"))
	}},
	{Name: "reader-lossy", Does: "a reader's link loses 20 % each way", Code: "reader_link_poor", Target: reader1IP, done: func(s *Shop) error { return s.spoilPort("reader1", impairment{loss: 20}) }},
	{Name: "reader-jittery", Does: "a reader's link varies by 300 ms", Code: "reader_link_poor", Target: reader2IP, done: func(s *Shop) error { return s.spoilPort("reader2", impairment{jitter: 300 * time.Millisecond}) }},
}
