package offlinequeue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// long is an operation whose data goes to the value log.
func long(i int) Op {
	op := capture(fmt.Sprint("op", i), fmt.Sprint(i%3))
	op.Data = fmt.Appendf(nil, `"%0*d"`, 4*valueThreshold, i)
	return op
}

// The claim is the disk: whatever becomes of a value log, every operation is there as
// it was promised. It is made good from the journal when it is opened or read.
func TestARottenValueLogIsMadeGoodFromTheJournal(t *testing.T) {
	left := t.TempDir()
	acks := map[string]Op{}
	for run := range 2 {
		q := opened(t, left, Options{})
		for i := run * 40; i < run*40+40; i++ {
			acks[fmt.Sprint("op", i)] = put(t, q, long(i))
		}
		closed(t, q)
	}
	logs, err := filepath.Glob(filepath.Join(left, storeName, valueLogs))
	if err != nil || len(logs) < 2 {
		t.Fatalf("%d value logs: %v", len(logs), err)
	}
	rot := func(at func(size int) int) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			flip(t, name, at(int(info.Size())))
		}
	}
	for _, c := range []struct {
		what string
		harm func(t *testing.T, name string)
	}{
		{"a value", rot(func(n int) int { return n / 2 })},
		{"the length of the first", rot(func(int) int { return logHead + 3 })},
		{"the last byte", rot(func(n int) int { return n - 1 })},
		{"cut in half", func(t *testing.T, name string) {
			info, err := os.Stat(name)
			if err := errors.Join(err, os.Truncate(name, info.Size()/2)); err != nil {
				t.Fatal(err)
			}
		}},
		{"gone", func(t *testing.T, name string) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		for i, log := range logs {
			if info, err := os.Stat(log); err != nil || info.Size() <= logHead {
				continue // nothing is in it
			}
			t.Run(fmt.Sprint(c.what, " of log ", i+1), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "queue")
				if err := duplicated(dir, left); err != nil {
					t.Fatal(err)
				}
				c.harm(t, filepath.Join(dir, storeName, filepath.Base(log)))
				q := opened(t, dir, Options{})
				for id, want := range acks {
					equal(t, id, get(t, q, id), want)
				}
				intact(t, q, acks)
				if len(q.Stats().Healed) == 0 {
					t.Error("nobody was told")
				}
			})
		}
	}
}

// The claim is power: of what Badger was not told to flush, one file may reach the
// disk and the other not. Open applies it once more; nothing is called damage.
func TestWhatBadgerDidNotFlushIsAppliedAgain(t *testing.T) {
	dir := t.TempDir()
	hold := make(chan struct{})
	q := opened(t, dir, Options{Fault: func(step string) error {
		if step == "sync" {
			<-hold
		}
		return nil
	}})
	acks := map[string]Op{}
	for i := range 40 {
		acks[fmt.Sprint("op", i)] = put(t, q, long(i))
	}
	if err := q.level(); err != nil {
		t.Error(err)
	}
	cut := filepath.Join(t.TempDir(), "queue")
	err := duplicated(cut, dir)
	close(hold)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(cut, storeName, valueLogs))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(slices.Max(logs))
	if err != nil || len(bytes.Trim(b[logHead:], "\x00")) == 0 {
		t.Fatalf("nothing in the value log: %v", err)
	}
	clear(b[logHead:])
	if err := os.WriteFile(slices.Max(logs), b, 0o600); err != nil {
		t.Fatal(err)
	}
	q = opened(t, cut, Options{})
	for id, want := range acks {
		equal(t, id, get(t, q, id), want)
	}
	intact(t, q, acks)
	if healed := q.Stats().Healed; len(healed) > 0 {
		t.Errorf("healed: %q", healed)
	}
}

// What rotted is found without anyone asking for it.
func TestUpkeepReadsTheValueLogs(t *testing.T) {
	dir := t.TempDir()
	acks := map[string]Op{}
	q := opened(t, dir, Options{})
	for i := range 10 {
		acks[fmt.Sprint("op", i)] = put(t, q, long(i))
	}
	closed(t, q)
	q = opened(t, dir, Options{})
	if err := q.scrub(); err != nil || len(q.Stats().Healed) > 0 {
		t.Fatalf("nothing is wrong yet: %v, %q", err, q.Stats().Healed)
	}
	name, err := q.storeNow().closedLog("")
	if err != nil || name == "" {
		t.Fatalf("no value log: %v", err)
	}
	flip(t, name, 3*valueThreshold)
	q.scrubbedLog = ""
	if err := q.scrub(); err != nil {
		t.Error(err)
	}
	if len(q.Stats().Healed) == 0 {
		t.Error("nothing was found")
	}
	intact(t, q, acks)
}

// Room that nothing needs any more is given back.
func TestTheValueLogIsGivenBack(t *testing.T) {
	s, err := openStore(t.TempDir(), quiet(), testStoreKey())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	value := make([]byte, maxRecord)
	set := func(write func(*tx, string) error) {
		t.Helper()
		for i := range 300 {
			if err := s.update(func(t *tx) error { return write(t, fmt.Sprint("k", i)) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	set(func(t *tx, key string) error { return t.set(key, value, 1) })
	full := diskUse(s.dir)
	set(func(t *tx, key string) error { return t.delete(key) })
	if err := errors.Join(s.settleTables(), s.compact()); err != nil {
		t.Fatal(err)
	}
	if left := diskUse(s.dir); left > 2*logSize {
		t.Errorf("%d MiB were taken, %d are left", full>>20, left>>20)
	}
}

// What a till asked for is in Badger for each operation, however old it is and however
// often its state was written since: one that is gone is noticed.
func TestAStoreThatLostWhatWasAskedForIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	acks := map[string]Op{"op1": put(t, q, capture("op1", "pi")), "op2": put(t, q, capture("op2", "pi"))}
	closed(t, q)
	s, err := openStore(filepath.Join(dir, storeName), quiet(), testStoreKey())
	if err != nil {
		t.Fatal(err)
	}
	err = s.update(func(t *tx) error { return t.delete(keyOp("op1")) })
	if err := errors.Join(err, s.close()); err != nil {
		t.Fatal(err)
	}
	q = opened(t, dir, Options{})
	intact(t, q, acks)
	if len(q.Stats().Healed) == 0 {
		t.Error("nobody was told")
	}
}
