package offlinequeue

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// The claim is room: below the reserve nothing new is promised, and all that was
// goes on in the journal alone: numbers, acceptance, outcomes, and the answers to who
// asks. Badger is not written to. With room it is brought level by itself; cut off
// before, by the next Open.
func TestTheJournalGoesOnAloneBelowTheReserve(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	dir := t.TempDir()
	q := opened(t, dir, Options{Free: func(string) (uint64, error) { return free.Load(), nil }})
	acknowledged := map[string]Op{}
	for i := range 6 {
		id := fmt.Sprint("op", i)
		acknowledged[id] = put(t, q, capture(id, fmt.Sprint(i)))
	}
	if err := q.level(); err != nil {
		t.Fatal(err)
	}
	inBadger := func() (at position) {
		err := q.storeNow().view(func(tx *tx) error {
			b, _, err := tx.get(keyApplied)
			if err != nil {
				return err
			}
			a, err := decodeApplied(b)
			at = a.position
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := inBadger()

	free.Store(0)
	if _, err := q.Put(t.Context(), capture("new", "pi")); !errors.Is(err, ErrFull) {
		t.Errorf("put into the reserve: %v, want ErrFull", err)
	}
	equal(t, "what stands is told", put(t, q, capture("op0", "0")).Seq, uint64(1))
	hq := newHeadquarters()
	running(t, q, hq)
	accepted(t, q, 6)
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: 2}, Outcome{Seq: 1, ID: "op0", State: Succeeded}, Outcome{Seq: 2, ID: "op1", State: Failed})
	equal(t, "asked", get(t, q, "op1").State, Failed)
	equal(t, "listed", ids(t, q), []string{"op5", "op4", "op3", "op2", "op1", "op0"})
	equal(t, "listed by state", ids(t, q, Succeeded), []string{"op0"})
	equal(t, "chain", hq.ids(), []string{"op0", "op1", "op2", "op3", "op4", "op5"})
	intact(t, q, acknowledged)
	equal(t, "Badger", inBadger(), before)
	if !q.Stats().JournalAlone {
		t.Error("nobody was told")
	}
	// All operations would have to be looked at: that waits.
	if err := q.Settle(t.Context(), Cursor{Epoch: "another"}, nil); !errors.Is(err, ErrFull) {
		t.Errorf("a new epoch below the reserve: %v, want ErrFull", err)
	}

	cut := filepath.Join(t.TempDir(), "cut")
	if err := duplicated(cut, dir); err != nil {
		t.Fatal(err)
	}
	after := opened(t, cut, Options{})
	intact(t, after, acknowledged)
	equal(t, "after the next Open", get(t, after, "op1").State, Failed)

	free.Store(1 << 40)
	eventually(t, func() bool { return !q.Stats().JournalAlone })
	if err := q.level(); err != nil {
		t.Error(err)
	}
	if at := inBadger(); at.number <= before.number {
		t.Errorf("Badger is at %d, was at %d", at.number, before.number)
	}
	acknowledged["new"] = put(t, q, capture("new", "pi"))
	accepted(t, q, 5) // op0 and op1 have their end; what is still under way would be counted differently a moment later
	intact(t, q, acknowledged)
}

// What waits for room is bounded: then outcomes wait at headquarters.
func TestWhatWaitsForRoomIsBounded(t *testing.T) {
	o := newOverlay(0)
	o.add(nil, 1, 100)
	o.hold(true)
	if err := o.room(99); !errors.Is(err, ErrFull) {
		t.Errorf("no room: %v, want ErrFull", err)
	}
	if err := o.room(100); err != nil {
		t.Errorf("room: %v", err)
	}
	if err := o.level(); !errors.Is(err, errHeld) {
		t.Errorf("level: %v, want errHeld", err)
	}
}
