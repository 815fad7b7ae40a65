package offlinequeue

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	soak   = flag.Bool("soak", false, "the long proofs: make soak")
	stride = flag.Int("stride", 1, "with -soak: flip one byte in so many, from a random one on")
)

// The claim is the disk: after one flipped byte, anywhere in journal or store, every
// acknowledged operation is there. Only of what was promised in the last moment
// before an unclean end, and is in the journal alone, may one be missing; then it is
// named.
func TestOneFlippedByteIsHarmlessOrNamed(t *testing.T) {
	root := t.TempDir()
	left := filepath.Join(root, "left")
	var acks []Op
	for rounds := 0; rounds < 2 || len(acks) < 20; rounds++ { // a log and a table at least
		acks = append(acks, killed(t, left, 30*time.Millisecond)...)
	}
	closed(t, opened(t, left, Options{})) // makes a table
	acks = append(acks, killed(t, left, 30*time.Millisecond)...)
	touched, flips := 0, 0
	// DISCARD holds Badger's own figures, in this store nothing.
	for _, pattern := range []string{"journal/*", "store/*.mem", "store/*.sst", "store/*.vlog", "store/MANIFEST", "store/KEYREGISTRY", "store/DISCARD"} {
		names, err := filepath.Glob(filepath.Join(left, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			t.Errorf("no %s: nothing to flip", pattern)
		}
		if small() {
			names = names[:min(1, len(names))]
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			used := len(b) // a log is zeros from its end on
			for used > 0 && b[used-1] == 0 {
				used--
			}
			if used == 0 {
				used = min(len(b), 64)
			}
			offsets := []int{0, 5, 15, used / 3, used / 2, used * 9 / 10, used - 3}
			if strings.HasPrefix(pattern, journalName) {
				offsets = append(offsets, 20, headBytes-1, headSize, headSize+1, headSize+5, headSize+9, headSize+20, headSize+50, used-1)
			}
			if small() {
				offsets = []int{used / 3, used - 1}
			}
			if *soak {
				offsets = offsets[:0]
				first := rand.IntN(*stride)
				for at := first; at < used; at += *stride {
					offsets = append(offsets, at)
				}
				t.Logf("%s: %d bytes, %d to flip, from %d on", filepath.Base(name), used, len(offsets), first)
			}
			for _, at := range offsets {
				if at < 0 || at >= used {
					continue
				}
				dir := filepath.Join(root, fmt.Sprint(filepath.Base(name), "-", at))
				if err := duplicated(dir, left); err != nil {
					t.Fatal(err)
				}
				at0, err := filepath.Rel(left, name)
				if err != nil {
					t.Fatal(err)
				}
				if flips++; *soak && flips%1000 == 0 {
					t.Logf("%d flipped, %d of them found", flips, touched)
				}
				flip(t, filepath.Join(dir, at0), at)
				if harmlessOrNamed(t, dir, acks, strings.HasPrefix(pattern, "store")) {
					touched++
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if touched == 0 {
		t.Error("no flip did any harm: they were not where the data is")
	}
	t.Logf("%d flipped, %d of them found", flips, touched)
}

// unapplied is a queue with a and b of which only the journal knows, and where in its
// first segment the middle of b's record is.
func unapplied(t *testing.T, dir string) (q *Queue, b int) {
	t.Helper()
	hold := make(chan struct{})
	q = opened(t, dir, Options{Fault: func(step string) error {
		if step == "apply" {
			<-hold
		}
		return nil
	}})
	t.Cleanup(func() { close(hold) }) // before the queue is closed
	end := func() int64 {
		j := q.journalNow()
		j.mu.RLock()
		defer j.mu.RUnlock()
		return j.segments[0].end
	}
	put(t, q, capture("a", "a"))
	from := end()
	put(t, q, capture("b", "b"))
	return q, int(from+end()) / 2
}

// A record that only the journal has is lost, and with it what was asked for, while a
// later one says how that operation stands: it is named too, and the till that repeats
// its Put has it again.
func TestWhatWasAskedForIsNamedWhenItIsLost(t *testing.T) {
	live, dir := t.TempDir(), t.TempDir()
	q, b := unapplied(t, live)
	settle(t, q, Cursor{Epoch: "e", Seq: 1}, Outcome{Seq: 1, ID: "b", State: Failed, Reason: "declined"})
	put(t, q, capture("c", "c"))
	if err := duplicated(dir, live); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, journalName, q.journalNow().segments[0].name), b)

	q = opened(t, dir, Options{})
	if words := strings.Join(q.Stats().Damaged, "\n"); !names(words, 2) || names(words, 1) || names(words, 3) {
		t.Errorf("named is %q", words)
	}
	if _, err := q.Get("b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("b: %v", err)
	}
	equal(t, "held", ids(t, q), []string{"c", "a"})
	closed(t, q)
	q = opened(t, dir, Options{})
	if s := q.Stats(); len(s.Damaged) != 1 || len(s.Healed) > 0 {
		t.Errorf("opened again: damaged %q, healed %q", s.Damaged, s.Healed)
	}
	if op := put(t, q, capture("b", "b")); op.State != Pending {
		t.Errorf("put again: %+v", op)
	}
}

// duplicated copies a queue's files, which are mostly zeros.
func duplicated(to, from string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, at), 0o700)
		}
		return copySparse(filepath.Join(to, at), name)
	})
}

