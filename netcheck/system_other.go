//go:build !linux

package netcheck

import (
	"context"
	"net"
	"net/netip"
)

// portable answers what net alone can tell; the rest is honestly unknown.
type portable struct{}

func (portable) Cards() ([]card, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []card
	for _, i := range list {
		k := card{
			Name: i.Name, Index: i.Index, MAC: i.HardwareAddr, MTU: i.MTU,
			Up: i.Flags&net.FlagUp != 0, Carrier: i.Flags&net.FlagRunning != 0,
			Loopback: i.Flags&net.FlagLoopback != 0, Tunnel: i.Flags&net.FlagPointToPoint != 0,
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, ok := netip.AddrFromSlice(n.IP)
			if !ok {
				continue
			}
			ones, _ := n.Mask.Size()
			k.Addrs = append(k.Addrs, cardAddr{Prefix: netip.PrefixFrom(ip.Unmap(), ones)})
		}
		out = append(out, k)
	}
	return out, nil
}

func (portable) Neighbours() ([]neighbour, error) { return nil, errUnsupported }
func (portable) WayTo(netip.Addr) (route, error)  { return route{}, errUnsupported }
func (portable) Leases() []lease                  { return readLeases() }
func (portable) Discover(context.Context, card) ([]dhcpOffer, error) {
	return nil, errUnsupported
}
func (portable) Refuses(context.Context, card) (netip.Addr, error) {
	return netip.Addr{}, errUnsupported
}
func (portable) ARP(context.Context, card, netip.Addr, []netip.Addr) (map[netip.Addr][]string, error) {
	return nil, errUnsupported
}
func (portable) Radios() ([]radio, error)                        { return nil, errUnsupported }
func (portable) Unicast(self netip.Addr) (net.PacketConn, error) { return openUnicast(self) }
func (portable) Multicast(k card) (net.PacketConn, error)        { return openMulticast(k) }
func (portable) DialMSS(context.Context, string, int) (net.Conn, error) {
	return nil, errUnsupported
}
func (portable) Hop(context.Context, netip.Addr, int) (netip.Addr, error) {
	return netip.Addr{}, errUnsupported
}
func (portable) RawSYN(context.Context, card, netip.Addr, net.HardwareAddr, netip.AddrPort) (bool, error) {
	return false, errUnsupported
}
func (portable) RawUDP(context.Context, card, netip.Addr, net.HardwareAddr, netip.AddrPort, []byte, int) (int, error) {
	return 0, errUnsupported
}
func (portable) Find(context.Context, card, netip.Addr, string, netip.Prefix) (netip.Addr, error) {
	return netip.Addr{}, errUnsupported
}
