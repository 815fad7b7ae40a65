package hq

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// What is kept, and for how long (money.md 1.1, 5.2). Everything else stays.
const (
	// A heartbeat asks for nothing but its outcome, once; hubs keep them as long.
	// One that is offered again later is recorded again, which does nothing.
	keepHeartbeats = time.Hour
	// Of a store's submit chain, and of its feed behind what the hub has on its
	// disk, the newest so many lines are kept: a day of heartbeats. A hub that was
	// put back by less finds its place again, and a copy of it is found out; one
	// that was put back by more meets a new epoch.
	keepLines = 1500
	// Operations that have ended, with all that belongs to them.
	keepMonths = 13
	// Stripe tells of an event for 30 days; ids are kept to know it again.
	keepEvents = 35 * 24 * time.Hour
	// Codes and leases that nobody can use any more.
	keepExpired = 24 * time.Hour

	upkeepEvery = 30 * time.Minute
	// upkeepBatch bounds the rows of one transaction: a till that waits for the
	// writer waits for some milliseconds.
	upkeepBatch = 500
)

// runUpkeep prunes what is kept no longer until ctx ends, on one replica at a time.
func (s *Server) runUpkeep(ctx context.Context) error {
	const duty = "duty/upkeep"
	for {
		ours, err := s.db.take(ctx, duty, 2*upkeepEvery)
		if err == nil && ours {
			err = s.upkeep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("prune the ledger", "err", err)
		}
		if err := pause(ctx, jitter(upkeepEvery)); err != nil {
			if err := s.db.drop(ctx, duty); err != nil {
				s.log.Warn("give up scheduled work", "work", "upkeep", "err", err)
			}
			return err
		}
	}
}

