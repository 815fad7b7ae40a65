package hq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"storehub/doors"
)

const (
	// watchAfter: a till that lives has asked for its capture by then (money.md 3.3).
	watchAfter = 30 * time.Minute
	// watchEvery is how often one that nobody asked for is looked at again.
	watchEvery = time.Hour
	// watchUnpaid: a payment that was begun and is not authorised by then is given up.
	watchUnpaid = 72 * time.Hour
	watchBatch  = 50
)

// runWatch looks after authorisations that no operation names: a till may have
// died between the card and the capture.
func (s *Server) runWatch(ctx context.Context) error {
	for {
		if err := s.watchDue(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("watch authorisations", "err", err)
		}
		if err := pause(ctx, jitter(s.poll)); err != nil {
			return err
		}
	}
}

// watchedIntent is an intent that is not captured, cancelled or given up.
type watchedIntent struct {
	intent
	created, authorised time.Time
}

func (s *Server) watchDue(ctx context.Context) error {
	list, err := s.db.watched(ctx, s.now())
	if err != nil {
		return err
	}
	var all error
	for _, w := range list {
		if err := s.watch(ctx, w); err != nil {
			all = errors.Join(all, fmt.Errorf("payment %s: %w", w.id, err))
		}
	}
	return all
}

func (d *database) watched(ctx context.Context, now time.Time) ([]watchedIntent, error) {
	rows, err := d.r.QueryContext(ctx, `SELECT id, store, mode, account, till, created_at, authorised_at FROM intents WHERE next_look <= ? ORDER BY next_look LIMIT ?`, ms(now), watchBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []watchedIntent
	for rows.Next() {
		var w watchedIntent
		var created, authorised int64
		if err := rows.Scan(&w.id, &w.store, &w.mode, &w.account, &w.till, &created, &authorised); err != nil {
			return nil, err
		}
		w.created, w.authorised = fromMS(created), fromMS(authorised)
		list = append(list, w)
	}
	return list, rows.Err()
}

// watch takes one look at a payment.
func (s *Server) watch(ctx context.Context, w watchedIntent) error {
	st, err := s.stripe(w.mode)
	if err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, stripeTimeout)
	defer cancel()
	in, err := st.Intent(call, w.account, w.id)
	s.heard(ctx, w.mode, "intent", err)
	switch {
	case refusalOf(err, http.StatusNotFound):
		return s.watchAgain(ctx, w, Intent{}, 0)
	case err != nil:
		return err // it stays due
	}
	switch in.Status {
	case "requires_capture":
		return s.unnamed(ctx, w, in)
	case "succeeded", "canceled":
		return s.watchAgain(ctx, w, in, 0)
	}
	if s.now().Sub(w.created) > watchUnpaid {
		return s.watchAgain(ctx, w, in, 0)
	}
	return s.watchAgain(ctx, w, in, max(watchAfter, s.now().Sub(w.created)/2)) // ever more rarely
}

// watchAgain writes down when the payment is looked at next; 0: it is over.
func (s *Server) watchAgain(ctx context.Context, w watchedIntent, in Intent, after time.Duration) error {
	return s.db.tx(ctx, func(t *tx) error {
		var next time.Time
		if after > 0 {
			next = t.now.Add(after)
		}
		if _, err := t.Exec(`UPDATE intents SET next_look = ?, deadline = ? WHERE id = ?`, orNull(next), ms(in.CaptureBefore), w.id); err != nil {
			return err
		}
		if after > 0 {
			return nil
		}
		_, err := t.Exec(`UPDATE findings SET decision = ?, decided_at = ? WHERE store = ? AND code IN (?, ?) AND ref = ? AND decision = ''`,
			moot, ms(t.now), w.store, caseUnnamed, reasonOverdue, w.id)
		return err
	})
}

