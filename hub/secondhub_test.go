package hub

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"storehub/internal/mdns"
)

// One answer that is lost neither hides a second hub for long nor makes it go.
func TestASecondHubThatIsMissedOnceIsFoundSoonAndStays(t *testing.T) {
	h := bare(t)
	h.cfg.Store = "0412"
	synctest.Test(t, func(t *testing.T) {
		other := []mdns.Peer{{Instance: "storehub 0412", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Port: 7443, Text: map[string]string{"store": "0412"}}}
		heard := [][]mdns.Peer{nil, other, nil, other, nil, nil}
		looks := make(chan time.Duration, len(heard))
		began, ctx := time.Now(), t.Context()
		ctx, cancel := context.WithCancel(ctx)
		h.parts.Browse = func(context.Context, time.Duration) ([]mdns.Peer, error) {
			looks <- time.Since(began)
			said := heard[0]
			if heard = heard[1:]; len(heard) == 0 {
				cancel()
			}
			return said, nil
		}
		go func() { _ = h.lookForSecond(ctx) }()
		for i, want := range []bool{false, true, true, true, true, false} {
			at := <-looks
			synctest.Wait()
			if got := *h.second.Load() != ""; got != want {
				t.Errorf("look %d: known %t", i, got)
			}
			if i == 1 && at > 10*time.Second {
				t.Errorf("the second look was after %s", at)
			}
		}
	})
}
