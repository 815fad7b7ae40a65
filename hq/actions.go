package hq

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"storehub/doors"
)

// action is a reader action that was written down before it was asked for.
type action struct {
	seq     int64
	store   string
	mode    doors.Mode
	account string
	key     string
	call    doors.Call
	reader  string
	intent  string
	hash    string
	created time.Time
	open    bool
}

// settleAfter is how long a reader action may be on its way before the poller
// reads what became of it.
const settleAfter = 5 * time.Second

const actionColumns = `seq, store, mode, account, key, call, reader, intent, body_hash, created_at, open`

func scanAction(row interface{ Scan(...any) error }) (action, error) {
	var a action
	var created int64
	err := row.Scan(&a.seq, &a.store, &a.mode, &a.account, &a.key, &a.call, &a.reader, &a.intent, &a.hash, &created, &a.open)
	a.created = fromMS(created)
	return a, err
}

// armReader makes a recorded reader action: at most one per intent is
// unresolved, and the same key never acts twice (money.md 2.6).
func (s *Server) armReader(ctx context.Context, c *call, key string) (json.RawMessage, error) {
	sum := sha256.Sum256([]byte(c.params.Encode()))
	a := action{store: c.st.ID, mode: c.st.Mode, account: c.st.Account, key: key, call: c.name,
		reader: c.params.Get("reader"), intent: c.params.Get("payment_intent"), hash: hex.EncodeToString(sum[:])}
	other, err := s.openAction(ctx, a)
	if err != nil {
		return nil, err
	}
	if other != nil {
		resolved, err := s.resolveAction(ctx, c.stripe, *other)
		if err != nil {
			return nil, err
		}
		if !resolved {
			return nil, doors.ErrDecisionPending
		}
	}
	if a.seq, err = s.beginAction(ctx, a); err != nil {
		return nil, err
	}
	if err := s.db.fault("action:before"); err != nil {
		return nil, err
	}
	raw, err := s.ask(ctx, c, key)
	if err := s.db.fault("action:after"); err != nil {
		return nil, err
	}
	if err != nil && judgeAnswer(err) == definite {
		// Refused: the reader was not armed.
		if err := s.closeAction(context.WithoutCancel(ctx), a.seq); err != nil {
			return nil, err
		}
	}
	return raw, err
}

// openAction is another unresolved action for the same intent. It refuses a key
// that was used for something else.
func (s *Server) openAction(ctx context.Context, a action) (*action, error) {
	have, err := scanAction(s.db.r.QueryRowContext(ctx, `SELECT `+actionColumns+` FROM actions WHERE store = ? AND key = ?`, a.store, a.key))
	switch {
	case err == nil && have.hash != a.hash:
		return nil, doors.ErrKeyReused
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	other, err := scanAction(s.db.r.QueryRowContext(ctx, `SELECT `+actionColumns+` FROM actions WHERE intent = ? AND open = 1 AND key <> ?`, a.intent, a.key))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &other, err
}

func (s *Server) beginAction(ctx context.Context, a action) (seq int64, err error) {
	err = s.db.tx(ctx, func(t *tx) error {
		err := t.QueryRow(`SELECT seq FROM actions WHERE store = ? AND key = ?`, a.store, a.key).Scan(&seq)
		if !errors.Is(err, sql.ErrNoRows) {
			return err // the same key again: Stripe repeats its answer
		}
		var taken bool
		if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM actions WHERE intent = ? AND open = 1)`, a.intent).Scan(&taken); err != nil {
			return err
		}
		if taken {
			return doors.ErrDecisionPending
		}
		return t.QueryRow(`INSERT INTO actions (store, mode, account, key, call, reader, intent, body_hash, created_at) VALUES (?,?,?,?,?,?,?,?,?) RETURNING seq`,
			a.store, a.mode, a.account, a.key, a.call, a.reader, a.intent, a.hash, ms(t.now)).Scan(&seq)
	})
	return seq, err
}

func (s *Server) closeAction(ctx context.Context, seq int64) error {
	return s.db.tx(ctx, func(t *tx) error {
		_, err := t.Exec(`UPDATE actions SET open = 0 WHERE seq = ?`, seq)
		return err
	})
}

// resolveAction reads the intent, then the reader, and says whether the action
// is over. It never cancels.
func (s *Server) resolveAction(ctx context.Context, st Stripe, a action) (bool, error) {
	over := false
	if a.call == doors.ProcessPaymentIntent {
		in, err := st.Intent(ctx, a.account, a.intent)
		s.heard(ctx, "intent", err)
		if err != nil {
			return false, err
		}
		switch in.Status {
		case "requires_capture", "succeeded", "canceled":
			over = true
		}
	}
	if !over {
		raw, err := st.Call(ctx, a.account, doors.RetrieveReader, "", url.Values{"reader": {a.reader}})
		s.heard(ctx, "retrieve_reader", err)
		if err != nil {
			return false, err
		}
		var r struct {
			Action *readerAction `json:"action"`
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			return false, err
		}
		over = r.Action == nil || r.Action.Status != "in_progress" || r.Action.intent() != a.intent
	}
	if !over {
		return false, nil
	}
	return true, s.closeAction(ctx, a.seq)
}

// readerAction is what headquarters reads of a reader's action.
type readerAction struct {
	Type    string        `json:"type"`
	Status  string        `json:"status"`
	Process *actionIntent `json:"process_payment_intent"`
	Refund  *actionIntent `json:"refund_payment"`
	Collect *actionIntent `json:"collect_payment_method"`
	Confirm *actionIntent `json:"confirm_payment_intent"`
}

type actionIntent struct {
	PaymentIntent idOrObject `json:"payment_intent"`
}

// intent is the payment the action is about; "": none.
func (a *readerAction) intent() string {
	for _, p := range []*actionIntent{a.Process, a.Refund, a.Collect, a.Confirm} {
		if p != nil && p.PaymentIntent != "" {
			return string(p.PaymentIntent)
		}
	}
	return ""
}

// idOrObject is a field that Stripe sends as an id, or whole when expanded.
type idOrObject string

// UnmarshalJSON takes the id of either form; null is none.
func (v *idOrObject) UnmarshalJSON(b []byte) error {
	var id string
	if json.Unmarshal(b, &id) == nil {
		*v = idOrObject(id)
		return nil
	}
	var o struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	*v = idOrObject(o.ID)
	return nil
}

// settleActions reads what became of reader actions that are on their way:
// webhooks get lost, and a reader that was unplugged sends none.
func (s *Server) settleActions(ctx context.Context) error {
	rows, err := s.db.r.QueryContext(ctx, `SELECT `+actionColumns+` FROM actions WHERE open = 1 AND created_at <= ? ORDER BY seq LIMIT 50`,
		ms(s.now().Add(-settleAfter)))
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []action
	for rows.Next() {
		a, err := scanAction(rows)
		if err != nil {
			return err
		}
		list = append(list, a)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, a := range list {
		st, err := s.stripe(a.mode)
		if err != nil {
			continue
		}
		if _, err := s.resolveAction(ctx, st, a); err != nil && ctx.Err() == nil {
			s.log.Warn("read a reader action", "store", a.store, "reader", a.reader, "err", err)
		}
	}
	return nil
}
