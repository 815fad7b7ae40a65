package netcheck

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
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
	tc, down, narrow := c.rateDown(ctx, v)
	if tc == nil {
		return Result{Status: Unknown, Detail: "no connection to measure"}
	}
	defer tc.Close()
	if narrow {
		c.note(func() { c.pathCode = down.Code })
		return down
	}
	stop := context.AfterFunc(ctx, func() { _ = tc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
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
		if slices.Min(padded)-slices.Max(small) <= padding*8*time.Millisecond/slowRate {
			break // more rounds could only make the difference smaller
		}
	}
	// The slowest small one against the fastest padded one: an uneven line is not
	// a narrow one.
	r := judgeRate(v.name, slices.Max(small), slices.Min(padded))
	if r.Code != "" {
		c.note(func() { c.pathCode = r.Code })
	}
	return r
}

const (
	// firstPacket is what of a greeting comes at once; only what follows it measures.
	firstPacket = 1460
	// downTries is how often a slow greeting is asked again: jitter spreads some of
	// them, a narrow line all.
	downTries = 8
	// evenly is how much the greetings' rates differ on a narrow line at most; those of
	// a line that loses packets differ by far more.
	evenly     = 1.5
	clearTries = 3
	// distantTries is how often a distant host is asked: they take their time.
	distantTries = 5
)

// rateDown measures the way down by the host's greeting: the certificates come as
// a burst of a few packets, and a narrow line pulls them apart. The last connection
// stays open for the way up; nil is none.
func (c *checker) rateDown(ctx context.Context, v *visit) (last *tls.Conn, r Result, narrow bool) {
	best, worst, measured := 0.0, math.Inf(1), 0
	lossy := false
	c.note(func() { lossy = c.pathCode == "wan_lossy" }) // then it is losses that pull them apart
	tries := downTries
	if v.connect > distant {
		tries = distantTries
	}
	for range tries {
		tc, g, late, err := c.greeting(ctx, v)
		if err != nil {
			break
		}
		if last != nil {
			last.Close()
		}
		last = tc
		if g.bytes < 2*firstPacket {
			break // too little to be pulled apart
		}
		// This machine may have pulled it apart, or together, by as much as it was late.
		span := g.last.Sub(g.first)
		rate := func(span time.Duration) float64 { return float64(g.bytes-firstPacket) * 8 / max(ms(span), 0.001) }
		if rate(span+late) >= slowRate {
			return last, Result{}, false
		}
		if rate(span-late) >= slowRate {
			continue
		}
		measured++
		best, worst = max(best, rate(span)), min(worst, rate(span))
		if measured == clearTries && best < slowRate/2 && best < evenly*worst && !lossy {
			tries = measured // so narrow and so even that more would say the same
			break
		}
	}
	if measured < (tries+1)/2 {
		return last, Result{}, false
	}
	return last, Result{Status: Warn, Code: "wan_slow", Evidence: map[string]any{"host": v.name, "down_kbit_s": best, "greetings": measured, "even": best < evenly*worst},
		Detail: fmt.Sprintf("the way down carries about %.0f kbit/s", best)}, true
}

// greeting does one handshake and says what came, and how late this machine was
// itself meanwhile, at worst.
func (c *checker) greeting(ctx context.Context, v *visit) (tc *tls.Conn, g arrivals, late time.Duration, err error) {
	conn, err := c.dial(ctx, "tcp", v.addr)
	if err != nil {
		return nil, arrivals{}, 0, err
	}
	clocked := &timed{Conn: conn}
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
	tc = tls.Client(clocked, &tls.Config{ServerName: v.name, RootCAs: c.roots, NextProtos: []string{"http/1.1"}, Time: c.now})
	err = tc.HandshakeContext(ctx)
	close(done)
	late = <-worst
	if err != nil {
		conn.Close()
		return nil, arrivals{}, 0, err
	}
	return tc, clocked.arrivals, late, nil
}

// arrivals are how much came, and when the first and the last of it.
type arrivals struct {
	bytes       int
	first, last time.Time
}

// timed is a connection that notes them.
type timed struct {
	net.Conn
	arrivals
}

func (t *timed) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		if t.last = time.Now(); t.bytes == 0 {
			t.first = t.last
		}
		t.bytes += n
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
