package offlinequeue

import (
	"errors"
	"fmt"
	"time"
)

// Badger writes into mapped files: one that cannot get its block ends the process.
// The journal's room is taken before it is used. So a reserve is kept back on the
// disk, and while less than that is free the journal goes on alone: nothing new is
// promised, but what was promised is numbered, offered and ended. Badger is left as it
// is and answers; to close it would write another table.
const (
	// A new log of the store takes up to 16 MiB at once, and compacting a level
	// writes it anew before the old one goes: 64 MiB, or an eighth of what is held.
	reserveLeast = 64 << 20
	reserveShare = 8
	// To open brings Badger level, and may have to make it anew.
	reserveOpen = 24 << 20

	// How soon after room has returned Badger is brought level.
	roomEvery = time.Second
)

// errHeld says that Badger cannot be brought level for want of room.
var errHeld = fmt.Errorf("%w: what is in the journal waits for room", ErrFull)

// errEnded says that nothing is brought into Badger any more.
var errEnded = errors.New("what was promised cannot be applied")

// roomToPut refuses what may not be promised any more.
func (q *Queue) roomToPut(c *change, size int64) error {
	q.mu.Lock()
	held := q.index.bytes
	q.mu.Unlock()
	if held+size > q.maxBytes {
		return fmt.Errorf("%w: %d bytes are held, at most %d may be", ErrFull, held, q.maxBytes)
	}
	if !c.asked { // once for a group
		c.full, c.asked = q.reserved(held), true
	}
	return c.full
}

// reserved is ErrFull when the reserve is touched.
func (q *Queue) reserved(held int64) error {
	free, err := q.free(q.dir)
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if need := max(reserveLeast, uint64(held)/reserveShare); free < need {
		return fmt.Errorf("%w: %d bytes are free, %d are kept back", ErrFull, free, need)
	}
	return nil
}

// roomToApply reports whether Badger may be written to.
func (q *Queue) roomToApply() bool {
	q.mu.Lock()
	held := q.index.bytes
	q.mu.Unlock()
	return q.reserved(held) == nil
}

// roomToOpen refuses to bring Badger level.
func (q *Queue) roomToOpen() error {
	free, err := q.free(q.dir)
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if free < reserveOpen {
		return fmt.Errorf("%w: %d bytes are free, %d are needed to open", ErrFull, free, reserveOpen)
	}
	return nil
}

// alone is told when the journal begins and ends to go on alone.
func (q *Queue) alone(is bool) {
	if is {
		q.log.Warn("the disk is nearly full: nothing new is promised, the journal goes on alone", "dir", q.dir)
	} else {
		q.log.Info("the disk has room again", "dir", q.dir)
	}
}

// hold says that nothing is applied for want of room, or is again; it reports
// whether that is news.
func (o *overlay) hold(held bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	news := o.held != held
	o.held = held
	o.moved.Broadcast()
	return news
}

// isHeld reports whether nothing is applied for want of room.
func (o *overlay) isHeld() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.held
}
