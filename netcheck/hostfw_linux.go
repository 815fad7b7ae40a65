package netcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// RawSYN knocks at an address beneath this machine's packet filter: a frame of
// its own on the card. It returns whether the far end answered at all.
func (linuxSystem) RawSYN(ctx context.Context, k card, self netip.Addr, gateway net.HardwareAddr, dst netip.AddrPort) (bool, error) {
	ifi, err := net.InterfaceByIndex(k.Index)
	if err != nil {
		return false, err
	}
	conn, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_IP, nil)
	if err != nil {
		return false, rawError(err)
	}
	defer conn.Close()
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(budgetFollowUp)
	}
	if err := conn.SetReadDeadline(end); err != nil {
		return false, err
	}
	src := netip.AddrPortFrom(self, uint16(40000+time.Now().UnixNano()%20000))
	if _, err := conn.WriteTo(synPacket(src, dst, uint32(time.Now().UnixNano())), &packet.Addr{HardwareAddr: gateway}); err != nil {
		return false, rawError(err)
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if answersSYN(buf[:n], src, dst) {
			return true, nil
		}
	}
}

// RawUDP sends a datagram as frames of its own and counts the answers. It waits for
// the last one until the context ends.
func (linuxSystem) RawUDP(ctx context.Context, k card, self netip.Addr, next net.HardwareAddr, dst netip.AddrPort, payload []byte, tries int) (int, error) {
	ifi, err := net.InterfaceByIndex(k.Index)
	if err != nil {
		return 0, err
	}
	conn, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_IP, nil)
	if err != nil {
		return 0, rawError(err)
	}
	defer conn.Close()
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(budgetFollowUp)
	}
	if err := conn.SetReadDeadline(end.Add(-100 * time.Millisecond)); err != nil {
		return 0, err
	}
	port := uint16(40000 + time.Now().UnixNano()%20000)
	src := make([]netip.AddrPort, tries)
	for i := range src {
		src[i] = netip.AddrPortFrom(self, port+uint16(i)) // a server may answer the same question once
		if _, err := conn.WriteTo(udpPacket(src[i], dst, payload), &packet.Addr{HardwareAddr: next}); err != nil {
			return 0, rawError(err)
		}
	}
	buf := make([]byte, 2048)
	answered := 0
	for answered < tries {
		n, _, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return answered, err
		}
		if slices.ContainsFunc(src, func(s netip.AddrPort) bool { return answersUDP(buf[:n], s, dst) }) {
			answered++
		}
	}
	return answered, nil
}

const ipHeader, tcpHeader, udpHeader = 20, 20, 8

// ipv4 is a header for what follows it.
func ipv4(src, dst netip.Addr, protocol byte, size int) []byte {
	b := make([]byte, ipHeader, ipHeader+size)
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(ipHeader+size))
	binary.BigEndian.PutUint16(b[6:], 0x4000) // don't fragment
	s, d := src.As4(), dst.As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	binary.BigEndian.PutUint16(b[10:], checksum(0, b[:ipHeader]))
	return b
}

// udpPacket is one IPv4 datagram. Its checksum is left out, as RFC 768 allows.
func udpPacket(src, dst netip.AddrPort, payload []byte) []byte {
	b := ipv4(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, udpHeader+len(payload))
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(udpHeader+len(payload)))
	b = binary.BigEndian.AppendUint16(b, 0)
	return append(b, payload...)
}

// answersUDP says whether a received IPv4 packet is dst's answer to src.
func answersUDP(b []byte, src, dst netip.AddrPort) bool {
	if len(b) < ipHeader || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP {
		return false
	}
	h := int(b[0]&0x0f) * 4
	if h < ipHeader || len(b) < h+udpHeader {
		return false
	}
	return netip.AddrFrom4([4]byte(b[12:16])) == dst.Addr() && netip.AddrFrom4([4]byte(b[16:20])) == src.Addr() &&
		binary.BigEndian.Uint16(b[h:]) == dst.Port() && binary.BigEndian.Uint16(b[h+2:]) == src.Port()
}

// synPacket is one IPv4 packet that opens a TCP connection.
func synPacket(src, dst netip.AddrPort, seq uint32) []byte {
	b := ipv4(src.Addr(), dst.Addr(), unix.IPPROTO_TCP, tcpHeader)[:ipHeader+tcpHeader]
	s, d := src.Addr().As4(), dst.Addr().As4()
	t := b[ipHeader:]
	binary.BigEndian.PutUint16(t, src.Port())
	binary.BigEndian.PutUint16(t[2:], dst.Port())
	binary.BigEndian.PutUint32(t[4:], seq)
	t[12], t[13] = tcpHeader/4<<4, 0x02 // SYN
	binary.BigEndian.PutUint16(t[14:], 64240)
	pseudo := uint32(unix.IPPROTO_TCP + tcpHeader)
	for _, p := range [][]byte{s[:], d[:]} {
		pseudo += uint32(binary.BigEndian.Uint16(p)) + uint32(binary.BigEndian.Uint16(p[2:]))
	}
	binary.BigEndian.PutUint16(t[16:], checksum(pseudo, t))
	return b
}

// checksum is the internet's (RFC 1071), over an even number of bytes.
func checksum(sum uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// answersSYN says whether a received IPv4 packet accepts that connection. A
// reset does not count: any middlebox can send one.
func answersSYN(b []byte, src, dst netip.AddrPort) bool {
	if len(b) < ipHeader || b[0]>>4 != 4 || b[9] != unix.IPPROTO_TCP {
		return false
	}
	h := int(b[0]&0x0f) * 4
	if h < ipHeader || len(b) < h+tcpHeader {
		return false
	}
	t := b[h:]
	return netip.AddrFrom4([4]byte(b[12:16])) == dst.Addr() && netip.AddrFrom4([4]byte(b[16:20])) == src.Addr() &&
		binary.BigEndian.Uint16(t) == dst.Port() && binary.BigEndian.Uint16(t[2:]) == src.Port() && t[13]&0x12 == 0x12
}
