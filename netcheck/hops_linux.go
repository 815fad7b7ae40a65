package netcheck

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Hop sends one UDP packet that dies after ttl routers and returns who said so.
// The error queue of a plain socket tells it, without any right.
func (linuxSystem) Hop(ctx context.Context, dst netip.Addr, ttl int) (netip.Addr, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return netip.Addr{}, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl); err != nil {
		return netip.Addr{}, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
		return netip.Addr{}, err
	}
	const traceroute = 33434 // the port that routers know from traceroute
	if err := unix.Sendto(fd, []byte("storehub"), 0, &unix.SockaddrInet4{Port: traceroute + ttl, Addr: dst.As4()}); err != nil {
		return netip.Addr{}, err
	}
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(budgetLocal)
	}
	for {
		left := time.Until(end)
		if left <= 0 || ctx.Err() != nil {
			return netip.Addr{}, context.DeadlineExceeded
		}
		// Short waits, since a cancelled context cannot wake poll(2).
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, int(min(left, 100*time.Millisecond)/time.Millisecond)+1)
		if err == unix.EINTR || n == 0 {
			continue
		}
		if err != nil {
			return netip.Addr{}, err
		}
		var buf [128]byte
		oob := make([]byte, 512)
		_, oobn, _, _, err := unix.Recvmsg(fd, buf[:], oob, unix.MSG_ERRQUEUE)
		if err != nil {
			return netip.Addr{}, err
		}
		if a, ok := offender(oob[:oobn]); ok {
			return a, nil
		}
	}
}

// offender reads the sender of the ICMP error: a sockaddr behind struct sock_extended_err.
func offender(oob []byte) (netip.Addr, bool) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}, false
	}
	const extended = 16 // size of sock_extended_err
	for _, m := range msgs {
		if m.Header.Level != unix.IPPROTO_IP || m.Header.Type != unix.IP_RECVERR || len(m.Data) < extended+8 {
			continue
		}
		from := m.Data[extended:]
		if binary.NativeEndian.Uint16(from) == unix.AF_INET {
			return netip.AddrFrom4([4]byte(from[4:8])), true
		}
	}
	return netip.Addr{}, false
}