// unnamed decides about a payment that is authorised: nothing as long as an
// operation asks for it; else, half an hour after it was first seen so, what the
// store's policy says. Nothing is done at Stripe but by an operation.
func (s *Server) unnamed(ctx context.Context, w watchedIntent, in Intent) error {
	asked := false
	err := s.db.tx(ctx, func(t *tx) error {
		var named bool
		if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM operations WHERE store = ? AND line = ? AND next_look IS NOT NULL)`, w.store, w.id).Scan(&named); err != nil {
			return err
		}
		since, wait := w.authorised, watchEvery
		if since.IsZero() {
			since = t.now // no event told when it was authorised
		}
		due := since.Add(watchAfter)
		switch {
		case named:
		case due.After(t.now) && lapses(w, in).Sub(t.now) > decideBefore:
			wait = due.Sub(t.now)
		default:
			var err error
			if asked, err = s.unnamedDue(t, w, in); err != nil {
				return err
			}
		}
		_, err := t.Exec(`UPDATE intents SET next_look = ?, authorised_at = ?, deadline = ? WHERE id = ?`, ms(t.now.Add(wait)), ms(since), ms(in.CaptureBefore), w.id)
		return err
	})
	if err == nil && asked {
		s.hurry()
	}
	return err
}

// lapses is when the authorisation ends, as far as known.
func lapses(w watchedIntent, in Intent) time.Time {
	if !in.CaptureBefore.IsZero() {
		return in.CaptureBefore
	}
	return w.created.Add(assumedLife)
}

// unnamedDue tells the store and a person, and asks for what the policy says.
func (s *Server) unnamedDue(t *tx, w watchedIntent, in Intent) (asked bool, err error) {
	rec, err := readStore(t, `id = ?`, w.store)
	if err != nil {
		return false, err
	}
	due := lapses(w, in)
	order := cmp.Or(in.Metadata["order"], in.Metadata["order_id"], w.id)
	var known bool
	if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM operations WHERE store = ? AND kind = 'order' AND (order_id = ? OR ref IN (?, ?)))`,
		w.store, order, order, w.id).Scan(&known); err != nil {
		return false, err
	}
	kind := doors.Kind("")
	switch {
	case known && rec.Uncaptured == UncapturedCapture:
		kind = doors.Capture
	case order == w.id && !known && rec.Uncaptured == UncapturedCancel:
		kind = doors.Cancel
	}
	if kind != "" {
		op := doors.Operation{Kind: kind, Ref: w.id, CreatedAt: t.now}
		_, err := s.recordHere(t, rec, headquartersTill, caseUnnamed+":"+w.id, op)
		return true, err
	}
	note := "authorised by a card at till " + w.till + " and no till asked for the money; it lapses at " + due.UTC().Format(time.RFC3339)
	code := caseUnnamed
	if due.Sub(t.now) < decideBefore {
		told, err := t.ever(w.store, reasonOverdue, w.id)
		if err != nil || told {
			return false, err
		}
		code = reasonOverdue
		s.log.Error("an authorisation that no operation names lapses soon", "store", w.store, "payment", w.id, "deadline", due)
	} else if told, err := t.ever(w.store, code, w.id); err != nil || told {
		return false, err // it was told, and perhaps decided
	}
	if _, err := t.find(w.store, code, w.id, note); err != nil {
		return false, err
	}
	return false, t.append(w.store, Item{Type: "finding", Event: code, Object: object(w.id, "payment_intent", in.Status)})
}

// adopt takes in that a card-present payment was authorised: one that headquarters
// made, or one that an SDK or the shop's own backend made at a store's Location.
func (s *Server) adopt(ctx context.Context, mode doors.Mode, account, id string) error {
	owner, err := s.db.intentOwner(ctx, id)
	if err != nil {
		return err
	}
	in := intent{id: id, account: account, mode: mode}
	if owner == "" {
		if in.store, err = s.placeOf(ctx, mode, account, id); err != nil || in.store == "" {
			return err
		}
	}
	return s.db.tx(ctx, func(t *tx) error {
		if owner == "" {
			if err := t.keepIntent(in); err != nil {
				return err
			}
		}
		_, err := t.Exec(`UPDATE intents SET authorised_at = ?, next_look = ? WHERE id = ? AND authorised_at = 0 AND next_look IS NOT NULL`,
			ms(t.now), ms(t.now.Add(watchAfter)), id)
		return err
	})
}

// placeOf is the store at whose Location the payment was made; "": none here.
func (s *Server) placeOf(ctx context.Context, mode doors.Mode, account, id string) (string, error) {
	var known bool
	if err := s.db.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM stores WHERE mode = ? AND account = ?)`, mode, account).Scan(&known); err != nil || !known {
		return "", err
	}
	st, err := s.stripe(mode)
	if err != nil {
		return "", nil
	}
	call, cancel := context.WithTimeout(ctx, tokenBudget)
	defer cancel()
	in, err := st.Intent(call, account, id)
	s.heard(ctx, mode, "intent", err)
	if err != nil || in.Location == "" {
		if judgeAnswer(err) == definite {
			err = nil // Stripe said that there is nothing to read
		}
		return "", err
	}
	return s.db.locationOwner(ctx, in.Location, "")
}
