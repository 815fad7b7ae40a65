package netcheck

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// resolverOnLoopback answers the n-th question by what reply makes of it; nil is silence.
func resolverOnLoopback(t *testing.T, reply func(n int32, m *dns.Msg) *dns.Msg) netip.AddrPort {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int32
	started, ended := make(chan struct{}), make(chan struct{})
	s := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if m := reply(n.Add(1), new(dns.Msg).SetReply(q)); m != nil {
			_ = w.WriteMsg(m)
		}
	})}
	go func() { defer close(ended); _ = s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	return packets.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestEachResolverIsAskedForTheName(t *testing.T) {
	a := func(m *dns.Msg, authoritative bool) *dns.Msg {
		m.Authoritative = authoritative
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 168, 50, 21)})
		return m
	}
	list := []netip.AddrPort{
		resolverOnLoopback(t, func(_ int32, m *dns.Msg) *dns.Msg { return a(m, true) }),
		resolverOnLoopback(t, func(n int32, m *dns.Msg) *dns.Msg { return a(m, n == 1) }), // a forwarder with a memory
		resolverOnLoopback(t, func(n int32, m *dns.Msg) *dns.Msg { m.Rcode = dns.RcodeNameError; return m }),
		resolverOnLoopback(t, func(n int32, m *dns.Msg) *dns.Msg { return nil }),
	}
	want := []struct {
		rcode, words  string
		authoritative bool
	}{{"NOERROR", "192.168.50.21", true}, {"NOERROR", "192.168.50.21", false}, {"NXDOMAIN", "NXDOMAIN", false}, {"", "silent", false}}
	for i, s := range AskResolvers(t.Context(), "hub.shop.example", list) {
		if w := want[i]; s.Resolver != list[i] || s.Rcode != w.rcode || s.Words != w.words || s.Authoritative != w.authoritative || s.Conclusive() != (w.rcode != "") {
			t.Errorf("%d: %+v, want %+v", i, s, w)
		}
	}
}
