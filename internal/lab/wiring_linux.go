package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// routerRules: what comes from inside may leave, answers come back. A fault adds
// to the chains faults (forwarded traffic), caught (before routing) and local
// (what the router itself is asked).
const routerRules = `
table inet shop {
	chain faults { }
	chain local { type filter hook input priority 0; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		jump faults
		ct state established,related accept
		iifname { "lan0", "guest0" } oifname "wan0" accept
	}
}
table ip nat {
	chain caught { }
	chain before { type nat hook prerouting priority -100; jump caught; }
	chain after { type nat hook postrouting priority 100; oifname "wan0" masquerade; }
}`

// wire makes machines, cables and switches, and gives out addresses.
func (s *Shop) wire() error {
	var first []string
	for _, m := range machines {
		first = append(first, "netns add "+s.ns(m))
	}
	if err := command("ip", strings.Join(first, "\n")+"\n", "-batch", "-"); err != nil {
		return err
	}
	for _, m := range machines {
		if err := s.sysctl(m, map[string]string{"ipv6/conf/default/accept_dad": "0", "ipv6/conf/all/accept_dad": "0", "ipv4/ping_group_range": "0 65535"}); err != nil {
			return err
		}
	}
	// Both ends are born where they belong.
	cable := func(port, machine, card, mac string) string {
		if mac != "" {
			mac = " address " + mac
		}
		return fmt.Sprintf("link add %s netns %s type veth peer name %s%s netns %s", port, s.ns("sw"), card, mac, s.ns(machine))
	}
	cables := []string{cable("p-router", "router", "lan0", "02:50:00:00:00:01"), cable("p-guest", "router", "guest0", ""), cable("p-wan", "router", "wan0", ""),
		cable("p-isp", "isp", "lan0", ""), fmt.Sprintf("link add core0 netns %s type veth peer name core0 netns %s", s.ns("isp"), s.ns("inet"))}
	lan := []string{"hub", "pos", "reader1", "reader2", "rogue"}
	for i, m := range lan {
		cables = append(cables, cable("p-"+m, m, "eth0", fmt.Sprintf("02:50:00:00:01:%02d", 21+i)))
	}
	if err := command("ip", strings.Join(cables, "\n")+"\n", "-batch", "-"); err != nil {
		return err
	}
	var sw []string
	for _, b := range []string{"br-lan", "br-guest", "br-wan"} {
		sw = append(sw, "link add "+b+" type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set "+b+" up")
	}
	for _, m := range append(lan, "router") {
		sw = append(sw, "link set p-"+m+" master br-lan up")
	}
	sw = append(sw, "link set p-guest master br-guest up", "link set p-wan master br-wan up", "link set p-isp master br-wan up")
	if err := s.ip("sw", sw...); err != nil {
		return err
	}
	at := func(addr string) []string {
		return []string{"link set lo up", "link set eth0 up", "addr add " + addr + "/24 brd + dev eth0", "route add default via " + gatewayIP}
	}
	inet := []string{"link set lo up", "link set core0 up", "addr add 198.18.1.2/30 dev core0", "addr add 2001:2:0:2::2/64 dev core0",
		"route add 198.18.0.0/24 via 198.18.1.1", "route add 2001:2:0:1::/64 via 2001:2:0:2::1", "route add 2001:2:0:50::/64 via 2001:2:0:2::1",
		"addr add " + providerDNS + "/32 dev lo", "addr add 2606:4700:4700::1111/128 dev lo", "addr add 2001:4860:4860::8888/128 dev lo"}
	for _, addrs := range names {
		for _, a := range addrs {
			inet = append(inet, "addr add "+a+"/32 dev lo")
		}
	}
	for m, lines := range map[string][]string{
		"hub": {"link set lo up", "link set eth0 up"}, "rogue": {"link set lo up"},
		"pos": at(posIP), "reader1": at(reader1IP), "reader2": at(reader2IP),
		"router": {"link set lo up", "link set lan0 up", "link set guest0 up", "link set wan0 up", "addr add " + gatewayIP + "/24 brd + dev lan0",
			"addr add 192.168.60.1/24 brd + dev guest0", "addr add 198.18.0.2/24 brd + dev wan0", "route add default via 198.18.0.1",
			"addr add 2001:2:0:1::2/64 dev wan0", "route add default via 2001:2:0:1::1"},
		"isp": {"link set lo up", "link set lan0 up", "link set core0 up", "addr add 198.18.0.1/24 dev lan0", "addr add 198.18.1.1/30 dev core0",
			"route add default via 198.18.1.2", "addr add 2001:2:0:1::1/64 dev lan0", "addr add 2001:2:0:2::1/64 dev core0",
			"route add default via 2001:2:0:2::2", "route add 2001:2:0:50::/64 via 2001:2:0:1::2"},
		"inet": inet,
	} {
		if err := s.ip(m, lines...); err != nil {
			return err
		}
	}
	for _, m := range []string{"router", "isp"} {
		if err := s.sysctl(m, map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/icmp_ratelimit": "0"}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shop) sysctl(machine string, values map[string]string) error {
	return s.within(machine, func() error {
		for k, v := range values {
			if err := os.WriteFile(filepath.Join("/proc/sys/net", k), []byte(v), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// resolver names the resolvers of a machine by hand.
func (s *Shop) resolver(machine string, addrs ...string) error {
	text := ""
	for _, a := range addrs {
		text += "nameserver " + a + "\n"
	}
	return os.WriteFile(filepath.Join("/etc/netns", s.ns(machine), "resolv.conf"), []byte(text), 0o644)
}

// udhcpcScript does what a distribution's script does: address, route, resolvers.
const udhcpcScript = `#!/bin/sh
case $1 in
deconfig) ip -4 addr flush dev "$interface" ;;
bound | renew)
	ip -4 addr replace "$ip/$mask" broadcast + dev "$interface"
	for r in $router; do ip route replace default via "$r" dev "$interface" onlink; done
	for d in $dns; do echo "nameserver $d"; done >/etc/resolv.conf
	echo "$ip" >"$LEASE.new"
	mv "$LEASE.new" "$LEASE" ;;
esac
`

// lease runs a DHCP client on a card and waits for its address.
func (s *Shop) lease(machine, card string) error {
	file, err := s.askLease(machine, card)
	if err != nil {
		return err
	}
	return until(5*time.Second, machine+"'s address", func() bool { _, err := os.Stat(file); return err == nil })
}

// askLease runs the client and does not wait; file is there when it has an address.
func (s *Shop) askLease(machine, card string) (file string, err error) {
	file = filepath.Join(s.dir, machine+"."+card+".lease")
	s.stop("udhcpc-" + machine)
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if err := s.dropAddresses(machine, card); err != nil {
		return "", err
	}
	// ip netns exec lays the machine's own /etc/resolv.conf over the real one.
	c := exec.Command("ip", "netns", "exec", s.ns(machine), "busybox", "udhcpc", "-f", "-i", card, "-s", filepath.Join(s.dir, "udhcpc"), "-t", "3", "-T", "1", "-A", "2")
	c.Env = append(os.Environ(), "LEASE="+file)
	return file, s.start("udhcpc-"+machine, "sw", c)
}

// dropAddresses takes a card's IPv4 addresses away. (A batch knows no -4.)
func (s *Shop) dropAddresses(machine, card string) error {
	return command("ip", "", "-n", s.ns(machine), "-4", "addr", "flush", "dev", card)
}

// byHand gives the hub an address as a person would type it in.
func (s *Shop) byHand(addr, gateway string) error {
	s.stop("udhcpc-hub")
	if err := s.dropAddresses("hub", "eth0"); err != nil {
		return err
	}
	lines := []string{"addr add " + addr + " brd + dev eth0"}
	if gateway != "" {
		lines = append(lines, "route replace default via "+gateway+" dev eth0 onlink")
	}
	return s.ip("hub", lines...)
}

// pool is how the router gives out addresses.
type pool struct {
	first, last, lease string
	strangers          bool // the hub's own address is not kept for it
	humble             bool // it does not speak for the whole network
}

var usualPool = pool{first: "192.168.50.100", last: "192.168.50.199", lease: "12h"}

// dhcpd runs the router's dnsmasq with the usual pool.
func (s *Shop) dhcpd(more ...string) error { return s.dhcpdPool(&usualPool, more...) }

// dhcpdPool runs it with that pool, nil for DNS alone.
func (s *Shop) dhcpdPool(p *pool, more ...string) error {
	args := []string{"--no-daemon", "--user=root", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--cache-size=0", "--bind-dynamic",
		"--interface=lan0", "--interface=guest0", "--except-interface=lo", "--host-record=router.lan," + gatewayIP, "--server=" + providerDNS,
		"--dhcp-leasefile=" + filepath.Join(s.dir, "leases")}
	if p != nil {
		if !p.humble {
			args = append(args, "--dhcp-authoritative")
		}
		args = append(args, "--no-ping", "--dhcp-range=interface:lan0,"+p.first+","+p.last+","+p.lease,
			"--dhcp-range=interface:guest0,192.168.60.100,192.168.60.199,12h")
		if !p.strangers {
			args = append(args, "--dhcp-host=02:50:00:00:01:21,"+hubIP)
		}
	}
	if err := s.start("dnsmasq", "router", exec.Command("dnsmasq", append(args, more...)...)); err != nil {
		return err
	}
	return until(3*time.Second, "dnsmasq", func() bool {
		log, err := os.ReadFile(filepath.Join(s.dir, "dnsmasq.log"))
		return err == nil && strings.Contains(string(log), "using nameserver")
	})
}
