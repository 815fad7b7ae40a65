package storesim

import (
	"net/http"
	"testing"

	"storehub/doors"
	"storehub/hub"
	"storehub/internal/rehearsal"
)

// A sale is made while a drill holds the line cut, the hub is killed in the middle of it,
// and the next start knows of no drill: what was promised is captured once.
func TestStory_DrillKilled(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1500)
	_, err := s.admin().Drill(t.Context(), hub.DrillRequest{Seconds: 1800, By: "kim"}, func(r rehearsal.Result) {
		if r.Scene == "promise" {
			pos.WantCapture(pi, http.StatusAccepted)
			s.PowerCut()
		}
	})
	if err == nil {
		t.Fatal("the drill went on on a hub that is dead")
	}
	s.Boot()
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 1500)
	next := pos.Authorise(900) // the line is whole
	pos.WantCapture(next, http.StatusOK)
	s.wantProved()
}
