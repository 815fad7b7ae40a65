package localdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "hub.shop.example"

// shop is a machine with two networks: tills, and guests.
var shop = [][]netip.Prefix{
	{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")},
	{netip.MustParsePrefix("192.168.50.21/24"), netip.MustParsePrefix("fd00:50::21/64"), netip.MustParsePrefix("fe80::21/64")},
	{netip.MustParsePrefix("10.8.0.1/16"), netip.MustParsePrefix("169.254.3.4/16"), netip.MustParsePrefix("fe80::8/64")},
}

func inShop() ([][]netip.Prefix, error) { return shop, nil }

// serving answers on loopback until the test ends.
func serving(t *testing.T, cards Cards) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", name, cards)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// ask is a client's question.
func ask(t *testing.T, s *Server, network, name string, kind uint16, change ...func(*dns.Msg)) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, kind)
	for _, f := range change {
		f(q)
	}
	c := dns.Client{Net: network, Timeout: 20 * time.Second}
	m, _, err := c.ExchangeContext(t.Context(), q, s.Addr())
	if err != nil {
		t.Fatalf("%s %s over %s: %v", name, dns.TypeToString[kind], network, err)
	}
	return m
}

func addrs(m *dns.Msg) (list []string) {
	for _, rr := range m.Answer {
		switch r := rr.(type) {
		case *dns.A:
			list = append(list, r.A.String())
		case *dns.AAAA:
			list = append(list, r.AAAA.String())
		}
	}
	return list
}

// A till asks for the hub by UDP and by TCP and is told where it is; whatever else it
// asks for is refused.
func TestMoney_4_4_TheHubAnswersForItsNameAndForNothingElse(t *testing.T) {
	s := serving(t, inShop)
	for _, network := range []string{"udp", "tcp"} {
		m := ask(t, s, network, "Hub.SHOP.example.", dns.TypeA)
		if m.Rcode != dns.RcodeSuccess || !m.Authoritative || m.RecursionAvailable || !slices.Equal(addrs(m), []string{"127.0.0.1"}) {
			t.Errorf("%s: %v", network, m)
		}
		if h := m.Answer[0].Header(); h.Name != "Hub.SHOP.example." || h.Ttl > 60 {
			t.Errorf("%s: %v; want the name as it was asked for, and a short life", network, h)
		}
		if m := ask(t, s, network, name+".", dns.TypeMX); m.Rcode != dns.RcodeSuccess || !m.Authoritative || len(m.Answer) != 0 {
			t.Errorf("%s: a kind that it has not: %v", network, m)
		}
		for _, other := range []string{"api.stripe.com.", "a." + name + ".", "shop.example.", ".", "hub.shop.example.org."} {
			m := ask(t, s, network, other, dns.TypeA)
			if m.Rcode != dns.RcodeRefused || m.Authoritative || len(m.Answer)+len(m.Ns)+len(m.Extra) != 0 {
				t.Errorf("%s: %s: %v", network, other, m)
			}
		}
		chaos := ask(t, s, network, name+".", dns.TypeA, func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS })
		if chaos.Rcode != dns.RcodeRefused {
			t.Errorf("%s: another class: %v", network, chaos)
		}
		notify := ask(t, s, network, name+".", dns.TypeSOA, func(q *dns.Msg) { q.Opcode = dns.OpcodeNotify })
		if notify.Rcode != dns.RcodeNotImplemented {
			t.Errorf("%s: a NOTIFY: %v", network, notify)
		}
		old := ask(t, s, network, name+".", dns.TypeA, func(q *dns.Msg) { q.SetEdns0(4096, true); q.IsEdns0().SetVersion(1) })
		if old.Rcode != dns.RcodeBadVers || len(old.Answer) != 0 {
			t.Errorf("%s: EDNS of another version: %v", network, old)
		}
		if m := ask(t, s, network, name+".", dns.TypeA, func(q *dns.Msg) { q.SetEdns0(4096, false) }); len(m.Answer) != 1 || m.IsEdns0() == nil {
			t.Errorf("%s: with EDNS: %v", network, m)
		}
	}
}

