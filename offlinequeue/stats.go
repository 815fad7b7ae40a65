package offlinequeue

import (
	"maps"
	"slices"
	"time"
)

// Stats are counts and marks at one moment.
type Stats struct {
	Operations      map[string]map[State]int // by kind and state
	Bytes           int64                    // on disk
	OldestPending   time.Time                // zero: none
	NextDeadline    time.Time                // zero: none
	LastAccepted    time.Time                // when Send last succeeded
	Cursor          Cursor
	Parked          []Held // held back, the first of them first; at most heldMost
	ParkedInAll     int
	Unresolved      []Held // a person has to see to it; the first first, at most heldMost
	UnresolvedInAll int
	JournalAlone    bool // the disk's reserve is touched: nothing new is promised
	Mirror          MirrorStats
	Damaged         []string // what was lost for good, in words, since the queue was made
	Healed          []string // what was damaged and made good, in words, since Open
}

// Stats counts.
func (q *Queue) Stats() Stats {
	bytes := q.diskUse()
	if c := q.checking(); c != nil && c.moved {
		_ = c.wait() // the counts of the hint are those of some time before
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{
		Operations:      map[string]map[State]int{},
		Bytes:           bytes,
		OldestPending:   q.index.oldestPending(),
		NextDeadline:    q.index.nextDeadline(),
		LastAccepted:    q.st.LastAccepted,
		Cursor:          q.st.Cursor,
		Parked:          held(q.index.parked),
		ParkedInAll:     len(q.index.parked),
		Unresolved:      held(q.index.unresolved),
		UnresolvedInAll: len(q.index.unresolved),
		JournalAlone:    q.overlay.isHeld(),
		Mirror:          q.mirrorStats(),
		Damaged:         slices.Clone(q.st.Damaged),
		Healed:          slices.Clone(q.mended),
	}
	for kind, states := range q.index.counts {
		s.Operations[kind] = maps.Clone(states)
	}
	return s
}
