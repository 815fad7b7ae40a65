package hq_test

import (
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/pgcluster"
	"storehub/internal/sandbox"
)

// setBackInMidTraffic has headquarters lose what happened after keep: a capture whose
// outcome the hub knows, a refund of which it was not told, and, two hours or four days
// later, a capture under way whose answer was lost. lose brings it back as it was, and
// the hub offers again what is lacking. No effect is doubled, and nothing is stuck.
func setBackInMidTraffic(t *testing.T, s *shop, later time.Duration, keep, lose func()) {
	t.Helper()
	first := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", first, 1000))
	s.want("op_1", doors.Succeeded, "")
	keep()
	told := s.authorised("2000")
	s.submit(op(doors.Capture, "op_2", told, 2000))
	s.want("op_2", doors.Succeeded, "")
	s.submit(op(doors.Refund, "op_3", told, 700))
	effected := func(intent, effect string) func() bool {
		return func() bool { n, _ := s.effects(intent, effect); return n > 0 }
	}
	waitFor(t, "the refund", effected(told, "refunded"))
	s.shift.Add(int64(later))
	s.box.Advance(later)
	late := s.authorised("3000")
	s.box.Inject(sandbox.Fault{Method: "POST", Path: "/v1/payment_intents/*/capture", Kind: "lost", Times: 1})
	broke := s.breakAt("act:after", 1)
	s.submit(op(doors.Capture, "op_4", late, 3000))
	waitFor(t, "the capture whose answer is lost", func() bool { return effected(late, "captured")() && broke() })
	s.down()
	s.fault.Store(nil)
	s.box.Clear()
	lose()
	s.up()

	next := s.authorised("4000")
	came := hq.Submission{Epoch: s.epoch, Head: s.head, Operations: []hq.Submitted{op(doors.Capture, "op_5", next, 4000)}}
	came.Operations[0].Number = s.number + 1
	rc, err := s.client.Submit(t.Context(), came)
	if err != nil || rc.Epoch == s.epoch || rc.AcceptedThrough != 0 {
		t.Fatalf("receipt %+v, %v; want a new epoch that begins at nothing", rc, err)
	}
	s.epoch, s.head, s.number, s.seq, s.items = rc.Epoch, "", 0, 0, nil
	again := []hq.Submitted{op(doors.Capture, "op_1", first, 1000), op(doors.Capture, "op_2", told, 2000),
		op(doors.Refund, "op_3", told, 700), op(doors.Capture, "op_4", late, 3000), op(doors.Capture, "op_5", next, 4000)}
	for i := range again[:3] {
		again[i].AgeMS = later.Milliseconds()
	}
	for i := range again[:2] {
		again[i].Settled = &hq.Item{Type: "operation", ID: again[i].ID, State: doors.Succeeded}
	}
	s.submit(again...)
	for _, id := range []string{"op_1", "op_3", "op_4", "op_5"} {
		s.want(id, doors.Succeeded, "")
	}
	for intent, amount := range map[string]int64{first: 1000, told: 2000, late: 3000, next: 4000} {
		s.exactly(intent, "captured", amount)
	}
	s.exactly(told, "refunded", 700)
}

// Headquarters is restored from a backup that is 2 h, or 4 days, old, in mid-traffic.
func TestMoney_4_1_RestoredInMidTraffic(t *testing.T) {
	for _, old := range []time.Duration{2 * time.Hour, 4 * 24 * time.Hour} {
		t.Run(old.String(), func(t *testing.T) {
			s := newShop(t)
			var backup string
			setBackInMidTraffic(t, s, old, func() {
				s.down()
				backup = s.backup()
				s.up()
			}, func() { s.restore(backup) })
		})
	}
}

// PostgreSQL fails over to a standby that had fallen behind: it counts as a restore.
func TestMoney_4_1_FailoverToALaggingReplica(t *testing.T) {
	onPostgreSQL(t)
	primary, err := pgcluster.Start(pgcluster.Fast...)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, primary)
	s := newShop(t, func(o *hq.Options) {
		address, err := primary.Database(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		useDatabase(t, o, address)
	})
	var standby *pgcluster.Cluster
	setBackInMidTraffic(t, s, 10*time.Minute, func() {
		if standby, err = primary.Standby(); err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, standby)
		if err := standby.Stop(); err != nil { // from here on it falls behind
			t.Fatal(err)
		}
	}, func() {
		if err := primary.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := standby.Up(); err != nil {
			t.Fatal(err)
		}
		if err := standby.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		useDatabase(t, &s.opts, standby.Here(s.opts.Database))
	})
}

func closeAtEnd(t *testing.T, c *pgcluster.Cluster) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
