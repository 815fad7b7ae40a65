package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/rehearsal"
)

// A live store rehearses as a stand-in (money.md 1.4): a second hub in this process for
// the time of the rehearsal, of a store of mode test that headquarters keeps beside the
// live one. It has a queue, keys, marks, events and metrics of its own in a directory of
// its own, and asks headquarters by paths that lead to the test key alone. So nothing of
// a rehearsal can come into the live queue or the live figures: they are not there.

// standInDir is where a live store's stand-in keeps what it has under way.
func standInDir(stateDir string) string { return filepath.Join(stateDir, "rehearsal") }

// standInBytes is far more than rehearsals take.
const standInBytes = 64 << 20

// errNoStandIn: whoever plays headquarters has none.
var errNoStandIn = errors.New("this store is live, and its headquarters is of a make that knows no rehearsals")

// playAsStandIn plays the scenes in the name of the store's stand-in.
func (h *Hub) playAsStandIn(ctx context.Context, r RehearseRequest, tell func(rehearsal.Result)) (report rehearsal.Report, err error) {
	as, err := h.standIn(ctx)
	if err != nil {
		return rehearsal.Report{}, err
	}
	// What waits is delivered until the last scene has its outcome and what was left is
	// cleaned up, also when ctx has ended.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	tasks, work := errgroup.WithContext(work)
	tasks.Go(func() error { return as.queue.Run(work, sender{as.hq, as.now, as.personal}) })
	tasks.Go(func() error { return as.feed(work) })
	report, err = as.play(ctx, r, tell)
	stop()
	return report, errors.Join(err, tasks.Wait(), as.Close())
}

// standIn opens the stand-in, once headquarters has said who that is.
func (h *Hub) standIn(ctx context.Context) (*Hub, error) {
	asks := h.parts.Rehearsal
	if c, ok := h.parts.HQ.(*hq.Client); ok && asks == nil {
		own := *c
		own.Rehearsal, own.Run = true, rand.Text()
		asks = &own
	}
	if asks == nil {
		return nil, errNoStandIn
	}
	asking, cancel := context.WithTimeout(ctx, straightThrough)
	defer cancel()
	st, err := asks.Store(asking)
	var refused *doors.Error
	switch {
	case errors.Is(err, doors.ErrNotFound):
		return nil, errNoStandIn
	case errors.As(err, &refused) && h.cfg.HQ.Embedded && h.cfg.HQ.TestLocation == "":
		return nil, refused.With("store %s is live and has no test Location to rehearse at: set hq.test_location and hq.stripe.test.api_key_file", h.cfg.Store)
	case errors.As(err, &refused):
		return nil, refused
	case err != nil:
		return nil, fmt.Errorf("ask headquarters for the test Location: %w", err)
	case st.Mode != doors.Test:
		return nil, doors.ErrModeMismatch.With("headquarters names a store of mode %q to rehearse as", st.Mode)
	}
	cfg := h.cfg
	cfg.Store, cfg.StateDir = st.ID, standInDir(h.cfg.StateDir)
	cfg.Queue = QueueConfig{MaxBytes: standInBytes}
	cfg.Personal, cfg.OfflineLimits = PersonalConfig{}, nil
	p := h.parts
	p.HQ, p.Log = asks, h.log.With("store", st.ID)
	if err := RememberStore(cfg.StateDir, st); err != nil {
		return nil, err
	}
	as, err := New(cfg, p)
	if err != nil {
		return nil, fmt.Errorf("rehearse as %s: %w", st.ID, err)
	}
	return as, nil
}
