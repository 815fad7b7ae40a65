package offlinequeue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Verify says the truth about journal and store, names damage by number, and
// touches nothing.
func TestVerifyNamesDamageAndTouchesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	hq := newHeadquarters()
	offered(t, q, hq, 4, 2)
	if _, err := Verify(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("verify while a hub uses it: %v", err)
	}
	last, head := q.journal.last.number, q.st.Head
	at := (headSize + int(q.journal.segments[0].end)) / 2
	name := filepath.Join(dir, journalName, q.journal.segments[0].name)
	closed(t, q)
	r, err := Verify(dir)
	if err != nil || !r.OK() {
		t.Fatalf("whole: %+v (%v)", r, err)
	}
	if r.First != 1 || r.Last != last || r.Applied != last || r.Operations != 4 || r.Number != 4 || r.Head != head || head != hq.head(4) {
		t.Errorf("whole: %+v", r)
	}
	flip(t, name, at)
	before := files(t, dir)
	r, err = Verify(dir)
	if err != nil || len(r.Damage) != 1 || r.Damage[0].From == 0 || r.Damage[0].From != r.Damage[0].To {
		t.Errorf("one flipped byte: %+v (%v)", r, err)
	}
	equal(t, "files", files(t, dir), before)
	if err := os.RemoveAll(filepath.Join(dir, storeName)); err != nil {
		t.Fatal(err)
	}
	r, err = Verify(dir)
	if err != nil || len(r.Damage) != 2 || r.Damage[1].Where != storeName {
		t.Errorf("store missing: %+v (%v)", r, err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Old segments go, and what stands of them is carried forward: the journal alone
// still holds everything.
func TestOldSegmentsGoAndNothingWithThem(t *testing.T) {
	dir := t.TempDir()
	o := Options{segmentSize: 600 << 10}
	q := opened(t, dir, o)
	acks := map[string]Op{"stays": put(t, q, capture("stays", "pi"))}
	result := make([]byte, 100<<10)
	for i := range result {
		result[i] = '7'
	}
	for i := range uint64(60) { // each outcome replaces the one before
		settle(t, q, Cursor{Seq: i + 1}, Outcome{Seq: i + 1, ID: "stays", State: Accepted, Reason: string('a' + rune(i%26)), Result: result})
	}
	if err := q.level(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		q.tidy()
		q.journal.mu.RLock()
		defer q.journal.mu.RUnlock()
		return q.journal.segments[0].before.number > 0 && len(q.journal.segments) <= 5
	})
	closed(t, q)
	if err := os.RemoveAll(filepath.Join(dir, storeName)); err != nil {
		t.Fatal(err)
	}
	intact(t, opened(t, dir, o), acks)
}