// upkeep prunes once. It may be cut off anywhere and begun again.
func (s *Server) upkeep(ctx context.Context) error {
	now := s.now()
	for _, prune := range []func(context.Context, time.Time) error{
		s.pruneHeartbeats, s.pruneLines, s.erasePersonal, s.pruneOperations, s.pruneRest,
	} {
		if err := prune(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// inBatches runs transactions until one of them has nothing left to do. It rests
// as long as each took, so that upkeep never has more than half of a writer. What
// it deletes nobody looks at, so they need not see the database as if alone.
func (s *Server) inBatches(ctx context.Context, batch func(*tx) (more bool, err error)) error {
	for {
		began := time.Now()
		var more bool
		err := s.db.once(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, func(t *tx) (err error) {
			more, err = batch(t)
			return err
		})
		if err != nil || !more {
			return err
		}
		if err := pause(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// pruneHeartbeats goes along the ledger in the order of arrival, and remembers how
// far it came.
func (s *Server) pruneHeartbeats(ctx context.Context, now time.Time) error {
	const cursor = "upkeep/heartbeats"
	return s.inBatches(ctx, func(t *tx) (bool, error) {
		var from int64
		var text string
		err := t.QueryRow(`SELECT value FROM cursors WHERE name = ?`, cursor).Scan(&text)
		if err == nil {
			from, err = strconv.ParseInt(text, 10, 64)
		}
		if err != nil && !isNoRows(err) {
			return false, fmt.Errorf("read cursor %s: %w", cursor, err)
		}
		rows, err := t.aged(from, now.Add(-keepHeartbeats))
		if err != nil || len(rows) == 0 {
			return false, err
		}
		through := rows[len(rows)-1].seq
		if _, err := t.Exec(`DELETE FROM operations WHERE seq > ? AND seq <= ? AND kind = 'heartbeat' AND next_look IS NULL`, from, through); err != nil {
			return false, err
		}
		if err := t.d.fault("upkeep:heartbeats"); err != nil {
			return false, err
		}
		_, err = t.Exec(`INSERT INTO cursors (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, cursor, strconv.FormatInt(through, 10))
		return len(rows) == upkeepBatch, err
	})
}

// agedRow is an operation that was recorded long ago.
type agedRow struct {
	seq   int64
	ended time.Time // zero: it has not
}

// aged lists operations after a number, in the order of arrival, up to the first
// that was recorded after the given time.
func (t *tx) aged(after int64, before time.Time) ([]agedRow, error) {
	rows, err := t.Query(`SELECT seq, recorded_at, settled_at, next_look IS NULL FROM operations WHERE seq > ? ORDER BY seq LIMIT ?`, after, upkeepBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []agedRow
	for rows.Next() {
		var r agedRow
		var recorded, settled int64
		var final bool
		if err := rows.Scan(&r.seq, &recorded, &settled, &final); err != nil {
			return nil, err
		}
		if recorded >= ms(before) {
			break
		}
		if final {
			r.ended = fromMS(max(settled, recorded))
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// pruneLines shortens each store's submit chain and feed. The oldest line that is
// left is the anchor: what is before it is known to have been, and no more.
func (s *Server) pruneLines(ctx context.Context, _ time.Time) error {
	rows, err := s.db.r.QueryContext(ctx, `SELECT id, epoch, accepted_through, feed_read FROM stores
		WHERE accepted_through > ?1 OR feed_read > ?1 ORDER BY id`, s.keepLines)
	if err != nil {
		return err
	}
	defer rows.Close()
	type place struct {
		store, epoch   string
		accepted, read int64
	}
	var places []place
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.store, &p.epoch, &p.accepted, &p.read); err != nil {
			return err
		}
		places = append(places, p)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, p := range places {
		for _, q := range []struct {
			step, query string
			through     int64
		}{
			{"upkeep:chain", `DELETE FROM chain WHERE store = ?1 AND epoch = ?2 AND number <= ?3
				AND number < (SELECT min(number) FROM chain WHERE store = ?1 AND epoch = ?2) + ?4`, p.accepted - s.keepLines},
			{"upkeep:feed", `DELETE FROM feed WHERE store = ?1 AND epoch = ?2 AND seq <= ?3
				AND seq < (SELECT min(seq) FROM feed WHERE store = ?1 AND epoch = ?2) + ?4`, p.read - s.keepLines},
		} {
			if q.through <= 0 {
				continue
			}
			if err := s.inBatches(ctx, func(t *tx) (bool, error) {
				n, err := t.delete(q.query, p.store, p.epoch, q.through, upkeepBatch)
				if err != nil {
					return false, err
				}
				return n == upkeepBatch, t.d.fault(q.step)
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneOperations ends the memory of what ended long ago. What is open, or waits
// for a person, stays, however old it is; every round looks at it again.
func (s *Server) pruneOperations(ctx context.Context, now time.Time) error {
	before := now.AddDate(0, -keepMonths, 0)
	var from int64
	return s.inBatches(ctx, func(t *tx) (bool, error) {
		rows, err := t.aged(from, before)
		if err != nil {
			return false, err
		}
		last := from
		for _, r := range rows {
			last = r.seq
			if r.ended.IsZero() || !r.ended.Before(before) {
				continue
			}
			var asked bool
			if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM findings f JOIN operations o ON f.store = o.store AND f.ref IN (o.id, o.line, o.ref)
				WHERE o.seq = ? AND f.decision = '')`, r.seq).Scan(&asked); err != nil {
				return false, err
			}
			if asked {
				continue
			}
			for _, q := range []string{`DELETE FROM attempts WHERE op = ?`, `DELETE FROM operations WHERE seq = ?`} {
				if _, err := t.Exec(q, r.seq); err != nil {
					return false, err
				}
			}
		}
		if err := t.d.fault("upkeep:operations"); err != nil {
			return false, err
		}
		from = last
		return len(rows) == upkeepBatch, nil
	})
}

// pruneRest removes what no operation needs any more.
func (s *Server) pruneRest(ctx context.Context, now time.Time) error {
	long := ms(now.AddDate(0, -keepMonths, 0))
	for _, q := range []struct {
		query  string
		before int64
	}{
		{`DELETE FROM intents WHERE id IN (SELECT id FROM intents i WHERE created_at < ?1 AND next_look IS NULL
			AND NOT EXISTS (SELECT 1 FROM operations WHERE line = i.id) ORDER BY created_at LIMIT ?2)`, long},
		{`DELETE FROM stripe_events WHERE id IN (SELECT id FROM stripe_events WHERE received_at < ?1 ORDER BY received_at LIMIT ?2)`, ms(now.Add(-keepEvents))},
		{`DELETE FROM actions WHERE seq IN (SELECT seq FROM actions WHERE created_at < ?1 AND open = 0 ORDER BY created_at LIMIT ?2)`, long},
		{`DELETE FROM codes WHERE hash IN (SELECT hash FROM codes WHERE expires_at < ?1 LIMIT ?2)`, ms(now.Add(-keepExpired))},
		{`DELETE FROM certificate_orders WHERE (store, at) IN (SELECT store, at FROM certificate_orders WHERE at < ?1 LIMIT ?2)`, ms(now.Add(-certificateSpan))},
		{`DELETE FROM leases WHERE name IN (SELECT name FROM leases WHERE expires_at < ` + s.db.clock() + ` - ?1 LIMIT ?2)`, keepExpired.Milliseconds()},
	} {
		if err := s.inBatches(ctx, func(t *tx) (bool, error) {
			n, err := t.delete(q.query, q.before, upkeepBatch)
			if err != nil {
				return false, err
			}
			return n == upkeepBatch, t.d.fault("upkeep:rest")
		}); err != nil {
			return err
		}
	}
	return nil
}

// delete reports how many rows went.
func (t *tx) delete(query string, args ...any) (int64, error) {
	r, err := t.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
