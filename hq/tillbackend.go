package hq

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"storehub/doors"
	"storehub/doors/words"
)

// tillBackend is what stands behind headquarters' own doors, for one store: the
// ledger itself instead of a hub's queue. An operation's id is the same by either
// road, so a till that does not know what became of it asks here again.
type tillBackend struct {
	s     *Server
	store string
}

var _ doors.Backend = tillBackend{}

func hexHash(credential string) string { return hex.EncodeToString(hashSecret(credential)) }

func (b tillBackend) record(ctx context.Context) (record, error) {
	rec, err := readStore(queryer(ctx, b.s.db.r), `id = ?`, b.store)
	if isNoRows(err) {
		err = doors.ErrUnauthorized
	}
	return rec, err
}

// Till implements [doors.Backend].
func (b tillBackend) Till(ctx context.Context, credential string) (doors.Till, error) {
	t, rec, err := b.s.tillOf(ctx, credential)
	if err == nil && rec.ID != b.store {
		err = doors.ErrUnauthorized
	}
	return t, err
}

// ConnectionToken implements [doors.Backend].
func (b tillBackend) ConnectionToken(ctx context.Context, t doors.Till) (json.RawMessage, error) {
	rec, err := b.record(ctx)
	if err != nil {
		return nil, err
	}
	return b.s.connectionToken(ctx, rec, t)
}

// Stripe implements [doors.Backend].
func (b tillBackend) Stripe(ctx context.Context, t doors.Till, c doors.Call, key string, params url.Values) (json.RawMessage, error) {
	rec, err := b.record(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenBudget)
	defer cancel()
	return b.s.call(ctx, rec, t, c, key, params)
}

// Put implements [doors.Backend].
func (b tillBackend) Put(ctx context.Context, t doors.Till, key string, op doors.Operation) (doors.Operation, error) {
	var kept operation
	err := b.s.db.tx(ctx, func(tr *tx) error {
		rec, err := readStore(tr, `id = ?`, b.store)
		if err != nil {
			return err
		}
		if t.Mode != rec.Mode {
			return doors.ErrModeMismatch.With("the till is of mode %q, the store of mode %q", t.Mode, rec.Mode)
		}
		if err := doors.MayPut(t, op, rec.RefundLimit); err != nil {
			return err
		}
		if op.Kind == doors.Refund {
			// What was recorded before is repeated, not done again.
			_, err := tr.operation(b.store, doors.OperationID(b.store, rec.Mode, t.Name, key))
			if isNoRows(err) {
				err = tr.mayRefundMore(b.store, t, op.Amount)
			}
			if err != nil {
				return err
			}
		}
		op.CreatedAt = tr.now
		if kept, err = b.s.recordHere(tr, rec, t.Name, key, op); err != nil {
			return err
		}
		return b.s.db.fault("tills:put")
	})
	if err != nil {
		return op, err
	}
	b.s.hurry()
	return kept.shown(), nil
}

// shown is the operation as tills see it.
func (o operation) shown() doors.Operation {
	op := o.Operation
	if op.State.Final() {
		op.Deadline, op.Unknown = nil, nil
	}
	return op
}

