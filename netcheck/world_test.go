package netcheck

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	inNamespace() // a child of TestInANamespace does its work and ends here
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait for silence; they hardly compute
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// world is a shop's LAN and the internet behind it, on loopback: real DNS, TLS,
// HTTP and NTP servers, and a dialer that leads every address to one of them.
// Its fields are set before run and say what is wrong with it.
type world struct {
	t     *testing.T
	cards []card
	paths []route
	macs  map[netip.Addr][]string
	arp   error
	dhcp  []dhcpOffer
	naked netip.Addr
	way   string // the card that leads to the internet; "": not told
	held  []lease
	names []netip.AddrPort
	hop   map[int]netip.Addr
	raw   bool // the host answers beneath the own filter

	say       func(name string, public bool) (rcode int, addr string) // DNS; addr "" is silence
	fate      map[string]string                                       // "tcp 198.51.100.10:443" or "udp *:123": silent, refused, unreachable
	host      map[string]string                                       // by name: reset, hang, close, 503, mute
	cert      map[string]string                                       // by name: untrusted, expired, early, wrong, tls11
	pageCode  int                                                     // what plain HTTP answers; 0: the true page
	fullSize  string                                                  // "" or silent: the fate of full-size handshakes
	ahead     time.Duration                                           // of the world's clock
	impostor  string                                                  // an address where somebody else answers on 443
	found     map[string]netip.Addr                                   // where hardware addresses are now
	readersOK bool
	radios    []radio
	leaves    *sync.Map                      // certificates by name and signer
	mdns      func(many bool) net.PacketConn // nil: none to be had
	visits    *atomic.Int32                  // pages that were asked for

	started             *sync.Once
	ca, mitm            *authority
	dnsAddr, publicAddr map[string]string
	tlsAddr             string
	httpAddr            string
	ntpAddr             string
	rdrAddr             string
}

const (
	hubAddr = "192.168.1.10"
	gwAddr  = "192.168.1.1"
	gwMAC   = "02:00:00:00:00:01"
)

// addrOf is where each host of this world lives.
var addrOf = func() map[string]string {
	out := map[string]string{}
	for i, h := range append(append(slices.Clone(required), recommended...), events, "time.android.com", "2.android.pool.ntp.org",
		"connectivitycheck.gstatic.com", "captive.apple.com", "pos.example.org") {
		out[h] = fmt.Sprintf("8.20.0.%d", 10+i)
	}
	return out
}()

func newWorld(t *testing.T) *world {
	w := &world{t: t, readersOK: true, visits: new(atomic.Int32), leaves: new(sync.Map),
		cards: []card{{Name: "lo", Index: 1, Up: true, Carrier: true, Loopback: true}, {Name: "eth0", Index: 2, Up: true, Carrier: true,
			MAC: net.HardwareAddr{2, 0, 0, 0, 0, 0x10}, Addrs: []cardAddr{{Prefix: netip.MustParsePrefix(hubAddr + "/24")}}}},
		paths: []route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr(gwAddr), Card: "eth0"}},
		macs: map[netip.Addr][]string{netip.MustParseAddr(gwAddr): {gwMAC},
			netip.MustParseAddr("192.168.1.31"): {"02:00:00:00:00:31"}, netip.MustParseAddr("192.168.1.32"): {"02:00:00:00:00:32"}},
		dhcp: []dhcpOffer{{Server: netip.MustParseAddr(gwAddr), Addr: netip.MustParseAddr(hubAddr), Mask: 24,
			Routers: []netip.Addr{netip.MustParseAddr(gwAddr)}, Lease: 24 * time.Hour}},
		names: []netip.AddrPort{netip.MustParseAddrPort(gwAddr + ":53")},
		hop:   map[int]netip.Addr{1: netip.MustParseAddr(gwAddr), 2: netip.MustParseAddr("8.20.9.1")},
		fate:  map[string]string{}, host: map[string]string{}, cert: map[string]string{},
		started: new(sync.Once), ca: newAuthority(t, "Good CA"), mitm: newAuthority(t, "NetNanny"),
	}
	return w
}

// start opens the servers, once everything that is wrong has been said.
func (w *world) start() {
	w.started.Do(func() {
		w.dnsAddr, w.publicAddr = w.serveDNS(false), w.serveDNS(true)
		w.serveTLS()
		w.serveHTTP()
		w.serveNTP()
		w.serveReader()
	})
}

// run asks everything that Run asks, of this world.
func (w *world) run(targets Targets) Report {
	w.t.Helper()
	w.start()
	c := newChecker(targets)
	c.sys, c.connect, c.roots = w, w.dial, w.ca.pool
	return c.run(w.t.Context())
}

