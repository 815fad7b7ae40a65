package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// lanRows are the faults between the hub's card and the router.
var lanRows = []Row{
	{Name: "cable-out", Does: "the hub's switch port is off", Code: "link_down", done: func(s *Shop) error { return s.ip("sw", "link set p-hub down") }},
	{Name: "card-off", Does: "the hub's card is switched off", Code: "link_down", done: func(s *Shop) error { s.stop("udhcpc-hub"); return s.ip("hub", "link set eth0 down") }},
	{Name: "dhcp-off", Does: "the router gives out no addresses; the hub starts anew", Code: "no_ipv4", Or: "dhcp_silent",
		done: func(s *Shop) error { return errors.Join(s.dhcpdPool(nil), s.newcomer()) }},
	{Name: "dhcp-died", Does: "the router's DHCP dies while leases live", Code: "dhcp_silent", HealthyFirst: true,
		done: func(s *Shop) error { return s.dhcpdPool(nil) }},
	{Name: "self-assigned", Does: "the hub gave itself a 169.254 address", Code: "no_ipv4", done: func(s *Shop) error { return s.byHand("169.254.7.9/16", "") }},
	{Name: "pool-empty", Does: "the router's only address is taken", Code: "dhcp_pool_exhausted", Nobody: []string{"no_ipv4"}, done: func(s *Shop) error { return emptyPool(s, false) }},
	{Name: "dhcp-rogue", Does: "a second box gives out another network", Code: "dhcp_second_server", Target: "192.168.77.1", done: rogueDHCP},
	{Name: "dhcp-rogue-slow", Does: "a second box gives out another network, a second later", Code: "dhcp_second_server", Target: "192.168.77.1", done: func(s *Shop) error {
		return errors.Join(s.rogue("192.168.77.1/24"), s.spoilPort("rogue", impairment{delay: 500 * time.Millisecond}), s.secondDHCP("--no-ping", "--dhcp-range=192.168.77.100,192.168.77.150,12h"))
	}},
	{Name: "dhcp-rogue-gateway", Does: "a second box gives out the same network with itself as the way out", Code: "dhcp_second_server", Target: "192.168.50.77", done: func(s *Shop) error {
		return errors.Join(s.rogue("192.168.50.77/24"), s.secondDHCP("--no-ping", "--dhcp-range=192.168.50.200,192.168.50.210,12h"))
	}},
	{Name: "gateway-by-dhcp-elsewhere", Does: "DHCP names a router that is not there", Code: "gateway_silent", Target: "192.168.50.254", done: func(s *Shop) error {
		return errors.Join(s.dhcpd("--dhcp-option=3,192.168.50.254"), s.lease("hub", "eth0"))
	}},
	{Name: "static-elsewhere", Does: "the hub has an address of the next network by hand, and still the right router", Code: "address_wrong_subnet", Nobody: []string{"wrong_netmask"}, done: func(s *Shop) error { return s.byHand("192.168.51.21/24", gatewayIP) }},
	{Name: "beside-the-router", Does: "the hub's cable is in the provider's box", Code: "address_not_private", Target: "198.18.0.77", done: func(s *Shop) error {
		return errors.Join(s.ip("sw", "link set p-hub nomaster", "link set p-hub master br-wan"), s.byHand("198.18.0.77/24", "198.18.0.1"), s.resolver("hub", providerDNS))
	}},
	{Name: "shared-lan", Does: "the LAN uses addresses that providers share", Code: "address_not_private", Target: "100.64.7.21", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "addr add 100.64.7.1/24 dev lan0"), s.byHand("100.64.7.21/24", "100.64.7.1"), s.resolver("hub", "100.64.7.1"))
	}},
	{Name: "lease-short", Does: "leases last 2 minutes", Code: "dhcp_lease_short", done: leases("2m")},
	{Name: "lease-hour", Does: "leases last an hour", Code: "dhcp_lease_short", done: leases("1h")},
	{Name: "ipv6-only", Does: "the router knows IPv6 alone", Code: "ipv6_only", done: ipv6Only},
	{Name: "public-lan", Does: "the LAN uses addresses of the internet", Code: "address_not_private", Target: "9.20.0.21", done: func(s *Shop) error {
		return errors.Join(s.ip("router", "addr add 9.20.0.1/24 dev lan0"), s.byHand("9.20.0.21/24", "9.20.0.1"))
	}},
	{Name: "address-twice", Does: "a second device has the hub's address", Code: "address_conflict", Target: "02:50:00:00:01:25", done: func(s *Shop) error { return s.rogue(hubIP + "/24") }},
	{Name: "reader-twice", Does: "a second device has a reader's address", Code: "address_conflict", Nobody: []string{"reader_port_closed"}, Target: reader1IP, done: func(s *Shop) error { return s.rogue(reader1IP + "/24") }},
	{Name: "gateway-twice", Does: "a second device has the router's address", Code: "gateway_spoofed", Target: "02:50:00:00:01:25", done: func(s *Shop) error { return s.rogue(gatewayIP + "/24") }},
	{Name: "no-route", Does: "the hub has no default route", Code: "no_default_gateway", done: func(s *Shop) error { return s.ip("hub", "route del default") }},
	{Name: "no-route-by-dhcp", Does: "the router's DHCP names no router", Code: "no_default_gateway", done: func(s *Shop) error {
		return errors.Join(s.ip("hub", "route del default"), s.dhcpd("--dhcp-option=3"), s.lease("hub", "eth0"))
	}},
	{Name: "router-off", Does: "the router has no power", Code: "gateway_silent", done: func(s *Shop) error {
		return errors.Join(s.ip("sw", "link set p-router down"), s.forget())
	}},
	{Name: "gateway-elsewhere", Does: "the hub's route leads to an address where nobody is", Code: "gateway_silent", done: func(s *Shop) error {
		return s.ip("hub", "route replace default via 192.168.50.254 dev eth0")
	}},
	{Name: "old-address", Does: "the hub has an address of its last shop, by hand", Code: "address_wrong_subnet", Nobody: []string{"gateway_silent"}, done: func(s *Shop) error { return s.byHand("192.168.5.21/24", "192.168.5.1") }},
	{Name: "mask-narrow", Does: "the hub's mask by hand cuts off router and readers", Code: "wrong_netmask", done: func(s *Shop) error { return s.byHand(hubIP+"/30", gatewayIP) }},
	{Name: "mask-by-dhcp", Does: "the router gives out a mask that cuts itself off", Code: "wrong_netmask", done: func(s *Shop) error {
		return errors.Join(s.dhcpd("--dhcp-option=1,255.255.255.252"), s.lease("hub", "eth0"))
	}},
	{Name: "vpn", Does: "a tunnel takes all of the hub's traffic", Code: "vpn_route", done: tunnel("0.0.0.0/1", "128.0.0.0/1")},
	{Name: "two-uplinks", Does: "the hub is on the guest network as well", Code: "multiple_uplinks", done: func(s *Shop) error {
		return errors.Join(s.secondCard(), s.ip("hub", "route add default via 192.168.60.1 dev eth1 metric 600"))
	}},
	{Name: "own-filter-drop", Does: "the hub's own firewall drops HTTPS", Code: "host_firewall", Nobody: feigned, done: func(s *Shop) error { return s.ownFilter("drop") }},
	{Name: "own-filter-reject", Does: "the hub's own firewall refuses HTTPS", Code: "host_firewall", Nobody: feigned, done: func(s *Shop) error { return s.ownFilter("reject") }},
	{Name: "isolation", Does: "the access point keeps its clients apart", Code: "client_isolation", done: isolate},
	{Name: "reader-off", Does: "a reader has no power", Code: "reader_offline", Target: reader1IP, done: readerOff},
	{Name: "reader2-off", Does: "the other reader has no power", Code: "reader_offline", Target: reader2IP, done: func(s *Shop) error {
		return errors.Join(s.ip("sw", "link set p-reader2 down"), s.forget())
	}},
	{Name: "reader-moved", Does: "a reader has another address since this morning", Code: "reader_moved", Nobody: []string{"reader_offline"}, Target: reader1IP, HealthyFirst: true, done: func(s *Shop) error {
		return errors.Join(s.ip("reader1", "addr del "+reader1IP+"/24 dev eth0", "addr add 192.168.50.150/24 dev eth0"), s.forget())
	}},
	{Name: "reader-refuses", Does: "a reader's software is down", Code: "reader_port_closed", Target: reader1IP, done: readerRefuses},
	{Name: "reader-filtered", Does: "something drops 4443 before a reader", Code: "reader_port_blocked", Target: reader1IP, done: func(s *Shop) error {
		return s.nft("reader1", "table inet f { chain in { type filter hook input priority 0; tcp dport 4443 drop; }; }")
	}},
	{Name: "reader-elsewhere", Does: "the readers configured are in another network", Code: "reader_other_subnet", Target: "192.168.60.31",
		done: func(s *Shop) error { s.readersAt = []string{"192.168.60.31", reader2IP}; return s.guestReader() }},
}

