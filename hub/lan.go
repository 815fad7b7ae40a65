package hub

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/netcheck"
	"storehub/readers"
)

const (
	readerPort = "4443" // where smart readers listen for tills
	// knocksEvery and what follows it, a knock and a search, are how long a reader that
	// has lost its power or its address goes unnoticed: less than 20 s.
	knocksEvery  = 10 * time.Second
	knockTimeout = 2 * time.Second // a reader on the same LAN answers in milliseconds
	knocksAtOnce = 64              // of five hundred dead readers each is asked within 16 s
	// searchTimeout is for a network of a thousand addresses.
	searchTimeout = 6 * time.Second
	// searchEvery: a reader that stays silent may come back at another address. A
	// search asks each address of the LAN once.
	searchEvery = time.Minute
)

// lan is the shop's network, as far as the fleet asks it.
type lan struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	nets   func() []netip.Prefix // of this machine's cards
	locate func(ctx context.Context, addr netip.Addr, mac string) (netcheck.Whereabouts, error)

	blind    atomic.Bool // locate can never be asked here
	searched sync.Map    // when a reader was, by serial number and id
}

func newLAN(dial func(ctx context.Context, network, addr string) (net.Conn, error), nets func() []netip.Prefix) lan {
	if dial == nil {
		dial = (&net.Dialer{Timeout: knockTimeout}).DialContext
	}
	if nets == nil {
		nets = ownNetworks
	}
	return lan{dial: dial, nets: nets, locate: netcheck.Locate}
}

// probe knocks at readers: all that have a place on the LAN, or those of which it
// is not known whether they answer.
func (f *fleet) probe(ctx context.Context, all bool) {
	nets := f.lan.nets()
	var g errgroup.Group
	g.SetLimit(knocksAtOnce)
	for _, r := range f.registry.Snapshot() {
		if !r.Probeable() || ctx.Err() != nil || !all && r.Reachable != readers.Unknown {
			continue
		}
		g.Go(func() error {
			f.visit(ctx, nets, r)
			return nil
		})
	}
	_ = g.Wait()
}

// visit knocks at a reader. One that answers tells its hardware address; one that
// does so no more is looked for by it.
func (f *fleet) visit(ctx context.Context, nets []netip.Prefix, r readers.Reader) {
	o := f.lan.knock(ctx, nets, r)
	here := o.Near == readers.Yes && ctx.Err() == nil
	if o.Reachable == readers.Yes {
		f.registry.Observe(o)
		if here && r.MAC == "" {
			if w, ok := f.lan.ask(ctx, r.Addr, ""); ok && len(w.MACs) == 1 {
				f.registry.Observe(readers.Observation{Source: readers.FromNeighbour, Serial: r.Serial, ID: r.ID, Addr: r.Addr, MAC: w.MACs[0], At: time.Now()})
			}
		}
		return
	}
	var w netcheck.Whereabouts
	if here && r.MAC != "" && f.lan.searchDue(r) {
		var ok bool
		if w, ok = f.lan.ask(ctx, r.Addr, r.MAC); ok {
			o.Present = readers.Of(len(w.MACs) > 0)
		}
	}
	f.registry.Observe(o)
	if w.At.IsValid() {
		f.registry.Observe(readers.Observation{Source: readers.FromNeighbour, Serial: r.Serial, ID: r.ID, Addr: w.At, MAC: r.MAC, At: time.Now()})
		r.Addr = w.At
		f.registry.Observe(f.lan.knock(ctx, nets, r))
	}
}

// knock opens a TCP connection to the reader and closes it.
func (l *lan) knock(ctx context.Context, nets []netip.Prefix, r readers.Reader) readers.Observation {
	o := readers.Observation{Source: readers.FromProbe, Serial: r.Serial, ID: r.ID, Addr: r.Addr, Reachable: readers.No, Near: near(nets, r.Addr)}
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	began := time.Now()
	conn, err := l.dial(ctx, "tcp", net.JoinHostPort(r.Addr.String(), readerPort))
	if err == nil {
		o.Reachable, o.RTT = readers.Yes, time.Since(began)
		_ = conn.Close()
	} else {
		o.Refused = refused(err)
	}
	o.At = time.Now()
	return o
}

// searchDue says whether a reader that does not answer should be looked for: when
// it falls silent, and now and then after that.
func (l *lan) searchDue(r readers.Reader) bool {
	key := r.Serial + "/" + r.ID
	if at, ok := l.searched.Load(key); ok && r.Reachable == readers.No && time.Since(at.(time.Time)) < searchEvery {
		return false
	}
	l.searched.Store(key, time.Now())
	return true
}

// ask is locate, where this program may.
func (l *lan) ask(ctx context.Context, addr netip.Addr, mac string) (netcheck.Whereabouts, bool) {
	if l.blind.Load() {
		return netcheck.Whereabouts{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	w, err := l.locate(ctx, addr, mac)
	if errors.Is(err, netcheck.ErrCannotLocate) {
		l.blind.Store(true)
	}
	return w, err == nil
}

// meet takes over the hardware addresses of readers from what the LAN answered. Only a
// reader that answers at its address is believed to be who has it.
func (f *fleet) meet(r netcheck.Report) {
	i := slices.IndexFunc(r.Results, func(p netcheck.Result) bool { return p.Name == "arp" })
	if i < 0 {
		return
	}
	answers, _ := r.Results[i].Evidence["answers"].(map[string]any)
	for _, known := range f.registry.Snapshot() {
		macs, _ := answers[known.Addr.String()].([]string)
		if known.Reachable == readers.Yes && len(macs) == 1 {
			f.registry.Observe(readers.Observation{Source: readers.FromNeighbour, Addr: known.Addr, MAC: macs[0], At: time.Now()})
		}
	}
}

// refused says whether something at the address said no: Windows words it its own way.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "actively refused")
}

// ownNetworks are the networks of this machine's cards.
func ownNetworks() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
			out = append(out, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
		}
	}
	return out
}

// near says whether an address is in one of the networks; none are none known.
func near(lans []netip.Prefix, a netip.Addr) readers.Tri {
	if len(lans) == 0 || !a.IsValid() {
		return readers.Unknown
	}
	return readers.Of(slices.ContainsFunc(lans, func(p netip.Prefix) bool { return p.Contains(a) }))
}

// usualMask is how wide a shop's network is where nobody has told.
const usualMask = 24

// sameNetwork says whether a till and a reader are in one network, judged by the
// hub's own: of two addresses outside all of them it is known only that they share
// what a shop's network is wide.
func sameNetwork(lans []netip.Prefix, till, reader netip.Addr) readers.Tri {
	till, reader = till.Unmap(), reader.Unmap()
	if !till.IsValid() || !reader.IsValid() || reader.IsUnspecified() || till.Is4() != reader.Is4() && !till.IsLoopback() {
		return readers.Unknown
	}
	if till.IsLoopback() {
		return near(lans, reader) // it runs beside the hub
	}
	known := false
	for _, p := range lans {
		if p.Contains(till) && p.Contains(reader) {
			return readers.Yes
		}
		known = known || p.Contains(till) || p.Contains(reader)
	}
	switch p, err := till.Prefix(min(usualMask, till.BitLen())); {
	case known:
		return readers.No
	case err == nil && till.Is4() && p.Contains(reader):
		return readers.Yes
	}
	return readers.Unknown
}
