package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/doors"
	"storehub/netcheck"
	"storehub/readers"
)

const (
	readersEvery   = 15 * time.Second // headquarters polls Stripe once for all its stores
	readersTimeout = 6 * time.Second
	probeTimeout   = 2 * time.Second // a reader on the same LAN answers in milliseconds
	probesAtOnce   = 8
	readerPort     = "4443" // where smart readers listen for tills
	storeEvery     = time.Hour
)

// fleet watches the readers: headquarters' list, and the LAN.
type fleet struct {
	hub      *Hub
	registry readers.Registry
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	lans     func() []netip.Prefix
	asked    chan struct{} // somebody wants the list looked at now
	first    chan struct{} // closed after the first look, whatever it gave
	once     sync.Once
	days     *days
	listed   atomic.Bool // headquarters' list was had at least once

	// Of run alone. Headquarters' clock is not this machine's: a list is as old as
	// the time since a new one was first heard here.
	stripeAt, heardAt time.Time
}

func newFleet(h *Hub) *fleet {
	f := &fleet{
		hub:   h,
		dial:  (&net.Dialer{Timeout: probeTimeout}).DialContext,
		lans:  ownNetworks,
		asked: make(chan struct{}, 1),
		first: make(chan struct{}),
		days:  newDays(h),
	}
	f.registry.OnChange = func(r readers.Reader, what string) {
		h.events.publish(doors.Event{Type: eventReader, Data: readerChange{what, r}}, false)
	}
	return f
}

type readerChange struct {
	Change string         `json:"change"`
	Reader readers.Reader `json:"reader"`
}

// look asks for a look at the list soon, without waiting for it.
func (f *fleet) look() { signal(f.asked) }

func (f *fleet) run(ctx context.Context) error {
	defer f.days.close()
	var storeAt time.Time
	for {
		if f.hub.store.Load() == nil || time.Since(storeAt) > storeEvery {
			if f.hub.learnStore(ctx) {
				storeAt = time.Now()
			}
		}
		f.poll(ctx)
		f.once.Do(func() { close(f.first) })
		f.probe(ctx)
		f.registry.Sweep(time.Now())
		f.days.record(time.Now(), f.registry.Snapshot())
		f.hub.monitor.refresh()
		wait, cancel := context.WithTimeout(ctx, readersEvery)
		select {
		case <-wait.Done():
		case <-f.asked:
		}
		cancel()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (f *fleet) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readersTimeout)
	defer cancel()
	list, err := f.hub.hq.Readers(ctx)
	if err != nil {
		f.hub.log.Debug("ask for readers", "err", err)
		return
	}
	seen := make([]readers.Observation, 0, len(list.Readers))
	for _, raw := range list.Readers {
		o, err := observation(raw, list.At)
		if err != nil {
			f.hub.log.Warn("read reader from headquarters", "err", err)
			continue
		}
		seen = append(seen, o)
	}
	if list.At.IsZero() {
		return // headquarters has not heard from Stripe yet
	}
	if !list.At.Equal(f.stripeAt) {
		f.stripeAt, f.heardAt = list.At, time.Now()
	}
	f.registry.Replace(f.heardAt, seen)
	f.listed.Store(true)
}

// observation reads Stripe's terminal.reader. Unknown device types are taken as
// they are: Stripe adds new ones.
func observation(raw json.RawMessage, at time.Time) (readers.Observation, error) {
	var r struct {
		ID         string `json:"id"`
		Serial     string `json:"serial_number"`
		Label      string `json:"label"`
		DeviceType string `json:"device_type"`
		Software   string `json:"device_sw_version"`
		IP         string `json:"ip_address"`
		Status     string `json:"status"`
		LastSeen   int64  `json:"last_seen_at"` // milliseconds, unlike the rest of Stripe
		Action     *struct {
			Status string `json:"status"`
		} `json:"action"` // the newest, which may have ended
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return readers.Observation{}, err
	}
	o := readers.Observation{
		Source: readers.FromStripe, ID: r.ID, Serial: r.Serial, Label: r.Label,
		DeviceType: r.DeviceType, Software: r.Software, At: at,
	}
	o.Addr, _ = netip.ParseAddr(r.IP) // none, or not an address: not known
	switch r.Status {
	case "online":
		o.Online = readers.Yes
	case "offline":
		o.Online = readers.No
	}
	o.Busy = readers.Of(r.Action != nil && r.Action.Status == "in_progress")
	if r.LastSeen > 0 {
		o.LastSeen = time.UnixMilli(r.LastSeen).UTC()
	}
	return o, nil
}

// probe opens and closes a TCP connection to each real reader.
func (f *fleet) probe(ctx context.Context) {
	lans := f.lans()
	var g errgroup.Group
	g.SetLimit(probesAtOnce)
	for _, r := range f.registry.Snapshot() {
		if !r.Probeable() || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			o := readers.Observation{Source: readers.FromProbe, Serial: r.Serial, ID: r.ID, Addr: r.Addr, Reachable: readers.No, Near: near(lans, r.Addr)}
			ctx, cancel := context.WithTimeout(ctx, probeTimeout)
			defer cancel()
			began := time.Now()
			conn, err := f.dial(ctx, "tcp", net.JoinHostPort(r.Addr.String(), readerPort))
			if err == nil {
				o.Reachable, o.RTT = readers.Yes, time.Since(began)
				_ = conn.Close()
			} else {
				o.Refused = refused(err)
			}
			o.At = time.Now()
			f.registry.Observe(o)
			return nil
		})
	}
	_ = g.Wait()
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

// learnStore asks headquarters what it knows of this store and keeps it.
func (h *Hub) learnStore(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readersTimeout)
	defer cancel()
	s, err := h.hq.Store(ctx)
	if err != nil {
		h.log.Debug("ask for store", "err", err)
		return false
	}
	if s.ID != h.cfg.Store {
		// The credential is another store's: money would go to the wrong shop.
		h.log.Error("headquarters knows this credential as another store's", "store", h.cfg.Store, "headquarters", s.ID)
		return false
	}
	if old := h.store.Load(); old != nil && old.HeadKey != "" && s.HeadKey != old.HeadKey {
		// The first word counts: `hub queue verify` says that this is another's.
		h.log.Error("headquarters signs with another key than before; enrol anew if that is right", "key", s.HeadKey, "was", old.HeadKey)
		s.HeadKey = old.HeadKey
	}
	if old := h.store.Swap(&s); old == nil || *old != s {
		if err := RememberStore(h.cfg.StateDir, s); err != nil {
			h.log.Error("remember store", "err", err)
		}
	}
	return true
}

// RegisterRequest names a reader by the code that it shows on its screen.
type RegisterRequest struct {
	Code  string `json:"code"`
	Label string `json:"label"`
}

// register passes a registration on. The Location is headquarters' to fill in.
func (h *Hub) register(ctx context.Context, r RegisterRequest) (json.RawMessage, error) {
	if r.Code == "" {
		return nil, doors.ErrMissingField.With("code is required")
	}
	t := admin
	if s := h.store.Load(); s != nil {
		t.Mode = s.Mode
	}
	params := url.Values{"registration_code": {r.Code}}
	if r.Label != "" {
		params.Set("label", r.Label)
	}
	return h.Stripe(ctx, t, doors.RegisterReader, "", params)
}
