package hq_test

import (
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/doors"
	"storehub/hq"
)

// TestEveryDurableStepCanFail fails one named step, lets the caller try again,
// and opens the database anew. It shows what a crash of the process between two
// steps would do; that a commit survives a power cut is SQLite's synchronous=FULL,
// which TestCommitsAreFlushed holds.
func TestEveryDurableStepCanFail(t *testing.T) {
	for _, step := range []string{"ledger:record", "ledger:chain", "feed:append", "act:before", "act:after", "settle:attempt"} {
		for name, reopen := range map[string]bool{"going on": false, "opened anew": true} {
			t.Run(step+", "+name, func(t *testing.T) {
				t.Parallel()
				s := newShop(t)
				pi := s.authorised("1000")
				broke := s.breakAt(step, 1)
				ops := []hq.Submitted{op(doors.Capture, "op_1", pi, 1000), op(doors.Heartbeat, "op_2", "beat", 0)}
				sub := hq.Submission{}
				for i, o := range ops {
					o.Number = uint64(i + 1)
					sub.Operations = append(sub.Operations, o)
				}
				if _, err := s.client.Submit(t.Context(), sub); err != nil {
					var refused *doors.Error
					if asRefusal(err, &refused) {
						t.Fatalf("a broken disk was told as the refusal %v", refused)
					}
				}
				waitFor(t, "the step to fail", broke)
				if reopen {
					s.down()
					s.up()
				}
				s.submit(ops...) // a hub offers again until it has a receipt
				s.want("op_1", doors.Succeeded, "")
				s.want("op_2", doors.Succeeded, "")
				s.submit(op(doors.Refund, "op_3", pi, 400))
				s.want("op_3", doors.Succeeded, "")
				s.settled(pi)
			})
		}
	}
}

// settled is the invariant at the end of every such story: each effect happened
// once, and the feed tells each end once, without gaps.
func (s *shop) settled(pi string) {
	s.t.Helper()
	s.exactly(pi, "captured", 1000)
	s.exactly(pi, "refunded", 400)
	ends := map[string]int{}
	for i, it := range s.items {
		if it.Seq != uint64(i+1) {
			s.t.Errorf("line %d of the feed has number %d", i+1, it.Seq)
		}
		if it.Type == "operation" && it.State.Final() {
			ends[it.ID]++
		}
	}
	for id, n := range ends {
		if n != 1 {
			s.t.Errorf("the end of %s was told %d times", id, n)
		}
	}
}

func TestCodeIsNotUsedUpWhenEnrolmentBreaks(t *testing.T) {
	s := newShop(t)
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0413", Location: s.loc, Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	s.breakAt("enrol:code", 1)
	r := hq.EnrolRequest{Code: code, Fingerprint: "machine 2"}
	if _, err := s.client.Enrol(t.Context(), r); err == nil {
		t.Fatal("enrolled although the disk broke")
	}
	if _, err := s.client.Enrol(t.Context(), r); err != nil {
		t.Fatalf("second try: %v", err)
	}
}

func TestCommitsAreFlushed(t *testing.T) {
	onSQLite(t)
	s := newShop(t)
	// synchronous is a property of a connection: ask one that headquarters made.
	if got := s.server.Synchronous(t); got != 2 {
		t.Errorf("synchronous = %d, want 2 (FULL)", got)
	}
	s.down()
	db, err := sql.Open("sqlite", "file:"+s.file())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var mode string
	if err := db.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal_mode %q, %v; want wal", mode, err)
	}
	info, err := os.Stat(s.file())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("database file %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestNewerSchemaIsRefusedInWords(t *testing.T) {
	o := hq.Options{Log: quiet()}
	giveDatabase(t, &o)
	server, err := hq.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	server.PretendSchema(t, 99)
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := hq.NewServer(o); err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("opened a newer database: %v", err)
	}
}

