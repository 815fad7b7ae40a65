package netcheck

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// linkSamples is how many connections tell a reader's link; a first round with a
	// loss or two is no proof either way, so as many follow.
	linkSamples = 12
	linkSpacing = 50 * time.Millisecond
	linkRound   = linkSamples*linkSpacing + 1300*time.Millisecond // and a second SYN
	// linkLost of one round, or one more of two, is what chance hardly does at 2 %.
	linkLost = 3
	// linkUneven is more than power save does to a reader on Wi-Fi.
	linkUneven = 100 * time.Millisecond
	linkFar    = 250 * time.Millisecond
	// linkEven is what a clean neighbour keeps to at the same time.
	linkEven = 30 * time.Millisecond
)

// readerLink measures the link of a reader that took a connection, and where it is
// poor, the hub's own beside it.
func (c *checker) readerLink(ctx context.Context, addr string, first time.Duration, ev map[string]any) Result {
	at := net.JoinHostPort(addr, readerPort)
	took, late := c.knockOften(ctx, at)
	r := Result{Status: Pass, Evidence: ev, Detail: fmt.Sprintf("%s takes connections on %s in %.0f ms", addr, readerPort, ms(first))}
	poor, clean := "", ""
	if linkFault(took) != "" || losses(took) > 0 {
		// Once more, beside its neighbours: what ails all at once is not the reader's.
		began := took
		took, clean, late = c.besideNeighbours(ctx, addr)
		if poor = linkFault(took); poor != "" && losses(took) < linkLost || losses(began)+losses(took) > linkLost {
			took = append(began, took...)
			poor = linkFault(took)
		}
	}
	ev["samples"], ev["lost"] = len(took), losses(took)
	if median, spread := middle(took); median > 0 {
		ev["median_ms"], ev["jitter_ms"] = ms(median), ms(spread)
	}
	switch {
	case poor == "":
		return r
	case clean == "":
		r.Status, r.Detail = Unknown, fmt.Sprintf("%s %s, and so does all else on the LAN, or nothing else answers", addr, poor)
		return r
	case losses(took) >= linkLost && late > busyLoss, losses(took) < linkLost && !outlasts(took, late):
		r.Status, r.Detail = Unknown, fmt.Sprintf("%s %s, but this machine was too busy to measure: %v late itself", addr, poor, late.Round(time.Millisecond))
		return r
	}
	ev["clean_beside"] = clean
	return Result{Status: Warn, Code: "reader_link_poor", Evidence: ev, Detail: fmt.Sprintf("%s %s; %s beside it is clean", addr, poor, clean)}
}

// besideNeighbours samples the reader, and at the same time the gateway and the
// other readers; clean is one of those that lost nothing and was even.
func (c *checker) besideNeighbours(ctx context.Context, addr string) (took []time.Duration, clean string, late time.Duration) {
	var peers []string
	if c.gateway.IsValid() {
		peers = append(peers, netip.AddrPortFrom(c.gateway, 53).String(), netip.AddrPortFrom(c.gateway, 80).String())
	}
	for _, other := range c.t.Readers {
		if other != addr {
			peers = append(peers, net.JoinHostPort(other, readerPort))
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			beside, _ := c.knockOften(ctx, p)
			if median, spread := middle(beside); median > 0 && losses(beside) == 0 && spread < linkEven && median < linkUneven {
				mu.Lock()
				defer mu.Unlock()
				clean = p
			}
		})
	}
	took, late = c.knockOften(ctx, net.JoinHostPort(addr, readerPort))
	wg.Wait()
	return took, clean, late
}

// linkFault says in words what is wrong with samples; "" is nothing.
func linkFault(took []time.Duration) string {
	lost := losses(took)
	median, spread := middle(took)
	switch {
	case lost >= linkLost && lost*6 >= len(took):
		return fmt.Sprintf("lost packets of %d of %d connections", lost, len(took))
	case spread > linkUneven:
		return fmt.Sprintf("answers unevenly, by %.0f ms", ms(spread))
	case median > linkFar:
		return fmt.Sprintf("takes %.0f ms to answer", ms(median))
	}
	return ""
}

// outlasts says whether samples are uneven or late by more than a machine that was
// that late itself can have made them.
func outlasts(took []time.Duration, late time.Duration) bool {
	median, spread := middle(took)
	return late < busy && (spread-2*late > linkUneven || median-late > linkFar)
}

// middle is the median and how far the slow end is from it, without what was lost.
func middle(took []time.Duration) (median, spread time.Duration) {
	fastest := fastestOf(took)
	whole := slices.DeleteFunc(slices.Clone(took), func(d time.Duration) bool { return d == 0 || d-fastest > synRetry })
	if len(whole) == 0 {
		return 0, 0
	}
	slices.Sort(whole)
	median = whole[len(whole)/2]
	return median, whole[max(0, len(whole)-2)] - median // the slowest is chance
}

// knockOften opens a round of connections; one that never came is 0. A refusal is
// an answer like any other: it crossed the link. late is how late this machine was
// itself, at worst.
func (c *checker) knockOften(ctx context.Context, addr string) (took []time.Duration, late time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, linkRound)
	defer cancel()
	took = make([]time.Duration, linkSamples)
	lates := make([]time.Duration, linkSamples)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range took {
		wg.Go(func() {
			select {
			case <-time.After(time.Duration(i) * linkSpacing):
			case <-ctx.Done():
				return
			}
			start := time.Now()
			lates[i] = start.Sub(began) - time.Duration(i)*linkSpacing
			conn, err := c.dial(ctx, "tcp", addr)
			if err != nil && problem(err) != "refused" {
				return
			}
			took[i] = time.Since(start)
			if conn != nil {
				conn.Close()
			}
		})
	}
	wg.Wait()
	return took, slices.Max(lates)
}
