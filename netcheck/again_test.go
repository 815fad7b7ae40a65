package netcheck

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestHostsThatRefuseAmongManyAreAskedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	c := newChecker(shop)
	c.sys, c.roots = w, w.ca.pool
	var asked sync.Map
	c.connect = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == addrOf[required[0]]+":443" || addr == addrOf[required[1]]+":443" {
			if _, before := asked.LoadOrStore(addr, true); !before {
				return nil, syscall.ECONNREFUSED // among the others, and never again
			}
		}
		return w.dial(ctx, network, addr)
	}
	if p := probes(c.run(t.Context()))["again"]; p.Code != "sessions_cut" {
		t.Errorf("again is %s %q: %s", p.Status, p.Code, p.Detail)
	}
}

// Two hosts needed a second SYN when all were asked, on a line that loses nothing, and
// are dropped again when all are asked at once.
func TestHostsThatAreLateAmongManyOnASoundLineAreAskedAtOnceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &checker{hosts: map[string]*visit{}}
		for i, e := range c.endpoints() {
			v := &visit{endpoint: e, addr: fmt.Sprintf("192.0.2.%d:443", i+1), stage: "done", connect: 15 * time.Millisecond}
			if i == 1 || i == 2 {
				v.connect += synRetry + 200*time.Millisecond
			}
			c.hosts[e.String()] = v
		}
		var asked atomic.Int32
		c.connect = func(ctx context.Context, _, addr string) (net.Conn, error) {
			asked.Add(1)
			if addr == "192.0.2.2:443" || addr == "192.0.2.3:443" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			conn, other := net.Pipe()
			return conn, other.Close()
		}
		if r := c.probeAgain(t.Context()); r.Code != "sessions_cut" || int(asked.Load()) != len(c.hosts) {
			t.Errorf("of %d asked: %q: %s", asked.Load(), r.Code, r.Detail)
		}
		for _, lost := range []int{-1, 2} { // not measured, or the line explains it
			c.pathLost = lost
			if r := c.probeAgain(t.Context()); r.Code != "" {
				t.Errorf("%d lost on the line: %q: %s", lost, r.Code, r.Detail)
			}
		}
		if n := int(asked.Load()); n != len(c.hosts) {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestALimitOfConnectionsIsNotTheOwnFilter: who refuses among many and takes one
// a moment later was not kept from it by this machine.
func TestALimitOfConnectionsIsNotTheOwnFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.raw = true
	w.start()
	c := newChecker(shop)
	c.sys, c.roots = w, w.ca.pool
	tries := 0
	var mu sync.Mutex
	c.connect = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == addrOf[required[0]]+":443" {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries <= 2 {
				return nil, syscall.ECONNREFUSED
			}
		}
		return w.dial(ctx, network, addr)
	}
	if p := probes(c.run(t.Context()))["host_firewall"]; p.Code != "" {
		t.Errorf("host_firewall is %s %q: %s", p.Status, p.Code, p.Detail)
	}
}
