package hq

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"storehub/doors"
)

// maxEvent is above Stripe's own bound on an event's size.
const maxEvent = 1 << 20

// concerns are the types of events that headquarters needs (money.md 3.5).
func concerns(kind string) bool {
	return slices.Contains(neededEvents, kind) || kind == "terminal.reader.action_updated" || strings.HasPrefix(kind, "charge.dispute.")
}

// serveWebhook takes Stripe's events. Only what is not signed by Stripe, or
// could not be written down, is refused: Stripe would send all else again.
func (s *Server) serveWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if err != nil {
		s.metrics.webhook("unreadable")
		s.refuse(w, doors.ErrTooLarge)
		return
	}
	e, err := s.verify(body, r.Header.Get("Stripe-Signature"))
	if err != nil {
		s.metrics.webhook("unsigned")
		s.log.Warn("webhook refused", "err", err)
		s.refuse(w, doors.ErrBadRequest.With("the signature does not hold"))
		return
	}
	result, err := s.takeEvent(r.Context(), e)
	if err != nil {
		s.metrics.webhook("failed")
		s.log.Error("take event", "event", e.ID, "type", e.Type, "err", err)
		http.Error(w, "the event could not be written down", http.StatusInternalServerError)
		return
	}
	s.metrics.webhook(result)
	s.delivered(r.Context(), modeOf(e))
	w.WriteHeader(http.StatusOK)
}

func (s *Server) verify(body []byte, signature string) (Event, error) {
	if len(s.secrets) == 0 {
		return Event{}, errors.New("no webhook secret is configured")
	}
	for _, st := range s.stripes {
		return st.Verify(body, signature, s.secrets)
	}
	return Event{}, errors.New("no Stripe key is configured")
}

func modeOf(e Event) doors.Mode {
	if e.Livemode {
		return doors.Live
	}
	return doors.Test
}

// subject is what an event is about.
type subject struct {
	id, kind, status string
	intent           string   // the payment
	ref              string   // metadata[storehub_ref]
	op               string   // metadata[storehub_op] of a refund
	location         string   // where it happened
	action           []string // a reader's: reader id
	failure          string
	present          bool // a payment made with a card at a reader
}

// subjectOf reads the little that routes an event. Stripe's objects of any
// release train have these fields; what is missing stays empty.
func subjectOf(object json.RawMessage) (subject, error) {
	var o struct {
		ID       string            `json:"id"`
		Object   string            `json:"object"`
		Status   string            `json:"status"`
		Intent   idOrObject        `json:"payment_intent"`
		Location idOrObject        `json:"location"`
		Metadata map[string]string `json:"metadata"`
		Action   *readerAction     `json:"action"`
		Failure  string            `json:"failure_reason"`
		Types    []string          `json:"payment_method_types"`
		Method   struct {
			CardPresent struct {
				Location string `json:"location"`
			} `json:"card_present"`
			Interac struct {
				Location string `json:"location"`
			} `json:"interac_present"`
		} `json:"payment_method_details"`
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return subject{}, err
	}
	v := subject{id: o.ID, kind: o.Object, status: o.Status, intent: string(o.Intent), failure: o.Failure,
		ref: o.Metadata["storehub_ref"], op: o.Metadata["storehub_op"], location: string(o.Location)}
	switch o.Object {
	case "payment_intent":
		v.intent = o.ID
		v.present = slices.Contains(o.Types, "card_present") || slices.Contains(o.Types, "interac_present")
	case "terminal.reader":
		v.action = []string{o.ID}
		if o.Action != nil {
			v.intent, v.status = o.Action.intent(), o.Action.Status
		}
	case "charge":
		v.location = o.Method.CardPresent.Location
		if v.location == "" {
			v.location = o.Method.Interac.Location
		}
	}
	return v, nil
}

