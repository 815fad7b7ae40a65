package lab

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// serveInternet starts all servers of the internet.
func (s *Shop) serveInternet() error {
	for _, a := range []string{providerDNS, googleDNS, cloudDNS} {
		if err := s.serveDNS(a); err != nil {
			return err
		}
	}
	for _, name := range []string{"time.android.com", "2.android.pool.ntp.org"} {
		pc, err := s.listenPacket("inet", net.JoinHostPort(names[name][0], "123"))
		if err != nil {
			return err
		}
		s.spawn(func() { s.world.serveNTP(pc) })
	}
	plain, err := s.listen("inet", ":80")
	if err != nil {
		return err
	}
	s.serveHTTP(plain, http.HandlerFunc(s.world.plainPage), nil)
	secure, err := s.listen("inet", ":443")
	if err != nil {
		return err
	}
	s.serveHTTP(secure, http.HandlerFunc(s.world.page), &tls.Config{NextProtos: []string{"http/1.1"}, GetConfigForClient: s.greet})
	return nil
}

// serveHTTP serves until the shop closes; with a TLS configuration, HTTPS.
func (s *Shop) serveHTTP(ln net.Listener, h http.Handler, conf *tls.Config) {
	srv := &http.Server{Handler: h, TLSConfig: conf, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	s.atEnd(func() { srv.Close() })
	s.spawn(func() {
		if conf == nil {
			_ = srv.Serve(ln)
		} else {
			_ = srv.ServeTLS(ln, "", "")
		}
	})
}

// greet decides by the name in the hello what a client gets, which may be nothing.
func (s *Shop) greet(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	name := hello.ServerName
	c := s.world.conductOf(name)
	local, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String())
	if err == nil && !livesAt(name, local.Addr()) {
		c = conduct{flaw: wrongName} // another host's misconduct is not this one's
	}
	if c.late > 0 {
		select {
		case <-time.After(c.late):
		case <-s.ended:
		}
	}
	switch {
	case c.resets:
		cut(hello.Conn)
		return nil, errors.New("reset")
	case c.closes:
		hello.Conn.Close()
		return nil, errors.New("closed")
	case c.stalls:
		<-s.ended
		return nil, errors.New("the shop has closed")
	}
	by := s.public
	if c.alien {
		by = s.inspector
	}
	if name == "" {
		name = "nobody.invalid"
	}
	cert, err := by.certificate(name, c.flaw, s.world.now())
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{*cert}}
	if c.oldTLS {
		conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}
	return conf, nil
}

// cut ends a connection by a reset.
func cut(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

// page is what every host answers over HTTPS.
func (w *world) page(rw http.ResponseWriter, r *http.Request) {
	c := w.conductOf(r.TLS.ServerName)
	if c.after > 0 {
		select {
		case <-time.After(c.after):
		case <-r.Context().Done():
		}
	}
	rw.Header().Set("Date", w.now().UTC().Format(http.TimeFormat))
	if stripe := w.account(); stripe != nil && r.TLS.ServerName == "api.stripe.com" {
		stripe.ServeHTTP(rw, r)
		return
	}
	if c.breaks {
		rw.Header().Set("Content-Length", "1000000")
		_, _ = rw.Write(make([]byte, 5000))
		panic(http.ErrAbortHandler)
	}
	if c.status != 0 {
		rw.WriteHeader(c.status)
	}
	fmt.Fprintf(rw, "{\"host\":%q}\n", r.TLS.ServerName)
}

// account is Stripe's API, where a shop has an account there.
func (w *world) account() http.Handler {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stripe
}

// plainPage answers the known pages as their owners do.
func (w *world) plainPage(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Date", w.now().UTC().Format(http.TimeFormat))
	switch r.URL.Path {
	case "/generate_204":
		rw.WriteHeader(http.StatusNoContent)
	case "/hotspot-detect.html":
		_, _ = io.WriteString(rw, "<HTML><BODY>Success</BODY></HTML>")
	default:
		http.NotFound(rw, r)
	}
}

// serveDNS answers on one address, over UDP and TCP.
func (s *Shop) serveDNS(addr string) error {
	at := net.JoinHostPort(addr, "53")
	pc, err := s.listenPacket("inet", at)
	if err != nil {
		return err
	}
	ln, err := s.listen("inet", at)
	if err != nil {
		return err
	}
	for _, srv := range []*dns.Server{{PacketConn: pc, Handler: dns.HandlerFunc(s.world.resolve)}, {Listener: ln, Handler: dns.HandlerFunc(s.world.resolve)}} {
		s.spawn(func() { _ = srv.ActivateAndServe() })
	}
	return nil
}

func (w *world) resolve(rw dns.ResponseWriter, q *dns.Msg) {
	if len(q.Question) != 1 {
		return
	}
	name := q.Question[0].Name
	c := w.dnsConduct(name)
	if rand.IntN(100) < c.lost {
		return
	}
	time.Sleep(c.delay)
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	addrs := lookup(name)
	if _, udp := rw.RemoteAddr().(*net.UDPAddr); udp && c.short {
		m.Truncated = true
		_ = rw.WriteMsg(m)
		return
	}
	if c.chain {
		for i := range 3 {
			to := fmt.Sprintf("edge%d.example.net.", i)
			m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 30}, Target: to})
			name = to
		}
	}
	switch {
	case c.rcode != 0:
		m.Rcode = c.rcode
	case len(addrs) == 0:
		m.Rcode = dns.RcodeNameError
	case q.Question[0].Qtype == dns.TypeA:
		for _, a := range addrs {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 30}, A: a.AsSlice()})
		}
	}
	_ = rw.WriteMsg(m) // the asker may be gone
}

// serveNTP tells the world's time (RFC 5905, mode 4) until pc closes.
func (w *world) serveNTP(pc net.PacketConn) {
	q := make([]byte, 512)
	for {
		n, from, err := pc.ReadFrom(q)
		if err != nil {
			return
		}
		how := w.ntpConduct()
		if n < 48 || how == ntpSilent {
			continue
		}
		a := make([]byte, 48)
		a[0], a[1], a[2], a[3] = 4<<3|4, 2, q[2], 0xec // version 4, server; stratum 2; the asker's pace; about a microsecond
		copy(a[12:], "LAB1")
		switch how {
		case ntpRefusing:
			a[1] = 0
			copy(a[12:], "RATE")
		case ntpUnsynchronised:
			a[0], a[1] = 3<<6|4<<3|4, 16
		}
		putNTP(a[16:], w.now().Add(-30*time.Second)) // when it was set itself
		copy(a[24:], q[40:48])
		putNTP(a[32:], w.now())
		putNTP(a[40:], w.now())
		_, _ = pc.WriteTo(a, from) // as unsure as all of UDP
	}
}

// putNTP writes a timestamp: seconds since 1900 and their fraction.
func putNTP(b []byte, t time.Time) {
	const to1970 = 2208988800
	binary.BigEndian.PutUint32(b, uint32(t.Unix()+to1970))
	binary.BigEndian.PutUint32(b[4:], uint32(uint64(t.Nanosecond())<<32/uint64(time.Second)))
}
