package netcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
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

const ipHeader, tcpHeader = 20, 20

// synPacket is one IPv4 packet that opens a TCP connection.
func synPacket(src, dst netip.AddrPort, seq uint32) []byte {
	b := make([]byte, ipHeader+tcpHeader)
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[6:], 0x4000) // don't fragment
	s, d := src.Addr().As4(), dst.Addr().As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	binary.BigEndian.PutUint16(b[10:], checksum(0, b[:ipHeader]))
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
