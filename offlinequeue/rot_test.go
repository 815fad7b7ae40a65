package offlinequeue

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The claim is the disk: after one flipped byte, anywhere in a log or a table of
// the store, either every acknowledged operation is readable, or the queue says
// that it is damaged and names every operation that is not.
func TestOneFlippedByteIsHarmlessOrNamed(t *testing.T) {
	root := t.TempDir()
	left := filepath.Join(root, "left")
	var acks []Op
	for rounds := 0; rounds < 2 || len(acks) < 20; rounds++ { // a log and a table at least
		acks = append(acks, killed(t, left, 30*time.Millisecond)...)
	}
	damaged := 0
	// DISCARD holds Badger's own figures, in this store nothing.
	for _, pattern := range []string{"*.mem", "*.sst", "*.vlog", "MANIFEST", "KEYREGISTRY", "DISCARD"} {
		names, err := filepath.Glob(filepath.Join(left, storeName, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			t.Errorf("no %s: nothing to flip", pattern)
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
			for _, at := range []int{0, 5, 15, used / 3, used / 2, used * 9 / 10, used - 3} {
				if at < 0 || at >= used {
					continue
				}
				dir := filepath.Join(root, fmt.Sprint(filepath.Base(name), "-", at))
				if err := os.CopyFS(dir, os.DirFS(left)); err != nil {
					t.Fatal(err)
				}
				flip(t, filepath.Join(dir, storeName, filepath.Base(name)), at)
				if harmlessOrNamed(t, dir, acks) {
					damaged++
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if damaged == 0 {
		t.Error("no flip did any harm: they were not where the data is")
	}
}

func flip(t *testing.T, name string, at int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x10
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// harmlessOrNamed reports whether there was damage.
func harmlessOrNamed(t *testing.T, dir string, acks []Op) bool {
	t.Helper()
	q, err := Open(dir, Options{Log: quiet()})
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
		} else if op.Seq != ack.Seq {
			t.Errorf("%s: %s went from place %d to %d", filepath.Base(dir), ack.ID, ack.Seq, op.Seq)
		}
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
	return words != ""
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
