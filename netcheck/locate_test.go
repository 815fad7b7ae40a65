package netcheck

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestADeviceIsLocated: who has its address, where it is if that is somebody else or
// nobody, and what is not known is no answer.
func TestADeviceIsLocated(t *testing.T) {
	const mac = "02:00:00:00:00:31"
	elsewhere := netip.MustParseAddr("192.168.1.44")
	for _, c := range []struct {
		name, addr, mac string
		world           func(*world)
		want            Whereabouts
		err             error
	}{
		{"at its place", "192.168.1.31", mac, nil, Whereabouts{MACs: []string{mac}}, nil},
		{"asked by its address alone", "192.168.1.31", "", nil, Whereabouts{MACs: []string{mac}}, nil},
		{"nowhere", "192.168.1.99", mac, nil, Whereabouts{}, nil},
		{"moved away", "192.168.1.99", mac, func(w *world) { w.found = map[string]netip.Addr{mac: elsewhere} }, Whereabouts{At: elsewhere}, nil},
		{"another took its place", "192.168.1.32", mac, func(w *world) { w.found = map[string]netip.Addr{mac: elsewhere} },
			Whereabouts{MACs: []string{"02:00:00:00:00:32"}, At: elsewhere}, nil},
		{"it answered late", "192.168.1.99", mac, func(w *world) { w.found = map[string]netip.Addr{mac: netip.MustParseAddr("192.168.1.99")} }, Whereabouts{}, nil},
		{"in a network too large to go through", "192.168.1.99", mac, func(w *world) {
			w.found = map[string]netip.Addr{mac: elsewhere}
			w.cards[1].Addrs = []cardAddr{{Prefix: netip.MustParsePrefix(hubAddr + "/16")}}
		}, Whereabouts{}, nil},
		{"in another network", "192.168.2.31", mac, nil, Whereabouts{}, ErrOtherLAN},
		{"behind a card that is down", "192.168.1.31", mac, func(w *world) { w.cards[1].Up = false }, Whereabouts{}, ErrOtherLAN},
		{"by a user without rights", "192.168.1.31", mac, func(w *world) { w.arp, w.macs = errNeedsRaw, nil }, Whereabouts{}, ErrCannotLocate},
		{"where it is not supported", "192.168.1.31", mac, func(w *world) { w.arp, w.macs = errUnsupported, nil }, Whereabouts{}, ErrCannotLocate},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.world != nil {
				c.world(w)
			}
			got, err := locate(t.Context(), w, netip.MustParseAddr(c.addr), c.mac)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "locate "+c.addr+": ") {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(got.MACs, c.want.MACs) || got.At != c.want.At {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
