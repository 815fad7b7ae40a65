// Package localdns answers for one name, the hub's, so that tills find it while the
// internet is dead. It is a resolver for nothing else: it asks nobody, and refuses
// every other name.
package localdns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

const (
	ttl = 30 // s: as long as a till goes on to an address that the hub no longer has
	// addrsMost bounds an answer, so that who asks in another's name sends him little
	// more than he pays himself. It also fits the 512 bytes that every client takes.
	addrsMost = 4
	// lookEvery is how soon a new address is answered; a flood of questions asks the
	// system no oftener.
	lookEvery = 2 * time.Second

	udpSize     = 1232 // what passes every network in one piece
	readTimeout = 2 * time.Second
	idleTimeout = 5 * time.Second
	connsMost   = 32 // over TCP at a time; clients use it when UDP does not pass
	queriesMost = 16 // on one of them
)

// Cards are this machine's addresses, those of one network card together, each with
// its network; IPv4 is not written as IPv6. An error keeps what was known.
type Cards func() ([][]netip.Prefix, error)

// Server answers for one name.
type Server struct {
	name     string // with the final dot, in lower case
	cards    Cards
	udp, tcp *dns.Server

	mu     sync.Mutex
	known  [][]netip.Prefix
	looked time.Time
	asked  map[netip.Addr]time.Time // who asked for the name lately
}

// Listen opens UDP and TCP on addr (host:port; port 0 takes a free one for both). name
// has no final dot. Whoever does not call [Server.Serve] must call [Server.Close].
func Listen(addr, name string, cards Cards) (*Server, error) {
	packets, conns, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("listen for questions about %s: %w", name, err)
	}
	s := newServer(name, cards)
	serve := func() *dns.Server {
		return &dns.Server{
			Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
				_ = w.WriteMsg(s.reply(q, asker(w.RemoteAddr()))) // whoever asked has gone
			}),
			MsgAcceptFunc: accept, UDPSize: udpSize, ReadTimeout: readTimeout, WriteTimeout: readTimeout,
			IdleTimeout: func() time.Duration { return idleTimeout }, MaxTCPQueries: queriesMost,
		}
	}
	s.udp, s.tcp = serve(), serve()
	s.udp.PacketConn, s.tcp.Listener = packets, netutil.LimitListener(conns, connsMost)
	return s, nil
}

func newServer(name string, cards Cards) *Server {
	return &Server{name: dns.CanonicalName(name), cards: cards, asked: map[netip.Addr]time.Time{}}
}

// listen finds a port that is free for both.
func listen(addr string) (net.PacketConn, net.Listener, error) {
	for try := 0; ; try++ {
		packets, err := net.ListenPacket("udp", addr)
		if err != nil {
			return nil, nil, err
		}
		both := packets.LocalAddr().String()
		conns, err := net.Listen("tcp", both)
		if err == nil {
			return packets, conns, nil
		}
		_ = packets.Close()
		if both == addr || try == 10 {
			return nil, nil, err
		}
	}
}

// Addr is where it answers, host:port, by UDP and TCP.
func (s *Server) Addr() string { return s.udp.PacketConn.LocalAddr().String() }

// Close ends a server that was never served.
func (s *Server) Close() error { return errors.Join(s.udp.PacketConn.Close(), s.tcp.Listener.Close()) }

// Serve answers until ctx ends, and returns when nothing runs any more; nil if that was
// because of ctx.
func (s *Server) Serve(ctx context.Context) error {
	both, ctx := errgroup.WithContext(ctx)
	for _, d := range []*dns.Server{s.udp, s.tcp} {
		started, ended := make(chan struct{}), make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		both.Go(func() error {
			defer close(ended)
			if err := d.ActivateAndServe(); err != nil {
				return fmt.Errorf("answer for %s: %w", s.name, err)
			}
			return nil
		})
		both.Go(func() error {
			<-ctx.Done()
			select {
			case <-started:
				_ = d.Shutdown() // it has ended by itself already
			case <-ended:
			}
			return nil
		})
	}
	return both.Wait()
}

// accept takes questions; what is malformed is said, answers are not answered.
func accept(h dns.Header) dns.MsgAcceptAction {
	const opcode = 0xf << 11
	if action := dns.DefaultMsgAcceptFunc(h); action != dns.MsgAccept || h.Bits&opcode == 0 {
		return action
	}
	return dns.MsgRejectNotImplemented // a NOTIFY
}

// reply is what is said to a well-formed message. It asks nobody.
func (s *Server) reply(q *dns.Msg, from netip.Addr) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Compress = true // the name stands in it once
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(udpSize, false)
		if o.Version() != 0 {
			m.Rcode = dns.RcodeBadVers
			return m
		}
	}
	if len(m.Question) != 1 || m.Question[0].Qclass != dns.ClassINET || dns.CanonicalName(m.Question[0].Name) != s.name {
		m.Rcode = dns.RcodeRefused
		return m
	}
	s.note(from)
	cards, err := s.look()
	if err != nil {
		m.Rcode = dns.RcodeServerFailure
		return m
	}
	m.Authoritative = true
	head := dns.RR_Header{Name: m.Question[0].Name, Class: dns.ClassINET, Ttl: ttl}
	for _, a := range near(cards, from) {
		switch asked := m.Question[0].Qtype; {
		case len(m.Answer) == addrsMost:
		case a.Is4() && (asked == dns.TypeA || asked == dns.TypeANY):
			head.Rrtype = dns.TypeA
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
		case a.Is6() && asked == dns.TypeAAAA:
			head.Rrtype = dns.TypeAAAA
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
	return m
}

const (
	askersMost = 256         // so many are remembered; a shop has one router
	askedFor   = time.Minute // twice as long as whoever asked may keep the answer
)

// note remembers who asked for the name.
func (s *Server) note(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.asked) >= askersMost {
		maps.DeleteFunc(s.asked, func(_ netip.Addr, at time.Time) bool { return now.Sub(at) > askedFor })
	}
	if _, known := s.asked[from]; known || len(s.asked) < askersMost {
		s.asked[from] = now
	}
}

// Asks reports whether somebody asked for the name so lately that what he says of it
// may come from here.
func (s *Server) Asks(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.asked[from]
	return known && time.Since(at) <= askedFor
}

// look is the machine's addresses, as they were a moment ago at most.
func (s *Server) look() ([][]netip.Prefix, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.looked.IsZero() || now.Sub(s.looked) >= lookEvery {
		cards, err := s.cards()
		if err != nil && s.known == nil {
			return nil, err
		}
		if err == nil {
			s.known = cards
		}
		s.looked = now
	}
	return s.known, nil
}

// near are the addresses of the card in whose network the asker is; where it is in
// none, those of all cards that others than this machine reach. Addresses that need a
// zone are left out, and tell no network: each card has theirs.
func near(cards [][]netip.Prefix, from netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, card := range cards {
		var addrs []netip.Addr
		here := false
		for _, p := range card {
			if a := p.Addr(); !a.IsLinkLocalUnicast() && !a.IsUnspecified() {
				addrs = append(addrs, a)
				here = here || p.Masked().Contains(from)
			}
		}
		if here {
			return addrs
		}
		for _, a := range addrs {
			if !a.IsLoopback() {
				all = append(all, a)
			}
		}
	}
	return all
}

// asker is the address behind a connection or packet.
func asker(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
