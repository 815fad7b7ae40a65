package lab

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// impairment is what a bad line does, each way.
type impairment struct {
	delay  time.Duration // before jitter
	jitter time.Duration // at most so much more, frames stay in order
	loss   float64       // of 100 frames
	kbit   int           // a second; 0 is no limit
	mtu    int           // larger packets vanish; 0 is no limit
}

const (
	etherHeader = 14
	fullQueue   = 400 * time.Millisecond // what waits longer for a narrow line is dropped
)

// spoilLine puts an impairment where the router's line is. The kernel's own
// (netem) is a module that not every machine has.
func (s *Shop) spoilLine(im impairment) error { return s.spoilWays(im, im) }

// spoilWays spoils the way up and the way down each in its own manner.
func (s *Shop) spoilWays(up, down impairment) error {
	if err := s.plainFrames([2]string{"router", "wan0"}, [2]string{"isp", "lan0"}); err != nil {
		return err
	}
	if err := s.ip("sw", "link set p-wan nomaster", "link set p-isp nomaster"); err != nil {
		return err
	}
	return s.between("p-wan", "p-isp", up, down)
}

// spoilPort puts an impairment between one machine of the LAN and the switch.
func (s *Shop) spoilPort(machine string, im impairment) error {
	cards := [][2]string{{"router", "lan0"}}
	for _, m := range []string{"hub", "pos", "reader1", "reader2"} {
		cards = append(cards, [2]string{m, "eth0"})
	}
	if err := s.ip("sw", "link add spoil-a type veth peer name spoil-b", "link set spoil-b master br-lan up", "link set spoil-a up", "link set p-"+machine+" nomaster"); err != nil {
		return err
	}
	if err := s.plainFrames(append(cards, [2]string{"sw", "spoil-a"}, [2]string{"sw", "spoil-b"})...); err != nil {
		return err
	}
	return s.between("p-"+machine, "spoil-a", im, im)
}

// plainFrames has cards of machines send finished checksums and no frame that is
// larger than any.
func (s *Shop) plainFrames(cards ...[2]string) error {
	for _, end := range cards {
		if err := s.exec(end[0], "ethtool", "-K", end[1], "tx", "off", "tso", "off", "gso", "off", "gro", "off"); err != nil {
			return err
		}
	}
	return nil
}

// between carries frames from one port to another and back.
func (s *Shop) between(a, b string, there, back impairment) error {
	var in, out int
	err := s.within("sw", func() (err error) {
		if in, err = rawPort(a); err != nil {
			return err
		}
		out, err = rawPort(b)
		return err
	})
	if err != nil {
		return err
	}
	var open atomic.Int32
	open.Store(2)
	done := func() {
		if open.Add(-1) == 0 {
			_ = unix.Close(in)
			_ = unix.Close(out)
		}
	}
	s.spawn(func() { defer done(); s.relay(in, out, there, 1) })
	s.spawn(func() { defer done(); s.relay(out, in, back, 2) })
	return nil
}

// rawPort opens a card for whole frames. Reads end now and then, to look up.
func rawPort(card string) (int, error) {
	ifi, err := net.InterfaceByName(card)
	if err != nil {
		return -1, err
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return -1, err
	}
	wake := unix.NsecToTimeval(int64(100 * time.Millisecond))
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wake),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(ifi.Index), Type: unix.PACKET_MR_PROMISC}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

type frame struct {
	due  time.Time
	data []byte
}

// relay carries frames one way until the shop closes. The same seed makes the
// same losses.
func (s *Shop) relay(from, to int, im impairment, seed uint64) {
	chance := rand.New(rand.NewPCG(seed, 2544))
	queue := make(chan frame, 4096)
	carried := make(chan struct{})
	defer func() { close(queue); <-carried }()
	go func() {
		defer close(carried)
		for f := range queue {
			select {
			case <-time.After(time.Until(f.due)):
				_ = unix.Send(to, f.data, 0) // a cable that is out loses it too
			case <-s.ended:
			}
		}
	}()
	var free, last time.Time // when the line is free again; when the frame before is due
	buf := make([]byte, 70<<10)
	for {
		select {
		case <-s.ended:
			return
		default:
		}
		n, sender, err := unix.Recvfrom(from, buf, 0)
		if err != nil {
			continue // the timeout, or a card that is down for now
		}
		if ll, ok := sender.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue // what the other way has sent
		}
		if im.mtu > 0 && n > im.mtu+etherHeader || chance.Float64()*100 < im.loss {
			continue
		}
		due := time.Now()
		if im.kbit > 0 {
			if free.After(due.Add(fullQueue)) {
				continue
			}
			if free.After(due) {
				due = free
			}
			due = due.Add(time.Duration(n*8) * time.Millisecond / time.Duration(im.kbit))
			free = due
		}
		due = due.Add(im.delay)
		if im.jitter > 0 {
			due = due.Add(rand.N(im.jitter))
		}
		if due.Before(last) {
			due = last
		}
		last = due
		select {
		case queue <- frame{due, append([]byte(nil), buf[:n]...)}:
		default: // a full queue drops
		}
	}
}
