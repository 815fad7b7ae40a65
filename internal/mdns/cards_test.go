package mdns

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestOnlyCardsThatTillsCanBeBehindAreChosen(t *testing.T) {
	const lan = net.FlagUp | net.FlagMulticast | net.FlagBroadcast
	newCard := func(index int, name string, flags net.Flags, addrs ...string) card {
		c := card{iface: net.Interface{Index: index, Name: name, Flags: flags}}
		for _, a := range addrs {
			c.addrs = append(c.addrs, netip.MustParseAddr(a))
		}
		return c
	}
	lo := newCard(1, "lo", net.FlagUp|net.FlagLoopback, "127.0.0.1")
	for name, c := range map[string]struct {
		all  []card
		want []string
	}{
		"one card":        {[]card{lo, newCard(2, "eth0", lan, "192.168.1.5")}, []string{"eth0"}},
		"two cards":       {[]card{newCard(3, "wlan0", lan, "10.0.0.2"), newCard(2, "eth0", lan, "192.168.1.5")}, []string{"eth0", "wlan0"}},
		"loopback alone":  {[]card{lo}, []string{"lo"}},
		"nothing at all":  {nil, nil},
		"down":            {[]card{newCard(2, "eth0", net.FlagMulticast, "192.168.1.5")}, nil},
		"no multicast":    {[]card{newCard(2, "eth0", net.FlagUp, "192.168.1.5")}, nil},
		"tunnel":          {[]card{newCard(2, "corp", lan|net.FlagPointToPoint, "10.8.0.2")}, nil},
		"no address":      {[]card{newCard(2, "eth0", lan)}, nil},
		"link-local only": {[]card{newCard(2, "eth0", lan, "169.254.3.4")}, nil},
		"IPv6 only":       {[]card{newCard(2, "eth0", lan, "2001:db8::1")}, nil},
		"virtual on Linux": {[]card{newCard(2, "docker0", lan, "172.17.0.1"), newCard(3, "veth12ab", lan, "172.18.0.1"), newCard(4, "br-4f2a", lan, "172.19.0.1"),
			newCard(5, "virbr0", lan, "192.168.122.1"), newCard(6, "wg0", lan, "10.7.0.1"), newCard(7, "enp3s0", lan, "192.168.1.5")}, []string{"enp3s0"}},
		"virtual on Windows": {[]card{newCard(20, "vEthernet (WSL)", lan, "172.22.0.1"), newCard(21, "VMnet8", lan, "192.168.56.1"),
			newCard(22, "Ethernet", lan, "192.168.1.5")}, []string{"Ethernet"}},
		"a bridge of the shop's own": {[]card{newCard(2, "br0", lan, "192.168.1.5")}, []string{"br0"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, x := range choose(c.all) {
				got = append(got, x.iface.Name)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("chose %q, want %q", got, c.want)
			}
		})
	}
	mixed := choose([]card{newCard(2, "eth0", lan, "192.168.1.9", "169.254.3.4", "192.168.1.5")})
	if want := []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("192.168.1.9")}; !slices.Equal(mixed[0].addrs, want) {
		t.Errorf("addresses %v, want %v", mixed[0].addrs, want)
	}
}

func TestEachSystemGetsTheRegistrationsItNeeds(t *testing.T) {
	lan := card{iface: net.Interface{Flags: net.FlagUp | net.FlagMulticast}}
	lo := card{iface: net.Interface{Flags: net.FlagUp | net.FlagLoopback}}
	for _, c := range []struct {
		goos  string
		cards []card
		want  bool
	}{
		{"linux", []card{lan, lan}, false},
		{"darwin", []card{lan, lan}, false},
		{"windows", []card{lan, lan}, true},
		{"linux", []card{lo}, true},
	} {
		if got := perCard(c.goos, c.cards); got != c.want {
			t.Errorf("perCard(%s, %d cards) is %v", c.goos, len(c.cards), got)
		}
	}
}
