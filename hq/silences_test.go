package hq

import (
	"testing"

	"storehub/doors"
)

// A rehearsal meets trouble at Stripe's test mode: tills that sell are told of no outage.
func TestMoney_1_4_ATestModeInTroubleIsNoOutageOfLivePayments(t *testing.T) {
	var s silences
	for range outageAfter {
		s.note(doors.Test, "capture", false)
	}
	if s.now(doors.Live) || !s.now(doors.Test) {
		t.Errorf("silent: live %t, test %t", s.now(doors.Live), s.now(doors.Test))
	}
	if s.note(doors.Live, "capture", true) {
		t.Error("an answer in live mode ends an outage of test mode")
	}
	if !s.note(doors.Test, "capture", true) || s.now(doors.Test) {
		t.Error("the answer in test mode does not end it")
	}
}
