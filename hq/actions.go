package hq

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
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
	till    doors.Till // while it begins
	amount  *int64     // while it begins: of a refund
	created time.Time
	open    bool
}

// settleAfter is how long a reader action may be on its way before the poller
// reads what became of it.
const settleAfter = 5 * time.Second

// stuckAfter: a reader that has asked for a card for so long asks nobody. The next
// customer must not pay for it.
const stuckAfter = 3 * time.Minute

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
		reader: c.params.Get("reader"), intent: c.params.Get("payment_intent"), hash: hex.EncodeToString(sum[:]), till: c.till}
	if n, err := doors.ParseAmount(c.params.Get("amount")); err == nil && c.name == doors.RefundPayment {
		a.amount = &n
	}
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
	if a.call == doors.RefundPayment {
		if err := s.notRefundedYet(ctx, c, a); err != nil {
			return nil, err
		}
		c.params.Set("metadata[storehub_op]", key)
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
		if err := s.refusedAction(context.WithoutCancel(ctx), a.seq); err != nil {
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
		if a.call == doors.RefundPayment {
			if err := t.mayRefundMore(a.store, a.till, a.amount); err != nil {
				return err
			}
		}
		return t.QueryRow(`INSERT INTO actions (store, mode, account, key, call, reader, intent, body_hash, created_at, till, amount) VALUES (?,?,?,?,?,?,?,?,?,?,coalesce(?,0)) RETURNING seq`,
			a.store, a.mode, a.account, a.key, a.call, a.reader, a.intent, a.hash, ms(t.now), a.till.Name, a.amount).Scan(&seq)
	})
	return seq, err
}

// refusedAction closes an action that Stripe refused: nothing was refunded by it.
func (s *Server) refusedAction(ctx context.Context, seq int64) error {
	return s.db.tx(ctx, func(t *tx) error {
		_, err := t.Exec(`UPDATE actions SET open = 0, amount = 0 WHERE seq = ?`, seq)
		return err
	})
}

func (s *Server) closeAction(ctx context.Context, seq int64) error {
	return s.db.tx(ctx, func(t *tx) error {
		_, err := t.Exec(`UPDATE actions SET open = 0 WHERE seq = ?`, seq)
		return err
	})
}

// resolveAction reads the intent, then the reader, and says whether the action is
// over. One that is stuck it calls off, but only while the reader still asks for a
// card for this very payment and the payment has none; then it reads again: a card
// may have come in between (money.md 2.6).
func (s *Server) resolveAction(ctx context.Context, st Stripe, a action) (bool, error) {
	over, cardless, err := s.actionOver(ctx, st, a)
	if err == nil && !over && cardless && s.now().Sub(a.created) >= stuckAfter {
		_, err = st.Call(ctx, a.account, doors.CancelAction, a.key+"_cancel", url.Values{"reader": {a.reader}})
		s.heard(ctx, st.Mode(), string(doors.CancelAction), err)
		if err == nil {
			s.log.Warn("a reader action was stuck and is called off", "store", a.store, "reader", a.reader, "payment", a.intent)
		}
		if err == nil || judgeAnswer(err) == definite {
			over, _, err = s.actionOver(ctx, st, a)
		}
	}
	if err != nil || !over {
		return false, err
	}
	return true, s.closeAction(ctx, a.seq)
}

// actionOver reads whether the reader has done with the action; cardless: it asks for
// a card for a payment that has none.
func (s *Server) actionOver(ctx context.Context, st Stripe, a action) (over, cardless bool, err error) {
	in, err := st.Intent(ctx, a.account, a.intent)
	s.heard(ctx, st.Mode(), "intent", err)
	if err != nil {
		return false, false, err
	}
	if a.call == doors.ProcessPaymentIntent {
		switch in.Status {
		case "requires_capture", "succeeded", "canceled":
			return true, false, nil
		}
	}
	now, err := s.readerDoes(ctx, st, a.account, a.reader)
	if err != nil {
		return false, false, err
	}
	if now == nil || now.Status != "in_progress" || now.intent() != a.intent {
		return true, false, nil
	}
	return false, now.Type == "process_payment_intent" && in.Status == "requires_payment_method", nil
}

// readerDoes is the reader's action; nil: none.
func (s *Server) readerDoes(ctx context.Context, st Stripe, account, reader string) (*readerAction, error) {
	raw, err := st.Call(ctx, account, doors.RetrieveReader, "", url.Values{"reader": {reader}})
	s.heard(ctx, st.Mode(), string(doors.RetrieveReader), err)
	if err != nil {
		return nil, err
	}
	var r struct {
		Action *readerAction `json:"action"`
	}
	return r.Action, json.Unmarshal(raw, &r)
}

// checkCancel lets a till call off what a reader does while that can still be called
// off: a payment that has a card goes on to its end.
func checkCancel(ctx context.Context, s *Server, c *call) error {
	if err := checkOwnReader(ctx, s, c); err != nil {
		return err
	}
	now, err := s.readerDoes(ctx, c.stripe, c.st.Account, c.params.Get("reader"))
	if err != nil {
		return refusalFrom(err)
	}
	if now == nil || now.Status != "in_progress" || now.Type != "process_payment_intent" {
		return nil
	}
	in, err := c.stripe.Intent(ctx, c.st.Account, now.intent())
	s.heard(ctx, c.st.Mode, "intent", err)
	if err != nil {
		return refusalFrom(err)
	}
	if in.Status != "requires_payment_method" {
		return doors.ErrDecisionPending.With("the payment on this reader has its card already (%s): it goes on to its end", in.Status)
	}
	return nil
}

// notRefundedYet refuses a second refund at a reader before it is read that the first
// one was not made: the same amount on the same payment a moment later is more
// likely one refund asked for twice.
func (s *Server) notRefundedYet(ctx context.Context, c *call, a action) error {
	var before bool
	if err := s.db.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM actions WHERE intent = ? AND call = ? AND key <> ? AND created_at > ?)`,
		a.intent, a.call, a.key, ms(s.now().Add(-keyLife))).Scan(&before); err != nil || !before {
		return err
	}
	list, err := c.stripe.Refunds(ctx, a.account, a.intent)
	s.heard(ctx, c.st.Mode, "refunds", err)
	if err != nil {
		return refusalFrom(err)
	}
	in, err := c.stripe.Intent(ctx, a.account, a.intent)
	s.heard(ctx, c.st.Mode, "intent", err)
	if err != nil {
		return refusalFrom(err)
	}
	want := c.params.Get("amount")
	if want == "" {
		want = strconv.FormatInt(in.Received, 10)
	}
	for _, r := range list {
		if r.Status != "failed" && r.Status != "canceled" && r.Metadata["storehub_op"] != a.key &&
			strconv.FormatInt(r.Amount, 10) == want && s.now().Sub(r.Created) < twinSpan {
			return doors.ErrDecisionPending.With("%s was refunded on this payment a moment before (%s)", want, r.ID)
		}
	}
	return nil
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
