package hq

import (
	"context"
	"database/sql"
	"errors"

	"storehub/doors"
)

// intent is what headquarters remembers of a PaymentIntent it made for a store.
type intent struct {
	id, store, account, ref, till string
	mode                          doors.Mode
}

// keepIntent remembers whose an intent is. The first owner stays.
func (t *tx) keepIntent(in intent) error {
	_, err := t.Exec(`INSERT INTO intents (id, store, mode, account, ref, till, created_at, next_look) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING`,
		in.id, in.store, in.mode, in.account, in.ref, in.till, ms(t.now), ms(t.now.Add(watchAfter)))
	return err
}

// intentOwner is the store headquarters made the intent for; "": none.
func (d *database) intentOwner(ctx context.Context, id string) (string, error) {
	var store string
	err := d.r.QueryRowContext(ctx, `SELECT store FROM intents WHERE id = ?`, id).Scan(&store)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return store, err
}

// locationOwner is whose the Location is or was; if it was several stores', want
// goes first. "": nobody's here.
func (d *database) locationOwner(ctx context.Context, location, want string) (string, error) {
	var store string
	err := d.r.QueryRowContext(ctx, `SELECT store FROM locations WHERE id = ? AND role IN ('present', 'former') ORDER BY store <> ?, store LIMIT 1`, location, want).Scan(&store)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return store, err
}

// intentsByRef are the intents made for the store under the app's own reference.
func (d *database) intentsByRef(ctx context.Context, store, ref string) ([]string, error) {
	return d.strings(ctx, `SELECT id FROM intents WHERE store = ? AND ref = ? AND ref <> '' ORDER BY created_at, id`, store, ref)
}

func (d *database) strings(ctx context.Context, query string, args ...any) ([]string, error) {
	return readStrings(queryer(ctx, d.r), query, args...)
}

func readStrings(q queries, query string, args ...any) ([]string, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// anyFailed reports whether an earlier operation of that kind on the same line
// ended failed, and none succeeded.
func (d *database) anyFailed(ctx context.Context, o operation, k doors.Kind) (bool, error) {
	var yes bool
	err := d.r.QueryRowContext(ctx, `SELECT coalesce(max(CASE state WHEN 'succeeded' THEN 2 WHEN 'failed' THEN 1 ELSE 0 END), 0) = 1
		FROM operations WHERE store = ? AND line = ? AND kind = ? AND seq < ?`, o.store, o.line, k, o.seq).Scan(&yes)
	return yes, err
}

// paidOtherwise is another payment that was captured for the order whose earlier
// capture failed (money.md 3.1); "": none.
func (d *database) paidOtherwise(ctx context.Context, o operation) (string, error) {
	if o.order == "" {
		return "", nil
	}
	var line string
	err := d.r.QueryRowContext(ctx, `SELECT line FROM operations WHERE store = ?1 AND order_id = ?2 AND kind = 'capture' AND state = 'succeeded' AND line <> ?3
		AND EXISTS (SELECT 1 FROM operations f WHERE f.store = ?1 AND f.order_id = ?2 AND f.kind = 'capture' AND f.state = 'failed' AND f.seq < ?4) ORDER BY seq LIMIT 1`,
		o.store, o.order, o.line, o.seq).Scan(&line)
	if isNoRows(err) {
		return "", nil
	}
	return line, err
}

// twinRefund reports whether another refund of the same amount on the same
// intent was asked for within twinSpan and has not failed.
func (d *database) twinRefund(ctx context.Context, o operation) (bool, error) {
	var yes bool
	err := d.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operations WHERE store = ? AND line = ? AND kind = 'refund' AND seq < ?
		AND amount IS NOT DISTINCT FROM ? AND state <> 'failed' AND abs(mentioned_at - ?) <= ?)`,
		o.store, o.line, o.seq, o.Amount, ms(o.mentionedAt), twinSpan.Milliseconds()).Scan(&yes)
	return yes, err
}
