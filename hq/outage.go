package hq

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"storehub/doors"
)

const (
	// outageAfter so many calls in a row without a clear answer it is
	// Stripe that is in trouble, or the line to it, and not one payment.
	outageAfter = 3
	// returnWithin is how soon after an outage everything that waited it out is
	// looked at again, spread so that it does not all come at once.
	returnWithin = 5 * time.Second
)

// heard takes note of how a call to Stripe ended. The first clear answer after an
// outage ends the back-off of what failed during it: a capture need not wait five
// minutes for a Stripe that is back.
func (s *Server) heard(ctx context.Context, mode doors.Mode, call string, err error) {
	s.metrics.stripe(mode, call, err)
	if errors.Is(err, context.Canceled) {
		return // called off by us: it says nothing
	}
	var answer *StripeError
	if errors.As(err, &answer) && answer.Ours {
		return // Stripe was not asked
	}
	answered := err == nil || errors.As(err, &answer) && answer.Status < 500 && answer.Status != http.StatusTooManyRequests
	if !s.silences.note(mode, call, answered) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stripeTimeout)
	defer cancel()
	eased, err := s.db.endBackOff(ctx, returnWithin)
	if err != nil {
		s.log.Error("end back-off after an outage", "err", err)
		return
	}
	if eased > 0 {
		s.log.Info("stripe answers again", "operations", eased)
		s.hurry()
	}
}

// silences counts calls in a row without a clear answer: all of a mode's (under "")
// and each kind, because Stripe may read well and write badly. That a rehearsal meets
// trouble in test mode says nothing of live payments.
type silences struct {
	mu    sync.Mutex
	inRow map[silent]int
}

type silent struct {
	mode doors.Mode
	call string
}

// note takes in one call. It is true for the first answer after an outage.
func (s *silences) note(mode doors.Mode, call string, answered bool) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inRow == nil {
		s.inRow = map[silent]int{}
	}
	for _, kind := range []silent{{mode, ""}, {mode, call}} {
		if !answered {
			s.inRow[kind]++
			continue
		}
		over = over || s.inRow[kind] >= outageAfter
		s.inRow[kind] = 0
	}
	return over
}

// endBackOff spreads the next looks of all operations in trouble over the given
// time: neighbours, which failed together, go far apart.
func (d *database) endBackOff(ctx context.Context, within time.Duration) (eased int64, err error) {
	err = d.tx(ctx, func(t *tx) error {
		r, err := t.Exec(`UPDATE operations SET next_look = ?1 + (seq * 7919) % ?2 WHERE tries > 0 AND next_look - ?2 > ?1`,
			ms(t.now), within.Milliseconds())
		if err != nil {
			return err
		}
		eased, err = r.RowsAffected()
		return err
	})
	return eased, err
}
