package netcheck

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/beevik/ntp"
)

// ntpHosts are two of those that readers set their own clocks by.
var ntpHosts = []string{"time.android.com", "2.android.pool.ntp.org"}

// A clock is wrong beyond maxSkew: certificates and signatures still bear a
// minute. Sources that are further apart than agree contradict each other.
const (
	maxSkew = 60 * time.Second
	agree   = 30 * time.Second
)

// clockReading is how far one source is ahead of this machine.
type clockReading struct {
	Source string
	Ahead  time.Duration
}

// readClock notes a Date header, which is cut to whole seconds.
func (c *checker) readClock(source string, date time.Time) {
	ahead := date.Sub(c.now().Truncate(time.Second))
	c.note(func() { c.clocks = append(c.clocks, clockReading{source, ahead}) })
}

// ntpProbe asks one server for the time.
func (c *checker) ntpProbe(name string) func(context.Context) Result {
	return func(ctx context.Context) Result {
		a := c.lookup(ctx, name)
		ev := map[string]any{"host": name, "said": a.said()}
		if len(a.Addrs) == 0 {
			return Result{Status: Unknown, Detail: "not resolved: " + a.said(), Evidence: ev}
		}
		left := time.Second
		if end, ok := ctx.Deadline(); ok {
			left = min(time.Until(end)-50*time.Millisecond, budgetFollowUp)
		}
		resp, err := ntp.QueryWithOptions(net.JoinHostPort(a.Addrs[0].String(), "123"), ntp.QueryOptions{
			Timeout: left, GetSystemTime: c.now,
			Dialer: func(_, remote string) (net.Conn, error) { return c.dial(ctx, "udp", remote) },
		})
		if err != nil {
			ev["problem"] = problem(err)
			c.note(func() { c.silent.clocks = append(c.silent.clocks, netip.AddrPortFrom(a.Addrs[0], 123)) })
			return Result{Status: Warn, Detail: "no time from " + name + ": " + problem(err), Evidence: ev}
		}
		if err := resp.Validate(); err != nil {
			ev["problem"] = "not usable"
			return Result{Status: Warn, Detail: fmt.Sprintf("%s answers, but not with a usable time: %v", name, err), Evidence: ev}
		}
		c.note(func() { c.clocks = append(c.clocks, clockReading{"ntp://" + name, resp.ClockOffset}) })
		ev["ahead_s"] = math.Round(resp.ClockOffset.Seconds()*1000) / 1000
		return Result{Status: Pass, Detail: fmt.Sprintf("%s says %+.3f s", name, resp.ClockOffset.Seconds()), Evidence: ev}
	}
}

// probeClock compares this machine's clock with all who told the time.
func (c *checker) probeClock(context.Context) Result {
	var got []clockReading
	c.note(func() { got = slices.Clone(c.clocks) })
	slices.SortFunc(got, func(a, b clockReading) int { return strings.Compare(a.Source, b.Source) })
	return judgeClock(got)
}

func judgeClock(got []clockReading) Result {
	if len(got) == 0 {
		return Result{Status: Unknown, Detail: "nobody told the time"}
	}
	told := map[string]any{}
	var off []clockReading
	for _, g := range got {
		told[g.Source] = math.Round(g.Ahead.Seconds()*1000) / 1000
		if g.Ahead.Abs() > maxSkew {
			off = append(off, g)
		}
	}
	ev := map[string]any{"ahead_s": told, "sources": len(got)}
	if len(off) == 0 {
		return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%d sources agree with this clock", len(got))}
	}
	slices.SortFunc(off, func(a, b clockReading) int { return int((a.Ahead - b.Ahead) / time.Millisecond) })
	apart := off[len(off)-1].Ahead - off[0].Ahead
	ev["off"] = len(off)
	if len(off) < 2 || len(off) < len(got) || apart > agree {
		return Result{Status: Unknown, Evidence: ev, Detail: "the sources of time contradict each other"}
	}
	ahead := off[len(off)/2].Ahead
	way := "behind"
	if ahead < 0 {
		way = "ahead"
	}
	return Result{Status: Fail, Code: "clock_wrong", Evidence: ev,
		Detail: fmt.Sprintf("this clock is %s %s, say %d sources", about(ahead.Abs()), way, len(off))}
}

// about prints a span as a person would say it.
func about(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.1f hours", d.Hours())
	case d >= 2*time.Minute:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	}
	return fmt.Sprintf("%.0f seconds", d.Seconds())
}
