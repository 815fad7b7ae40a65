package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"storehub/hq"
	"storehub/netcheck"
	"storehub/readers"
)

// street is a LAN of two readers' places as a test sets it.
type street struct {
	at    map[string]string // hardware address of who is there and answers 4443, by address
	asked []string          // what locate was asked
	err   error             // and answers
}

func (s *street) dial(_ context.Context, _, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	if s.at[host] == "" {
		return nil, errors.New("i/o timeout")
	}
	here, there := net.Pipe()
	_ = there.Close()
	return here, nil
}

func (s *street) locate(_ context.Context, addr netip.Addr, mac string) (w netcheck.Whereabouts, err error) {
	s.asked = append(s.asked, fmt.Sprintf("%s %s", addr, mac))
	if m := s.at[addr.String()]; m != "" {
		w.MACs = []string{m}
	}
	for a, m := range s.at {
		if m == mac && mac != "" && a != addr.String() {
			w.At = netip.MustParseAddr(a)
		}
	}
	return w, s.err
}

// onStreet is a hub whose one reader is there, and looked at once.
func onStreet(t *testing.T) (*Hub, *street) {
	t.Helper()
	h, s := bare(t), &street{at: map[string]string{"192.168.7.31": "02:00:00:00:00:31"}}
	h.fleet.lan.nets = func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("192.168.7.10/24")} }
	h.fleet.lan.dial, h.fleet.lan.locate = s.dial, s.locate
	h.parts.HQ.(*fakeHQ).readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","serial_number":"S1","label":"1","device_type":"stripe_s700","ip_address":"192.168.7.31","status":"online"}`)}
	h.fleet.poll(t.Context())
	h.fleet.probe(t.Context(), true)
	return h, s
}

func one(t *testing.T, h *Hub) readers.Reader {
	t.Helper()
	list := h.fleet.registry.Snapshot()
	if len(list) != 1 {
		t.Fatalf("%d readers", len(list))
	}
	return list[0]
}

// TestAReaderThatFallsSilentIsLookedFor: by its hardware address, which it told while
// it answered; found, it is where it is found at once, and Stripe's older word is not believed.
func TestAReaderThatFallsSilentIsLookedFor(t *testing.T) {
	h, s := onStreet(t)
	if r := one(t, h); r.MAC != "02:00:00:00:00:31" || r.Reachable != readers.Yes {
		t.Fatalf("in health: %+v", r)
	}
	s.at = map[string]string{"192.168.7.44": "02:00:00:00:00:31"}
	h.fleet.probe(t.Context(), true)
	h.fleet.poll(t.Context())
	if r := one(t, h); r.Addr.String() != "192.168.7.44" || r.Why != readers.WhyMoved || r.State != readers.StateOnline || r.AddressChanges != 1 {
		t.Errorf("moved: %+v", r)
	}
	s.at = nil
	h.fleet.probe(t.Context(), true)
	if r := one(t, h); r.State != readers.StateUnreachable || r.Why != readers.WhyPoweredOff {
		t.Errorf("unplugged: %+v", r)
	}
	s.asked = nil
	h.fleet.probe(t.Context(), true)
	if len(s.asked) > 0 {
		t.Errorf("the LAN was searched again within a minute: %v", s.asked)
	}
	s.at = map[string]string{"192.168.7.44": "02:00:00:00:00:31"}
	h.fleet.probe(t.Context(), true)
	if r := one(t, h); r.State != readers.StateOnline {
		t.Errorf("plugged in: %+v", r)
	}
}

// TestAHubThatMayNotAskSaysNoMore: without the rights the LAN is not asked twice, and
// a silent reader is silent, not switched off.
func TestAHubThatMayNotAskSaysNoMore(t *testing.T) {
	h, s := onStreet(t)
	s.at, s.err = nil, fmt.Errorf("locate: %w", netcheck.ErrCannotLocate)
	s.asked = nil
	for range 3 {
		h.fleet.probe(t.Context(), true)
	}
	if r := one(t, h); r.State != readers.StateUnreachable || r.Why != readers.WhySilentHere || len(s.asked) != 1 {
		t.Errorf("asked %v: %+v", s.asked, r)
	}
}

// TestOnlyWhatIsNotKnownIsLookedAtBetween: between two rounds a reader with a new
// address is knocked at, and no other.
func TestOnlyWhatIsNotKnownIsLookedAtBetween(t *testing.T) {
	h, s := onStreet(t)
	var knocked []string
	h.fleet.lan.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		knocked = append(knocked, addr)
		return s.dial(ctx, network, addr)
	}
	h.fleet.probe(t.Context(), false)
	h.parts.HQ.(*fakeHQ).readers = []json.RawMessage{
		[]byte(`{"id":"tmr_1","serial_number":"S1","label":"1","device_type":"stripe_s700","ip_address":"192.168.7.50","status":"online"}`)}
	h.fleet.poll(t.Context())
	h.fleet.probe(t.Context(), false)
	if want := []string{"192.168.7.50:4443"}; !slices.Equal(knocked, want) {
		t.Errorf("knocked at %v, want %v", knocked, want)
	}
}

// TestTheListIsAskedForWhenThereIsNews: just after Stripe was asked, never too often,
// and every 15 s of a headquarters that does not say.
func TestTheListIsAskedForWhenThereIsNews(t *testing.T) {
	for ms, want := range map[int64][2]time.Duration{
		0:         {readersEvery, readersEvery},
		1:         {readersAtMost, readersAtMost},
		8_000:     {8500 * time.Millisecond, 9500 * time.Millisecond},
		1_000_000: {readersEvery, readersEvery},
	} {
		for range 20 {
			if got := againIn(hq.ReaderList{AgainMS: ms}); got < want[0] || got > want[1] {
				t.Errorf("again in %d ms: wait %s, want %s to %s", ms, got, want[0], want[1])
			}
		}
	}
}
