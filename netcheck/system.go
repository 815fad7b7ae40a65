package netcheck

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// errUnsupported is what a system says of a question that it cannot be asked yet.
var errUnsupported = errors.New("not supported on this system")

// errNeedsRaw is the way out of an Unknown that lacks the right to raw sockets.
var errNeedsRaw = errors.New("needs CAP_NET_RAW; run as root or ask the running hub")

// card is one network interface.
type card struct {
	Name     string
	Index    int
	MAC      net.HardwareAddr
	Up       bool // switched on
	Carrier  bool // cable or association
	Loopback bool
	Tunnel   bool // VPN and other point-to-point links
	Port     bool // part of a bridge or bond
	Virtual  bool // a bridge of containers or virtual machines
	MTU      int
	Addrs    []cardAddr
}

// usable says whether a shop's traffic can leave by this card at all.
func (c card) usable() bool {
	return c.Up && c.Carrier && !c.Loopback && !c.Tunnel && !c.Port && !c.Virtual
}

type cardAddr struct {
	netip.Prefix
	Left    time.Duration // of a lease that the kernel counts down; 0: it does not
	Dynamic bool
}

func (c card) v4() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range c.Addrs {
		if a.Addr().Is4() {
			out = append(out, a.Prefix)
		}
	}
	return out
}

// route is a way out.
type route struct {
	Dst     netip.Prefix // 0.0.0.0/0 or ::/0: the default
	Gateway netip.Addr
	Card    string
	Metric  int
}

// neighbour is what the kernel knows of an address on the LAN. Alive: it
// answered lately.
type neighbour struct {
	Addr  netip.Addr
	MAC   string
	Alive bool
	Dead  bool
	Fixed bool // entered by hand: it is believed without an answer
}

// system is this machine, as far as probes must know it.
type system interface {
	Cards() ([]card, error)
	Routes() ([]route, error)
	Neighbours() ([]neighbour, error)
	Resolvers() ([]netip.AddrPort, error)
	// WayTo is the route the machine would take.
	WayTo(netip.Addr) (route, error)
	// ARP asks who has the addresses and returns every hardware address that
	// answered for each. self is asked for too, as a newcomer would.
	ARP(ctx context.Context, c card, self netip.Addr, targets []netip.Addr) (map[netip.Addr][]string, error)
	// Find asks one hardware address, and nobody else, which of the LAN's
	// addresses it has now.
	Find(ctx context.Context, c card, self netip.Addr, mac string, lan netip.Prefix) (netip.Addr, error)
	// Discover broadcasts DHCP DISCOVER and returns all offers; it never takes one.
	Discover(ctx context.Context, c card) ([]dhcpOffer, error)
	// Refuses asks for an address that cannot be leased here and returns the
	// server that said no; the zero address when none spoke.
	Refuses(ctx context.Context, c card) (netip.Addr, error)
	// Leases are what DHCP clients on this machine have written down.
	Leases() []lease
	// Hop returns the router that drops a packet to dst after ttl hops.
	Hop(ctx context.Context, dst netip.Addr, ttl int) (netip.Addr, error)
	// RawSYN says whether dst accepts a connection that is asked for beneath this
	// machine's packet filter.
	RawSYN(ctx context.Context, c card, self netip.Addr, gateway net.HardwareAddr, dst netip.AddrPort) (bool, error)
	// RawUDP says how often dst answered a datagram that was sent tries times
	// beneath this machine's packet filter.
	RawUDP(ctx context.Context, c card, self netip.Addr, next net.HardwareAddr, dst netip.AddrPort, payload []byte, tries int) (int, error)
	// Radios are the associations of this machine's Wi-Fi cards.
	Radios() ([]radio, error)
	// Unicast and Multicast are two ears for multicast DNS: a port of our own, and the
	// group on that card.
	Unicast(self netip.Addr) (net.PacketConn, error)
	Multicast(c card) (net.PacketConn, error)
	// DialMSS connects with segments of at most mss bytes both ways.
	DialMSS(ctx context.Context, addr string, mss int) (net.Conn, error)
}

type dhcpOffer struct {
	Server, Addr netip.Addr
	Mask         int
	Routers      []netip.Addr
	DNS          []netip.Addr
	Lease        time.Duration
	ProxyURL     string // option 252
}

// lease is what a DHCP client on this machine was given.
type lease struct {
	Card   string
	Addr   netip.Addr
	Server netip.Addr
	Length time.Duration
}