// TestMoney_4_1_RestoredFromBackupBeginsANewEpoch copies the database, goes on,
// and comes back from the copy.
func TestMoney_4_1_RestoredFromBackupBeginsANewEpoch(t *testing.T) {
	s := newShop(t)
	first, second := s.authorised("1000"), s.authorised("2000")
	s.submit(op(doors.Capture, "op_1", first, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.down()
	backup := s.backup()
	s.up()
	s.submit(op(doors.Capture, "op_2", second, 2000))
	s.want("op_2", doors.Succeeded, "")
	s.down()
	s.restore(backup)
	s.up()

	// The hub does not know yet and offers what came next.
	third := s.authorised("3000")
	sub := hq.Submission{Epoch: s.epoch, Head: s.head, Operations: []hq.Submitted{op(doors.Capture, "op_3", third, 3000)}}
	sub.Operations[0].Number = s.number + 1
	rc, err := s.client.Submit(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	if rc.Epoch == s.epoch || rc.AcceptedThrough != 0 || rc.Head != "" {
		t.Fatalf("receipt %+v; want a new epoch that begins at nothing", rc)
	}
	// It offers everything again; op_1 with its outcome, as it was settled lately.
	s.epoch, s.head, s.number, s.seq, s.items = rc.Epoch, "", 0, 0, nil
	one, two := op(doors.Capture, "op_1", first, 1000), op(doors.Capture, "op_2", second, 2000)
	two.Settled = &hq.Item{Type: "operation", ID: "op_2", State: doors.Succeeded}
	s.submit(one, two, op(doors.Capture, "op_3", third, 3000))
	s.want("op_1", doors.Succeeded, "")
	s.want("op_3", doors.Succeeded, "")
	s.exactly(first, "captured", 1000)
	s.exactly(second, "captured", 2000)
	s.exactly(third, "captured", 3000)
}

func TestMoney_4_1_WhatWasSettledElsewhereIsNotDoneAgain(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	o := op(doors.Capture, "op_1", pi, 1000)
	o.Settled = &hq.Item{Type: "operation", ID: "op_1", State: doors.Failed, Reason: "stripe_refused"}
	s.submit(o, op(doors.Heartbeat, "op_2", "beat", 0), op(doors.Cancel, "op_3", pi, 0))
	s.want("op_3", doors.Succeeded, "")
	if n, _ := s.effects(pi, "captured"); n != 0 {
		t.Error("captured although its end was told long ago")
	}
}

func TestMoney_4_1_AFeedCursorAheadOfUsBeginsANewEpoch(t *testing.T) {
	s := newShop(t)
	s.submit(op(doors.Heartbeat, "op_1", "beat", 0))
	s.want("op_1", doors.Succeeded, "")
	f, err := s.client.Feed(t.Context(), s.epoch, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	if f.Epoch == s.epoch || len(f.Items) != 0 {
		t.Errorf("feed %+v; numbers that were given out before would be used twice", f)
	}
}

func TestMoney_4_3_AForkedHeadStillGetsItsOperationsRecorded(t *testing.T) {
	s := newShop(t)
	s.submit(op(doors.Heartbeat, "op_1", "beat", 0), op(doors.Heartbeat, "op_2", "beat", 0))
	twin := hq.Submission{Epoch: s.epoch, Head: hq.Chain("", "op_1"), Operations: []hq.Submitted{op(doors.Heartbeat, "op_other", "beat", 0)}}
	twin.Operations[0].Number = 2
	rc, err := s.client.Submit(t.Context(), twin)
	if err != nil {
		t.Fatal(err)
	}
	if rc.Epoch == s.epoch {
		t.Error("a fork went unnoticed")
	}
	s.epoch, s.seq, s.items = rc.Epoch, 0, nil
	s.head, s.number = "", 0
	s.submit(op(doors.Heartbeat, "op_1", "beat", 0), op(doors.Heartbeat, "op_other", "beat", 0))
	s.want("op_1", doors.Succeeded, "")
	s.want("op_other", doors.Succeeded, "")
}

func TestChainAcceptsAHubThatPrunedItsPast(t *testing.T) {
	s := newShop(t)
	head := hq.Chain("", "long gone")
	sub := hq.Submission{Head: head, Operations: []hq.Submitted{op(doors.Heartbeat, "op_41", "beat", 0)}}
	sub.Operations[0].Number = 41
	for range 2 { // the second time the receipt was lost
		rc, err := s.client.Submit(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		if rc.AcceptedThrough != 41 || rc.Head != hq.Chain(head, "op_41") {
			t.Fatalf("receipt %+v", rc)
		}
	}
}

func copyFile(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "backup.db")
	restore(t, from, to)
	return to
}

// restore puts a database file where another was; the other's log goes with it.
func restore(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(to + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func fileOrNothing(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}
