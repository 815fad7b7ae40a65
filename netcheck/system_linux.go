package netcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mdlayher/arp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linuxSystem reads the kernel's tables by netlink, which also works where a
// service may not see /proc/net.
type linuxSystem struct{}

func thisSystem() system { return linuxSystem{} }

func (linuxSystem) Cards() ([]card, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	var out []card
	for _, l := range links {
		a := l.Attrs()
		k := card{
			Name: a.Name, Index: a.Index, MAC: a.HardwareAddr, MTU: a.MTU,
			Up:       a.Flags&net.FlagUp != 0,
			Carrier:  a.RawFlags&unix.IFF_LOWER_UP != 0 && a.OperState != netlink.OperDown && a.OperState != netlink.OperLowerLayerDown,
			Loopback: a.Flags&net.FlagLoopback != 0,
			Tunnel:   a.Flags&net.FlagPointToPoint != 0 || l.Type() == "tuntap" || l.Type() == "wireguard",
			Port:     a.MasterIndex != 0,
			Virtual:  l.Type() == "bridge" && virtualName(a.Name),
		}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return nil, err
		}
		for _, ad := range addrs {
			ip, ok := netip.AddrFromSlice(ad.IP)
			if !ok {
				continue
			}
			ones, _ := ad.Mask.Size()
			ca := cardAddr{Prefix: netip.PrefixFrom(ip.Unmap(), ones), Dynamic: ad.Flags&unix.IFA_F_PERMANENT == 0}
			if ca.Dynamic && ad.ValidLft > 0 {
				ca.Left = time.Duration(ad.ValidLft) * time.Second
			}
			k.Addrs = append(k.Addrs, ca)
		}
		out = append(out, k)
	}
	return out, nil
}

