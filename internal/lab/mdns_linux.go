package lab

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// mdns has a machine answer multicast DNS, by multicast to who asks from the
// group's port and to who asks from another port alone (RFC 6762, section 6.7).
func (s *Shop) mdns(machine, addr string) error {
	const port = 5353
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: port}
	var many *net.UDPConn
	err := s.within(machine, func() error {
		card, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		many, err = net.ListenMulticastUDP("udp4", card, group)
		return err
	})
	if err != nil {
		return err
	}
	s.atEnd(func() { many.Close() })
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		return errors.Join(failed, err)
	}}
	var alone net.PacketConn
	err = s.within(machine, func() (err error) {
		alone, err = share.ListenPacket(context.Background(), "udp4", net.JoinHostPort(addr, "5353"))
		return err
	})
	if err != nil {
		return err
	}
	s.atEnd(func() { alone.Close() })
	for _, ear := range []net.PacketConn{many, alone} {
		s.spawn(func() {
			buf := make([]byte, 9000)
			for {
				n, from, err := ear.ReadFrom(buf)
				if err != nil {
					return
				}
				asker, ok := from.(*net.UDPAddr)
				var q dns.Msg
				if !ok || q.Unpack(buf[:n]) != nil || q.Response || len(q.Question) == 0 {
					continue
				}
				a := new(dns.Msg)
				a.Response, a.Authoritative = true, true
				a.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 10}, Ptr: "_http._tcp.local."}}
				to := group
				if asker.Port != port {
					a.Id, a.Question, to = q.Id, q.Question, asker
				}
				if raw, err := a.Pack(); err == nil {
					_, _ = alone.WriteTo(raw, to) // as unsure as all of UDP
				}
			}
		})
	}
	return nil
}
