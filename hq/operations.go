package hq

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"time"

	"storehub/doors"
)

// operation is a row of the ledger. Of the embedded Operation, Unknown is made
// from unknown and nextLook when it is read.
type operation struct {
	doors.Operation
	seq         int64
	store       string
	epoch       string
	line        string
	account     string
	bodyHash    string
	mentionedAt time.Time
	recordedAt  time.Time
	unknown     string
	nextLook    time.Time // zero: final
	resting     bool
	tries       int
	listedAt    time.Time
	contested   bool
	wakes       int64
	order       string
	held        bool
	decision    string // a person's: "", "dismissed", or each confirmed code followed by a blank
}

const operationColumns = `seq, store, id, epoch, kind, ref, line, amount, currency, data, till, mode, account, body_hash,
	created_at, mentioned_at, recorded_at, state, reason, message, unknown, next_look, resting, deadline, result, reversal,
	tries, listed_at, contested, wakes, order_id, held, decision`

// scanOperations reads and closes rows of operationColumns.
func scanOperations(rows *sql.Rows) ([]operation, error) {
	defer rows.Close()
	var list []operation
	for rows.Next() {
		o, err := scanOperation(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

func scanOperation(row interface{ Scan(...any) error }) (operation, error) {
	var o operation
	var created, mentioned, recorded, deadline, listed int64
	var next sql.NullInt64
	var data, result, reversal []byte
	err := row.Scan(&o.seq, &o.store, &o.ID, &o.epoch, &o.Kind, &o.Ref, &o.line, &o.Amount, &o.Currency, &data, &o.Till, &o.Mode, &o.account, &o.bodyHash,
		&created, &mentioned, &recorded, &o.State, &o.Reason, &o.Message, &o.unknown, &next, &o.resting, &deadline, &result, &reversal,
		&o.tries, &listed, &o.contested, &o.wakes, &o.order, &o.held, &o.decision)
	if err != nil {
		return o, err
	}
	o.Data, o.Result, o.Reversal = data, result, reversal
	o.CreatedAt, o.mentionedAt, o.recordedAt, o.listedAt = fromMS(created), fromMS(mentioned), fromMS(recorded), fromMS(listed)
	o.nextLook = fromMS(next.Int64)
	if deadline != 0 {
		d := fromMS(deadline)
		o.Deadline = &d
	}
	if o.unknown != "" {
		o.Unknown = &doors.Unknown{Reason: o.unknown, NextLook: o.nextLook}
	}
	return o, nil
}

func (t *tx) operation(store, id string) (operation, error) {
	return scanOperation(t.QueryRow(`SELECT `+operationColumns+` FROM operations WHERE store = ? AND id = ?`, store, id))
}

func (t *tx) insert(o operation) error {
	var deadline, settled int64
	if o.Deadline != nil {
		deadline = ms(*o.Deadline)
	}
	if o.State.Final() {
		settled = ms(t.now)
	}
	data := blob(o.Data)
	if o.Kind.Personal() && len(data) > 0 {
		if err := t.keepPersonal(o.store, o.Operation, o.mentionedAt); err != nil {
			return err
		}
		data = nil
	}
	_, err := t.Exec(`INSERT INTO operations (store, id, epoch, kind, ref, line, amount, currency, data, till, mode, account, body_hash,
		created_at, mentioned_at, recorded_at, state, reason, message, next_look, deadline, result, reversal, settled_at, order_id, held)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		o.store, o.ID, o.epoch, o.Kind, o.Ref, o.line, o.Amount, o.Currency, data, o.Till, o.Mode, o.account, o.bodyHash,
		ms(o.CreatedAt), ms(o.mentionedAt), ms(o.recordedAt), o.State, o.Reason, o.Message, orNull(o.nextLook), deadline, blob(o.Result), blob(o.Reversal), settled, orderOf(o.Operation), o.held)
	return err
}

// orderOf is the till's name for the order; "": it gave none.
func orderOf(o doors.Operation) string {
	var d struct {
		Order string `json:"order"`
	}
	_ = json.Unmarshal(o.Data, &d) // no data: no order
	return d.Order
}

func blob(j json.RawMessage) []byte { return j }

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// due lists what can be acted on now, the earliest deadline first and captures whose
// time has run out behind all that can still be saved, and receipts behind all money; or, for fresh, what was recorded
// since then, the oldest first. Order is kept per line: an
// operation waits for every earlier open one of its line, but a cancel goes past
// those that only rest, which it is meant to end.
func (d *database) due(ctx context.Context, now, fresh time.Time, limit int) ([]operation, error) {
	// What is only assumed may be wrong by some hours.
	order := `CASE WHEN kind = 'receipt' THEN 2 WHEN kind = 'capture' AND CASE WHEN deadline > 0 THEN deadline ELSE mentioned_at + ?2 + ` + strconv.FormatInt(assumedSlack.Milliseconds(), 10) + ` END < ?1 THEN 1 ELSE 0 END,
		CASE WHEN deadline > 0 THEN deadline ELSE mentioned_at + ?2 END, seq`
	if !fresh.IsZero() {
		order = `CASE WHEN kind = 'receipt' THEN 2 ELSE 0 END, ?2 + seq`
	}
	rows, err := d.r.QueryContext(ctx, `SELECT `+operationColumns+` FROM operations o
		WHERE next_look <= ?1 AND recorded_at >= ?4 AND NOT EXISTS (
			SELECT 1 FROM operations e WHERE e.store = o.store AND e.line = o.line AND e.seq < o.seq
			AND e.next_look IS NOT NULL AND (e.resting = 0 OR o.kind <> 'cancel'))
		AND 'line/' || o.store || '/' || o.line NOT IN (SELECT name FROM leases WHERE expires_at > `+d.clock()+`)
		ORDER BY `+order+` LIMIT ?3`,
		ms(now), assumedLife.Milliseconds(), limit, ms(fresh))
	if err != nil {
		return nil, err
	}
	return scanOperations(rows)
}

// nextLook is when the next open operation wants to be looked at; zero: none does.
func (d *database) nextLook(ctx context.Context, after time.Time) (time.Time, error) {
	var v sql.NullInt64
	err := d.r.QueryRowContext(ctx, `SELECT min(next_look) FROM operations WHERE next_look > ?`, ms(after)).Scan(&v)
	return fromMS(v.Int64), err
}

// attempt is one idempotency key used for an operation.
type attempt struct {
	n         int
	key       string
	amount    *int64
	firstUsed time.Time
	uses      int
	verdict   string // "", definite, effected
	status    int
	code      string
	message   string
}

func (a attempt) definite() bool { return a.verdict == "definite" }

// lastAttempt returns false when there was none.
func (d *database) lastAttempt(ctx context.Context, op int64) (attempt, bool, error) {
	var a attempt
	var first int64
	err := d.r.QueryRowContext(ctx, `SELECT n, key, amount, first_used, uses, verdict, status, code, message FROM attempts WHERE op = ? ORDER BY n DESC LIMIT 1`, op).
		Scan(&a.n, &a.key, &a.amount, &first, &a.uses, &a.verdict, &a.status, &a.code, &a.message)
	a.firstUsed = fromMS(first)
	if err == sql.ErrNoRows {
		return a, false, nil
	}
	return a, err == nil, err
}

// begin writes down that a key is about to be used.
func (t *tx) begin(op int64, a attempt) error {
	_, err := t.Exec(`INSERT INTO attempts (op, n, key, amount, first_used, last_used) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (op, n) DO UPDATE SET last_used = ?6, uses = attempts.uses + 1`,
		op, a.n, a.key, a.amount, ms(a.firstUsed), ms(t.now))
	return err
}

// conclude writes down what the key's answer was.
func (t *tx) conclude(op int64, a attempt) error {
	_, err := t.Exec(`UPDATE attempts SET verdict = ?, status = ?, code = ?, message = ? WHERE op = ? AND n = ?`,
		a.verdict, a.status, a.code, a.message, op, a.n)
	return err
}
