package netcheck

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// pathSamples is how many connections estimate a line. A first round with one
	// or two losses is no proof either way, so it is asked as often again.
	pathSamples = 20
	pathSpacing = 45 * time.Millisecond
	// calmAfter is how long after the first connection the visits' own load is over: even
	// 300 kbit/s carry all of it.
	calmAfter = 2 * time.Second
	// synRetry is when a lost SYN is sent again (RFC 6298: 1 s).
	synRetry = 900 * time.Millisecond
	// clearLoss is what chance alone hardly does to a good line in one round.
	clearLoss = 3
	// pathRound leaves room for a lost SYN and the round trip after it.
	pathRound = 2500 * time.Millisecond
	// tooSlow is the contract's median, in milliseconds.
	tooSlow = 300
	// tooUneven is the contract's jitter, in milliseconds.
	tooUneven = 100
	// busy is how late this machine may be itself before its figures say nothing of
	// the line, and busyLoss the same for a loss, which shows by a second and more.
	busy     = 200 * time.Millisecond
	busyLoss = 400 * time.Millisecond
)

// probePath measures round trips by opening connections: it needs no right that
// a service lacks, and no host answers ICMP for certain.
func (c *checker) probePath(ctx context.Context) Result {
	var nearest *taken // other hosts may be a continent away, which is no fault of the line
	c.note(func() {
		for i, t := range c.taken {
			if nearest == nil || t.connect < nearest.connect {
				nearest = &c.taken[i]
			}
		}
	})
	if nearest == nil {
		return Result{}
	}
	took, late := c.sample(ctx, nearest.addr)
	if n := losses(took); n > 0 && n < clearLoss {
		more, later := c.sample(ctx, nearest.addr)
		took, late = append(took, more...), max(late, later)
	}
	r := judgePath(took)
	r.Evidence["host"] = nearest.name
	if r.Code != "" && tooBusy(r, late) {
		r = Result{Status: Unknown, Evidence: r.Evidence, Detail: fmt.Sprintf("this machine was too busy to measure: %v late itself", late.Round(time.Millisecond))}
	}
	c.note(func() { c.pathLost, c.pathCode = losses(took), r.Code })
	return r
}

// tooBusy says whether a machine that was that late itself may have made what was
// found of the line.
func tooBusy(r Result, late time.Duration) bool {
	if r.Code == "wan_lossy" {
		return late > busyLoss
	}
	median, _ := r.Evidence["rtt_median_ms"].(float64)
	jitter, _ := r.Evidence["jitter_ms"].(float64)
	return median-ms(late) <= tooSlow && (late > busy || jitter-2*ms(late) <= tooUneven)
}

// endVisits tells that all visits have ended.
func (c *checker) endVisits(context.Context) Result {
	close(c.visited)
	return Result{}
}

// awaitMeasurable returns when the line is quiet, or known to be so slow that what
// goes on beside the samples makes no difference.
func (c *checker) awaitMeasurable(ctx context.Context) Result {
	select {
	case <-c.reaching:
	case <-c.visited:
	case <-ctx.Done():
	}
	select {
	case <-c.far:
	case <-c.visited:
	case <-time.After(calmAfter): // who is not done by then waits for silence
	case <-ctx.Done():
	}
	return Result{}
}

// sample opens one round of connections. late is how late this machine was
// itself, at worst.
func (c *checker) sample(ctx context.Context, addr string) (took []time.Duration, late time.Duration) {
	took = make([]time.Duration, pathSamples)
	lates := make([]time.Duration, pathSamples)
	ctx, cancel := context.WithTimeout(ctx, pathRound)
	defer cancel()
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
			lates[i] = start.Sub(began) - time.Duration(i)*pathSpacing
			conn, err := c.dial(ctx, "tcp", addr)
			if err != nil {
				return
			}
			took[i] = time.Since(start)
			conn.Close()
		})
	}
	wg.Wait()
	return took, slices.Max(lates)
}

// losses counts connections that needed a second SYN, or never came: 0.
func losses(took []time.Duration) int {
	fastest := fastestOf(took)
	n := 0
	for _, d := range took {
		if d == 0 || d-fastest > synRetry {
			n++
		}
	}
	return n
}

func fastestOf(took []time.Duration) time.Duration {
	fastest := time.Duration(0)
	for _, d := range took {
		if d > 0 && (fastest == 0 || d < fastest) {
			fastest = d
		}
	}
	return fastest
}

// judgePath turns samples into figures; 0 is a connection that never came.
func judgePath(took []time.Duration) Result {
	fastest, lost := fastestOf(took), losses(took)
	var whole []float64
	for _, d := range took {
		if d > 0 && d-fastest <= synRetry {
			whole = append(whole, ms(d))
		}
	}
	ev := map[string]any{"samples": len(took), "lost": lost}
	if len(whole) == 0 {
		return Result{Status: Fail, Detail: "no connection came through again", Evidence: ev}
	}
	slices.Sort(whole)
	median := whole[len(whole)/2]
	p95 := whole[max(0, len(whole)-2)] // of a score the last is chance
	ev["rtt_median_ms"], ev["rtt_p95_ms"], ev["jitter_ms"] = median, p95, p95-median
	// A connection needs its SYN and the answer: two chances to be lost.
	loss := 100 * float64(lost) / float64(len(took)) / 2
	ev["loss_percent"] = loss
	switch {
	case lost >= clearLoss && loss >= 5:
		return Result{Status: Warn, Code: "wan_lossy", Evidence: ev,
			Detail: fmt.Sprintf("%d of %d connections lost a packet", lost, len(took))}
	case median > tooSlow:
		return Result{Status: Warn, Code: "wan_slow", Evidence: ev, Detail: fmt.Sprintf("a round trip takes %.0f ms", median)}
	case p95-median > tooUneven:
		return Result{Status: Warn, Code: "wan_slow", Evidence: ev, Detail: fmt.Sprintf("round trips vary by %.0f ms", p95-median)}
	}
	return Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("round trip %.0f ms, jitter %.0f ms, %d of %d lost", median, p95-median, lost, len(took))}
}
