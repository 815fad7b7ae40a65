package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var errInjected = errors.New("injected")

// intact is the invariant: what was acknowledged is there under its place, counted,
// and in its order; places and numbers have no gaps.
func intact(t testing.TB, q *Queue, acknowledged map[string]Op) {
	t.Helper()
	for id, want := range acknowledged {
		got, err := q.Get(id)
		if err != nil {
			t.Errorf("acknowledged and gone: %v", err)
			continue
		}
		if got.Seq != want.Seq || got.Hash != want.Hash {
			t.Errorf("%s: place %d, hash %q; was acknowledged with %d, %q", id, got.Seq, got.Hash, want.Seq, want.Hash)
		}
		if want.Number != 0 && got.Number != want.Number {
			t.Errorf("%s: number %d, was %d", id, got.Number, want.Number)
		}
	}
	counts := map[string]map[State]int{}
	var last uint64
	for op, err := range q.All() {
		if err != nil {
			t.Fatal(err)
		}
		if last != 0 && op.Seq != last-1 {
			t.Errorf("place %d comes before %d", last, op.Seq)
		}
		last = op.Seq
		if counts[op.Kind] == nil {
			counts[op.Kind] = map[State]int{}
		}
		counts[op.Kind][op.State]++
	}
	if last > 1 {
		t.Errorf("the first place is %d", last)
	}
	s := q.Stats()
	for _, states := range s.Operations {
		for state, n := range states {
			if n == 0 {
				delete(states, state)
			}
		}
	}
	equal(t, "counts", s.Operations, counts)
	if len(s.Damaged) > 0 {
		t.Errorf("damaged: %q", s.Damaged)
	}
}

// Fail one named step, try again, reopen. The claim is about the program: no step
// that fails is told as done, and none leaves the queue unusable.
func TestEveryDurableStepMayFail(t *testing.T) {
	for _, step := range []string{
		"put:journal", "number:journal", "accept:journal", "settle:journal", "apply",
	} {
		for _, times := range []int{1, 2} {
			if small() && times > 1 {
				continue
			}
			t.Run(fmt.Sprintf("%s %d times", step, times), func(t *testing.T) {
				dir := t.TempDir()
				armed, failed := true, 0
				q := opened(t, dir, Options{Fault: func(s string) error {
					if armed && s == step && failed < times {
						failed++
						return errInjected
					}
					return nil
				}})
				hq := newHeadquarters()
				stop := running(t, q, hq)
				acknowledged := map[string]Op{}
				for i := range 5 {
					id := fmt.Sprint("op", i)
					for {
						op, err := q.Put(t.Context(), capture(id, "pi"))
						if err == nil {
							acknowledged[id] = op
							if err := q.level(); err != nil { // whoever lists waits for the store
								t.Error(err)
							}
							break
						}
						if !errors.Is(err, errInjected) {
							t.Fatal(err)
						}
					}
				}
				accepted(t, q, 5)
				for q.Settle(t.Context(), Cursor{Epoch: hq.epoch, Seq: 1}, []Outcome{{Seq: 1, ID: "op0", State: Succeeded}}) != nil {
				}
				stop()
				if failed != times {
					t.Errorf("%s failed %d times, want %d", step, failed, times)
				}
				intact(t, q, acknowledged)
				equal(t, "chain", hq.ids(), []string{"op0", "op1", "op2", "op3", "op4"})
				closed(t, q)
				q = opened(t, dir, Options{})
				intact(t, q, acknowledged)
				equal(t, "cursor", q.Cursor(), Cursor{Epoch: hq.epoch, Seq: 1, AcceptedThrough: 5, Head: hq.head(5)})
			})
		}
	}
}

