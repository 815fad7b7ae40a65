package hub

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/doors"
)

// tillAtWork is one till at the doors of a hub, hour by hour.
type tillAtWork struct {
	h    *habits
	now  time.Time
	name string
	from netip.Addr
}

func (w *tillAtWork) ask(s doors.Seen) {
	s.Till.Name, s.Till.Addr = w.name, w.from
	w.h.see(s, "tml_1", w.now)
}

func (w *tillAtWork) token() { w.ask(doors.Seen{Token: true}) }

func (w *tillAtWork) connects(reader string) {
	w.h.connected(w.name, "tmr_1", false, w.now)
	w.h.connected(w.name, reader, true, w.now)
}

func (w *tillAtWork) waits(d time.Duration) { w.now = w.now.Add(d) }

// TestEachHabitTurnsOnItsFinding plants one habit after the other beside a till that
// does well: the habit's finding is there, about that till, and nothing else.
func TestEachHabitTurnsOnItsFinding(t *testing.T) {
	good := func(w *tillAtWork) { // a busy day: the SDK asks at its start and twice a connect, as iOS does
		w.token()
		for range 12 {
			w.token()
			w.token()
			w.connects("tmr_1")
			for range 20 {
				w.waits(3 * time.Minute)
				w.ask(doors.Seen{})
			}
		}
		w.ask(doors.Seen{Location: "tml_1"})
	}
	for _, c := range []struct {
		code string // "": none
		day  func(*tillAtWork)
	}{
		{"", good},
		{"", func(w *tillAtWork) { // the hub restarted after the token, and a reader came back twice by itself
			w.connects("tmr_1")
			w.connects("tmr_1")
			w.token()
			w.connects("tmr_1")
		}},
		{"", func(w *tillAtWork) { // it says again and again that it holds the same reader
			for range 20 {
				w.h.connected(w.name, "tmr_1", true, w.now)
			}
		}},
		{"", func(w *tillAtWork) { // DHCP moved it, twice in a day; it has IPv6 too
			for i := range 40 {
				w.from = netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + i/20)})
				w.ask(doors.Seen{})
				w.from = netip.MustParseAddr("fd00::10")
				w.ask(doors.Seen{})
				w.waits(10 * time.Second)
			}
		}},
		{"", func(w *tillAtWork) { // several tills behind the shop's own proxy
			for range 40 {
				w.from = netip.MustParseAddr("127.0.0.1")
				w.ask(doors.Seen{})
			}
		}},
		{"", func(w *tillAtWork) { // a cashier in a hurry
			for i := range 25 {
				w.token()
				w.waits(time.Duration(5+i%7) * time.Second)
			}
		}},
		{"token_reused", func(w *tillAtWork) {
			w.token()
			for range bareConnects + 1 {
				w.connects("tmr_1")
			}
		}},
		{"token_not_asked", func(w *tillAtWork) {
			for range bareConnects {
				w.connects("tmr_1")
			}
		}},
		{"token_polling", func(w *tillAtWork) { // a timer fetches one in advance
			for i := range pollingBeats + 1 {
				w.token()
				w.waits(5*time.Minute + time.Duration(i%3)*time.Second)
			}
		}},
		{"token_polling", func(w *tillAtWork) { // a loop without a pause
			for range pollingMost {
				w.token()
				w.waits(100 * time.Millisecond)
			}
		}},
		{"token_wrong_location", func(w *tillAtWork) { w.ask(doors.Seen{Token: true, Location: "tml_2"}) }},
		{"till_mode_mixed", func(w *tillAtWork) { w.ask(doors.Seen{Code: doors.ErrModeMismatch.Code}) }},
		{"credential_shared", func(w *tillAtWork) {
			for i := range 12 {
				w.from = netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + i%2)})
				w.ask(doors.Seen{})
				w.waits(time.Minute)
			}
		}},
	} {
		h := &habits{}
		at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
		well := &tillAtWork{h, at, "Lane 2", netip.MustParseAddr("192.168.1.20")}
		well.token()
		well.connects("tmr_2")
		ill := &tillAtWork{h, at, "Lane 1", netip.MustParseAddr("192.168.1.10")}
		c.day(ill)
		got := h.findings(ill.now)
		switch {
		case c.code == "" && len(got) == 0:
		case len(got) != 1 || got[0].Code != c.code || !slices.Equal(got[0].Targets, []string{"Lane 1"}) || !strings.HasPrefix(got[0].Evidence[0], "Lane 1 "):
			t.Errorf("want %q, got %+v", c.code, got)
		}
		if later := h.findings(ill.now.Add(habitFor + time.Second)); len(later) != 0 {
			t.Errorf("%q stands though it was not seen for a day", c.code)
		}
	}
}

func TestHabitsOfManyTillsTakeBoundedRoom(t *testing.T) {
	h := &habits{}
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for i := range 3 * habitTills {
		w := &tillAtWork{h, at, fmt.Sprint("Lane ", i), netip.Addr{}}
		for range 2 * pollingMost {
			w.token()
			w.connects("tmr_1")
		}
	}
	if len(h.tills) > habitTills {
		t.Errorf("%d tills are kept", len(h.tills))
	}
	for _, t1 := range h.tills {
		if cap(t1.asked) > 4*pollingMost || cap(t1.turns) > 4*sharedTurns {
			t.Fatalf("a till keeps %d and %d times", cap(t1.asked), cap(t1.turns))
		}
	}
}
