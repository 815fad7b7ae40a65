package netcheck

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ear is a socket among devices that speak mDNS.
type ear struct {
	net.PacketConn
	hears   []string // devices whose answers reach it
	answers chan net.Addr
	ended   chan struct{}
	once    sync.Once
}

func (e *ear) WriteTo(b []byte, to net.Addr) (int, error) {
	for _, a := range e.hears {
		u, ok := to.(*net.UDPAddr)
		if ok && (u.IP.IsMulticast() || u.IP.String() == a) {
			select {
			case e.answers <- &net.UDPAddr{IP: net.ParseIP(a), Port: 5353}:
			default:
			}
		}
	}
	return len(b), nil
}

func (e *ear) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case from := <-e.answers:
		m := new(dns.Msg)
		m.Response = true
		raw, err := m.Pack()
		return copy(b, raw), from, err
	case <-e.ended:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (e *ear) SetReadDeadline(time.Time) error { e.once.Do(func() { close(e.ended) }); return nil }
func (e *ear) Close() error                    { return e.SetReadDeadline(time.Time{}) }

func TestMulticastIsMissedOnlyWhereSomebodyAnswersAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		alone, many []string
		status      Status
		code        string
	}{
		"nobody speaks mDNS":       {nil, nil, "", ""},
		"heard both ways":          {[]string{"192.168.1.31"}, []string{"192.168.1.31"}, Pass, ""},
		"heard alone":              {[]string{"192.168.1.31"}, nil, Warn, "multicast_filtered"},
		"another is heard":         {[]string{"192.168.1.31", "192.168.1.32"}, []string{"192.168.1.32"}, Warn, "multicast_filtered"},
		"among many alone is fine": {nil, []string{"192.168.1.31"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mdns = func(many bool) net.PacketConn {
				e := &ear{answers: make(chan net.Addr, 16), ended: make(chan struct{}), hears: tt.alone}
				if many {
					e.hears = tt.many
				}
				return e
			}
			if p := probes(w.run(shop))["multicast"]; p.Status != tt.status || p.Code != tt.code {
				t.Errorf("%s %q: %s", p.Status, p.Code, p.Detail)
			}
		})
	}
}

func TestIPv6IsJudgedOnlyWhereItIsAnnounced(t *testing.T) {
	t.Parallel()
	announce := func(w *world) {
		w.cards[1].Addrs = append(w.cards[1].Addrs, cardAddr{Prefix: netip.MustParsePrefix("2001:2::5/64")})
		w.paths = append(w.paths, route{Dst: netip.MustParsePrefix("::/0"), Card: "eth0"})
	}
	for name, tt := range map[string]struct {
		change func(*world)
		status Status
		code   string
	}{
		"none": {func(*world) {}, "", ""},
		"an address without a way out": {func(w *world) {
			announce(w)
			w.paths = w.paths[:1]
		}, "", ""},
		"it works": {announce, Pass, ""},
		"it leads nowhere": {func(w *world) {
			announce(w)
			for _, a := range anchors6 {
				w.fate["tcp "+netip.AddrPortFrom(a, 443).String()] = "unreachable"
			}
		}, Warn, "ipv6_broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.change(w)
			if p := probes(w.run(shop))["ipv6"]; p.Status != tt.status || p.Code != tt.code {
				t.Errorf("%s %q: %s", p.Status, p.Code, p.Detail)
			}
		})
	}
}
