package main

import (
	"testing"

	"storehub/hub"
	"storehub/readers"
)

func TestAWindowInOpeningHoursIsWarnedOf(t *testing.T) {
	w := hub.UpdateWindow{Hours: "02:00-05:00", Zone: "Europe/Berlin", WhileOpen: readers.Yes}
	if got, want := windowWords(w), "\nReaders restart and update from 02:00 to 05:00 (Europe/Berlin), while the shop is open: set another reboot window in the location's configuration at Stripe.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, quiet := range []readers.Tri{readers.No, readers.Unknown} {
		if w.WhileOpen = quiet; windowWords(w) != "" {
			t.Errorf("%s: %q", quiet, windowWords(w))
		}
	}
}