func flip(t *testing.T, name string, at int) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, int64(at))
	b[0] ^= 0x10
	_, werr := f.WriteAt(b, int64(at))
	if err := errors.Join(err, werr, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// harmlessOrNamed reports whether there was damage. harmless: none may be lost.
func harmlessOrNamed(t *testing.T, dir string, acks []Op, harmless bool) bool {
	t.Helper()
	q, err := openAs(dir, Options{Log: quiet(), segmentSize: 1 << 20})
	if err != nil {
		t.Errorf("%s: %v", filepath.Base(dir), err)
		return true
	}
	defer closed(t, q)
	words := strings.Join(q.Stats().Damaged, "\n")
	missing := map[uint64]bool{}
	for _, ack := range acks {
		op, err := q.Get(ack.ID)
		if err != nil {
			missing[ack.Seq] = true
			t.Logf("%s: %v", filepath.Base(dir), err)
		} else if op.Seq != ack.Seq {
			t.Errorf("%s: %s went from place %d to %d", filepath.Base(dir), ack.ID, ack.Seq, op.Seq)
		}
	}
	if len(missing) > 0 && harmless {
		t.Errorf("%s: %d acknowledged operations are gone: %q", filepath.Base(dir), len(missing), words)
	}
	if len(missing) > 0 && words == "" {
		t.Errorf("%s: %d acknowledged operations are gone without a word", filepath.Base(dir), len(missing))
	}
	for _, seq := range slices.Sorted(maps.Keys(missing)) {
		if !names(words, seq) {
			t.Errorf("%s: operation %d is gone and not named in %q", filepath.Base(dir), seq, words)
			break
		}
	}
	// And the shop goes on.
	if op := put(t, q, capture("next", "pi")); op.Seq <= acks[len(acks)-1].Seq-3 {
		t.Errorf("%s: place %d was given twice", filepath.Base(dir), op.Seq)
	}
	return words != "" || len(q.Stats().Healed) > 0
}

// names reports whether the words name operation seq, in "operation 7" or
// "operations 3, 7 to 9".
func names(words string, seq uint64) bool {
	for _, list := range strings.Split(words, "missing: operation")[1:] {
		list, _, _ = strings.Cut(strings.TrimPrefix(list, "s"), ";")
		for _, part := range strings.Split(list, ",") {
			var from, to uint64
			n, _ := fmt.Sscanf(strings.TrimSpace(part), "%d to %d", &from, &to)
			if n == 1 {
				to = from
			}
			if n > 0 && from <= seq && seq <= to {
				return true
			}
		}
	}
	return false
}

// renewing is a headquarters that ends its epoch when it is shown a past that it lacks.
type renewing struct{ *headquarters }

func (h renewing) Send(ctx context.Context, b Batch) (Receipt, error) {
	h.mu.Lock()
	lacks := len(b.Ops) > 0 && (b.Epoch == "" || b.Epoch == h.epoch) && int(b.Ops[0].Number) > len(h.log)+1
	h.mu.Unlock()
	if lacks {
		h.restore(h.epoch+"+", 0)
	}
	return h.headquarters.Send(ctx, b)
}

// An operation that had its number, and that headquarters never got, is lost: the
// numbers have a hole. What comes after it goes out all the same, in a new epoch.
func TestALostOperationThatHadItsNumberHoldsUpNothing(t *testing.T) {
	live, dir := t.TempDir(), t.TempDir()
	q, b := unapplied(t, live)
	put(t, q, capture("c", "c"))
	if _, err := q.batch(t.Context(), 3, ""); err != nil { // numbered, and no answer
		t.Fatal(err)
	}
	if got := []uint64{get(t, q, "a").Number, get(t, q, "b").Number, get(t, q, "c").Number}; !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatalf("the numbers are %d", got)
	}
	if err := duplicated(dir, live); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, journalName, q.journalNow().segments[0].name), b)

	q = opened(t, dir, Options{})
	if words := strings.Join(q.Stats().Damaged, "\n"); !names(words, 2) {
		t.Errorf("named is %q", words)
	}
	put(t, q, capture("d", "d"))
	hq := newHeadquarters()
	stop := running(t, q, renewing{hq})
	eventually(t, func() bool {
		for _, id := range []string{"a", "c", "d"} {
			if get(t, q, id).State != Accepted {
				return false
			}
		}
		return true
	})
	put(t, q, capture("b", "b")) // the till repeats its Put
	eventually(t, func() bool { return get(t, q, "b").State == Accepted })
	stop()
	got := hq.ids()
	slices.Sort(got)
	equal(t, "headquarters has", got, []string{"a", "b", "c", "d"})
}
