package hq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"storehub/doors"
)

const (
	// dayMargin: what was ordered before midnight may be paid after it.
	dayMargin = 2 * time.Hour
	// lateBy is how late an operation of a day may come: hubs keep settled ones so long.
	lateBy = 35 * 24 * time.Hour
	// reconcileDays are looked at again each day: captures and refunds come late.
	reconcileDays = 3
	// reconcileEvery is how often it is looked whether a store's day is over.
	reconcileEvery = 5 * time.Minute
	listTimeout    = 5 * time.Minute
)

// Reconciliation is one store's day, compared three ways: the orders its tills
// recorded, the operations its hub handed over, and Stripe.
type Reconciliation struct {
	Store      string           `json:"store"`
	Day        string           `json:"day"`
	From       time.Time        `json:"from"`
	To         time.Time        `json:"to"`
	Orders     int              `json:"orders"` // 0: tills record none, and orders are not compared
	Operations int              `json:"operations"`
	Payments   int              `json:"payments"` // of the store, at Stripe
	Received   map[string]int64 `json:"received"` // minor units by currency, without what was given back
	Decided    int              `json:"decided"`  // cases that a person has decided before
	Cases      []Case           `json:"cases"`
	Waiting    []Finding        `json:"waiting"` // the store's other open findings
}

// Reconcile compares a store's day and writes what it finds down, so that a
// person can decide it. Day "" is the latest that is over.
func (s *Server) Reconcile(ctx context.Context, store, day string) (Reconciliation, error) {
	r, err := s.reconcile(ctx, store, day)
	if err != nil {
		return r, fmt.Errorf("reconcile store %q: %w", store, err)
	}
	return r, nil
}

func (s *Server) reconcile(ctx context.Context, store, day string) (Reconciliation, error) {
	rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, store)
	if isNoRows(err) {
		err = errors.New("there is no such store")
	}
	if err != nil {
		return Reconciliation{}, err
	}
	now := s.now()
	if day == "" {
		if day, err = rec.lastDay(now); err != nil {
			return Reconciliation{}, err
		}
	}
	f := dayFacts{now: now}
	if f.from, f.to, err = rec.Day(day); err != nil {
		return Reconciliation{}, err
	}
	if f.from.After(now) {
		return Reconciliation{}, fmt.Errorf("day %s has not begun", day)
	}
	if f.payments, err = s.paymentsOf(ctx, rec, f.from.Add(-dayMargin), f.to.Add(dayMargin)); err != nil {
		return Reconciliation{}, err
	}
	if f.operations, err = s.db.operationsOf(ctx, store, f.from.Add(-dayMargin), f.to.Add(lateBy)); err != nil {
		return Reconciliation{}, err
	}
	out := Reconciliation{Store: store, Day: day, From: f.from, To: f.to, Received: map[string]int64{}, Cases: []Case{}, Waiting: []Finding{}}
	out.count(f)
	cases := judgeDay(f)
	err = s.db.tx(ctx, func(t *tx) error {
		out.Cases, out.Decided = []Case{}, 0
		for _, c := range cases {
			if err := t.keepCase(store, &c); err != nil {
				return err
			}
			if c.Finding == 0 {
				out.Decided++
				continue
			}
			out.Cases = append(out.Cases, c)
		}
		return t.setCursor(reconciledCursor(store), t.now.UTC().Truncate(time.Second).Format(time.RFC3339)+" "+day)
	})
	if err != nil {
		return out, err
	}
	open, err := s.Findings(ctx, store)
	if err != nil {
		return out, err
	}
	for _, o := range open {
		if !slices.ContainsFunc(out.Cases, func(c Case) bool { return c.Finding == o.ID }) {
			out.Waiting = append(out.Waiting, o)
		}
	}
	return out, nil
}

func (r *Reconciliation) count(f dayFacts) {
	in := func(t time.Time) bool { return !t.Before(f.from) && t.Before(f.to) }
	for _, o := range f.operations {
		switch {
		case !in(o.mentionedAt):
		case o.Kind.Money():
			r.Operations++
		case o.Kind == doors.Order:
			r.Orders++
		}
	}
	for _, i := range f.payments {
		if in(i.Created) {
			r.Payments++
			if i.Status == "succeeded" {
				r.Received[i.Currency] += i.Received - i.AmountRefunded
			}
		}
	}
}

// keepCase gives the case its number, or none if a person has decided it.
func (t *tx) keepCase(store string, c *Case) error {
	var decision string
	err := t.QueryRow(`SELECT decision FROM findings WHERE store = ? AND code = ? AND ref = ? AND decision IN ('confirmed', 'dismissed') LIMIT 1`, store, c.Kind, c.Ref).Scan(&decision)
	if err == nil || !isNoRows(err) {
		return err
	}
	if _, err := t.propose(store, c.Kind, c.Ref, c.Note, c.Proposal); err != nil {
		return err
	}
	return t.QueryRow(`SELECT seq FROM findings WHERE store = ? AND code = ? AND ref = ? AND decision = '' ORDER BY seq LIMIT 1`, store, c.Kind, c.Ref).Scan(&c.Finding)
}