func TestEachIsToldTheAddressInItsOwnNetwork(t *testing.T) {
	s := newServer(name, inShop)
	for _, c := range []struct {
		from string
		kind uint16
		want string
	}{
		{"192.168.50.31", dns.TypeA, "192.168.50.21"},
		{"192.168.50.31", dns.TypeAAAA, "fd00:50::21"},
		{"192.168.50.31", dns.TypeANY, "192.168.50.21"},
		{"fd00:50::31", dns.TypeA, "192.168.50.21"},
		{"10.8.200.7", dns.TypeA, "10.8.0.1"},
		{"10.8.200.7", dns.TypeAAAA, ""},
		{"127.0.0.1", dns.TypeA, "127.0.0.1"},
		{"::1", dns.TypeAAAA, "::1"},
		{"172.16.9.9", dns.TypeA, "192.168.50.21 10.8.0.1"}, // behind a router of the shop
		{"169.254.3.9", dns.TypeA, "192.168.50.21 10.8.0.1"},
		{"fe80::77", dns.TypeAAAA, "fd00:50::21"},
	} {
		m := s.reply(new(dns.Msg).SetQuestion(name+".", c.kind), netip.MustParseAddr(c.from))
		if got := strings.Join(addrs(m), " "); got != c.want || m.Rcode != dns.RcodeSuccess || !m.Authoritative {
			t.Errorf("%s %s: told %q, want %q", c.from, dns.TypeToString[c.kind], got, c.want)
		}
	}
}

func TestANewAddressIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now, looks := []string{"192.168.50.21/24"}, 0
		var err error
		s := newServer(name, func() ([][]netip.Prefix, error) {
			looks++
			if err != nil {
				return nil, err
			}
			return [][]netip.Prefix{{netip.MustParsePrefix(now[0])}}, nil
		})
		told := func() string {
			m := s.reply(new(dns.Msg).SetQuestion(name+".", dns.TypeA), netip.MustParseAddr("192.168.50.31"))
			return dns.RcodeToString[m.Rcode] + " " + strings.Join(addrs(m), " ")
		}
		err = errors.New("no")
		if got := told(); got != "SERVFAIL " {
			t.Errorf("nothing is known: told %s", got)
		}
		err = nil
		time.Sleep(lookEvery) // of the bubble
		for range 1000 {
			if got := told(); got != "NOERROR 192.168.50.21" {
				t.Fatalf("told %s", got)
			}
		}
		if looks != 2 {
			t.Errorf("the system was asked %d times in a moment", looks)
		}
		now[0] = "192.168.50.99/24"
		time.Sleep(lookEvery)
		if got := told(); got != "NOERROR 192.168.50.99" {
			t.Errorf("after a change: told %s", got)
		}
		err = errors.New("no")
		time.Sleep(lookEvery)
		if got := told(); got != "NOERROR 192.168.50.99" {
			t.Errorf("the system does not say: told %s", got)
		}
	})
}

func TestWhoAskedIsRememberedForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(name, inShop)
		router, other := netip.MustParseAddr("192.168.50.1"), netip.MustParseAddr("192.168.50.2")
		s.reply(new(dns.Msg).SetQuestion(name+".", dns.TypeA), router)
		s.reply(new(dns.Msg).SetQuestion("api.stripe.com.", dns.TypeA), other)
		if !s.Asks(router) || s.Asks(other) {
			t.Error("who asked for the name, and who for another, are not told apart")
		}
		for i := range 2 * askersMost { // a flood in others' names
			s.reply(new(dns.Msg).SetQuestion(name+".", dns.TypeA), netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}))
		}
		if len(s.asked) > askersMost || !s.Asks(router) {
			t.Errorf("%d askers are remembered", len(s.asked))
		}
		time.Sleep(askedFor + time.Second) // of the bubble
		if s.Asks(router) {
			t.Error("a question of long ago counts")
		}
		s.reply(new(dns.Msg).SetQuestion(name+".", dns.TypeA), other)
		if !s.Asks(other) || len(s.asked) != 1 {
			t.Errorf("after the flood %d askers are remembered", len(s.asked))
		}
	})
}

