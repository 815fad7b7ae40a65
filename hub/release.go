package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"storehub/offlinequeue"
)

// Held is what only this machine knows of: promises to tills that headquarters has
// not taken over. Who stops, removes or wipes a hub looks at it first.
type Held struct {
	Pending      int       `json:"pending"`
	Oldest       time.Time `json:"oldest,omitzero"`
	NextDeadline time.Time `json:"next_deadline,omitzero"` // the earliest of what has no outcome
	Damaged      []string  `json:"damaged,omitempty"`      // what the disk has lost already, in words
}

// Held asks the running hub.
func (a *Admin) Held(ctx context.Context) (Held, error) {
	s, err := a.Status(ctx)
	if err != nil {
		return Held{}, err
	}
	return held(s.Queue), nil
}

func held(q QueueStatus) Held {
	return Held{Pending: q.Pending, Oldest: q.OldestPending, NextDeadline: q.NextDeadline, Damaged: q.Damaged}
}

// HeldStored reads the disk of a hub that does not run, and changes nothing there. A
// machine that never had a queue holds nothing.
func HeldStored(c Config) (h Held, err error) {
	keys, err := queueKeys(c)
	if err != nil {
		return h, fmt.Errorf("read queue: %w", err)
	}
	err = offlinequeue.Examine(queueDir(c.StateDir), func(_ offlinequeue.Report, q *offlinequeue.Queue) error {
		h = held(queueStatus(q.Stats()))
		return nil
	}, keys...)
	if errors.Is(err, fs.ErrNotExist) {
		return Held{}, nil
	}
	return h, err
}

// String is one sentence; "" when nothing waits.
func (h Held) String() string {
	if h.Pending == 0 {
		return ""
	}
	s := fmt.Sprintf("%d operations of tills wait on this disk alone, the oldest since %s", h.Pending, h.Oldest.Format(time.RFC3339))
	if h.Pending == 1 {
		s = fmt.Sprintf("1 operation of a till waits on this disk alone, since %s", h.Oldest.Format(time.RFC3339))
	}
	if !h.NextDeadline.IsZero() {
		s += fmt.Sprintf("; the first has to be at Stripe before %s", h.NextDeadline.Format(time.RFC3339))
	}
	return s
}

// releasedName is a file in the state directory that says whoever removed the hub has
// looked: the directory may be wiped. It holds a sentence. A hub that starts removes it.
const releasedName = "released"

// Release leaves word that the state directory of a hub that does not run may be
// wiped, and why.
func Release(stateDir, why string) error {
	if _, err := os.Stat(stateDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.WriteFile(filepath.Join(stateDir, releasedName), []byte(strings.TrimSpace(why)+"\n"), 0o600); err != nil {
		return fmt.Errorf("release state directory: %w", err)
	}
	return nil
}

// reclaim is the inverse of Release: from now on there may be promises again.
func reclaim(stateDir string) error {
	if err := os.Remove(filepath.Join(stateDir, releasedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open state directory: %w", err)
	}
	return nil
}
