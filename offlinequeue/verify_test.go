package offlinequeue

import (
	"context"
	"errors"
	"fmt"
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
	if _, err := Verify(dir, testKeys...); !errors.Is(err, ErrInUse) {
		t.Errorf("verify while a hub uses it: %v", err)
	}
	last, head := q.journal.last.number, q.st.Head
	at := (headSize + int(q.journal.segments[0].end)) / 2
	name := filepath.Join(dir, journalName, q.journal.segments[0].name)
	closed(t, q)
	r, err := Verify(dir, testKeys...)
	if err != nil || !r.OK() {
		t.Fatalf("whole: %+v (%v)", r, err)
	}
	if r.First != 1 || r.Last != last || r.Applied != last || r.Operations != 4 || r.Number != 4 || r.Head != head || head != hq.head(4) {
		t.Errorf("whole: %+v", r)
	}
	flip(t, name, at)
	before := files(t, dir)
	r, err = Verify(dir, testKeys...)
	if err != nil || len(r.Damage) != 1 || r.Damage[0].From == 0 || r.Damage[0].From != r.Damage[0].To {
		t.Errorf("one flipped byte: %+v (%v)", r, err)
	}
	equal(t, "files", files(t, dir), before)
	if err := os.RemoveAll(filepath.Join(dir, storeName)); err != nil {
		t.Fatal(err)
	}
	r, err = Verify(dir, testKeys...)
	if err != nil || len(r.Damage) != 2 || r.Damage[1].Where != storeName {
		t.Errorf("store missing: %+v (%v)", r, err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// An open queue proves the same of itself, while it works.
func TestAnOpenQueueVerifiesItself(t *testing.T) {
	dir := t.TempDir()
	q := opened(t, dir, Options{segmentSize: 64 << 10})
	hq := newHeadquarters()
	offered(t, q, hq, 6, 3)
	big := make([]byte, 8<<10)
	for i := range big {
		big[i] = '7'
	}
	working := make(chan error)
	stop, cancel := context.WithCancel(t.Context())
	go func() {
		var err error
		for n := uint64(4); err == nil && stop.Err() == nil; n++ {
			err = q.Settle(t.Context(), Cursor{Epoch: hq.epoch, Seq: n}, []Outcome{{Seq: n, ID: "op05", State: Accepted, Reason: fmt.Sprint(n), Result: big}})
		}
		working <- err
	}()
	for range 20 {
		r, err := q.Verify(t.Context())
		if err != nil || !r.OK() {
			t.Fatalf("%+v (%v)", r, err)
		}
		if r.Operations != 6 || r.Number != 6 || r.Head != hq.head(6) || r.Cursor.AcceptedThrough != 6 {
			t.Fatalf("%+v", r)
		}
	}
	cancel()
	if err := <-working; err != nil {
		t.Fatal(err)
	}
	for n := range uint64(7) {
		id, head, known, err := q.Submitted(n)
		if err != nil || !known || head != hq.head(int(n)) || n > 0 && id != fmt.Sprintf("op%02d", n-1) && n < 6 {
			t.Errorf("number %d: %q %q %t (%v)", n, id, head, known, err)
		}
	}
	if _, _, known, err := q.Submitted(7); known || err != nil {
		t.Errorf("a number that was not given: %t (%v)", known, err)
	}
	eventually(t, func() bool { // what Badger has not would be lost, and a segment that goes cannot be flipped
		if err := q.level(); err != nil {
			t.Fatal(err)
		}
		_, s := q.needless()
		return s == nil
	})
	q.journal.mu.RLock()
	seg := q.journal.segments[0]
	name, at := filepath.Join(dir, journalName, seg.name), int((headSize+seg.end)/2)
	q.journal.mu.RUnlock()
	flip(t, name, at)
	if r, err := q.Verify(t.Context()); err != nil || len(r.Damage) != 1 || r.Damage[0].From == 0 {
		t.Errorf("one flipped byte: %+v (%v)", r, err)
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
