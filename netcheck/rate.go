package netcheck

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// padding is what a request is padded by to measure the way up: all servers
	// take headers of 8 KB.
	padding = 7 << 10
	// tooFar is a line that is called slow anyway.
	tooFar = 300 * time.Millisecond
	// slowRate is the contract's 1 Mbit/s, in bits a millisecond.
	slowRate = 1000
)

// probeRate measures the way down by greetings, and the way up by comparing a small
// request with a padded one on the same connection: the difference is the time
// that the padding took.
func (c *checker) probeRate(ctx context.Context) Result {
	var v *visit
	c.note(func() {
		for _, h := range required {
			if d := c.hosts[h]; d != nil && d.proven && d.stage == "done" && d.status < 500 && (v == nil || d.own() < v.own()) {
				v = d
			}
		}
	})
	if v == nil || v.connect > tooFar {
		return Result{} // six exchanges would take longer than all other checks
	}
	down, narrow := c.rateDown(ctx, v)
	if narrow {
		return down
	}
	conn, err := c.dial(ctx, "tcp", v.addr)
	if err != nil {
		return Result{Status: Unknown, Detail: "no connection to measure: " + problem(err)}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	tc := tls.Client(conn, &tls.Config{ServerName: v.name, RootCAs: c.roots, NextProtos: []string{"http/1.1"}, Time: c.now})
	if err := tc.HandshakeContext(ctx); err != nil {
		return Result{Status: Unknown, Detail: "no connection to measure: " + problem(err)}
	}
	in := bufio.NewReader(tc)
	exchange := func(pad int) (time.Duration, bool) {
		start := time.Now()
		if _, err := fmt.Fprintf(tc, "GET /healthcheck HTTP/1.1\r\nHost: %s\r\nUser-Agent: storehub\r\nX-Padding: %s\r\n\r\n", v.name, strings.Repeat("0", pad)); err != nil {
			return 0, false
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return 0, false
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return time.Since(start), err == nil && n < 64<<10
	}
	var small, padded []time.Duration
	for range 3 {
		s, ok := exchange(8)
		if !ok {
			return Result{Status: Unknown, Detail: v.name + " does not keep a connection open to measure the way up by"}
		}
		p, ok := exchange(padding)
		if !ok {
			return Result{Status: Unknown, Detail: v.name + " does not take a padded request to measure the way up by"}
		}
		small, padded = append(small, s), append(padded, p)
	}
	// The slowest small one against the fastest padded one: an uneven line is not
	// a narrow one.
	return judgeRate(v.name, slices.Max(small), slices.Min(padded))
}

const (
	// firstPacket is what of a greeting comes at once; only what follows it measures.
	firstPacket = 1460
	// downTries is how often a slow greeting is asked again: jitter spreads some of
	// them, a narrow line all.
	downTries = 8
)

// rateDown measures the way down by the host's greeting: the certificates come as
// a burst of a few packets, and a narrow line pulls them apart.
func (c *checker) rateDown(ctx context.Context, v *visit) (Result, bool) {
	best, measured := 0.0, 0
	for range downTries {
		bytes, span, late, err := c.greeting(ctx, v)
		if err != nil || bytes < 2*firstPacket {
			break // too little to be pulled apart
		}
		if late > span/4 {
			continue // this machine pulled it apart itself
		}
		measured++
		rate := float64(bytes-firstPacket) * 8 / max(ms(span), 0.001)
		if best = max(best, rate); best >= slowRate {
			return Result{}, false
		}
	}
	if measured < downTries/2 {
		return Result{}, false
	}
	return Result{Status: Warn, Code: "wan_slow", Evidence: map[string]any{"host": v.name, "down_kbit_s": best, "greetings": measured},
		Detail: fmt.Sprintf("the way down carries about %.0f kbit/s", best)}, true
}

// greeting does one handshake and says how much came, in which time, and how late
// this machine was itself meanwhile, at worst.
func (c *checker) greeting(ctx context.Context, v *visit) (bytes int, span, late time.Duration, err error) {
	conn, err := c.dial(ctx, "tcp", v.addr)
	if err != nil {
		return 0, 0, 0, err
	}
	defer conn.Close()
	g := &arrivals{Conn: conn}
	done, worst := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		const beat = 2 * time.Millisecond
		var most time.Duration
		for last := time.Now(); ; {
			select {
			case <-done:
				worst <- max(most, time.Since(last)-beat)
				return
			case <-time.After(beat):
				now := time.Now()
				most, last = max(most, now.Sub(last)-beat), now
			}
		}
	}()
	defer func() { close(done); late = <-worst }()
	err = tls.Client(g, &tls.Config{ServerName: v.name, RootCAs: c.roots, NextProtos: []string{"http/1.1"}, Time: c.now}).HandshakeContext(ctx)
	return g.bytes, g.last.Sub(g.first), 0, err
}

// arrivals notes when the first and the last bytes came.
type arrivals struct {
	net.Conn
	bytes       int
	first, last time.Time
}

func (a *arrivals) Read(p []byte) (int, error) {
	n, err := a.Conn.Read(p)
	if n > 0 {
		if a.last = time.Now(); a.bytes == 0 {
			a.first = a.last
		}
		a.bytes += n
	}
	return n, err
}

func judgeRate(host string, small, padded time.Duration) Result {
	ev := map[string]any{"host": host, "small_ms": ms(small), "padded_ms": ms(padded), "padding_bytes": padding}
	extra := ms(padded - small)
	if extra <= 0 {
		return Result{Status: Pass, Evidence: ev, Detail: "size makes no difference"}
	}
	rate := padding * 8 / extra // bits a millisecond: kbit/s
	ev["up_kbit_s"] = rate
	if rate < slowRate {
		return Result{Status: Warn, Code: "wan_slow", Evidence: ev, Detail: fmt.Sprintf("the way up carries about %.0f kbit/s", rate)}
	}
	return Result{Status: Pass, Evidence: ev, Detail: "the way up carries more than 1 Mbit/s"}
}
