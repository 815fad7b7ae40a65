package postgres

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"storehub/internal/pgcluster"
)

// TestWhatIsToldIsHeardByTheOthers, through a restart of the server too; what is
// told meanwhile may be lost, and the return is said.
func TestWhatIsToldIsHeardByTheOthers(t *testing.T) {
	c, err := pgcluster.Start(pgcluster.Fast...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	address, err := c.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	type replica struct {
		db    *DB
		heard chan string
		arr   chan bool
		done  chan struct{}
	}
	start := func() replica {
		d, err := Open(t.Context(), address, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r := replica{d, make(chan string, 100), make(chan bool, 100), make(chan struct{})}
		go func() {
			defer close(r.done)
			d.Listen(ctx, func(n string) { r.heard <- n }, func(b bool) { r.arr <- b })
		}()
		return r
	}
	a, b := start(), start()
	want := func(r replica, arrive bool) {
		t.Helper()
		for {
			select {
			case got := <-r.arr:
				if got == arrive {
					return
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("notifications: not told that they arrive: %v", arrive)
			}
		}
	}
	hears := func(r replica, name string) {
		t.Helper()
		select {
		case got := <-r.heard:
			if got != name {
				t.Fatalf("heard %q, want %q", got, name)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("did not hear %q", name)
		}
	}
	want(a, true)
	want(b, true)
	a.db.Tell("0412")
	hears(b, "0412")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	want(b, false)
	if err := c.Up(); err != nil {
		t.Fatal(err)
	}
	want(a, true)
	want(b, true)
	b.db.Tell("0413")
	hears(a, "0413")
	if len(b.heard) > 0 {
		t.Error("a replica hears itself")
	}
	cancel()
	<-a.done
	<-b.done
}

func TestPayloadsStayBelowNotifysBound(t *testing.T) {
	v := newVoice()
	want := 0
	for n := range 3000 {
		v.names["store-"+time.Duration(n).String()] = true
		want++
	}
	got := 0
	for _, p := range v.take() {
		if len(p) >= 8000 {
			t.Errorf("a payload of %d bytes", len(p))
		}
		for _, c := range p {
			if c == '\n' {
				got++
			}
		}
	}
	if got != want || len(v.take()) != 0 {
		t.Errorf("%d of %d names", got, want)
	}
}
