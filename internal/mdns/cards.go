package mdns

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// card is a network card with its addresses.
type card struct {
	iface net.Interface
	addrs []netip.Addr // IPv4, sorted
}

// equal reports whether nothing changed that tills would have to know.
func (c card) equal(d card) bool {
	return c.iface.Index == d.iface.Index && c.iface.Name == d.iface.Name && slices.Equal(c.addrs, d.addrs)
}

// names lists the cards for a person.
func names(cards []card) string {
	var list []string
	for _, c := range cards {
		list = append(list, c.iface.Name)
	}
	return strings.Join(list, ", ")
}

// realCards are the cards that tills can be behind.
func realCards() ([]card, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network cards: %w", err)
	}
	var all []card
	for _, iface := range ifaces {
		addrs, err := iface.Addrs()
		if err != nil {
			continue // it has just gone
		}
		c := card{iface: iface}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				c.addrs = append(c.addrs, p.Addr())
			}
		}
		all = append(all, c)
	}
	return choose(all), nil
}

// choose leaves out what no till can be behind: cards that are down or have no
// usable IPv4 address, and the virtual cards of containers, virtual machines and
// tunnels. Loopback counts only when there is nothing else.
func choose(all []card) []card {
	var chosen, loopback []card
	for _, c := range all {
		c.addrs = slices.DeleteFunc(slices.Clone(c.addrs), func(a netip.Addr) bool {
			return !a.Is4() || a.IsLinkLocalUnicast() || a.IsUnspecified()
		})
		slices.SortFunc(c.addrs, netip.Addr.Compare)
		switch {
		case c.iface.Flags&net.FlagUp == 0 || len(c.addrs) == 0:
		case c.iface.Flags&net.FlagLoopback != 0:
			loopback = append(loopback, c)
		case c.iface.Flags&net.FlagMulticast == 0 || Virtual(c.iface):
		default:
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		chosen = loopback
	}
	slices.SortFunc(chosen, func(a, b card) int { return cmp.Compare(a.iface.Index, b.iface.Index) })
	return chosen
}

// virtualPrefixes begin the names of cards that lead to no shop floor, in lower
// case: Windows' switches and VMware's, then the container and tunnel cards of
// Linux and macOS.
var virtualPrefixes = []string{
	"vethernet", "vmnet", "vmware", "virtualbox", "vboxnet", "npcap", "loopback",
	"docker", "veth", "br-", "virbr", "cni", "flannel", "cali", "lxc", "lxdbr", "podman", "kube",
	"tun", "tap", "utun", "wg", "tailscale", "zt", "ppp", "awdl", "llw", "anpi", "dummy",
}

// Virtual reports whether a card is a tunnel, or by its name one of containers or
// virtual machines: no till is behind it.
func Virtual(iface net.Interface) bool {
	name := strings.ToLower(iface.Name)
	return iface.Flags&net.FlagPointToPoint != 0 || slices.ContainsFunc(virtualPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
