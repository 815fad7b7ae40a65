// Package mdns tells the tills on the LAN where the hub is, and finds other hubs.
// Readers take no part in it: they do not announce themselves.
package mdns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/grandcat/zeroconf"
)

// ServiceType is what hubs are announced as.
const ServiceType = "_storehub._tcp"

const (
	// pollEvery is how soon a new address is announced. Most systems have a way
	// to be told, each another; asking works on all of them.
	pollEvery = 15 * time.Second
	// settle is how long a registration lives at least: the library starts its
	// listeners in the background and must not be shut down before them.
	settle = 100 * time.Millisecond
)

// Service is a hub to announce.
type Service struct {
	Instance string       // shown to people; at most 63 bytes
	Port     int          // of the API
	Text     []string     // "key=value"
	Log      *slog.Logger // nil: slog.Default()
}

// Announce announces the service on every real network card, with the addresses
// of that card alone, until ctx ends; then it says goodbye and returns nil. A
// machine without a network is no error: a card that comes up later is found.
func Announce(ctx context.Context, s Service) error {
	return announce(ctx, s, pollEvery)
}

func announce(ctx context.Context, s Service, every time.Duration) error {
	switch {
	case s.Instance == "" || len(s.Instance) > 63:
		return fmt.Errorf("announce hub: instance name %q: want 1 to 63 bytes", s.Instance)
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("announce hub: port %d: want 1 to 65535", s.Port)
	}
	log := cmp.Or(s.Log, slog.Default())
	host, err := hostName()
	if err != nil {
		return fmt.Errorf("announce hub: %w", err)
	}

	var current []card
	var servers []*zeroconf.Server
	var since time.Time
	stop := func() {
		if len(servers) > 0 {
			time.Sleep(settle - time.Since(since))
		}
		for _, z := range servers {
			z.Shutdown() // says goodbye
		}
		servers = nil
	}
	defer stop()

	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		cards, err := realCards()
		if err != nil {
			log.Warn("list network cards", "err", err)
		} else if !slices.EqualFunc(cards, current, card.equal) || (len(servers) == 0 && len(cards) > 0) {
			stop()
			if servers, err = register(s, host, cards); err != nil {
				log.Warn("announce hub by mDNS", "err", err)
			}
			current, since = cards, time.Now()
			if len(servers) > 0 {
				log.Info("hub is announced by mDNS", "instance", s.Instance, "cards", names(cards))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// register makes the registrations that give every card its own addresses.
func register(s Service, host string, cards []card) ([]*zeroconf.Server, error) {
	groups := [][]card{cards}
	if perCard(runtime.GOOS, cards) {
		groups = groups[:0]
		for _, c := range cards {
			groups = append(groups, []card{c})
		}
	}
	var text []string
	for _, t := range s.Text {
		text = append(text, strings.ReplaceAll(t, `\`, `\\`)) // the library unescapes
	}
	var servers []*zeroconf.Server
	var errs []error
	for _, g := range groups {
		if len(g) == 0 {
			continue
		}
		var ips []string
		var ifaces []net.Interface
		for _, c := range g {
			ifaces = append(ifaces, c.iface)
			if perCard(runtime.GOOS, cards) {
				for _, a := range c.addrs {
					ips = append(ips, a.String())
				}
			}
		}
		z, err := zeroconf.RegisterProxy(escape(s.Instance), ServiceType, "local", s.Port, host, ips, text, ifaces)
		if err != nil {
			errs = append(errs, fmt.Errorf("announce on %s: %w", names(g), err))
			continue
		}
		servers = append(servers, z)
	}
	return servers, errors.Join(errs...)
}

// perCard says whether each card needs a registration of its own, with its
// addresses spelled out.
//
// Where the system tells on which card a question came in (Linux, macOS), one
// registration without addresses makes the library answer with those of that
// very card; several would answer each other's questions there, because every
// socket on port 5353 hears what any of them has joined. Windows does not tell,
// and delivers by socket. The library leaves out loopback addresses by itself,
// so those are spelled out too.
func perCard(goos string, cards []card) bool {
	if len(cards) == 1 && cards[0].iface.Flags&net.FlagLoopback != 0 {
		return true
	}
	return goos == "windows"
}

// hostName is this machine's name as mDNS spells it.
func hostName() (string, error) {
	h, err := os.Hostname()
	if err != nil {
		return "", err
	}
	h, _, _ = strings.Cut(h, ".")
	if h == "" || len(h) > 63 {
		return "", fmt.Errorf("host name %q cannot be announced", h)
	}
	return escape(h) + ".local.", nil
}

// Peer is a hub that was found.
type Peer struct {
	Instance string
	Host     string // without the trailing dot
	Addrs    []netip.Addr
	Port     int
	Text     map[string]string
}

// Browse asks who announces a hub and collects answers for the given time, this
// machine's own included. Silence is no error.
func Browse(ctx context.Context, wait time.Duration) ([]Peer, error) {
	cards, err := realCards()
	if err != nil {
		return nil, fmt.Errorf("look for hubs: %w", err)
	}
	if len(cards) == 0 {
		return nil, nil
	}
	var ifaces []net.Interface
	for _, c := range cards {
		ifaces = append(ifaces, c.iface)
	}
	// IPv4 alone: a store has it in any case, and the library gives up, leaking
	// the first socket, where the second family is not to be had.
	resolver, err := zeroconf.NewResolver(zeroconf.SelectIPTraffic(zeroconf.IPv4), zeroconf.SelectIfaces(ifaces))
	if err != nil {
		return nil, fmt.Errorf("look for hubs on %s: %w", names(cards), err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry)
	if err := resolver.Browse(ctx, ServiceType, "local", entries); err != nil {
		cancel()
		for range entries {
		}
		return nil, fmt.Errorf("look for hubs on %s: %w", names(cards), err)
	}
	found := map[string]Peer{}
	// The library closes the channel, and blocks for ever on one that nobody reads.
	for e := range entries {
		p := peer(e)
		if known, ok := found[p.Instance]; ok {
			p.Addrs = append(known.Addrs, p.Addrs...)
		}
		slices.SortFunc(p.Addrs, netip.Addr.Compare)
		p.Addrs = slices.Compact(p.Addrs)
		found[p.Instance] = p
	}
	peers := make([]Peer, 0, len(found))
	for _, p := range found {
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.Instance, b.Instance) })
	return peers, nil
}

// peer turns what the library found into a Peer. Link-local IPv6 addresses are
// left out: without their zone they lead nowhere.
func peer(e *zeroconf.ServiceEntry) Peer {
	p := Peer{Instance: unescape(e.Instance), Host: strings.TrimSuffix(unescape(e.HostName), "."), Port: e.Port, Text: map[string]string{}}
	for _, ip := range slices.Concat(e.AddrIPv4, e.AddrIPv6) {
		a, ok := netip.AddrFromSlice(ip)
		if a = a.Unmap(); ok && (a.Is4() || !a.IsLinkLocalUnicast()) {
			p.Addrs = append(p.Addrs, a)
		}
	}
	for _, t := range e.Text {
		if k, v, ok := strings.Cut(unescape(t), "="); ok && k != "" {
			p.Text[k] = v
		}
	}
	return p
}
