package netcheck

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
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

func TestHostsThatAreLateAmongManyOnASoundLineAreAskedAtOnceAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	c := newChecker(shop)
	c.sys, c.roots = w, w.ca.pool
	among, alone := 0, map[string]bool{} // connections to these two among others; and whether once is over
	var mu sync.Mutex
	c.connect = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == addrOf[required[1]]+":443" || addr == addrOf[required[2]]+":443" {
			mu.Lock()
			first := !alone[addr]
			alone[addr] = true
			if !first {
				among++
			}
			mu.Unlock()
			if !first { // dropped whenever they are asked with others
				<-ctx.Done()
				return nil, ctx.Err()
			}
			select { // the second SYN passes
			case <-time.After(synRetry + 200*time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return w.dial(ctx, network, addr)
	}
	r := probes(c.run(t.Context()))
	if p := r["again"]; p.Code != "sessions_cut" {
		t.Errorf("again is %s %q: %s; path: %s", p.Status, p.Code, p.Detail, r["path"].Detail)
	}
	if among == 0 {
		t.Error("nobody was asked again")
	}
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
