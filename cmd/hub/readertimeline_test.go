package main

import (
	"strings"
	"testing"
	"time"

	"storehub/hub"
	"storehub/readers"
)

func TestTimelineIsAPictureAndWords(t *testing.T) {
	// A person's clock, so that the text is the same wherever the test runs.
	at := func(minutes int) time.Time {
		return time.Date(2026, 11, 23, 9, 0, 0, 0, time.Local).Add(time.Duration(minutes) * time.Minute)
	}
	battery := 0.25
	tl := hub.ReaderTimeline{
		Spans: []readers.Span{
			{From: at(60), To: at(600), State: readers.StateOnline, Reason: "Stripe says online, and it answers at 192.168.1.40"},
			{From: at(600), To: at(720), State: readers.StateOffline, Why: readers.WhyPoweredOff, Reason: "Stripe says offline, and nothing answers at 192.168.1.40"},
			{From: at(720), To: at(1080), State: readers.StateUnknown, Reason: readers.NotLooking},
			{From: at(1080), To: at(1440), State: readers.StateOnline, Reason: "Stripe says online"},
		},
		Lines: []readers.Line{
			{At: at(-10), What: readers.ChangeReported, Report: &readers.Report{Till: "till-1", Code: "BEFORE"}},
			{At: at(590), What: readers.ChangeReported, Report: &readers.Report{Till: "till-1", Connected: readers.No, Code: "READER_DISCONNECTED", Battery: &battery, Charging: readers.Yes}},
			{At: at(1430), What: readers.ChangeReported, Report: &readers.Report{Till: "till-2\x1b[31m", Connected: readers.Yes, Update: &battery, Software: "2.1", SDK: "terminal-ios 4.6.0"}},
		},
		Unread: 2,
	}
	var out strings.Builder
	if err := writeTimeline(&out, tl, at(0), at(1440)); err != nil {
		t.Fatal(err)
	}
	golden(t, "readertimeline.golden", out.String())
}