func (b tillBackend) find(ctx context.Context, t doors.Till, id string) (doors.Operation, error) {
	o, err := scanOperation(b.s.db.r.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE store = ? AND id = ?`, b.store, id))
	if isNoRows(err) || err == nil && !sees(t, o) {
		return doors.Operation{}, doors.ErrNotFound.With("no operation %s of this till", id)
	}
	if err == nil && o.Kind == doors.Receipt && o.Data == nil {
		o.Data, err = b.s.db.personalOf(ctx, b.store, id)
	}
	return o.shown(), err
}

func sees(t doors.Till, o operation) bool {
	return t.Scope != doors.ScopePOS || o.Till == t.Name && o.Mode == t.Mode
}

// Await implements [doors.Backend].
func (b tillBackend) Await(ctx context.Context, t doors.Till, id string) (doors.Operation, error) {
	for {
		grown := b.s.feeds.on(b.store)
		op, err := b.find(context.WithoutCancel(ctx), t, id)
		if err != nil || op.State.Final() {
			return op, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return op, nil
		case <-b.s.closing:
			return op, nil
		}
	}
}

// Operation implements [doors.Backend].
func (b tillBackend) Operation(ctx context.Context, t doors.Till, id string) (doors.Operation, error) {
	return b.find(ctx, t, id)
}

// Operations implements [doors.Backend]. Hubs' heartbeats are no till's.
func (b tillBackend) Operations(ctx context.Context, t doors.Till, state doors.State, limit int) ([]doors.Operation, error) {
	own := ""
	if t.Scope == doors.ScopePOS {
		own = t.Name
	}
	rows, err := b.s.db.r.QueryContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE store = ? AND kind <> 'heartbeat'
		AND (? = '' OR state = ?) AND (? = '' OR till = ? AND mode = ?) ORDER BY seq DESC LIMIT ?`, b.store, state, state, own, own, t.Mode, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []doors.Operation{}
	for rows.Next() {
		o, err := scanOperation(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, o.shown())
	}
	return list, rows.Err()
}

// Readers implements [doors.Backend]: as Stripe last told.
func (b tillBackend) Readers(ctx context.Context, _ doors.Till) (any, error) {
	rec, err := b.record(ctx)
	if err != nil {
		return nil, err
	}
	return b.s.readerList(ctx, rec)
}

// Status implements [doors.Backend]. What only a machine in the shop can see is
// not in it: an absent field is not known.
func (b tillBackend) Status(ctx context.Context, t doors.Till) (any, error) {
	rec, err := b.record(ctx)
	if err != nil {
		return nil, err
	}
	can, sentence := true, "Card payments work by way of headquarters."
	if b.s.silences.now(rec.Mode) {
		can, sentence = false, doors.ErrStripeSilent.OperatorMessage
	}
	var open int
	if err := b.s.db.r.QueryRowContext(ctx, `SELECT count(*) FROM operations WHERE store = ? AND next_look IS NOT NULL`, b.store).Scan(&open); err != nil {
		return nil, err
	}
	return struct {
		Store           string         `json:"store"`
		Mode            doors.Mode     `json:"mode"`
		CanTakePayments bool           `json:"can_take_payments"`
		OperatorMessage string         `json:"operator_message"`
		Connectivity    map[string]any `json:"connectivity"`
		Causes          []any          `json:"causes"`
		Queue           map[string]int `json:"queue"`
		Readers         []any          `json:"readers"`
	}{rec.ID, rec.Mode, can, words.In(t.Language, sentence), map[string]any{"state": "headquarters"}, []any{}, map[string]int{"accepted": open}, []any{}}, nil
}

var errAskTheHub = doors.ErrNotFound.With("only the store's hub can tell; this is headquarters")

// Trade implements [doors.Backend]: codes are shown in the shop.
func (tillBackend) Trade(context.Context, string) (any, error) { return nil, errAskTheHub }

// Diagnosis implements [doors.Backend].
func (tillBackend) Diagnosis(context.Context, doors.Till) (any, error) { return nil, errAskTheHub }

// Checklist implements [doors.Backend].
func (tillBackend) Checklist(context.Context, doors.Till) (any, error) { return nil, errAskTheHub }

// ReportReader implements [doors.Backend].
func (tillBackend) ReportReader(context.Context, doors.Till, string, doors.ReaderReport) (any, error) {
	return nil, errAskTheHub
}

// ReaderTimeline implements [doors.Backend].
func (tillBackend) ReaderTimeline(context.Context, doors.Till, string, time.Time) (any, error) {
	return nil, errAskTheHub
}

// Receipt implements [doors.Backend]. A till sees the receipts of its own payments.
func (b tillBackend) Receipt(ctx context.Context, t doors.Till, paymentIntent string) (any, error) {
	missing := doors.ErrNotFound.With("no receipt for %s of this till", paymentIntent)
	if t.Scope == doors.ScopePOS {
		var own bool
		err := b.s.db.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM intents WHERE id = ?1 AND store = ?2 AND till = ?3)
			OR EXISTS (SELECT 1 FROM operations WHERE store = ?2 AND line = ?1 AND till = ?3 AND state <> 'failed')`, paymentIntent, b.store, t.Name).Scan(&own)
		if err != nil {
			return nil, err
		}
		if !own {
			return nil, missing
		}
	}
	raw, err := b.Stripe(ctx, t, doors.RetrievePaymentIntent, "", url.Values{"payment_intent": {paymentIntent}, "expand[]": {"latest_charge"}})
	if err != nil {
		return nil, err
	}
	r, ok := doors.ReceiptOf(raw)
	if !ok {
		return nil, missing
	}
	return r, nil
}

// Events implements [doors.Backend]: the store's feed, whose numbers they bear.
func (b tillBackend) Events(ctx context.Context, t doors.Till, after uint64, resume bool, send func(doors.Event) error) error {
	rec, err := b.record(ctx)
	if err != nil {
		return err
	}
	if !resume || after > rec.feedSeq {
		kind := "events.open"
		if resume {
			kind = "events.gap" // numbers of a former ledger, or of the hub
		}
		after = rec.feedSeq
		if err := send(doors.Event{Seq: after, Type: kind, Data: struct{}{}}); err != nil {
			return err
		}
	}
	epoch := rec.epoch
	for {
		f, err := b.s.lines(ctx, b.store, epoch, after, maxWait, false)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errFeedPruned) {
			after = f.Items[0].Seq - 1
			if err := send(doors.Event{Seq: after, Type: "events.gap", Data: struct{}{}}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if f.Epoch != epoch {
			epoch, after = f.Epoch, 0
			if err := send(doors.Event{Seq: 0, Type: "events.gap", Data: struct{}{}}); err != nil {
				return err
			}
			continue
		}
		for _, it := range f.Items {
			after = it.Seq
			if err := b.tell(ctx, t, it, send); err != nil {
				return err
			}
		}
		select {
		case <-b.s.closing:
			return nil
		default:
		}
	}
}

// tell sends one line of the feed as an event.
func (b tillBackend) tell(ctx context.Context, t doors.Till, it Item, send func(doors.Event) error) error {
	if it.Type == itemPolicy {
		return nil // between headquarters and hub
	}
	if it.Type == "event" || it.Type == "finding" {
		if t.Scope == doors.ScopePOS {
			return nil
		}
		kind := map[string]string{"event": "stripe.event", "finding": "headquarters.finding"}[it.Type]
		return send(doors.Event{Seq: it.Seq, Type: kind, Data: struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object,omitempty"`
		}{it.Event, it.Object}})
	}
	op, err := b.find(ctx, t, it.ID)
	var refused *doors.Error
	if errors.As(err, &refused) {
		return nil // another till's
	}
	if err != nil {
		return err
	}
	if op.Kind == doors.Heartbeat {
		return nil
	}
	kind := "operation.changed"
	if it.Type == "reversal" {
		kind = "operation.reversed"
	}
	return send(doors.Event{Seq: it.Seq, Type: kind, Till: op.Till, Data: op})
}

// now reports whether Stripe is silent at this moment in that mode, as far as anybody asked.
func (s *silences) now(mode doors.Mode) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inRow[silent{mode, ""}] >= outageAfter
}
