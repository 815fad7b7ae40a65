package hq

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"storehub/doors"
)

// quietPolls: where webhooks arrive, events are asked for only to find lost
// ones, which may take this many polls, since reads are rationed.
const quietPolls = 10

// runEvents asks Stripe for events that no webhook brought, and looks after
// reader actions.
func (s *Server) runEvents(ctx context.Context) error {
	for n := 0; ; n++ {
		duty := s.onDuty(ctx, "events")
		if duty {
			if err := s.settleActions(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("settle reader actions", "err", err)
			}
		}
		if duty && (len(s.secrets) == 0 || n%quietPolls == 0) {
			if err := s.pollEvents(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("poll Stripe's events", "err", err)
			}
		}
		if err := pause(ctx, jitter(s.poll)); err != nil {
			if err := s.db.drop(ctx, "duty/events"); err != nil {
				s.log.Warn("give up scheduled work", "work", "events", "err", err)
			}
			return err
		}
	}
}

// pollEvents takes the events since the last one seen, of every account.
func (s *Server) pollEvents(ctx context.Context) error {
	rows, err := s.db.r.QueryContext(ctx, `SELECT DISTINCT mode, account FROM stores`)
	if err != nil {
		return err
	}
	defer rows.Close()
	type place struct {
		mode    doors.Mode
		account string
	}
	var places []place
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.mode, &p.account); err != nil {
			return err
		}
		places = append(places, p)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var all error
	for _, p := range places {
		if st, err := s.stripe(p.mode); err == nil {
			all = errors.Join(all, s.pollAccount(ctx, st, "events/"+string(p.mode)+"/"+p.account, p.account))
		}
	}
	return all
}

func (s *Server) pollAccount(ctx context.Context, st Stripe, cursor, account string) error {
	// Where webhooks arrive, only each so many rounds come here.
	paced := time.Duration(float64(s.poll) * s.reads.eventsSlowed(stripeAccount{st.Mode(), account}, s.now()))
	if len(s.secrets) > 0 {
		paced *= quietPolls
	}
	if last, did := s.polled[cursor]; did && s.now().Sub(last) < paced*3/4 {
		return nil
	}
	if s.polled == nil {
		s.polled = map[string]time.Time{}
	}
	s.polled[cursor] = s.now()
	var after string
	err := s.db.r.QueryRowContext(ctx, `SELECT value FROM cursors WHERE name = ?`, cursor).Scan(&after)
	if err != nil && !isNoRows(err) {
		return err
	}
	call, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	list, err := st.Events(call, account, after)
	s.heard(ctx, st.Mode(), "events", err)
	if err != nil || len(list) == 0 {
		return err
	}
	for _, e := range list {
		result, err := s.takeEvent(ctx, e)
		if err != nil {
			return err // the cursor stays before it
		}
		if result == "taken" {
			s.metrics.webhook("polled")
		}
	}
	return s.db.tx(ctx, func(t *tx) error {
		err := t.setCursor(cursor, list[len(list)-1].ID)
		return err
	})
}

// jitter spreads replicas and accounts: limits are per account, not per store.
func jitter(d time.Duration) time.Duration {
	return d - d/8 + rand.N(d/4+1)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
