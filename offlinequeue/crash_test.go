package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
		"put:badger", "put:witness", "number:badger", "number:witness",
		"accept:badger", "accept:witness", "settle:badger", "settle:witness",
	} {
		for _, times := range []int{1, 2} {
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

// Opening may be cut off at any step; the next one ends what it began.
func TestEveryStepOfOpenMayFail(t *testing.T) {
	for _, step := range []string{"open:store", "open:aside", "open:copy", "open:rename", "open:witness"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			q := opened(t, dir, Options{})
			for i := range 9 {
				put(t, q, capture(fmt.Sprint("op", i), "pi"))
			}
			closed(t, q)
			outlived(t, dir, 12, 3) // the witness knows of three that the store does not have

			for range 2 {
				_, err := Open(dir, Options{Log: quiet(), Fault: func(s string) error {
					if s == step {
						return errInjected
					}
					return nil
				}})
				if !errors.Is(err, errInjected) {
					t.Fatalf("open: %v", err)
				}
			}
			q = opened(t, dir, Options{})
			if list := ids(t, q); len(list) != 9 {
				t.Errorf("held: %q", list)
			}
			damaged := q.Stats().Damaged
			if len(damaged) != 1 || !strings.Contains(damaged[0], "missing: operations 10 to 12") {
				t.Errorf("damaged: %q", damaged)
			}
			if op := put(t, q, capture("next", "pi")); op.Seq != 13 {
				t.Errorf("place %d, want 13: above the witness", op.Seq)
			}
			closed(t, q)
			q = opened(t, dir, Options{})
			equal(t, "damage is still told", q.Stats().Damaged, damaged)
			equal(t, "held", ids(t, q)[:2], []string{"next", "op8"})
		})
	}
}

// outlived moves the witness on, as if the store had lost its last changes.
func outlived(t testing.TB, dir string, seq, changes uint64) {
	t.Helper()
	w, err := openWitness(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := w.last
	m.Seq, m.Commit = seq, m.Commit+changes
	if err := errors.Join(w.write(m), w.close()); err != nil {
		t.Fatal(err)
	}
}

func TestALostStoreIsNamedAndTheShopGoesOn(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(dir string) error
		lost bool // all of it; otherwise nothing
	}{
		{"store deleted", func(dir string) error { return os.RemoveAll(filepath.Join(dir, storeName)) }, true},
		{"tables scribbled", func(dir string) error { return scribble(filepath.Join(dir, storeName, "*.sst")) }, true},
		{"table deleted", func(dir string) error { return remove(filepath.Join(dir, storeName, "*.sst")) }, true},
		{"list of tables scribbled", func(dir string) error { return scribble(filepath.Join(dir, storeName, "MANIFEST")) }, false},
		{"list of tables deleted", func(dir string) error { return remove(filepath.Join(dir, storeName, "MANIFEST")) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			q := opened(t, dir, Options{})
			hq := newHeadquarters()
			offered(t, q, hq, 4, 0)
			closed(t, q)
			if err := c.lose(dir); err != nil {
				t.Fatal(err)
			}
			q = opened(t, dir, Options{})
			s := q.Stats()
			if len(s.Damaged) != 1 || strings.Contains(s.Damaged[0], "missing: operations 1 to 4") != c.lost {
				t.Fatalf("damaged: %q", s.Damaged)
			}
			if kept, _ := filepath.Glob(filepath.Join(dir, asideName+"*", "*")); len(kept) == 0 && c.name != "store deleted" {
				t.Error("nothing was set aside")
			}
			// The till asks again for one it was promised; another is new.
			again := put(t, q, capture("op02", "2"))
			put(t, q, capture("new", "new"))
			running(t, q, hq)
			want, place := []string{"op00", "op01", "op02", "op03", "new"}, uint64(3)
			if c.lost {
				want, place = []string{"op00", "op01", "op02", "op03", "op02", "new"}, 5
				accepted(t, q, 2)
			} else {
				accepted(t, q, 5)
			}
			if again.Seq != place {
				t.Errorf("place %d, want %d", again.Seq, place)
			}
			equal(t, "chain", hq.ids(), want)
			for _, b := range hq.batches {
				if b.Ops[0].Number < 5 {
					t.Errorf("offered again: %q; the witness knew the head", numbered(b.Ops))
				}
			}
		})
	}
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

func TestALostWitnessIsSaid(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	put(t, q, capture("op1", "pi"))
	closed(t, q)
	if err := scribble(filepath.Join(dir, witnessName)); err != nil {
		t.Fatal(err)
	}
	q = opened(t, dir, Options{})
	if d := q.Stats().Damaged; len(d) != 1 || !strings.Contains(d[0], "the witness cannot be read") {
		t.Errorf("damaged: %q", d)
	}
	equal(t, "held", ids(t, q), []string{"op1"})
	put(t, q, capture("op2", "pi"))
	closed(t, q)
	if d := opened(t, dir, Options{}).Stats().Damaged; len(d) != 1 {
		t.Errorf("damaged after reopen: %q", d)
	}
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

// A log beyond reading costs what is in it, not the others.
func TestALogBeyondReadingCostsItselfOnly(t *testing.T) {
	dir := t.TempDir()
	killed(t, dir, 10*time.Millisecond)
	if err := os.WriteFile(filepath.Join(dir, storeName, "00099.mem"), []byte(strings.Repeat("\xff", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	q := opened(t, dir, Options{})
	s := q.Stats()
	if len(s.Damaged) != 1 || strings.Contains(s.Damaged[0], "missing") {
		t.Errorf("damaged: %q", s.Damaged)
	}
	var last uint64
	for op, err := range q.All() {
		if err != nil {
			t.Fatal(err)
		}
		if last != 0 && op.Seq != last-1 {
			t.Errorf("place %d before %d", last, op.Seq)
		}
		last = op.Seq
	}
	if last != 1 {
		t.Errorf("the first place is %d", last)
	}
}

// A mark of the witness that was torn is the one nobody was told of.
func TestATornMarkLeavesTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	w, err := openWitness(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(5) {
		if err := w.write(mark{Commit: n + 1, Seq: n + 1, Number: n, Head: Chain("", fmt.Sprint(n))}); err != nil {
			t.Fatal(err)
		}
	}
	torn := 1 - w.slot
	if _, err := w.file.WriteAt([]byte("torn"), int64(torn)*slotSize+20); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	w, err = openWitness(dir)
	if err != nil {
		t.Fatal(err)
	}
	if w.last.Commit != 4 || w.slot != torn {
		t.Errorf("last %+v, next slot %d; want change 4 and slot %d", w.last, w.slot, torn)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

// The claim is power: one Put is on disk when it returns. What can be counted
// inside is that nobody is answered before the flushes of his group: here a
// witness that stands still holds back every answer.
func TestNobodyIsAnsweredBeforeTheWitness(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	q := opened(t, t.TempDir(), Options{Fault: func(step string) error {
		if step == "put:witness" {
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
		t.Errorf("answered before the witness: %v", err)
	case <-time.After(20 * time.Millisecond): // a wrong answer comes at once
	}
	close(hold)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}
