package netcheck

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAPoorLinkIsTheReadersOnlyWhenTheHubsOwnIsClean: the same samples, and what is
// beside the reader decides.
func TestAPoorLinkIsTheReadersOnlyWhenTheHubsOwnIsClean(t *testing.T) {
	lossy := func(n int32) time.Duration { return time.Duration(n%2) * 3 * synRetry } // every second one, twice
	uneven := func(n int32) time.Duration { return time.Duration(n%3) * 150 * time.Millisecond }
	for name, tt := range map[string]struct {
		poor   string // addresses that begin so
		after  func(int32) time.Duration
		status Status
		code   string
	}{
		"lossy":                      {"192.168.1.31:", lossy, Warn, "reader_link_poor"},
		"uneven":                     {"192.168.1.31:", uneven, Warn, "reader_link_poor"},
		"all of the LAN is lossy":    {"192.168.1.", lossy, Unknown, ""},
		"all of the LAN is uneven":   {"192.168.1.", uneven, Unknown, ""},
		"sound":                      {"192.168.9.", lossy, Pass, ""},
		"another reader's is poor":   {"192.168.1.32:", lossy, Pass, ""},
		"one connection lost a SYN":  {"192.168.1.31:", func(n int32) time.Duration { return time.Duration(1/n) * time.Second }, Pass, ""},
		"one bad moment of one link": {"192.168.1.31:", func(n int32) time.Duration { return max(0, 300-30*time.Duration(n)) * time.Millisecond }, Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChecker(shop)
				c.gateway = netip.MustParseAddr(gwAddr)
				var asked sync.Map // how often, by address: whoever comes first says nothing of the others
				c.connect = func(ctx context.Context, _, addr string) (net.Conn, error) {
					wait := time.Millisecond
					if strings.HasPrefix(addr, tt.poor) {
						n, _ := asked.LoadOrStore(addr, new(atomic.Int32))
						wait += tt.after(n.(*atomic.Int32).Add(1))
					}
					select {
					case <-time.After(wait):
					case <-ctx.Done():
						return nil, ctx.Err()
					}
					here, there := net.Pipe()
					there.Close()
					return here, nil
				}
				if p := c.readerLink(t.Context(), "192.168.1.31", time.Millisecond, map[string]any{}); p.Status != tt.status || p.Code != tt.code {
					t.Errorf("%s %q: %s", p.Status, p.Code, p.Detail)
				}
			})
		})
	}
}
