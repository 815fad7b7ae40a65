package hub

import (
	"testing"
	"time"

	"storehub/hq"
	"storehub/readers"
)

func TestTheUpdateWindowIsHeldAgainstTheOpeningHours(t *testing.T) {
	for _, c := range []struct {
		window string
		hours  []string
		want   readers.Tri
	}{
		{"02-05", nil, readers.Unknown},
		{"02-05", []string{"mon-sat 08:00-22:00"}, readers.No},
		{"00-01", []string{"mon-sat 08:00-24:00"}, readers.No},
		{"22-23", []string{"mon-fri 08:00-20:00", "sat 08:00-22:30"}, readers.Yes},
		{"02-05", []string{"fri-sat 20:00-03:00"}, readers.Yes}, // Saturday's and Sunday's small hours
		{"04-05", []string{"fri-sat 20:00-03:00"}, readers.No},  //
		{"07-08", []string{"mon 08:00-20:00"}, readers.Yes},     // one comes back a quarter late
		{"10-11", []string{"sat-mon 09:00-12:00"}, readers.Yes}, // over the week's end
		{"23-2", []string{"sun 00:00-01:00"}, readers.Yes},      //
		{"12-13", []string{"tue 09:00-11:00", "wed 14:00-24:00"}, readers.No},
	} {
		w, err := readers.ParseWindow(c.window, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range c.hours {
			if err := hq.CheckHours(h); err != nil {
				t.Fatal(err)
			}
		}
		if got := whileOpen(w, c.hours); got != c.want {
			t.Errorf("%s in %q: %s, want %s", c.window, c.hours, got, c.want)
		}
	}
}

// TestTheUpdateWindowIsHeadquarters: in the store's zone; without its word, Stripe's
// usual one.
func TestTheUpdateWindowIsHeadquarters(t *testing.T) {
	h := bare(t)
	h.cfg.OpeningHours = []string{"mon-sun 03:00-04:00"}
	h.store.Store(&hq.Store{ID: "0412", TimeZone: "Europe/Berlin", UpdateWindow: "02-05"})
	if got := h.updateWindow(); got.Hours != "02:00-05:00" || got.Zone != "Europe/Berlin" || !got.Told || got.WhileOpen != readers.Yes {
		t.Errorf("told: %+v", got)
	}
	h.store.Store(&hq.Store{ID: "0412", TimeZone: "Europe/Berlin", UpdateWindow: "nonsense"})
	if got := h.updateWindow(); got.Hours != "00:00-01:00" || got.Told || got.WhileOpen != readers.No {
		t.Errorf("not told: %+v", got)
	}
}
