package netcheck

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// pathSamples is how many connections estimate a line. More would be a burst;
// fewer would not tell 10 % of loss from none.
const (
	pathSamples = 12
	pathSpacing = 60 * time.Millisecond
	// synRetry is when a lost SYN is sent again (RFC 6298: 1 s).
	synRetry = 900 * time.Millisecond
	// busy is how late this machine may be itself before its figures say
	// nothing of the line.
	busy = 200 * time.Millisecond
)

// probePath measures round trips by opening connections: it needs no right that
// a service lacks, and no host answers ICMP for certain.
func (c *checker) probePath(ctx context.Context) Result {
	var addrs []string
	c.note(func() {
		for _, e := range c.endpoints() {
			if v := c.hosts[e.String()]; v != nil && !e.extra && v.stage != "tcp" {
				addrs = append(addrs, v.addr)
			}
		}
	})
	if len(addrs) == 0 {
		return Result{}
	}
	took := make([]time.Duration, pathSamples)
	late := make([]time.Duration, pathSamples)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range took {
		wg.Go(func() {
			select {
			case <-time.After(time.Duration(i) * pathSpacing):
			case <-ctx.Done():
				return
			}
			start := time.Now()
			late[i] = start.Sub(began) - time.Duration(i)*pathSpacing
			conn, err := c.dial(ctx, "tcp", addrs[i%len(addrs)])
			if err != nil {
				return
			}
			took[i] = time.Since(start)
			conn.Close()
		})
	}
	wg.Wait()
	r := judgePath(took)
	if worst := slices.Max(late); worst > busy && r.Code != "" {
		r = Result{Status: Unknown, Evidence: r.Evidence, Detail: fmt.Sprintf("this machine was too busy to measure: %v late itself", worst.Round(time.Millisecond))}
	}
	c.note(func() { c.poorPath = r.Status != Pass })
	return r
}

// judgePath turns samples into figures; 0 is a connection that never came.
func judgePath(took []time.Duration) Result {
	fastest := time.Duration(0)
	for _, d := range took {
		if d > 0 && (fastest == 0 || d < fastest) {
			fastest = d
		}
	}
	var whole []float64
	lost := 0
	for _, d := range took {
		if d == 0 || d-fastest > synRetry {
			lost++
			continue
		}
		whole = append(whole, ms(d))
	}
	ev := map[string]any{"samples": len(took), "lost": lost}
	if len(whole) == 0 {
		return Result{Status: Fail, Detail: "no connection came through again", Evidence: ev}
	}
	slices.Sort(whole)
	median := whole[len(whole)/2]
	p95 := whole[(len(whole)*95)/100]
	ev["rtt_median_ms"], ev["rtt_p95_ms"], ev["jitter_ms"] = median, p95, p95-median
	// A connection needs its SYN and the answer: two chances to be lost.
	loss := 100 * float64(lost) / float64(len(took)) / 2
	ev["loss_percent"] = loss
	switch {
	case lost >= 2 && loss > 5:
		return Result{Status: Warn, Code: "wan_lossy", Evidence: ev,
			Detail: fmt.Sprintf("%d of %d connections lost a packet", lost, len(took))}
	case median > 300:
		return Result{Status: Warn, Code: "wan_slow", Evidence: ev, Detail: fmt.Sprintf("a round trip takes %.0f ms", median)}
	case p95-median > 100:
		return Result{Status: Warn, Code: "wan_slow", Evidence: ev, Detail: fmt.Sprintf("round trips vary by %.0f ms", p95-median)}
	}
	return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("round trip %.0f ms, jitter %.0f ms, %d of %d lost", median, p95-median, lost, len(took))}
}
