package lab

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Where middleboxes sit on the router, behind a redirect.
const (
	secureBox = "8443"
	plainBox  = "8080"
	proxyPort = "3128"
)

// catch sends what goes to that port from inside to a middlebox instead.
func (s *Shop) catch(port, box string) error {
	return s.nft("router", fmt.Sprintf(`add rule ip nat caught iifname { "lan0", "guest0" } tcp dport %s redirect to :%s`, port, box))
}

// forbid adds a rule for what the router carries.
func (s *Shop) forbid(rules ...string) error {
	return s.nft("router", "add rule inet shop faults "+strings.Join(rules, "\nadd rule inet shop faults ")+"\n")
}

// deafen adds a rule for what the router itself is asked.
func (s *Shop) deafen(rule string) error {
	return s.nft("router", "add rule inet shop local "+rule+"\n")
}

// box accepts on the router and hands every connection to f, which closes it.
func (s *Shop) box(port string, f func(net.Conn)) error { return s.boxAt("router", port, f) }

// boxAt does so on another machine.
func (s *Shop) boxAt(machine, port string, f func(net.Conn)) error {
	ln, err := s.listen(machine, ":"+port)
	if err != nil {
		return err
	}
	s.spawn(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.spawn(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute)) // it outlives any check
				defer s.closing(c)()
				f(c)
			})
		}
	})
	return nil
}

// closing closes c with the shop; the function it returns ends the watch.
func (s *Shop) closing(c net.Conn) func() {
	done := make(chan struct{})
	s.spawn(func() {
		select {
		case <-s.ended:
			c.Close()
		case <-done:
		}
	})
	return func() { close(done) }
}

// originalDestination is where a redirected connection was going.
func originalDestination(c net.Conn) (string, error) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return "", errors.New("read destination: not a TCP connection")
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return "", err
	}
	var to netip.AddrPort
	var failed error
	err = raw.Control(func(fd uintptr) {
		const soOriginalDst = 80
		// The kernel fills a sockaddr_in; of the calls that fetch 20 bytes this is one.
		v, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, soOriginalDst)
		if err != nil {
			failed = err
			return
		}
		b := v.Multiaddr
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), uint16(b[2])<<8|uint16(b[3]))
	})
	return to.String(), errors.Join(err, failed)
}

// splice joins two connections until one of them ends.
func (s *Shop) splice(a, b net.Conn) {
	defer s.closing(b)()
	done := make(chan struct{}, 2)
	one := func(to, from net.Conn) { _, _ = io.Copy(to, from); done <- struct{}{} }
	s.spawn(func() { one(a, b) })
	s.spawn(func() { one(b, a) })
	<-done
	a.Close()
	b.Close()
}

// inspectTLS reads along: its own certificate for every name.
func (s *Shop) inspectTLS() error {
	return errors.Join(s.catch("443", secureBox), s.box(secureBox, func(c net.Conn) {
		to, err := originalDestination(c)
		if err != nil {
			return
		}
		inner := tls.Server(c, &tls.Config{NextProtos: []string{"http/1.1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.inspector.certificate(h.ServerName, sound, s.world.now())
		}})
		if inner.Handshake() != nil {
			return
		}
		up, err := s.dial("router", to)
		if err != nil {
			return
		}
		outer := tls.Client(up, &tls.Config{ServerName: inner.ConnectionState().ServerName, InsecureSkipVerify: true})
		s.splice(inner, outer)
	}))
}

// filterNames resets, or with stall leaves hanging, connections whose hello
// holds one of the names, and passes all others.
func (s *Shop) filterNames(stall bool, banned ...string) error {
	return errors.Join(s.catch("443", secureBox), s.box(secureBox, func(c net.Conn) {
		to, err := originalDestination(c)
		if err != nil {
			return
		}
		name, hello := readHello(c)
		if slices.Contains(banned, name) {
			if stall {
				_, _ = io.Copy(io.Discard, c) // until the client gives up
			} else {
				cut(c)
			}
			return
		}
		up, err := s.dial("router", to)
		if err != nil {
			return
		}
		if _, err := up.Write(hello); err != nil {
			up.Close()
			return
		}
		s.splice(c, up)
	}))
}

// readHello reads the first TLS record and the name in it.
func readHello(c net.Conn) (name string, record []byte) {
	in := bufio.NewReaderSize(c, 20<<10)
	head, err := in.Peek(5)
	if err != nil {
		return "", nil
	}
	if _, err := in.Peek(5 + (int(head[3])<<8 | int(head[4]))); err != nil {
		return "", nil
	}
	record, _ = in.Peek(in.Buffered())
	stop := errors.New("seen")
	_ = tls.Server(hearOnly{Conn: c, from: bytes.NewReader(record)}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name = h.ServerName
		return nil, stop
	}}).Handshake() // it always fails
	return name, record
}

// hearOnly is a connection that hears what was said before and says nothing.
type hearOnly struct {
	net.Conn
	from io.Reader
}

func (h hearOnly) Read(b []byte) (int, error)  { return h.from.Read(b) }
func (h hearOnly) Write(b []byte) (int, error) { return len(b), nil }

// loginPage answers every page over HTTP with the way to its own.
func (s *Shop) loginPage() error { return errors.Join(s.loginServer(), s.catch("80", plainBox)) }

// loginServer is the box that answers so, and catches nothing yet.
func (s *Shop) loginServer() error {
	ln, err := s.listen("router", ":"+plainBox)
	if err != nil {
		return err
	}
	s.serveHTTP(ln, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "http://router.lan/welcome", http.StatusFound)
	}), nil)
	return nil
}

// loginTLS answers HTTPS with a certificate of the login page's own making.
func (s *Shop) loginTLS() error {
	ln, err := s.listen("router", ":"+secureBox)
	if err != nil {
		return err
	}
	s.serveHTTP(ln, http.NotFoundHandler(), &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return s.inspector.certificate("router.lan", selfSigned, s.world.now())
	}})
	return s.catch("443", secureBox)
}

// proxy carries CONNECT requests out.
func (s *Shop) proxy() error { return s.proxyAt("router", proxyPort, false) }

// proxyAt runs it on a machine; one that asks who it is wants a password.
func (s *Shop) proxyAt(machine, port string, asksWho bool) error {
	return s.boxAt(machine, port, func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		if r.Method != http.MethodConnect {
			_, _ = io.WriteString(c, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if asksWho {
			_, _ = io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"shop\"\r\nContent-Length: 0\r\n\r\n")
			return
		}
		host, port, _ := net.SplitHostPort(r.Host)
		at := lookup(host) // the router's own DNS is the provider's
		if len(at) == 0 {
			return
		}
		up, err := s.dial(machine, net.JoinHostPort(at[0].String(), port))
		if err != nil {
			_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		s.splice(c, up)
	})
}

// serveReader plays a smart reader: HTTPS on 4443.
func (s *Shop) serveReader(machine string) error {
	ln, err := s.listen(machine, ":4443")
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.readers[machine] = ln
	s.mu.Unlock()
	s.serveHTTP(ln, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "{}\n") }),
		&tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			name := h.ServerName
			if name == "" {
				name = "reader.invalid"
			}
			return s.public.certificate(name, sound, s.world.now())
		}})
	return nil
}
