package hub

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// piped is a listener whose connections come from addresses of the test's choice.
type piped struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *piped) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *piped) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *piped) Addr() net.Addr { return &net.TCPAddr{} }

type pipedConn struct {
	net.Conn
	from netip.Addr
}

func (c pipedConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 40000))
}

// dialFrom connects from an address and reports whether the connection is held.
func dialFrom(p *piped, accepted <-chan net.Conn, from string) (held bool, there net.Conn) {
	here, end := net.Pipe()
	p.conns <- pipedConn{end, netip.MustParseAddr(from)}
	closed := make(chan struct{})
	go func() {
		_, _ = here.Read(make([]byte, 1)) // ends when it is closed
		close(closed)
	}()
	select {
	case c := <-accepted:
		return true, c
	case <-closed:
		return false, nil
	}
}

func TestOneMachineCannotTakeEveryConnection(t *testing.T) {
	p := &piped{conns: make(chan net.Conn)}
	f := newFair(p, 12, 4)
	accepted, ended := make(chan net.Conn), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := f.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	var open []net.Conn
	want := func(what, from string, held bool) {
		t.Helper()
		got, c := dialFrom(p, accepted, from)
		if got != held {
			t.Errorf("%s: held %t", what, got)
		}
		if c != nil {
			open = append(open, c)
		}
	}
	for range 4 {
		want("one machine", "192.168.1.66", true)
	}
	want("one too many of it", "192.168.1.66", false)
	want("the same written otherwise", "::ffff:192.168.1.66", false)
	want("another", "192.168.1.20", true)
	open[0].Close()
	open[0].Close() // a second time gives nothing back
	want("after one has gone", "192.168.1.66", true)
	want("again one too many", "192.168.1.66", false)
	for range 7 {
		want("a proxy on this machine", "127.0.0.1", true)
	}
	want("more than all", "192.168.1.21", false)
	for _, c := range open {
		c.Close()
	}
	if f.all != 0 || len(f.from) != 0 {
		t.Errorf("%d are counted still, of %v", f.all, f.from)
	}
	p.Close()
	<-ended
}

// Slow heads, garbage, oversize and wrong credentials, many at once: the paired till is
// answered each time, and the hub is as it was afterwards.
func TestAPairedTillIsServedUnderAbuse(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	host := s.addr.URL[len("http://"):]
	stop := make(chan struct{})
	var abuse sync.WaitGroup
	for i := range 200 {
		abuse.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.DialTimeout("tcp", host, 5*time.Second)
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(time.Second))
				switch i % 4 {
				case 0: // a head that never ends
					fmt.Fprintf(c, "POST /connection_token HTTP/1.1\r\nHost: %s\r\n", host)
					select {
					case <-stop:
					case <-time.After(500 * time.Millisecond): // as slow as it can; there is nothing to wait for
					}
				case 1:
					_, _ = c.Write([]byte("\x16\x03\x01\x00\xff\x00\x00 garbage \r\n\r\n"))
				case 2:
					fmt.Fprintf(c, "POST /v1/operations HTTP/1.1\r\nHost: %s\r\nContent-Length: 9000000\r\n\r\n", host)
					_, _ = c.Write(make([]byte, 1<<17))
				case 3:
					fmt.Fprintf(c, "GET /v1/status HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer shp_wrong%d\r\n\r\n", host, i)
				}
				_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<12))
				_ = c.Close()
			}
		})
	}
	for i := range 100 {
		if status, body := s.ask(http.MethodPost, "/connection_token", s.credential, ""); status != http.StatusOK {
			t.Errorf("token %d under abuse: %d %s", i, status, body)
		}
	}
	close(stop)
	abuse.Wait()
	if status, body := s.ask(http.MethodGet, "/v1/status", s.credential, ""); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, body)
	}
}
