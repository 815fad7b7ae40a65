package hub

import (
	"net"
	"net/netip"
	"sync"
)

const (
	// connsMost is how many connections the hub holds, in all: a shop's tills, each
	// with a few, are far below, and their memory is bounded by it.
	connsMost = 4096
	// connsOfOne is how many one machine on the LAN may hold, so that it cannot keep the
	// others out. Loopback is left out: the shop's own proxy may speak for all.
	connsOfOne = 256
)

// fair is a listener on which no machine takes all connections there are. One too many is
// closed at once, unread.
type fair struct {
	net.Listener
	most, ofOne int

	mu   sync.Mutex
	all  int
	from map[netip.Addr]int
}

func newFair(l net.Listener, most, ofOne int) *fair {
	return &fair{Listener: l, most: most, ofOne: ofOne, from: map[netip.Addr]int{}}
}

// Accept waits for the next connection that may be held.
func (f *fair) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := remoteAddr(c)
		if f.admit(from) {
			return &heldConn{Conn: c, end: sync.OnceFunc(func() { f.leave(from) })}, nil
		}
		_ = c.Close() // nothing was promised on it
	}
}

func remoteAddr(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func (f *fair) admit(from netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all >= f.most || !from.IsLoopback() && f.from[from] >= f.ofOne {
		return false
	}
	f.all++
	f.from[from]++
	return true
}

func (f *fair) leave(from netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all--
	if f.from[from]--; f.from[from] == 0 {
		delete(f.from, from)
	}
}

// heldConn gives its place back when it is closed.
type heldConn struct {
	net.Conn
	end func()
}

// Close ends the connection.
func (c *heldConn) Close() error {
	c.end()
	return c.Conn.Close()
}
