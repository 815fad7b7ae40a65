package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"storehub/doors"
)

// ringSize is how many events at least a till that was away may catch up on: about an
// hour of a busy shop. Beyond it the till is told of the gap and asks for states.
const ringSize = 2048

// The types of event.
const (
	eventOperation = "operation.changed"
	eventReversed  = "operation.reversed"
	eventReader    = "reader.changed"
	eventDiagnosis = "diagnosis.changed"
	eventOffline   = "offline.limit"        // reached, or no longer
	eventStripe    = "stripe.event"         // managers and monitors only
	eventFinding   = "headquarters.finding" // the same
	eventOpen      = "events.open"          // made for one listener: from here on it misses nothing
	eventGap       = "events.gap"           // made for one listener: it missed something
)

// ring keeps the last events, numbered without gaps.
type ring struct {
	mu     sync.Mutex
	events []ringEvent
	last   uint64
	wake   chan struct{} // closed and replaced with each event
	closed bool
}

type ringEvent struct {
	doors.Event
	staff bool // not for scope pos
}

func newRing() *ring { return &ring{wake: make(chan struct{})} }

// begin sets the number before the first event; nothing was published yet.
func (r *ring) begin(base uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = base
}

// gap is the data of events.gap: what happened after After and before Resumed
// is not to be had any more.
type gap struct {
	After   uint64 `json:"after"`
	Resumed uint64 `json:"resumed"`
}

func (r *ring) publish(e doors.Event, staff bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.last++
	e.Seq = r.last
	if len(r.events) == 2*ringSize {
		r.events = append(make([]ringEvent, 0, 2*ringSize), r.events[ringSize:]...)
	}
	r.events = append(r.events, ringEvent{e, staff})
	close(r.wake)
	r.wake = make(chan struct{})
}

// close ends every listener; the HTTP server waits for them.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		close(r.wake)
	}
}

// after returns the events numbered after n and what to wait on for more.
// missed means that n is not of this ring any more, or never was.
func (r *ring) after(n uint64) (events []ringEvent, missed bool, last uint64, wake <-chan struct{}, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.last + 1 - uint64(len(r.events)) // number of the oldest kept
	if n+1 < first || n > r.last {
		return nil, true, r.last, r.wake, r.closed
	}
	return append(events, r.events[n+1-first:]...), false, r.last, r.wake, r.closed
}

// Events implements [doors.Backend].
func (h *Hub) Events(ctx context.Context, t doors.Till, after uint64, resume bool, send func(doors.Event) error) error {
	if !resume {
		// A till that loses the line before anything happened can resume from this.
		_, _, after, _, _ = h.events.after(after)
		if err := send(doors.Event{Seq: after, Type: eventOpen, Data: struct{}{}}); err != nil {
			return err
		}
	}
	for {
		events, missed, last, wake, closed := h.events.after(after)
		if missed {
			g := gap{After: after, Resumed: last}
			if err := send(doors.Event{Seq: last, Type: eventGap, Data: g}); err != nil {
				return err
			}
			after = last
			continue
		}
		for _, e := range events {
			after = e.Seq
			if !maySee(t, e) {
				continue
			}
			if err := send(e.Event); err != nil {
				return err
			}
		}
		if closed {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func maySee(t doors.Till, e ringEvent) bool {
	if t.Scope != doors.ScopePOS {
		return true
	}
	return !e.staff && (e.Till == "" || e.Till == t.Name)
}

// nextBase makes numbers that no earlier process of this state directory gave
// out, even if the clock was set back: a till that resumes with an old number
// hears of the gap and not of someone else's events.
func nextBase(stateDir string, now time.Time) (uint64, error) {
	path := filepath.Join(stateDir, "events.json")
	var kept struct {
		Base uint64 `json:"base"`
	}
	if b, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(b, &kept) // a torn file: the clock alone decides
	}
	base := uint64(max(now.UnixMilli(), 0))
	// 1e9 events in one process: none will.
	if kept.Base > 0 && kept.Base < 1<<52 {
		base = max(base, kept.Base+1_000_000_000)
	}
	kept.Base = base
	b, err := json.Marshal(kept)
	if err != nil {
		return 0, err
	}
	if err := writeFile(path, b); err != nil {
		return 0, fmt.Errorf("number events: %w", err)
	}
	return base, nil
}
