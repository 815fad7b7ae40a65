package netcheck

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestSYNPacketIsOneThatTakesItsOwnAnswer(t *testing.T) {
	src, dst := netip.MustParseAddrPort("192.168.1.10:40001"), netip.MustParseAddrPort("8.20.0.10:443")
	b := synPacket(src, dst, 7)
	if checksum(0, b[:ipHeader]) != 0 {
		t.Error("the header's checksum is wrong")
	}
	pseudo := uint32(6 + tcpHeader)
	for i := 12; i < 20; i += 2 {
		pseudo += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if checksum(pseudo, b[ipHeader:]) != 0 {
		t.Error("the segment's checksum is wrong")
	}
	answer := synPacket(dst, src, 9)
	if answersSYN(answer, src, dst) {
		t.Error("a SYN alone is no answer")
	}
	answer[ipHeader+13] = 0x12
	if !answersSYN(answer, src, dst) {
		t.Error("SYN-ACK was not taken")
	}
	answer[ipHeader+13] = 0x14
	if answersSYN(answer, src, dst) {
		t.Error("a reset was taken for an answer")
	}
}

func TestDatagramsBeneathTheFilterAreToldFromOthers(t *testing.T) {
	src, dst := netip.MustParseAddrPort("192.168.1.10:40001"), netip.MustParseAddrPort("192.168.1.1:53")
	b := udpPacket(dst, src, []byte("answer"))
	if checksum(0, b[:ipHeader]) != 0 {
		t.Error("the header's checksum is wrong")
	}
	if int(binary.BigEndian.Uint16(b[2:])) != len(b) || int(binary.BigEndian.Uint16(b[ipHeader+4:])) != len(b)-ipHeader {
		t.Error("the lengths are wrong")
	}
	if !answersUDP(b, src, dst) {
		t.Error("the answer was not taken")
	}
	if answersUDP(udpPacket(src, dst, nil), src, dst) || answersUDP(b, src, netip.MustParseAddrPort("192.168.1.1:54")) {
		t.Error("another datagram was taken for the answer")
	}
}

func FuzzRawAnswers(f *testing.F) {
	src, dst := netip.MustParseAddrPort("192.168.1.10:40001"), netip.MustParseAddrPort("8.20.0.10:443")
	f.Add(synPacket(dst, src, 1))
	f.Add([]byte{0x4f, 19: 6})
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0})
	f.Add(udpPacket(dst, src, []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		answersSYN(b, src, dst)
		answersUDP(b, src, dst)
		offender(b)
	})
}
