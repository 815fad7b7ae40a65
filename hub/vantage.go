package hub

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/readers"
)

const (
	// vantageLife is from the code on the screen to what the till or phone saw.
	vantageLife = 10 * time.Minute
	// vantageKept is how long that counts: networks change, and people mend them.
	vantageKept = 30 * time.Minute
	vantageMost = 8 // codes, and devices
	// vantageReaders bounds what one device is asked to try: more stand in no shop's room.
	vantageReaders = 32
	vantageAsks    = 5 // questions to the hub
	vantageSlowest = 60_000
	vantageBody    = 8 << 10
	// Codes are 130 bits; this keeps a flood from costing anything.
	vantageTries = 2
	vantageBurst = 20
	// metFor: another device of the LAN reached the hub, so its firewall lets them in.
	metFor = time.Hour
)

// vantages are what other devices of the shop saw, and the codes by which they may tell
// it. All of it is in memory alone.
type vantages struct {
	mu    sync.Mutex
	tries *rate.Limiter
	open  []vantageCode         // oldest first
	seen  []diagnostics.Vantage // oldest first, one of each device
	met   atomic.Pointer[meeting]
}

// vantageCode was shown; it tells once.
type vantageCode struct {
	code    string
	readers []netip.Addr // to be tried there
	expires time.Time
}

// meeting is the last device of the LAN that reached the hub.
type meeting struct {
	addr netip.Addr
	at   time.Time
}

func newVantages() *vantages {
	return &vantages{tries: rate.NewLimiter(vantageTries, vantageBurst)}
}

// invite makes a code that lets one device tell once what it sees.
func (v *vantages) invite(list []netip.Addr, now time.Time) vantageCode {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop("", now)
	if len(v.open) >= vantageMost {
		v.open = v.open[1:]
	}
	c := vantageCode{rand.Text(), list, now.Add(vantageLife)}
	v.open = append(v.open, c)
	return c
}

// drop ends a code, and those that have expired.
func (v *vantages) drop(code string, now time.Time) {
	v.open = slices.DeleteFunc(v.open, func(c vantageCode) bool { return c.code == code || !now.Before(c.expires) })
}

// known is a code that is open. It stays so: a camera's app may look at a link before its
// owner does.
func (v *vantages) known(code string, now time.Time) (vantageCode, *doors.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if refused := mayTry(v.tries, now); refused != nil {
		return vantageCode{}, refused
	}
	v.drop("", now)
	for _, c := range v.open {
		if c.code == code {
			return c, nil
		}
	}
	return vantageCode{}, doors.ErrForbidden.With("this code has told what it saw already, or is too old")
}

// take ends a code and keeps what was told by it; the device's earlier word goes. false:
// the code was used meanwhile.
func (v *vantages) take(code string, seen diagnostics.Vantage) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := len(v.open)
	v.drop(code, seen.At)
	if len(v.open) == n {
		return false
	}
	v.seen = slices.DeleteFunc(v.seen, func(s diagnostics.Vantage) bool { return s.Addr == seen.Addr })
	if len(v.seen) >= vantageMost {
		v.seen = v.seen[1:]
	}
	v.seen = append(v.seen, seen)
	return true
}

// list is what counts now.
func (v *vantages) list(now time.Time) []diagnostics.Vantage {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = slices.DeleteFunc(v.seen, func(s diagnostics.Vantage) bool { return now.Sub(s.At) >= vantageKept })
	return slices.Clone(v.seen)
}

// hear takes in, to the minute, that a device of the LAN reached the hub.
func (h *Hub) hear(r *http.Request) {
	now := h.now()
	if last := h.vantages.met.Load(); last != nil && now.Sub(last.at) < time.Minute {
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return
	}
	a := from.Addr().Unmap()
	// A till on this machine is told apart without listing the cards, which costs as much
	// as half of its request.
	if to, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); a.IsLoopback() || ok && at(to) == a {
		return
	}
	if !own(h.fleet.lan.nets(), a) {
		h.vantages.met.Store(&meeting{a, now})
	}
}

// at is the address of one end of a connection; invalid: it has none.
func at(end net.Addr) netip.Addr {
	p, _ := netip.ParseAddrPort(end.String())
	return p.Addr().Unmap()
}

// others says whether a device other than addr reached the hub lately.
func (v *vantages) others(addr netip.Addr, now time.Time) bool {
	last := v.met.Load()
	return last != nil && last.addr != addr && now.Sub(last.at) < metFor
}

// own says whether an address is this machine's.
func own(lans []netip.Prefix, a netip.Addr) bool {
	return a.IsLoopback() || slices.ContainsFunc(lans, func(p netip.Prefix) bool { return p.Addr() == a })
}

// readersToTry are where readers stand on the LAN.
func (h *Hub) readersToTry() (out []netip.Addr) {
	for _, s := range h.targets().Readers {
		if a, err := netip.ParseAddr(s); err == nil && a.Is4() && len(out) < vantageReaders {
			out = append(out, a)
		}
	}
	return out
}

// vantageReport is what a browser tells.
type vantageReport struct {
	Code       string `json:"code"`
	Permission string `json:"permission"`
	HubMS      []int  `json:"hub_ms"` // -1: no answer
	Readers    []struct {
		Address netip.Addr        `json:"address"`
		Sight   diagnostics.Sight `json:"sight"`
		MS      int               `json:"ms"`
	} `json:"readers"`
}

// parseVantage reads what a browser tells. Whether it was asked for is [vantageReport.seen]'s.
func parseVantage(body []byte) (r vantageReport, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("read what the device saw: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("read what the device saw: something follows it")
	}
	return r, nil
}

// seen is the report of a device that was asked for these readers.
func (r vantageReport) seen(asked []netip.Addr) (v diagnostics.Vantage, err error) {
	v.Opened = true
	switch r.Permission {
	case "", "granted", "prompt", diagnostics.PermissionDenied:
		v.Permission = r.Permission
	default:
		return v, fmt.Errorf("permission %.20q is none", r.Permission)
	}
	if len(r.HubMS) > vantageAsks || len(r.Readers) > len(asked) {
		return v, errors.New("more was told than was asked")
	}
	var took []int
	for _, ms := range r.HubMS {
		switch {
		case ms == -1:
			v.Lost++
		case ms < 0 || ms > vantageSlowest:
			return v, fmt.Errorf("%d is no time", ms)
		default:
			took = append(took, ms)
		}
	}
	if slices.Sort(took); len(took) > 0 {
		v.HubMS = took[len(took)/2]
	}
	told := map[netip.Addr]bool{}
	for _, x := range r.Readers {
		switch x.Sight {
		case diagnostics.SightAnswered, diagnostics.SightRejected, diagnostics.SightSilent, diagnostics.SightBlocked, diagnostics.SightUnknown:
		default:
			return v, fmt.Errorf("sight %.20q is none", x.Sight)
		}
		if !slices.Contains(asked, x.Address) || told[x.Address] || x.MS < 0 || x.MS > vantageSlowest {
			return v, errors.New("a reader was told of that was not asked for, twice, or without a time")
		}
		told[x.Address] = true
		v.Readers = append(v.Readers, diagnostics.VantageReader{Addr: x.Address, Sight: x.Sight, MS: x.MS})
	}
	return v, nil
}

// place says where a device is, as the hub sees it.
func (h *Hub) place(v *diagnostics.Vantage, addr netip.Addr) {
	nets := h.fleet.lan.nets()
	v.Addr, v.Own = addr, addr.IsValid() && own(nets, addr)
	if v.Near = near(nets, addr); v.Own {
		v.Near = readers.Yes
	}
}
