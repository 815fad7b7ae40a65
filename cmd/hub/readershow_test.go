package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"storehub/hub"
	"storehub/readers"
)

func TestAReaderIsShownWhole(t *testing.T) {
	moved := time.Date(2026, 11, 23, 9, 4, 0, 0, time.Local)
	battery := 0.25
	r := readers.Reader{Serial: "WSC513103004321", ID: "tmr_1", Label: "Lane 1", DeviceType: "stripe_s700", Software: "2.37.2.0", SDK: "terminal-android 4.0.0",
		Addr: netip.MustParseAddr("192.168.1.44"), StripeAddr: netip.MustParseAddr("192.168.1.40"), PreviousAddr: netip.MustParseAddr("192.168.1.40"), AddressChangedAt: moved,
		MAC: "02:00:00:00:00:31", State: readers.StateOnline, Why: readers.WhyMoved, Holder: readers.HeldBySDK, HeldBy: "lane-1", Battery: &battery, LastSeen: moved.Add(time.Hour),
		Reason: "Stripe says online, and it answers at 192.168.1.44; Stripe still tells tills 192.168.1.40"}
	facts := readers.OfflineFacts{At: moved.Add(time.Hour), Versions: readers.Versions{Newest: map[string]readers.Seen{"stripe_s700": {Version: "2.40.0", Since: moved}}}}
	var out strings.Builder
	for _, tr := range []hub.TillReader{
		{Reader: r, Lanes: []string{"lane-1", "lane-2"}, Newer: "2.40.0", Troubles: r.Troubles(), Offline: r.Offline(facts)},
		{Reader: readers.Reader{Serial: "S2\x1b[31m", State: readers.StateUnknown, Reason: "Stripe's word is not known", Holder: readers.HeldUnknown}, Offline: readers.Reader{}.Offline(readers.OfflineFacts{})},
	} {
		if err := writeReader(&out, tr); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
	}
	golden(t, "readershow.golden", out.String())
}