// The claim: of journal and store either may be lost or damaged beyond reading, and
// nothing acknowledged is. Opening may be cut off at any step; the next one ends what
// it began.
func TestEitherDirectoryMayBeLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		lose  func(dir string) error
		steps []string
	}{
		{"store deleted", func(dir string) error { return os.RemoveAll(filepath.Join(dir, storeName)) }, []string{"open:journal", "open:rebuild", "open:rename"}},
		{"tables scribbled", func(dir string) error { return scribble(filepath.Join(dir, storeName, "*.sst")) }, []string{"open:store", "open:aside", "open:rebuild", "open:rename"}},
		{"table deleted", func(dir string) error { return remove(filepath.Join(dir, storeName, "*.sst")) }, []string{"open:aside"}},
		{"list of tables scribbled", func(dir string) error { return scribble(filepath.Join(dir, storeName, "MANIFEST")) }, nil},
		{"list of tables deleted", func(dir string) error { return remove(filepath.Join(dir, storeName, "MANIFEST")) }, nil},
		{"journal deleted", func(dir string) error { return os.RemoveAll(filepath.Join(dir, journalName)) }, []string{"carry:journal", "apply"}},
		{"segments scribbled", func(dir string) error { return scribble(filepath.Join(dir, journalName, "*")) }, []string{"carry:journal"}},
		{"segments emptied", func(dir string) error { return truncate(filepath.Join(dir, journalName, "*")) }, []string{"carry:journal"}},
	} {
		if small() {
			c.steps = nil
		}
		for _, step := range append(c.steps, "") {
			t.Run(c.name+" "+step, func(t *testing.T) {
				dir := t.TempDir()
				q := opened(t, dir, Options{segmentSize: 1 << 20})
				hq := newHeadquarters()
				offered(t, q, hq, 4, 2)
				settle(t, q, Cursor{Epoch: hq.epoch, Seq: 3}, Outcome{Seq: 3, ID: "never came", State: Succeeded})
				acknowledged := map[string]Op{}
				for op, err := range q.All() {
					if err != nil {
						t.Fatal(err)
					}
					acknowledged[op.ID] = op
				}
				cursor := q.Cursor()
				closed(t, q)
				if err := c.lose(dir); err != nil {
					t.Fatal(err)
				}
				if step != "" {
					for range 2 {
						q, err := openAs(dir, Options{Log: quiet(), segmentSize: 1 << 20, Fault: func(s string) error {
							if s == step {
								return errInjected
							}
							return nil
						}})
						if err == nil { // what was healed is not applied: that comes later
							closeBroken(q)
						} else if !errors.Is(err, errInjected) && !errors.Is(err, errBroken) {
							t.Fatalf("open: %v", err)
						}
					}
				}
				q = opened(t, dir, Options{segmentSize: 1 << 20})
				intact(t, q, acknowledged)
				for id, want := range acknowledged {
					equal(t, id, get(t, q, id), want)
				}
				equal(t, "cursor", q.Cursor(), cursor)
				if step == "" && len(q.Stats().Healed) == 0 {
					t.Error("nobody was told")
				}
				// Whatever was lost first: now the other one.
				closed(t, q)
				other := storeName
				if strings.Contains(c.name, "table") || strings.Contains(c.name, "store") {
					other = journalName
				}
				if err := os.RemoveAll(filepath.Join(dir, other)); err != nil {
					t.Fatal(err)
				}
				q = opened(t, dir, Options{segmentSize: 1 << 20})
				intact(t, q, acknowledged)
				if op := put(t, q, capture("never came", "new")); op.Seq != 5 || op.State != Succeeded {
					t.Errorf("after both: %+v", op)
				}
				running(t, q, hq)
				accepted(t, q, 2)
				equal(t, "chain", hq.ids(), []string{"op00", "op01", "op02", "op03"})
			})
		}
	}
}

// closeBroken closes a queue that may not be able to end well.
func closeBroken(q *Queue) { _ = q.Close() }

func truncate(pattern string) error {
	names, err := filepath.Glob(pattern)
	for _, name := range names {
		err = errors.Join(err, os.Truncate(name, 0))
	}
	return err
}

func TestBothLostIsSaidAndTheShopGoesOn(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	put(t, q, capture("op1", "pi"))
	closed(t, q)
	for _, name := range []string{storeName, journalName} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	q = opened(t, dir, Options{})
	if d := q.Stats().Damaged; len(d) != 1 || !strings.Contains(d[0], "journal and store are missing") {
		t.Errorf("damaged: %q", d)
	}
	put(t, q, capture("op1", "pi"))
	closed(t, q)
	q = opened(t, dir, Options{})
	if d := q.Stats().Damaged; len(d) != 1 {
		t.Errorf("damaged after reopen: %q", d)
	}
	equal(t, "held", ids(t, q), []string{"op1"})
}

// A flush of Badger that fails holds nobody up: the promise is the journal's.
func TestAFailedFlushOfTheStoreIsMendedByTheNextWrite(t *testing.T) {
	var failing, failed atomic.Bool
	failing.Store(true)
	dir := t.TempDir()
	q := opened(t, dir, Options{Fault: func(step string) error {
		if step == "sync" && failing.Load() {
			failed.Store(true)
			return errInjected
		}
		return nil
	}})
	acknowledged := map[string]Op{"op1": put(t, q, capture("op1", "pi"))}
	eventually(t, failed.Load)
	failing.Store(false)
	acknowledged["op2"] = put(t, q, capture("op2", "pi"))
	intact(t, q, acknowledged)
}

func remove(pattern string) error {
	names, err := filepath.Glob(pattern)
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// scribble overwrites files with rubbish of the same length.
func scribble(pattern string) error {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		return fmt.Errorf("scribble %s: no such file (%v)", pattern, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for i := range b {
			b[i] = byte(i*7 + 3)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Cut off while it made a log: nothing was in it.
func TestAnEmptyLogIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	acks := killed(t, dir, 5*time.Millisecond)
	if err := os.WriteFile(filepath.Join(dir, storeName, "00099.mem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]Op{}
	for _, ack := range acks {
		acknowledged[ack.ID] = ack
	}
	intact(t, opened(t, dir, Options{}), acknowledged)
}

// The claim is power: one Put is on disk when it returns. What can be counted
// inside is that nobody is answered before the flushes of his group: here a
// journal that stands still holds back every answer.
func TestNobodyIsAnsweredBeforeTheJournal(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	q := opened(t, t.TempDir(), Options{Fault: func(step string) error {
		if step == "put:journal" {
			select {
			case held <- struct{}{}:
			default:
			}
			<-hold
		}
		return nil
	}})
	answered := make(chan error, 1)
	go func() { _, err := q.Put(context.Background(), capture("op1", "pi")); answered <- err }()
	<-held
	select {
	case err := <-answered:
		t.Errorf("answered before the journal: %v", err)
	case <-time.After(20 * time.Millisecond): // a wrong answer comes at once
	}
	close(hold)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}
