package hq

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"storehub/doors"
)

func TestSoftwareOfTheFleetIsSeenOnceAndBounded(t *testing.T) {
	var f fleetSoftware
	at := time.Date(2026, 11, 23, 9, 0, 0, 500, time.UTC)
	list := func(of ...string) (l ReaderList) {
		l.At = at
		for _, s := range of {
			l.Readers = append(l.Readers, json.RawMessage(s))
		}
		at = at.Add(time.Hour)
		return l
	}
	const old, newer = `{"device_type":"stripe_s700","device_sw_version":"2.41.0.1"}`, `{"device_type":"stripe_s700","device_sw_version":"2.42.0.1"}`
	f.saw(doors.Live, list(old, `{"device_type":"bbpos_wisepos_e","device_sw_version":"2.40"}`, `{"device_type":"stripe_s700","device_sw_version":null}`, `[]`))
	f.saw(doors.Live, list(newer, old))
	f.saw(doors.Test, list(newer))
	first := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	want := []Software{{"bbpos_wisepos_e", "2.40", first}, {"stripe_s700", "2.41.0.1", first}, {"stripe_s700", "2.42.0.1", first.Add(time.Hour)}}
	if got := f.list(doors.Live); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := f.list(doors.Test); len(got) != 1 {
		t.Errorf("test mode: %+v", got)
	}
	for i := range 100 {
		f.saw(doors.Live, list(fmt.Sprintf(`{"device_type":"stripe_s700","device_sw_version":"3.%d"}`, i)))
	}
	got := f.list(doors.Live)
	if len(got) != softwareMost+1 || got[len(got)-1].Version != "3.99" || got[0].DeviceType != "bbpos_wisepos_e" {
		t.Errorf("%d are kept, the last %+v", len(got), got[len(got)-1])
	}
}
