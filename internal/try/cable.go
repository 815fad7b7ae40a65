package try

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// Cable carries TCP to one address until a hand cuts it.
type Cable struct {
	ln     net.Listener
	target string

	mu    sync.Mutex // guards following
	state lineState
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

type lineState int

const (
	whole  lineState = iota
	cut              // connections are reset, as by a router that knows the line is gone
	silent           // connections open and nothing ever passes, as behind a dead modem
)

// NewCable listens on a loopback port of its own and carries what arrives there
// to target, a host:port.
func NewCable(target string) (*Cable, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Cable{ln: ln, target: target, conns: map[net.Conn]struct{}{}}
	c.wg.Go(c.accept)
	return c, nil
}

// Addr is where the near end of the cable is plugged in, a host:port.
func (c *Cable) Addr() string { return c.ln.Addr().String() }

// Cut ends every connection and refuses new ones.
func (c *Cable) Cut() { c.set(cut) }

// Silence lets connections open and carries nothing: the far end seems to hang.
func (c *Cable) Silence() { c.set(silent) }

// Mend makes the cable whole again. Connections that hung are gone.
func (c *Cable) Mend() { c.set(whole) }

// Whole reports whether the cable carries anything.
func (c *Cable) Whole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == whole
}

// Close ends the cable and waits for all it carried.
func (c *Cable) Close() error {
	err := c.ln.Close()
	c.set(cut)
	c.wg.Wait()
	return err
}

// set returns the state before.
func (c *Cable) set(s lineState) lineState {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.state
	if before == s {
		return before
	}
	c.state = s
	for conn := range c.conns {
		reset(conn)
	}
	return before
}

func (c *Cable) accept() {
	for {
		conn, err := c.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		c.wg.Go(func() { c.carry(conn) })
	}
}

func (c *Cable) carry(near net.Conn) {
	if !c.hold(near) {
		reset(near)
		return
	}
	defer c.drop(near)
	if !c.Whole() {
		_, _ = io.Copy(io.Discard, near) // until somebody hangs up or the line changes
		return
	}
	var d net.Dialer
	far, err := d.DialContext(context.Background(), "tcp", c.target)
	if err != nil {
		reset(near)
		return
	}
	if !c.hold(far) {
		reset(far)
		return
	}
	defer c.drop(far)
	var both sync.WaitGroup
	both.Go(func() { pump(far, near) })
	pump(near, far)
	both.Wait()
}

// pump copies until src ends and passes the end on.
func pump(dst, src net.Conn) {
	_, err := io.Copy(dst, src)
	if tcp, ok := dst.(*net.TCPConn); ok && err == nil {
		_ = tcp.CloseWrite()
		return
	}
	reset(dst)
	reset(src)
}

// hold remembers the connection so that a hand can end it; false when the line is cut.
func (c *Cable) hold(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == cut {
		return false
	}
	c.conns[conn] = struct{}{}
	return true
}

func (c *Cable) drop(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	conn.Close()
}

// reset ends a connection so that the other side notices at once.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
