package readers

import (
	"testing"
	"time"
)

func TestAWindowIsReadOrRefused(t *testing.T) {
	for text, want := range map[string]string{"02-05": "02:00-05:00", "23-1": "23:00-01:00", "0-1": "00:00-01:00",
		"": "", "2": "", "24-1": "", "3-3": "", "-1-5": "", "a-b": "", "02:00-05:00": ""} {
		w, err := ParseWindow(text, time.UTC)
		if (err == nil) != (want != "") || err == nil && w.String() != want {
			t.Errorf("%q: %s, %v", text, w, err)
		}
	}
}

// TestAWindowIsOfTheShopsClock: over midnight too, and a reader that restarted last
// comes back a little later.
func TestAWindowIsOfTheShopsClock(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		window, at string
		want       bool
	}{
		{"2-5", "2026-06-01T02:00:00+02:00", true}, {"2-5", "2026-06-01T04:59:59+02:00", true}, {"2-5", "2026-06-01T05:14:59+02:00", true},
		{"2-5", "2026-06-01T05:15:00+02:00", false}, {"2-5", "2026-06-01T01:59:59+02:00", false}, {"2-5", "2026-06-01T02:30:00Z", true}, {"2-5", "2026-06-01T05:00:00Z", false},
		{"23-1", "2026-06-01T23:30:00+02:00", true}, {"23-1", "2026-06-02T00:30:00+02:00", true}, {"23-1", "2026-06-02T01:10:00+02:00", true}, {"23-1", "2026-06-02T12:00:00+02:00", false},
	} {
		w, err := ParseWindow(c.window, berlin)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Contains(at); got != c.want {
			t.Errorf("%s at %s: %v", c.window, c.at, got)
		}
	}
}

// TestAReaderThatIsAwayAtNightMayBeRestarting: in the window and no longer; its
// address in another network is no restart.
func TestAReaderThatIsAwayAtNightMayBeRestarting(t *testing.T) {
	night := true
	var heard []string
	r := &Registry{Restarts: func(time.Time) bool { return night }, OnChange: func(_ Reader, what string) { heard = append(heard, what) }}
	r.Observe(told(0, No, placeA))
	r.Observe(probed(1, No, placeA))
	r.Sweep(at(2))
	if x := only(t, r); x.Why != WhyRestarting || x.State != StateOffline ||
		x.Reason != "Stripe says offline, and nothing answers at 192.168.1.20; readers restart and update at this hour" {
		t.Errorf("at night: %+v", x)
	}
	night = false
	r.Sweep(at(3))
	if x := only(t, r); x.Why != WhyPoweredOff {
		t.Errorf("in the morning: %+v", x)
	}
	if heard[len(heard)-1] != ChangeCause {
		t.Errorf("told %v", heard)
	}
	night = true
	far := probed(4, No, placeA)
	far.Near = No
	r.Observe(far)
	r.Sweep(at(5))
	if x := only(t, r); x.Why != WhyOtherSubnet {
		t.Errorf("elsewhere: %+v", x)
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add("02-05")
	f.Add("23-1-")
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWindow(s, time.UTC)
		if err == nil && (w.Start > 23 || w.End > 23 || w.Start == w.End || !w.Contains(time.Date(2026, 1, 1, w.Start, 30, 0, 0, time.UTC))) {
			t.Fatalf("%q: %+v", s, w)
		}
	})
}