// Who asks in another's name sends him hardly more than he pays himself.
func TestNoAnswerIsLarge(t *testing.T) {
	var many [][]netip.Prefix
	for i := range byte(50) {
		many = append(many, []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, i, 0, 1}), 24), netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, i, 15: 1}), 64)})
	}
	longest := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61)
	for _, own := range []string{name, longest} {
		s := newServer(own, func() ([][]netip.Prefix, error) { return many, nil })
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY} {
			q := new(dns.Msg).SetQuestion(dns.Fqdn(own), kind)
			m := s.reply(q, netip.MustParseAddr("203.0.113.9"))
			asked, answered := packed(t, q), packed(t, m)
			if len(m.Answer) != addrsMost || len(answered) > dns.MinMsgSize || len(answered)-len(asked) > addrsMost*28 {
				t.Errorf("%.20s %s: %d addresses in %d bytes for %d", own, dns.TypeToString[kind], len(m.Answer), len(answered), len(asked))
			}
		}
	}
}

func packed(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whoever connects and says nothing is put out, and meanwhile others are served.
func TestIdleConnectionsAreEnded(t *testing.T) {
	s := serving(t, inShop)
	var idle []net.Conn
	for range connsMost {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte{0}); err != nil { // half of a length
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	if m := ask(t, s, "udp", name+".", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("beside them: %v", m)
	}
	if m := ask(t, s, "tcp", name+".", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("after them: %v", m)
	}
	for _, c := range idle {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a connection that says nothing: %d bytes, %v", n, err)
		}
	}
}

func TestAServerEndsWithItsContextAndATakenPortIsSaid(t *testing.T) {
	s, err := Listen("127.0.0.1:0", name, inShop)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(s.Addr(), name, inShop); err == nil || !strings.Contains(err.Error(), "listen for questions about "+name) {
		t.Errorf("a taken port: %v", err)
	}
	open, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Errorf("serve: %v", err)
	}
	again, err := Listen(s.Addr(), name, inShop)
	if err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	// A socket that breaks ends the other one too.
	broken, err := Listen("127.0.0.1:0", name, inShop)
	if err != nil {
		t.Fatal(err)
	}
	_ = broken.tcp.Listener.Close()
	if err := broken.Serve(t.Context()); err == nil {
		t.Error("a broken listener went unnoticed")
	}
}

// FuzzReply holds what may come in to what may go out.
func FuzzReply(f *testing.F) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeOPT} {
		q := new(dns.Msg).SetQuestion(name+".", kind)
		if b, err := q.Pack(); err == nil {
			f.Add(b)
		}
		q.SetEdns0(4096, true)
		if b, err := q.Pack(); err == nil {
			f.Add(b)
		}
	}
	s := newServer(name, inShop)
	f.Fuzz(func(t *testing.T, packet []byte) {
		q := new(dns.Msg)
		if q.Unpack(packet) != nil {
			return
		}
		// What the listeners let through: see accept.
		if q.Response || q.Opcode != dns.OpcodeQuery || len(q.Question) != 1 {
			return
		}
		b, err := s.reply(q, netip.MustParseAddr("172.16.9.9")).Pack()
		if err != nil {
			t.Fatalf("an answer that cannot be written: %v", err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatalf("an answer that cannot be read: %v", err)
		}
		ours := dns.CanonicalName(q.Question[0].Name) == s.name
		if m.Id != q.Id || !m.Response || m.RecursionAvailable || !ours && (m.Authoritative || len(m.Answer) > 0) {
			t.Fatalf("%v is answered by %v", q, m)
		}
		if most := 12 + 255 + 4 + 11 + addrsMost*28; len(b) > most || ours && len(m.Answer) > addrsMost {
			t.Fatalf("%d bytes of answer", len(b))
		}
	})
}
