package hub

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"storehub/doors"
)

// hear collects n events and then hangs up.
func hear(t *testing.T, h *Hub, till doors.Till, after uint64, resume bool, n int) []doors.Event {
	t.Helper()
	var got []doors.Event
	enough := errors.New("enough")
	err := h.Events(t.Context(), till, after, resume, func(e doors.Event) error {
		if got = append(got, e); len(got) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("events ended with %v after %d", err, len(got))
	}
	return got
}

func TestEventsResumeWithoutGap(t *testing.T) {
	h := &Hub{events: newRing()}
	h.events.begin(100)
	for i := range 5 {
		h.events.publish(doors.Event{Type: eventReader, Data: i}, false)
	}
	var seqs []uint64
	for _, e := range hear(t, h, admin, 102, true, 3) {
		seqs = append(seqs, e.Seq)
	}
	if want := []uint64{103, 104, 105}; !slices.Equal(seqs, want) {
		t.Errorf("got %v, want %v", seqs, want)
	}
}

func TestAnEventMissedIsSaid(t *testing.T) {
	for _, tc := range []struct {
		what  string
		after uint64
	}{
		{"a number of an earlier process", 3},
		{"a number that was never given", 1 << 40},
		{"a number that fell out of the ring", 1000},
	} {
		h := &Hub{events: newRing()}
		h.events.begin(1000)
		for range 3 * ringSize {
			h.events.publish(doors.Event{Type: eventReader}, false)
		}
		e := hear(t, h, admin, tc.after, true, 1)[0]
		if g, ok := e.Data.(gap); e.Type != eventGap || !ok || g.After != tc.after || g.Resumed != e.Seq || e.Seq != 1000+3*ringSize {
			t.Errorf("%s: %+v", tc.what, e)
		}
	}
}

func TestTheRingKeepsAtLeastWhatItPromises(t *testing.T) {
	r := newRing()
	for range 5*ringSize + 7 {
		r.publish(doors.Event{}, false)
		if n := len(r.events); n > 2*ringSize {
			t.Fatalf("%d kept", n)
		}
	}
	events, missed, last, _, _ := r.after(5*ringSize + 7 - ringSize)
	if missed || len(events) != ringSize || events[ringSize-1].Seq != last {
		t.Errorf("missed %t, %d events", missed, len(events))
	}
}

func TestATillHearsOfItsOwnOperationsOnly(t *testing.T) {
	h := &Hub{events: newRing()}
	h.events.publish(doors.Event{Type: eventOperation, Till: "a", Data: 1}, false)
	h.events.publish(doors.Event{Type: eventOperation, Till: "b", Data: 2}, false)
	h.events.publish(doors.Event{Type: eventStripe, Data: 3}, true)
	h.events.publish(doors.Event{Type: eventReader, Data: 4}, false)
	data := func(events []doors.Event) (out []any) {
		for _, e := range events {
			out = append(out, e.Data)
		}
		return out
	}
	if got := data(hear(t, h, doors.Till{Name: "a", Scope: doors.ScopePOS}, 0, true, 2)); !slices.Equal(got, []any{1, 4}) {
		t.Errorf("till a heard %v", got)
	}
	if got := data(hear(t, h, doors.Till{Name: "x", Scope: doors.ScopeMonitor}, 0, true, 4)); !slices.Equal(got, []any{1, 2, 3, 4}) {
		t.Errorf("a monitor heard %v", got)
	}
}

func TestListenersAreWokenAndLetGo(t *testing.T) {
	h := &Hub{events: newRing()}
	heard := make(chan doors.Event, 1)
	var listening sync.WaitGroup
	listening.Go(func() {
		if err := h.Events(t.Context(), admin, 0, false, func(e doors.Event) error { heard <- e; return nil }); err != nil {
			t.Errorf("a closed ring is no error: %v", err)
		}
	})
	eventually(t, "the listener hears", func() bool {
		h.events.publish(doors.Event{Type: eventReader}, false)
		select {
		case e := <-heard:
			return e.Type == eventReader
		default:
			return false
		}
	})
	go func() { // it may have more to say than one
		for range heard {
		}
	}()
	h.events.close()
	h.events.close()
	listening.Wait()
	close(heard)
	h.events.publish(doors.Event{Type: eventReader}, false) // nobody hears; nothing breaks
}

// A till resumes with the number of an earlier process: if that number could be
// one of this process, it would miss events and not be told.
func TestNumbersNeverReturn(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	first, err := nextBase(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := nextBase(dir, now.AddDate(-10, 0, 0)) // the clock's battery is empty
	if err != nil {
		t.Fatal(err)
	}
	if second <= first+1_000_000 {
		t.Errorf("after %d comes %d", first, second)
	}
	if err := os.WriteFile(filepath.Join(dir, "events.json"), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := nextBase(dir, now); err != nil {
		t.Errorf("a torn file: %v", err)
	}
	if third, err := nextBase(dir, time.Unix(-5, 0)); err != nil || third == 0 {
		t.Errorf("a clock before 1970: %d, %v", third, err)
	}
}