// newcomer has the hub start its DHCP client anew, and waits until it has lost
// its address.
func (s *Shop) newcomer() error {
	_, err := s.askLease("hub", "eth0")
	return err
}

// forget empties the hub's neighbour table: what is out should not be remembered.
func (s *Shop) forget() error { return s.exec("hub", "ip", "neigh", "flush", "all") }

// rogue plugs in the idle device with an address.
func (s *Shop) rogue(addr string) error {
	return s.ip("rogue", "link set eth0 up", "addr add "+addr+" dev eth0")
}

func emptyPool(s *Shop, humble bool) error {
	s.stop("dnsmasq")
	if err := os.Remove(filepath.Join(s.dir, "leases")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return errors.Join(
		s.dhcpdPool(&pool{first: "192.168.50.100", last: "192.168.50.100", lease: "12h", strangers: true, humble: humble}),
		s.ip("rogue", "link set eth0 up"), s.lease("rogue", "eth0"), s.newcomer())
}

func rogueDHCP(s *Shop) error {
	return errors.Join(s.rogue("192.168.77.1/24"), s.secondDHCP("--no-ping", "--dhcp-range=192.168.77.100,192.168.77.150,12h"))
}

// secondDHCP gives out addresses on the idle device.
func (s *Shop) secondDHCP(more ...string) error {
	args := append([]string{"--no-daemon", "--user=root", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-dynamic",
		"--dhcp-authoritative", "--dhcp-leasefile=" + filepath.Join(s.dir, "rogue.leases")}, more...)
	return errors.Join(s.start("rogue-dhcp", "rogue", exec.Command("dnsmasq", args...)),
		until(3*time.Second, "the second server", func() bool {
			b, err := os.ReadFile(filepath.Join(s.dir, "rogue-dhcp.log"))
			return err == nil && len(b) > 0
		}))
}

// failoverPair is a second server that gives out the same network.
func failoverPair(s *Shop) error {
	return errors.Join(s.rogue("192.168.50.2/24"), s.dhcpd("--dhcp-option=6,192.168.50.1,1.1.1.1"), s.lease("hub", "eth0"),
		s.secondDHCP("--no-ping", "--dhcp-range=192.168.50.150,192.168.50.180,12h", "--dhcp-option=3,"+gatewayIP, "--dhcp-option=6,1.1.1.1,192.168.50.1"))
}

func leases(length string) func(*Shop) error {
	return func(s *Shop) error {
		p := usualPool
		p.lease = length
		return errors.Join(s.dhcpdPool(&p), s.lease("hub", "eth0"))
	}
}

func ipv6Only(s *Shop) error {
	s.stop("udhcpc-hub")
	return errors.Join(s.dropAddresses("hub", "eth0"), s.dhcpdPool(nil), s.ip("router", "addr add 2001:2:0:50::1/64 dev lan0"),
		s.ip("hub", "addr add 2001:2:0:50::21/64 dev eth0", "route add default via 2001:2:0:50::1"))
}

func (s *Shop) ownFilter(verdict string) error {
	return s.nft("hub", fmt.Sprintf("table inet own { chain out { type filter hook output priority 0; tcp dport 443 %s; }; }", verdict))
}

func isolate(s *Shop) error {
	var lines []string
	for _, m := range []string{"hub", "pos", "reader1", "reader2"} {
		lines = append(lines, "link set p-"+m+" type bridge_slave isolated on")
	}
	return errors.Join(s.ip("sw", lines...), s.forget())
}

func readerOff(s *Shop) error { return errors.Join(s.ip("sw", "link set p-reader1 down"), s.forget()) }

func readerRefuses(s *Shop) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readers["reader1"].Close()
}

// guestReader moves a reader to the guest network, which the router keeps apart.
func (s *Shop) guestReader() error {
	return errors.Join(s.ip("sw", "link set p-reader1 nomaster", "link set p-reader1 master br-guest"),
		s.ip("reader1", "addr del "+reader1IP+"/24 dev eth0", "addr add 192.168.60.31/24 dev eth0", "route add default via 192.168.60.1"))
}
