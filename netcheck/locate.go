package netcheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// ErrCannotLocate is what Locate says where this program can never ask the LAN
// by ARP: for want of rights, or on a system where it is not supported yet.
var ErrCannotLocate = errors.New("cannot ask the LAN by ARP")

// ErrOtherLAN is what Locate says of an address outside this machine's own LANs.
var ErrOtherLAN = errors.New("it is in no network of this machine's")

// Whereabouts are what the LAN answered about an address and a device.
type Whereabouts struct {
	MACs []string   // who answers for the address, as aa:bb:cc:dd:ee:ff; none: nobody has it
	At   netip.Addr // where the device is, if not there; the zero address: nowhere here
}

// locateARP is how long Locate waits for who has the address: three questions.
const locateARP = time.Second

// Locate asks the LAN who has addr, and, if that is not the device with the
// hardware address mac ("" asks after none), which address that one has now. It
// takes up to a second, and one more for each 250 addresses of the LAN that are
// gone through; beyond a thousand they are not.
func Locate(ctx context.Context, addr netip.Addr, mac string) (Whereabouts, error) {
	return locate(ctx, thisSystem(), addr, mac)
}

func locate(ctx context.Context, sys system, addr netip.Addr, mac string) (w Whereabouts, err error) {
	defer func() {
		if errors.Is(err, errNeedsRaw) || errors.Is(err, errUnsupported) {
			err = fmt.Errorf("%w: %w", ErrCannotLocate, err)
		}
		if err != nil {
			err = fmt.Errorf("locate %s: %w", addr, err)
		}
	}()
	cards, err := sys.Cards()
	if err != nil {
		return w, err
	}
	here, lan := homeOf(cards, addr)
	if !lan.IsValid() {
		return w, ErrOtherLAN
	}
	asking, cancel := context.WithTimeout(ctx, locateARP)
	defer cancel()
	macs, err := sys.ARP(asking, here, lan.Addr(), []netip.Addr{addr})
	if err != nil {
		return w, err
	}
	w.MACs = macs[addr]
	if mac == "" || slices.Contains(w.MACs, mac) || 1<<(32-lan.Bits()) > maxSearch {
		return w, nil
	}
	at, err := sys.Find(ctx, here, lan.Addr(), mac, lan)
	if err != nil {
		return w, err
	}
	if at != addr {
		w.At = at
	}
	return w, nil
}

// homeOf is the card in whose LAN an address is, and that LAN with the card's own
// address in it; without one the prefix is zero.
func homeOf(cards []card, addr netip.Addr) (card, netip.Prefix) {
	for _, k := range cards {
		if !k.usable() || len(k.MAC) != 6 {
			continue
		}
		for _, p := range k.v4() {
			if p.Contains(addr) {
				return k, p
			}
		}
	}
	return card{}, netip.Prefix{}
}