func virtualName(name string) bool {
	if id, is := strings.CutPrefix(name, "br-"); is { // docker's are called by twelve digits
		_, err := strconv.ParseUint(id, 16, 64)
		return err == nil && len(id) == 12
	}
	for _, p := range []string{"docker", "virbr", "cni", "lxc", "podman"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func (linuxSystem) Routes() ([]route, error) {
	list, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	name := func(i int) string {
		if names[i] == "" {
			if l, err := netlink.LinkByIndex(i); err == nil {
				names[i] = l.Attrs().Name
			}
		}
		return names[i]
	}
	var out []route
	for _, r := range list {
		if r.Type != 0 && r.Type != unix.RTN_UNICAST {
			continue
		}
		dst := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if r.Family == netlink.FAMILY_V6 {
			dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		if r.Dst != nil {
			a, _ := netip.AddrFromSlice(r.Dst.IP)
			ones, _ := r.Dst.Mask.Size()
			dst = netip.PrefixFrom(a.Unmap(), ones)
		}
		gw, _ := netip.AddrFromSlice(r.Gw)
		out = append(out, route{Dst: dst, Gateway: gw.Unmap(), Card: name(r.LinkIndex), Metric: r.Priority})
	}
	return out, nil
}

func (linuxSystem) WayTo(a netip.Addr) (route, error) {
	list, err := netlink.RouteGet(a.AsSlice())
	if err != nil {
		return route{}, err
	}
	if len(list) == 0 {
		return route{}, errors.New("no route")
	}
	gw, _ := netip.AddrFromSlice(list[0].Gw)
	l, err := netlink.LinkByIndex(list[0].LinkIndex)
	if err != nil {
		return route{}, err
	}
	return route{Dst: netip.PrefixFrom(a, a.BitLen()), Gateway: gw.Unmap(), Card: l.Attrs().Name}, nil
}

func (linuxSystem) Neighbours() ([]neighbour, error) {
	list, err := netlink.NeighList(0, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	var out []neighbour
	for _, n := range list {
		a, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		out = append(out, neighbour{
			Addr: a.Unmap(), MAC: n.HardwareAddr.String(),
			Alive: n.State&(netlink.NUD_REACHABLE|netlink.NUD_PERMANENT) != 0,
			Dead:  n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) != 0,
			Fixed: n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0,
		})
	}
	return out, nil
}

func (linuxSystem) Resolvers() ([]netip.AddrPort, error) {
	f, err := os.Open("/etc/resolv.conf")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseResolvConf(f)
}

func (linuxSystem) Leases() []lease { return readLeases() }

// ARP speaks for itself instead of reading the kernel's table, which keeps a
// silent neighbour for minutes and shows one answer of two.
func (linuxSystem) ARP(ctx context.Context, k card, self netip.Addr, targets []netip.Addr) (map[netip.Addr][]string, error) {
	ifi, err := net.InterfaceByIndex(k.Index)
	if err != nil {
		return nil, err
	}
	cl, err := arp.Dial(ifi)
	if err != nil {
		return nil, rawError(err)
	}
	defer cl.Close()
	want := map[netip.Addr]bool{}
	for _, t := range targets {
		want[t] = true
	}
	out := map[netip.Addr][]string{}
	end, _ := ctx.Deadline()
	end = end.Add(-100 * time.Millisecond)
	const spacing = 300 * time.Millisecond
	for round := range 3 {
		for t := range want {
			if len(out[t]) == 0 {
				if err := request(cl, ifi.HardwareAddr, self, t); err != nil {
					return nil, rawError(err)
				}
			}
		}
		until := time.Now().Add(spacing)
		if round == 2 || until.After(end) {
			until = end
		}
		if err := cl.SetReadDeadline(until); err != nil {
			return nil, err
		}
		for {
			p, _, err := cl.Read()
			if err != nil {
				var ne net.Error
				if errors.As(err, &ne) && ne.Timeout() {
					break
				}
				if errors.Is(err, io.ErrUnexpectedEOF) { // a frame that is no ARP of Ethernet and IPv4
					continue
				}
				return out, err
			}
			if p.Operation != arp.OperationReply || !want[p.SenderIP] {
				continue
			}
			mac := p.SenderHardwareAddr.String()
			if mac != ifi.HardwareAddr.String() && !has(out[p.SenderIP], mac) {
				out[p.SenderIP] = append(out[p.SenderIP], mac)
			}
		}
		// Once all but ourselves answered, one more round would tell nothing: of
		// two claimants both answer the same request.
		silent := 0
		for t := range want {
			if t != self && len(out[t]) == 0 {
				silent++
			}
		}
		if silent == 0 || time.Now().After(end) {
			break
		}
	}
	return out, nil
}

// Find sends its questions to that hardware address alone, 4 ms apart: no
// broadcast, and no burst for the reader either.
func (linuxSystem) Find(ctx context.Context, k card, self netip.Addr, mac string, lan netip.Prefix) (netip.Addr, error) {
	to, err := net.ParseMAC(mac)
	if err != nil {
		return netip.Addr{}, err
	}
	ifi, err := net.InterfaceByIndex(k.Index)
	if err != nil {
		return netip.Addr{}, err
	}
	cl, err := arp.Dial(ifi)
	if err != nil {
		return netip.Addr{}, rawError(err)
	}
	defer cl.Close()
	for a := lan.Masked().Addr().Next(); lan.Contains(a) && ctx.Err() == nil; a = a.Next() {
		if a == self {
			continue
		}
		p, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, self, to, a)
		if err != nil {
			return netip.Addr{}, err
		}
		if err := cl.WriteTo(p, to); err != nil {
			return netip.Addr{}, rawError(err)
		}
		if found, ok := heard(cl, mac, time.Now().Add(4*time.Millisecond)); ok {
			return found, nil
		}
	}
	found, _ := heard(cl, mac, time.Now().Add(100*time.Millisecond))
	return found, nil
}

// heard reads replies until then and returns the address that mac claims.
func heard(cl *arp.Client, mac string, until time.Time) (netip.Addr, bool) {
	if cl.SetReadDeadline(until) != nil {
		return netip.Addr{}, false
	}
	for {
		p, _, err := cl.Read()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return netip.Addr{}, false
		}
		if p.Operation == arp.OperationReply && p.SenderHardwareAddr.String() == mac {
			return p.SenderIP, true
		}
	}
}

// request asks for t. For our own address the sender is 0.0.0.0, as RFC 5227
// wants of a probe, so that no neighbour learns anything wrong.
func request(cl *arp.Client, mac net.HardwareAddr, self, t netip.Addr) error {
	from := self
	if t == self {
		from = netip.IPv4Unspecified()
	}
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	p, err := arp.NewPacket(arp.OperationRequest, mac, from, net.HardwareAddr{0, 0, 0, 0, 0, 0}, t)
	if err != nil {
		return err
	}
	return cl.WriteTo(p, broadcast)
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func rawError(err error) error {
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EPERM) {
		return errNeedsRaw
	}
	return err
}

func (linuxSystem) Unicast(self netip.Addr) (net.PacketConn, error) { return openUnicast(self) }
func (linuxSystem) Multicast(k card) (net.PacketConn, error)        { return openMulticast(k) }

func (linuxSystem) DialMSS(ctx context.Context, addr string, mss int) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
		var serr error
		if err := rc.Control(func(fd uintptr) {
			serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, mss)
		}); err != nil {
			return err
		}
		if serr != nil {
			return fmt.Errorf("set segment size: %w", serr)
		}
		return nil
	}}
	return d.DialContext(ctx, "tcp4", addr)
}
