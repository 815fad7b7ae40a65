package hub

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"storehub/doors"
	"storehub/internal/mdns"
	"storehub/offlinequeue"
)

func TestTillsAreToldWhereTheHubIs(t *testing.T) {
	told := make(chan mdns.Service, 1)
	ended := make(chan struct{})
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, p *Parts) {
		c.MDNS = true
		p.Announce = func(ctx context.Context, a mdns.Service) error {
			told <- a
			<-ctx.Done()
			close(ended)
			return nil
		}
	})
	a := <-told
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.addr.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if strconv.Itoa(a.Port) != port || !slices.Contains(a.Text, "store=0412") || a.Instance != "storehub 0412" {
		t.Errorf("announced %+v, the hub is at %s", a, s.addr.URL)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	<-ended // the goodbye was said before Run returned
}

func TestWithoutMulticastTheHubWorks(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, p *Parts) {
		c.MDNS = true
		p.Announce = func(context.Context, mdns.Service) error { return errors.New("no multicast here") }
	})
	s.capture("pi_1", "k")
}

// A durable step fails, the till is told, its next try succeeds, and so it
// stands after a restart.
func TestAPromiseThatCouldNotBeKeptIsNotMade(t *testing.T) {
	dir := t.TempDir()
	var failing atomic.Bool
	faults := func(step string) error {
		if failing.Load() && strings.HasPrefix(step, "put") {
			return errors.New("the disk said no")
		}
		return nil
	}
	f := newFakeHQ()
	f.cut()
	s := open(t, f, dir, func(_ *Config, p *Parts) { p.Fault = faults })
	failing.Store(true)
	status, body := s.ask("POST", "/v1/operations", s.credential, `{"kind":"capture","ref":"pi_1"}`, "Idempotency-Key", "k")
	if status < 500 || !strings.Contains(body, `"operator_message"`) {
		t.Errorf("a promise that is on no disk: %d %s", status, body)
	}
	failing.Store(false)
	if status, body = s.ask("POST", "/v1/operations", s.credential, `{"kind":"capture","ref":"pi_1"}`, "Idempotency-Key", "k"); status != http.StatusAccepted {
		t.Fatalf("the next try: %d %s", status, body)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = open(t, f, dir)
	ops, err := s.hub.Operations(t.Context(), admin, "", 10)
	if err != nil || len(ops) != 1 || ops[0].Ref != "pi_1" || ops[0].State != doors.Pending {
		t.Errorf("after a restart: %+v, %v", ops, err)
	}
}

func TestHeartbeatsDoNotPileUp(t *testing.T) {
	f := newFakeHQ()
	f.hold = true
	dir := t.TempDir()
	for range 3 {
		s := open(t, f, dir)
		eventually(t, "a heartbeat is under way", func() bool { return s.hub.underWay() != "" })
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, f, dir)
	n := 0
	for op, err := range s.hub.queue.All(offlinequeue.Pending, offlinequeue.Accepted) {
		if err != nil {
			t.Fatal(err)
		}
		if op.Kind == string(doors.Heartbeat) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d heartbeats are under way after three restarts", n)
	}
}

// TestMoney_4_2_HeadquartersKnowsTheTills: pairing and revoking reach it, by hashes.
func TestMoney_4_2_HeadquartersKnowsTheTills(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	known := func() (names []string) {
		s.hq.mu.Lock()
		defer s.hq.mu.Unlock()
		for _, till := range s.hq.tills {
			names = append(names, till.Name+"="+till.Hash+"="+string(till.Mode))
		}
		return names
	}
	credential, err := s.hub.Pair("lane-9", doors.ScopePOS, "")
	if err != nil {
		t.Fatal(err)
	}
	want := "lane-9=" + hashCredential(credential) + "=test"
	eventually(t, "headquarters to know the till", func() bool { return slices.Contains(known(), want) })
	if err := s.hub.tills.Revoke("lane-9"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "headquarters to forget the till", func() bool { return !slices.Contains(known(), want) })
}