// takeEvent writes an event down once, tells the store it concerns and wakes
// what waits for it. An event is news that something changed, never the change
// itself: what is true is read from Stripe, so order does not matter.
func (s *Server) takeEvent(ctx context.Context, e Event) (result string, err error) {
	mode := modeOf(e)
	if e.ID == "" || !concerns(e.Type) {
		return "dropped", nil
	}
	v, err := subjectOf(e.Object)
	if err != nil {
		s.log.Warn("event dropped: its object cannot be read", "event", e.ID, "type", e.Type)
		return "dropped", nil
	}
	if v.present && e.Type == "payment_intent.amount_capturable_updated" {
		if err := s.adopt(ctx, mode, e.Account, v.intent); err != nil {
			return "", err
		}
	}
	if v.intent != "" && (e.Type == "payment_intent.succeeded" || e.Type == "charge.captured") {
		if err := s.amend(ctx, mode, e.Account, v.intent); err != nil {
			return "", err // it is told again
		}
	}
	err = s.db.tx(ctx, func(t *tx) error {
		result = "taken"
		store, err := t.storeOfEvent(mode, e.Account, v)
		if err != nil {
			return err
		}
		if store == "" {
			result = "dropped"
			return nil
		}
		added, err := t.Exec(`INSERT INTO stripe_events VALUES (?, ?) ON CONFLICT DO NOTHING`, e.ID, ms(t.now))
		if err != nil {
			return err
		}
		if n, err := added.RowsAffected(); err != nil || n == 0 {
			result = "duplicate"
			return err
		}
		if err := s.db.fault("event:recorded"); err != nil {
			return err
		}
		if err := t.wake(v.intent, v.ref); err != nil {
			return err
		}
		if e.Type == "payment_intent.succeeded" || e.Type == "payment_intent.canceled" {
			// The watch sees that it is over.
			if _, err := t.Exec(`UPDATE intents SET next_look = ? WHERE id = ? AND next_look IS NOT NULL`, ms(t.now), v.intent); err != nil {
				return err
			}
		}
		if err := s.reverse(t, store, e, v); err != nil {
			return err
		}
		if v.action != nil {
			// Over, unless it is still in progress.
			if _, err := t.Exec(`UPDATE actions SET open = 0 WHERE store = ? AND reader = ? AND intent = ? AND ? <> 'in_progress'`, store, v.action[0], v.intent, v.status); err != nil {
				return err
			}
		}
		return t.append(store, Item{Type: "event", Event: e.Type, Object: object(v.id, v.kind, v.status)})
	})
	if err == nil && result == "taken" {
		s.hurry()
	}
	return result, err
}

// storeOfEvent finds whose event it is: by the payment, by an operation that
// names it, by the place. Mode and account must be the store's.
func (t *tx) storeOfEvent(mode doors.Mode, account string, v subject) (string, error) {
	for _, q := range []struct{ query, arg string }{
		{`SELECT s.id FROM intents i JOIN stores s ON s.id = i.store WHERE i.id = ?3 AND s.mode = ?1 AND s.account = ?2`, v.intent},
		{`SELECT s.id FROM operations o JOIN stores s ON s.id = o.store WHERE o.line = ?3 AND s.mode = ?1 AND s.account = ?2 ORDER BY o.seq LIMIT 1`, v.intent},
		{`SELECT s.id FROM operations o JOIN stores s ON s.id = o.store WHERE o.ref = ?3 AND s.mode = ?1 AND s.account = ?2 ORDER BY o.seq LIMIT 1`, v.ref},
		{`SELECT s.id FROM locations l JOIN stores s ON s.id = l.store WHERE l.id = ?3 AND l.role IN ('present', 'former') AND s.mode = ?1 AND s.account = ?2 ORDER BY l.role = 'former', s.id LIMIT 1`, v.location},
	} {
		if q.arg == "" {
			continue
		}
		var store string
		err := t.QueryRow(q.query, mode, account, q.arg).Scan(&store)
		if err == nil {
			return store, nil
		}
		if !isNoRows(err) {
			return "", err
		}
	}
	return "", nil
}

// reverse adds to a succeeded operation what was undone later. Its state stays:
// it was true (money.md 3.1).
func (s *Server) reverse(t *tx, store string, e Event, v subject) error {
	var where string
	var args []any
	switch {
	case v.kind == "refund" && (v.status == "failed" || v.status == "canceled") && v.op != "":
		where, args = `id = ? AND kind = 'refund'`, []any{v.op}
	case e.Type == "charge.dispute.created" && v.intent != "":
		where, args = `line = ? AND kind = 'capture'`, []any{v.intent}
	default:
		return nil
	}
	o, err := scanOperation(t.QueryRow(`SELECT `+operationColumns+` FROM operations WHERE store = ? AND state = 'succeeded' AND reversal IS NULL AND `+where+` ORDER BY seq LIMIT 1`,
		append([]any{store}, args...)...))
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	o.Reversal, _ = json.Marshal(struct { // strings and a time always encode
		Type   string    `json:"type"`
		ID     string    `json:"id"`
		Reason string    `json:"reason,omitempty"`
		At     time.Time `json:"at"`
	}{e.Type, v.id, v.failure, e.Created.UTC()})
	if _, err := t.Exec(`UPDATE operations SET reversal = ? WHERE seq = ?`, blob(o.Reversal), o.seq); err != nil {
		return err
	}
	it := o.item()
	it.Type = "reversal"
	return t.append(store, it)
}
