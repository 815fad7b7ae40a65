package hq

import (
	"errors"
	"testing"
	"time"
)

// twoReplicas are two headquarters on one database.
func twoReplicas(t *testing.T) (a, b *Server) {
	t.Helper()
	var o Options
	TestDatabase(t, &o)
	if o.Engine == nil {
		t.Skip("replicas share a PostgreSQL; it runs there")
	}
	a, _ = ledgerOn(t, o)
	b, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, b
}

func (d *database) mustTake(t *testing.T, name string, life time.Duration, want bool) {
	t.Helper()
	got, err := d.take(t.Context(), name, life)
	if err != nil || got != want {
		t.Fatalf("take %s: %v, %v; want %v", name, got, err, want)
	}
}

func TestALeaseIsOneReplicasUntilItIsDroppedOrExpires(t *testing.T) {
	a, b := twoReplicas(t)
	a.db.mustTake(t, "x", time.Hour, true)
	a.db.mustTake(t, "x", time.Hour, true) // renewed
	b.db.mustTake(t, "x", time.Hour, false)
	b.db.mustTake(t, "y", time.Hour, true)
	if err := b.db.drop(t.Context(), "x"); err != nil { // not its own
		t.Fatal(err)
	}
	b.db.mustTake(t, "x", time.Hour, false)
	if err := a.db.drop(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	b.db.mustTake(t, "x", -time.Second, true) // over at once, by the database's clock
	a.db.mustTake(t, "x", time.Hour, true)
}

// TestMoney_2_1_NoKeyIsUsedAfterTheLeaseIsLost: the attempt is not even recorded.
func TestMoney_2_1_NoKeyIsUsedAfterTheLeaseIsLost(t *testing.T) {
	a, b := twoReplicas(t)
	hold := func(s *Server) error {
		return s.db.tx(t.Context(), func(t *tx) error { return t.hold("line/0412/pi_1", time.Hour) })
	}
	if err := hold(a); !errors.Is(err, errLeaseLost) {
		t.Errorf("never taken: %v", err)
	}
	a.db.mustTake(t, "line/0412/pi_1", -time.Second, true)
	if err := hold(a); !errors.Is(err, errLeaseLost) {
		t.Errorf("expired: %v", err)
	}
	b.db.mustTake(t, "line/0412/pi_1", time.Hour, true)
	if err := hold(a); !errors.Is(err, errLeaseLost) {
		t.Errorf("taken over: %v", err)
	}
	if err := hold(b); err != nil {
		t.Errorf("its own: %v", err)
	}
}

func TestScheduledWorkIsOneReplicasAtATime(t *testing.T) {
	a, b := twoReplicas(t)
	if !a.onDuty(t.Context(), "events") || b.onDuty(t.Context(), "events") || !a.onDuty(t.Context(), "events") {
		t.Error("two at once, or none")
	}
	if err := a.db.drop(t.Context(), "duty/events"); err != nil || !b.onDuty(t.Context(), "events") {
		t.Errorf("given up and not taken up: %v", err)
	}
}

// TestMoney_2_7_OneLimiterForAllReplicas: together they get what one would.
func TestMoney_2_7_OneLimiterForAllReplicas(t *testing.T) {
	a, b := twoReplicas(t)
	const gap, burst = time.Minute, 5 // no right grows while this runs
	admitted, refused := 0, 0
	for range 2 * burst {
		for _, s := range []*Server{a, b} {
			wait, ok, err := s.db.reserve(t.Context(), "key acct_1 GET /v1/x", 1, gap, burst, gap)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case !ok:
				refused++
			case admitted < burst && wait > 0, admitted == burst && (wait <= 0 || wait > gap):
				t.Errorf("right %d waits %s", admitted+1, wait)
				fallthrough
			default:
				admitted++
			}
		}
	}
	if admitted != burst+1 || refused != 3*burst-1 {
		t.Errorf("%d admitted, %d refused; want %d and %d", admitted, refused, burst+1, 3*burst-1)
	}
	if wait, ok, err := b.db.reserve(t.Context(), "key acct_2 GET /v1/x", 1, gap, burst, gap); !ok || wait > 0 || err != nil {
		t.Errorf("one account's load slows another: %s %v %v", wait, ok, err)
	}
}
