package netcheck

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// probeHostFirewall knocks beneath this machine's own packet filter at a host
// that would take no connection. If it answers there, the filter is the cause.
func (c *checker) probeHostFirewall(ctx context.Context) Result {
	var dst netip.AddrPort
	c.note(func() {
		for _, h := range required {
			if v := c.hosts[h]; v != nil && v.stage == "tcp" && !dst.IsValid() {
				dst, _ = netip.ParseAddrPort(v.addr)
			}
		}
	})
	macs := c.macs[c.gateway]
	if !dst.IsValid() || !dst.Addr().Is4() || len(macs) == 0 || len(c.main.v4()) == 0 {
		return Result{}
	}
	mac, err := net.ParseMAC(macs[0])
	if err != nil {
		return Result{}
	}
	plain := make(chan error, 1)
	go func() { plain <- c.takesNow(ctx, dst.String()) }()
	answered, err := c.sys.RawSYN(ctx, c.main, c.main.v4()[0].Addr(), mac, dst)
	ev := map[string]any{"address": dst.String()}
	if <-plain == nil {
		return Result{Status: Warn, Evidence: ev, Detail: dst.String() + " takes a connection now and did not before"}
	}
	switch {
	case err != nil:
		return Result{Status: Unknown, Evidence: ev, Detail: "whether this machine's own filter blocks: " + err.Error()}
	case answered:
		return Result{Status: Fail, Code: "host_firewall", Evidence: ev,
			Detail: fmt.Sprintf("%s answers beneath this machine's packet filter and not through it", dst)}
	}
	return Result{Status: Pass, Evidence: ev, Detail: "this machine's packet filter makes no difference"}
}

// takesNow asks once more, at the same moment: the line may have come back. Who
// refuses at once is asked a few times over: it may have taken too many others.
func (c *checker) takesNow(ctx context.Context, addr string) (err error) {
	const tries, apart = 4, 200 * time.Millisecond
	for range tries {
		var conn net.Conn
		if conn, err = c.dial(ctx, "tcp", addr); err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-time.After(apart):
		case <-ctx.Done():
			return err
		}
	}
	return err
}