func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	network = strings.TrimRight(network, "46")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{network + " " + addr, network + " *:" + port, network + " " + host + ":*"} {
		switch w.fate[key] {
		case "silent":
			if network == "udp" {
				return silentUDP(w.t)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		case "refused":
			return nil, syscall.ECONNREFUSED
		case "unreachable":
			return nil, syscall.EHOSTUNREACH
		}
	}
	to := map[string]string{"53": w.dnsAddr[network], "443": w.tlsAddr, "80": w.httpAddr, "123": w.ntpAddr, "4443": w.rdrAddr, "9": w.ntpAddr}[port]
	if host == "127.0.0.1" {
		to = addr
	}
	if to == "" || port == "4443" && !w.readersOK {
		return nil, syscall.ECONNREFUSED
	}
	if port == "53" && slices.Contains(publicResolvers, netip.MustParseAddr(host)) {
		to = w.publicAddr[network]
	}
	if port == "443" && host == w.impostor {
		other := *w
		other.ca = w.mitm
		to = other.listenTLS()
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

func silentUDP(t *testing.T) (net.Conn, error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { pc.Close() })
	return net.Dial("udp", pc.LocalAddr().String())
}

// --- the machine ---

func (w *world) Cards() ([]card, error)               { return w.cards, nil }
func (w *world) Routes() ([]route, error)             { return w.paths, nil }
func (w *world) Neighbours() ([]neighbour, error)     { return nil, errUnsupported }
func (w *world) Resolvers() ([]netip.AddrPort, error) { return w.names, nil }
func (w *world) WayTo(netip.Addr) (route, error) {
	if w.way == "" && len(w.paths) > 0 {
		return w.paths[0], nil
	}
	return route{Card: w.way}, nil
}
func (w *world) Leases() []lease { return w.held }
func (w *world) ARP(context.Context, card, netip.Addr, []netip.Addr) (map[netip.Addr][]string, error) {
	return w.macs, w.arp
}
func (w *world) Find(_ context.Context, _ card, _ netip.Addr, mac string, _ netip.Prefix) (netip.Addr, error) {
	return w.found[mac], nil
}
func (w *world) Discover(context.Context, card) ([]dhcpOffer, error) { return w.dhcp, nil }
func (w *world) Refuses(context.Context, card) (netip.Addr, error)   { return w.naked, nil }
func (w *world) Hop(_ context.Context, _ netip.Addr, ttl int) (netip.Addr, error) {
	return w.hop[ttl], nil
}
func (w *world) RawSYN(context.Context, card, netip.Addr, net.HardwareAddr, netip.AddrPort) (bool, error) {
	return w.raw, nil
}
func (w *world) RawUDP(_ context.Context, _ card, _ netip.Addr, _ net.HardwareAddr, _ netip.AddrPort, _ []byte, tries int) (int, error) {
	if w.raw {
		return tries, nil
	}
	return 0, nil
}
func (w *world) Radios() ([]radio, error) { return w.radios, nil }
func (w *world) Unicast(netip.Addr) (net.PacketConn, error) {
	if w.mdns == nil {
		return nil, errUnsupported
	}
	return w.mdns(false), nil
}
func (w *world) Multicast(card) (net.PacketConn, error) { return w.mdns(true), nil }
func (w *world) DialMSS(ctx context.Context, _ string, mss int) (net.Conn, error) {
	if mss != smallSegments {
		return nil, errors.New("not small")
	}
	small := *w
	small.fullSize = ""
	l := small.listenTLS()
	return new(net.Dialer).DialContext(ctx, "tcp", l)
}

// --- the servers ---

// serveDNS returns where it listens, by network.
func (w *world) serveDNS(public bool) map[string]string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(w.t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	h := dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		name := strings.TrimSuffix(q.Question[0].Name, ".")
		rcode, addr := w.answerTo(name, public)
		if rcode == 0 && addr == "" {
			return
		}
		m := new(dns.Msg).SetRcode(q, rcode)
		if ip := net.ParseIP(addr); ip != nil {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: ip})
		}
		_ = rw.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() { _ = s.ActivateAndServe() }()
		<-up
		w.t.Cleanup(func() { _ = s.Shutdown() })
	}
	return map[string]string{"udp": pc.LocalAddr().String(), "tcp": l.Addr().String()}
}

func (w *world) answerTo(name string, public bool) (int, string) {
	if w.say != nil {
		if rcode, addr := w.say(name, public); rcode != asIs {
			return rcode, addr
		}
	}
	return truth(name)
}

// asIs leaves a name to the truth.
const asIs = -1

func truth(name string) (int, string) {
	if dashed, ok := strings.CutSuffix(name, strings.TrimPrefix(privateTest, "10-42-42-42")); ok {
		return dns.RcodeSuccess, strings.ReplaceAll(dashed, "-", ".")
	}
	if a, ok := addrOf[name]; ok {
		return dns.RcodeSuccess, a
	}
	return dns.RcodeNameError, ""
}

