package netcheck

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// otherNetwork is an address that no shop's DHCP server can lease: asked for it,
// an authoritative server says no, which shows that it lives.
var otherNetwork = net.IPv4(203, 0, 113, 77)

// secondServer is how long a DISCOVER waits for one more server after the first
// offer: one that makes sure by ping that an address is free takes a second.
const secondServer = 1300 * time.Millisecond

func (linuxSystem) Discover(ctx context.Context, k card) ([]dhcpOffer, error) {
	cl, err := dhcpClient(k)
	if err != nil {
		return nil, rawError(err)
	}
	defer cl.Close()
	d, err := dhcpv4.NewDiscovery(k.MAC, dhcpv4.WithBroadcast(true), dhcpv4.WithRequestedOptions(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionIPAddressLeaseTime,
		dhcpv4.GenericOptionCode(252)))
	if err != nil {
		return nil, err
	}
	var got []dhcpOffer
	window, done := context.WithCancel(ctx)
	defer done()
	var settle *time.Timer
	_, err = cl.SendAndRead(window, nclient4.DefaultServers, d, func(p *dhcpv4.DHCPv4) bool {
		if p.MessageType() == dhcpv4.MessageTypeOffer {
			got = append(got, offer(p))
			if settle == nil {
				settle = time.AfterFunc(secondServer, done)
			}
		}
		return false // no offer ends the wait: a second server may speak
	})
	if settle != nil {
		settle.Stop()
	}
	if len(got) == 0 && ctx.Err() == nil && !errors.Is(err, nclient4.ErrNoResponse) {
		return got, err
	}
	return got, nil
}

// dhcpClient speaks by a raw socket, beside whatever DHCP client the machine
// runs. It never repeats by itself: Discover's context ends the wait.
func dhcpClient(k card) (*nclient4.Client, error) {
	return nclient4.New(k.Name, nclient4.WithHWAddr(k.MAC), nclient4.WithTimeout(time.Minute), nclient4.WithRetry(1))
}

// Refuses asks, as a machine that comes back from elsewhere, for an address of
// another network. It can never become a lease.
func (linuxSystem) Refuses(ctx context.Context, k card) (netip.Addr, error) {
	cl, err := dhcpClient(k)
	if err != nil {
		return netip.Addr{}, rawError(err)
	}
	defer cl.Close()
	var xid dhcpv4.TransactionID
	if _, err := rand.Read(xid[:]); err != nil {
		return netip.Addr{}, err
	}
	r, err := dhcpv4.New(dhcpv4.WithHwAddr(k.MAC), dhcpv4.WithBroadcast(true), dhcpv4.WithTransactionID(xid),
		dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(otherNetwork)))
	if err != nil {
		return netip.Addr{}, err
	}
	p, err := cl.SendAndRead(ctx, nclient4.DefaultServers, r, func(p *dhcpv4.DHCPv4) bool {
		return p.MessageType() == dhcpv4.MessageTypeNak
	})
	if err != nil {
		return netip.Addr{}, nil // silence: no server, or one that keeps quiet about strangers
	}
	a, _ := netip.AddrFromSlice(p.ServerIdentifier())
	return a.Unmap(), nil
}

func offer(p *dhcpv4.DHCPv4) dhcpOffer {
	addr := func(ip net.IP) netip.Addr { a, _ := netip.AddrFromSlice(ip); return a.Unmap() }
	o := dhcpOffer{Server: addr(p.ServerIdentifier()), Addr: addr(p.YourIPAddr), Lease: p.IPAddressLeaseTime(0),
		ProxyURL: string(p.Options.Get(dhcpv4.GenericOptionCode(252)))}
	if m := p.SubnetMask(); m != nil {
		o.Mask, _ = m.Size()
	}
	for _, ip := range p.Router() {
		o.Routers = append(o.Routers, addr(ip))
	}
	for _, ip := range p.DNS() {
		o.DNS = append(o.DNS, addr(ip))
	}
	return o
}