// paymentsOf are the store's payments made in that time, in its former account
// and mode too where it was moved.
func (s *Server) paymentsOf(ctx context.Context, rec record, from, to time.Time) ([]Intent, error) {
	st, err := s.stripe(rec.Mode)
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	all, err := st.Intents(call, rec.Account, from, to)
	s.heard(ctx, st.Mode(), "intents", err)
	if err != nil {
		return nil, fmt.Errorf("list payments: %w", err)
	}
	made, err := s.db.strings(ctx, `SELECT id FROM intents WHERE store = ? AND created_at >= ?`, rec.ID, ms(from.Add(-24*time.Hour)))
	if err != nil {
		return nil, err
	}
	own := make(map[string]bool, len(made))
	for _, id := range made {
		own[id] = true
	}
	var list []Intent
	for _, in := range all {
		if !own[in.ID] {
			if in.Location == "" && rec.TrustKey == "" {
				continue // nothing could prove it
			}
			whose, err := s.owns(ctx, rec.ID, in)
			if err != nil {
				return nil, err
			}
			if whose != ours {
				continue
			}
		}
		list = append(list, in)
	}
	return list, nil
}

func (d *database) operationsOf(ctx context.Context, store string, from, to time.Time) ([]operation, error) {
	return d.operations(ctx, `store = ? AND mentioned_at >= ? AND mentioned_at < ?
		AND kind NOT IN ('heartbeat', 'receipt') ORDER BY seq`, store, ms(from), ms(to))
}

// runReconcile compares each store's day once it is over, by the clocks of the
// shop, with the days before it, and asks whether Stripe still knows its place. A
// stand-in has no day: each rehearsal ends what it began.
func (s *Server) runReconcile(ctx context.Context) error {
	for {
		stores, err := s.db.strings(ctx, `SELECT id FROM stores WHERE standing <> ? AND rehearses = '' ORDER BY id`, storeRemoved)
		if err != nil && ctx.Err() == nil {
			s.log.Error("look for days that are over", "err", err)
		}
		for _, store := range stores {
			if err := s.closeDay(ctx, store); err != nil && ctx.Err() == nil {
				s.log.Error("reconcile", "store", store, "err", err)
			}
		}
		if err := pause(ctx, jitter(reconcileEvery)); err != nil {
			return err
		}
	}
}

// closeDay does what is due for the store's latest day, once among all replicas.
func (s *Server) closeDay(ctx context.Context, store string) error {
	rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, store)
	if err != nil {
		return err
	}
	last, err := rec.lastDay(s.now().Add(-dayMargin)) // its last sales have their outcome
	if err != nil {
		return err
	}
	due, err := s.claimDay(ctx, rec, last)
	if err != nil || !due {
		return err
	}
	if err := s.sayPlace(ctx, rec.Store); err != nil {
		return err
	}
	if err := s.checkConfiguration(ctx, rec.Store); err != nil {
		return err
	}
	day, err := time.Parse(dayForm, last)
	if err != nil {
		return err
	}
	var all error
	for back := reconcileDays - 1; back >= 0; back-- {
		r, err := s.reconcile(ctx, store, day.AddDate(0, 0, -back).Format(dayForm))
		if err != nil {
			all = errors.Join(all, err)
			continue
		}
		s.log.Info("day reconciled", "store", store, "day", r.Day, "payments", r.Payments, "cases", len(r.Cases))
	}
	if all != nil {
		// Not done: it is due again. Nothing is found twice.
		all = errors.Join(all, s.releaseDay(ctx, store, last))
	}
	return all
}

func dayCursor(store string) string { return "reconciled/" + store }

// claimDay is true for the first replica that asks about a day. Days before a
// store was added are none of it.
func (s *Server) claimDay(ctx context.Context, rec record, day string) (due bool, err error) {
	err = s.db.tx(ctx, func(t *tx) error {
		due = false
		var done string
		err := t.QueryRow(`SELECT value FROM cursors WHERE name = ?`, dayCursor(rec.ID)).Scan(&done)
		if isNoRows(err) {
			var added int64
			if err = t.QueryRow(`SELECT created_at FROM stores WHERE id = ?`, rec.ID).Scan(&added); err == nil {
				done, err = rec.lastDay(fromMS(added))
			}
		}
		if err != nil || done >= day {
			return err
		}
		if err := t.setCursor(dayCursor(rec.ID), day); err != nil {
			return err
		}
		due = true
		return nil
	})
	return due, err
}

func (s *Server) releaseDay(ctx context.Context, store, day string) error {
	before, err := time.Parse(dayForm, day)
	if err != nil {
		return err
	}
	return s.db.tx(context.WithoutCancel(ctx), func(t *tx) error {
		_, err := t.Exec(`UPDATE cursors SET value = ? WHERE name = ? AND value = ?`, before.AddDate(0, 0, -1).Format(dayForm), dayCursor(store), day)
		return err
	})
}

// sayPlace makes a finding of a Location, account and mode that do not belong
// together any more.
func (s *Server) sayPlace(ctx context.Context, st Store) error {
	var wrong *doors.Error
	switch err := s.checkPlace(ctx, st); {
	case errors.Is(err, errNotTold):
		return nil
	case err != nil && !errors.As(err, &wrong):
		return err
	}
	return s.db.tx(ctx, func(t *tx) error {
		if wrong == nil {
			_, err := t.Exec(`UPDATE findings SET decision = ?, decided_at = ? WHERE store = ? AND code IN ('location_mismatch', 'account_mode_mismatch') AND ref = ? AND decision = ''`,
				moot, ms(t.now), st.ID, st.Location)
			return err
		}
		_, err := t.find(st.ID, wrong.Code, st.Location, wrong.Message)
		return err
	})
}