func (w *world) serveTLS() { w.tlsAddr = w.listenTLS() }

func (w *world) listenTLS() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	var open sync.WaitGroup
	w.t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { w.converse(conn) })
		}
	})
	return l.Addr().String()
}

func (w *world) converse(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if w.fullSize == "silent" {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	var name string
	tc := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS10, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name = h.ServerName
		switch w.host[name] {
		case "reset":
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
			return nil, io.EOF
		case "close":
			conn.Close()
			return nil, io.EOF
		case "hang":
			_, _ = io.Copy(io.Discard, conn)
			return nil, io.EOF
		}
		cfg := &tls.Config{MinVersion: tls.VersionTLS10, Certificates: []tls.Certificate{w.leaf(name)}}
		if w.cert[name] == "tls11" {
			cfg.MaxVersion = tls.VersionTLS11
		}
		return cfg, nil
	}})
	if tc.Handshake() != nil {
		return
	}
	in := bufio.NewReader(tc)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if w.host[name] == "mute" {
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		status := http.StatusOK
		switch n := w.visits.Add(1); {
		case w.host[name] == "503", w.host[name] == "503 later" && n > int32(len(required)+len(recommended)+1):
			status = http.StatusServiceUnavailable
		case w.host[name] == "cut":
			fmt.Fprint(tc, "HTTP/1.1 200 x\r\nContent-Length: 1000000\r\n\r\n{")
			return
		}
		fmt.Fprintf(tc, "HTTP/1.1 %d x\r\nDate: %s\r\nContent-Length: 2\r\n\r\n{}", status, time.Now().Add(w.ahead).UTC().Format(http.TimeFormat))
		if req.Close {
			return
		}
	}
}

func (w *world) serveHTTP() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	w.httpAddr = l.Addr().String()
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", time.Now().Add(w.ahead).UTC().Format(http.TimeFormat))
		switch {
		case w.pageCode == http.StatusFound:
			http.Redirect(rw, r, "http://portal.example/login", http.StatusFound)
		case w.pageCode != 0:
			rw.WriteHeader(w.pageCode)
			io.WriteString(rw, "<title>Welcome</title>")
		case r.URL.Path == "/generate_204":
			rw.WriteHeader(http.StatusNoContent)
		default:
			io.WriteString(rw, "<BODY>Success</BODY>")
		}
	})}
	go func() { _ = s.Serve(l) }()
	w.t.Cleanup(func() { s.Close() })
}

func (w *world) serveNTP() {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(w.t, err)
	w.ntpAddr = pc.LocalAddr().String()
	w.t.Cleanup(func() { pc.Close() })
	stamp := func(b []byte, t time.Time) {
		binary.BigEndian.PutUint32(b, uint32(t.Unix()+2208988800))
		binary.BigEndian.PutUint32(b[4:], uint32(uint64(t.Nanosecond())<<32/1e9))
	}
	go func() {
		q := make([]byte, 128)
		for {
			n, from, err := pc.ReadFrom(q)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			now := time.Now().Add(w.ahead)
			a := make([]byte, 48)
			a[0], a[1], a[3] = 4<<3|4, 2, 0xe9
			copy(a[12:], "GPS\x00")
			stamp(a[16:], now.Add(-time.Second))
			copy(a[24:32], q[40:48])
			stamp(a[32:], now)
			stamp(a[40:], now)
			_, _ = pc.WriteTo(a, from)
		}
	}()
}

func (w *world) serveReader() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	w.rdrAddr = l.Addr().String()
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
}

// --- certificates ---

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().AddDate(-10, 0, 0),
		NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
}

func (w *world) leaf(name string) tls.Certificate {
	signer, shown := w.ca, name
	key := name + signer.cert.Subject.CommonName
	if known, ok := w.leaves.Load(key); ok {
		return known.(tls.Certificate)
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	switch w.cert[name] {
	case "untrusted":
		signer = w.mitm
	case "expired":
		from, to = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, 0, -1)
	case "early":
		from, to = time.Now().AddDate(1, 0, 0), time.Now().AddDate(2, 0, 0)
	case "wrong":
		shown = "other.example"
	}
	if shown == "" {
		shown = "no-name.example"
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: shown}, DNSNames: []string{shown}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer.cert, &signer.key.PublicKey, signer.key)
	if err != nil {
		panic(err)
	}
	made := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer.key}
	w.leaves.Store(key, made)
	return made
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dialer leads some addresses elsewhere.
func dialer(elsewhere func(network, addr string) (string, bool), rest func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if to, ok := elsewhere(network, addr); ok {
			return new(net.Dialer).DialContext(ctx, network, to)
		}
		return rest(ctx, network, addr)
	}
}
