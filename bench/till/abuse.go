package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"storehub/bench/proc"
)

// abused is how a till fared before, under and after abuse, and how often each kind of
// abuser wrote.
type abused struct {
	quiet, load, after sold
	wrote              []int64
}

// underAbuse measures how long a paired till waits for a token while nothing else
// happens, and while the hub is abused; and what memory the hub takes.
func (b *bench) underAbuse(ctx context.Context) (r abused, err error) {
	h, err := b.startHub(b.quick)
	if err != nil {
		return r, err
	}
	defer func() { _ = h.end() }()
	pid := strconv.Itoa(h.cmd.Process.Pid)
	if r.quiet, err = b.sell(ctx, h, b.plan.abuse/4, pid); err != nil {
		return r, fmt.Errorf("in quiet: %w", err)
	}
	stop, err := b.startAbusers(h.url)
	if err != nil {
		return r, err
	}
	err = pauseFor(ctx, b.plan.abuse/12) // until all are there
	if err == nil {
		if b.profile != "" {
			go b.takeProfile(h)
		}
		r.load, err = b.sell(ctx, h, b.plan.abuse, pid)
	}
	wrote, ended := stop()
	if err = errors.Join(err, ended); err != nil {
		return r, fmt.Errorf("under abuse: %w", err)
	}
	r.wrote = wrote
	if r.after, err = b.sell(ctx, h, b.plan.abuse/4, pid); err != nil {
		return r, fmt.Errorf("afterwards: %w", err)
	}
	return r, nil
}

func (r abused) print(conns int) {
	fmt.Printf("### A till's token under %d connections of abuse\n\n| | tokens | p50 ms | p99 ms | of quiet | longest ms | refused | memory MiB |\n|---|--:|--:|--:|--:|--:|--:|--:|\n", conns)
	for i, s := range []sold{r.quiet, r.load, r.after} {
		fmt.Printf("| %s | %d | %.1f | %.1f | %.1f | %.1f | %d | %d |\n", []string{"quiet", "abused", "afterwards"}[i], len(s.took),
			s.quantile(.5), s.quantile(.99), s.quantile(.99)/r.quiet.quantile(.99), s.quantile(1), s.refused, s.memory>>20)
	}
	fmt.Println()
	for i, k := range kinds {
		fmt.Printf("- %d connections: %s; %d writes\n", conns/len(kinds), k.what, r.wrote[i])
	}
	fmt.Printf("\nThe abusers ran on the same cores, when nobody else wanted them; load average %s as it ended.\n", proc.LoadAverage())
}

// startAbusers abuses the hub from another process that has only what nobody else wants of
// the processors (SCHED_IDLE), because abusers have processors of their own: at a nice of 19
// they still keep a core for up to 3 ms when the hub wakes. The function it returns ends them, and tells how
// often each kind wrote.
func (b *bench) startAbusers(at string) (stop func() ([]int64, error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("chrt", "--idle", "0", self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", abuseVar, strings.TrimPrefix(at, "http://"), b.conns))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() ([]int64, error) {
		_ = in.Close()
		var wrote []int64
		err := json.NewDecoder(out).Decode(&wrote)
		return wrote, errors.Join(err, cmd.Wait())
	}, nil
}

// abuseVar names hub and connections for the process that abuses.
const abuseVar = "BENCH_TILL_ABUSE"

// serveAbuse is that process: it goes on until its standard input ends.
func serveAbuse(ctx context.Context, order string) error {
	to, n, _ := strings.Cut(order, " ")
	conns, err := strconv.Atoi(n)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wrote := make([]atomic.Int64, len(kinds))
	var abusers sync.WaitGroup
	for i := range conns {
		// From 16 addresses, as 16 phones; on loopback the hub does not count by address.
		from := net.IPv4(127, 0, 9, byte(1+i%16))
		kind := i % len(kinds)
		abusers.Go(func() { each(ctx, kinds[kind].abuse, to, from, &wrote[kind]) })
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	abusers.Wait()
	var sum []int64
	for i := range wrote {
		sum = append(sum, wrote[i].Load())
	}
	return json.NewEncoder(os.Stdout).Encode(sum)
}

// lan is how often 64 KiB may be written in a second by all: what a LAN of 1 Gbit/s carries.
var lan = rate.NewLimiter(1900, 64)

// sold is how a till fared.
type sold struct {
	took    []time.Duration
	refused int
	memory  int64 // the most that the hub held
}

func (s sold) quantile(q float64) float64 {
	slices.Sort(s.took)
	if len(s.took) == 0 {
		return -1
	}
	return float64(s.took[min(int(q*float64(len(s.took))), len(s.took)-1)]) / 1e6
}

// sell has one till ask for twenty tokens a second, over a connection that it keeps.
func (b *bench) sell(ctx context.Context, h *child, how time.Duration, pid string) (s sold, err error) {
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(how); time.Now().Before(end); {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/connection_token", http.NoBody)
		if err != nil {
			return s, err
		}
		req.Header.Set("Authorization", "Bearer "+b.system.POSCredential)
		began := time.Now()
		res, err := web.Do(req)
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return s, ctx.Err()
		case err != nil:
			s.refused++
		default:
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				s.refused++
			}
		}
		s.took = append(s.took, time.Since(began))
		s.memory = max(s.memory, proc.RSSAnon(pid))
		<-tick.C
	}
	return s, nil
}

// kinds are who abuses, over one connection until the hub hangs up.
var kinds = []struct {
	what  string
	abuse func(context.Context, net.Conn) error
}{
	{"a header a byte a second", func(ctx context.Context, c net.Conn) error {
		if _, err := io.WriteString(c, "POST /connection_token HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "); err != nil {
			return err
		}
		for {
			if _, err := c.Write([]byte("a")); err != nil {
				return err
			}
			if err := pauseFor(ctx, time.Second); err != nil {
				return err
			}
		}
	}},
	{"bodies of 16 MiB, as fast as a LAN of 1 Gbit/s", func(ctx context.Context, c net.Conn) error {
		if _, err := io.WriteString(c, "POST /v1/operations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 16777216\r\n\r\n"); err != nil {
			return err
		}
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for range 256 {
			if err := lan.Wait(ctx); err != nil {
				return err
			}
			if _, err := c.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	}},
	{"random bytes", func(_ context.Context, c net.Conn) error {
		var junk [4096]byte
		_, _ = rand.Read(junk[:]) // never fails
		if _, err := c.Write(junk[:]); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c)
		return err
	}},
	{"wrong credentials at full speed", func(_ context.Context, c net.Conn) error {
		answer := make([]byte, 4096)
		for {
			if _, err := io.WriteString(c, "POST /pos/shp_"+rand.Text()+"/connection_token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return err
			}
			if _, err := c.Read(answer); err != nil {
				return err
			}
		}
	}},
}

// each goes on until the context ends: it connects anew whenever the hub has hung up, at
// most ten times a second.
func each(ctx context.Context, abuse func(context.Context, net.Conn) error, to string, from net.IP, wrote *atomic.Int64) {
	dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		if c, err := dial.DialContext(ctx, "tcp", to); err == nil {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			_ = abuse(ctx, &counted{c, wrote}) // it ends with an error: that is the hub's answer
			stop()
			_ = c.Close()
		}
		_ = pauseFor(ctx, 100*time.Millisecond)
	}
}

// counted counts what is written.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
