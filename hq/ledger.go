package hq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"storehub/doors"
)

// The reasons an operation can have, besides Stripe's own codes and those of
// doors.CheckOperation. They are for ever.
const (
	reasonReused        = "idempotency_key_reused" // same id, another body
	reasonMode          = "mode_mismatch"
	reasonAwaiting      = "awaiting_authorisation"
	reasonForwarding    = "awaiting_forwarding"
	reasonUnproven      = "payment_unproven" // nothing shows that it is this store's
	reasonNotYours      = "payment_not_yours"
	reasonDecision      = "needs_decision"
	reasonDiffers       = "amount_differs"
	reasonCurrency      = "currency_differs"
	reasonLapsed        = "authorisation_lapsed"
	reasonCanceled      = "payment_canceled"
	reasonCaptured      = "already_captured"
	reasonNeverCame     = "never_authorised"
	reasonNotForwarded  = "not_forwarded"
	reasonDeclined      = "declined"
	reasonNotCaptured   = "not_captured"
	reasonNothing       = "nothing_captured"
	reasonNeedsCard     = "refund_needs_card"
	reasonRefundFailed  = "refund_failed"
	reasonTwinRefund    = "twin_refund"
	reasonHeld          = "held_for_review" // from a hub that was drained
	reasonOverdue       = "decision_overdue"
	reasonDismissed     = "dismissed" // by a person
	reasonOrderPaid     = "order_already_paid"
	reasonLooking       = "answer_lost" // an attempt may have had an effect
	reasonStripeRefused = "stripe_refused"
	reasonNotSent       = "receipt_not_sent"
)

var (
	operationID = regexp.MustCompile(`^[!-~]{1,128}$`)
	chainHead   = regexp.MustCompile(`^([0-9a-f]{64})?$`)
)

const (
	maxOffered = 1000    // operations of one submission; a hub offers far fewer at once
	maxText    = 4 * 255 // bytes: the doors let 255 characters in
)

// submit records a submission. When it returns nil, every operation of it is on
// disk, whatever became of the chain: ids make operations known, the chain only
// tells whether hub and headquarters remember the same past.
func (s *Server) submit(ctx context.Context, st record, in Submission) (Receipt, error) {
	if err := checkSubmission(in); err != nil {
		return Receipt{}, err
	}
	var rc Receipt
	err := s.db.tx(ctx, func(t *tx) error {
		rec, err := readStore(t, `id = ?`, st.ID)
		if err != nil {
			return err
		}
		rec.run, rec.copied = st.run, st.copied
		for _, sub := range in.Operations {
			if err := s.record(t, rec, sub); err != nil {
				return fmt.Errorf("record operation %q: %w", sub.ID, err)
			}
		}
		if err := s.db.fault("ledger:record"); err != nil {
			return err
		}
		if rec.copied {
			rc = in.receipt(rec.epoch)
			return nil // its numbers are not the store's
		}
		broken, forked, err := t.advance(rec, in)
		if err != nil {
			return err
		}
		if forked && rec.run != "" {
			if _, err := t.Exec(`UPDATE stores SET newcomer = ? WHERE id = ?`, rec.run, st.ID); err != nil {
				return err
			}
			rc = in.receipt(rec.epoch)
			return s.sayDuplicated(t, st.ID, broken)
		}
		if broken != "" {
			if err := s.renewEpoch(t, st.ID, broken); err != nil {
				return err
			}
		}
		if err := s.db.fault("ledger:chain"); err != nil {
			return err
		}
		rec, err = readStore(t, `id = ?`, st.ID)
		rc = Receipt{Epoch: rec.epoch, AcceptedThrough: rec.acceptedThrough, Head: rec.head}
		return err
	})
	if err != nil {
		return Receipt{}, err
	}
	s.hurry()
	return rc, nil
}

// receipt tells whoever sent the submission that headquarters has it, and no more.
func (in Submission) receipt(epoch string) Receipt {
	rc := Receipt{Epoch: epoch, Head: in.Head}
	for _, op := range in.Operations {
		rc.AcceptedThrough, rc.Head = op.Number, Chain(rc.Head, op.ID)
	}
	return rc
}

// checkSubmission refuses only what cannot be read: everything else is accepted,
// and a "no" is an outcome.
func checkSubmission(in Submission) error {
	switch {
	case len(in.Epoch) > 64:
		return doors.ErrInvalidField.With("epoch is too long")
	case !chainHead.MatchString(in.Head):
		return doors.ErrInvalidField.With("head must be empty or 64 hexadecimal digits")
	case len(in.Operations) > maxOffered:
		return doors.ErrInvalidField.With("more than %d operations", maxOffered)
	}
	for i, op := range in.Operations {
		switch {
		case op.Number == 0 || op.Number > 1<<62:
			return doors.ErrInvalidField.With("numbers begin at 1")
		case op.Number != in.Operations[0].Number+uint64(i):
			return doors.ErrInvalidField.With("numbers must follow each other")
		case !operationID.MatchString(op.ID):
			return doors.ErrInvalidField.With("id must be 1 to 128 visible ASCII characters")
		case len(op.Till) > maxText || len(op.Ref) > maxText || len(op.Kind) > 64 || len(op.Currency) > 64 || len(op.Mode) > 16:
			return doors.ErrInvalidField.With("a field of operation %d is too long", op.Number)
		}
	}
	return nil
}

// advance moves the store's submit chain on. It says in words why the chain
// cannot go on: headquarters lacks what the hub remembers, or, forked, both
// remember it differently, which only a copy of the hub can bring about.
func (t *tx) advance(rec record, in Submission) (broken string, forked bool, err error) {
	if len(in.Operations) == 0 || in.Epoch != "" && in.Epoch != rec.epoch {
		return "", false, nil // the receipt tells the hub which epoch holds
	}
	base, head := in.Operations[0].Number-1, in.Head
	proved := true // that the hub's past is ours
	if rec.fresh {
		// Whatever the hub still has is where the new chain begins.
		if err := t.link(rec, base, "", head); err != nil {
			return "", false, err
		}
		rec.acceptedThrough = base
	} else {
		known, there, err := t.linkAt(rec, base)
		if err != nil {
			return "", false, err
		}
		pruned := false
		if !there && base <= rec.acceptedThrough {
			if pruned, err = t.chainPruned(rec); err != nil {
				return "", false, err
			}
		}
		switch {
		case pruned:
			proved = false // until one of the operations has a number that is still known
		case !there:
			return "the hub shows a past that headquarters lacks", false, nil
		case known.head != head:
			return "the hub's past is another one than headquarters'", true, nil
		}
	}
	for _, op := range in.Operations {
		head = Chain(head, op.ID)
		if op.Number > rec.acceptedThrough {
			if err := t.link(rec, op.Number, op.ID, head); err != nil {
				return "", false, err
			}
			rec.acceptedThrough, rec.head = op.Number, head
			continue
		}
		known, there, err := t.linkAt(rec, op.Number)
		switch {
		case err != nil:
			return "", false, err
		case !there:
			continue // kept no more
		case known.id != op.ID:
			return "the hub gave a number to another operation", true, nil
		case known.head != head:
			return "the hub's past is another one than headquarters'", true, nil
		}
		proved = true
	}
	if !proved {
		// A hub never goes back so far: it goes on from what has its receipt.
		return "the hub gave numbers anew that it gave long ago", true, nil
	}
	_, err = t.Exec(`UPDATE stores SET epoch_fresh = 0, accepted_through = ?, head = ? WHERE id = ?`, rec.acceptedThrough, rec.head, rec.ID)
	return "", false, err
}

// link is one number of the submit chain, as headquarters keeps it.
type link struct {
	id   string // "": where the epoch began
	head string // after it
}

// linkAt reads a number of the store's chain, if it is there.
func (t *tx) linkAt(rec record, number uint64) (l link, there bool, err error) {
	err = t.QueryRow(`SELECT id, head FROM chain WHERE store = ? AND epoch = ? AND number = ?`, rec.ID, rec.epoch, number).Scan(&l.id, &l.head)
	if isNoRows(err) {
		return l, false, nil
	}
	return l, err == nil, err
}

// chainPruned reports whether the beginning of the epoch's chain is kept no more.
// The oldest number that is kept is then the anchor of those after it.
func (t *tx) chainPruned(rec record) (bool, error) {
	var id string
	err := t.QueryRow(`SELECT id FROM chain WHERE store = ? AND epoch = ? ORDER BY number LIMIT 1`, rec.ID, rec.epoch).Scan(&id)
	if isNoRows(err) {
		return false, nil
	}
	return id != "", err
}

func (t *tx) link(rec record, number uint64, id, head string) error {
	_, err := t.Exec(`INSERT INTO chain VALUES (?, ?, ?, ?, ?)`, rec.ID, rec.epoch, number, id, head)
	return err
}

// renewEpoch begins the store's numbering anew: feed and submit chain. The hub
// sees the new epoch and offers again everything without an outcome, and what
// it settled lately; ids keep that from being done twice.
func (s *Server) renewEpoch(t *tx, store, why string) error {
	epoch := randomHex(8)
	s.log.Warn("a store's epoch ends", "store", store, "why", why, "epoch", epoch)
	for _, q := range []string{
		`UPDATE stores SET epoch = ?1, epoch_fresh = 1, accepted_through = 0, head = '', feed_seq = 0, feed_read = 0 WHERE id = ?2`,
		`DELETE FROM feed WHERE store = ?2 AND epoch <> ?1`,
		`DELETE FROM chain WHERE store = ?2 AND epoch <> ?1`,
	} {
		if _, err := t.Exec(q, epoch, store); err != nil {
			return err
		}
	}
	t.wakened[store] = true
	if _, err := t.find(store, "epoch_renewed", epoch, why); err != nil {
		return err
	}
	return t.pushPolicy(store)
}

// record puts one offered operation on disk, or recognises it.
func (s *Server) record(t *tx, rec record, sub Submitted) error {
	asked := doors.Operation{
		ID: sub.ID, Kind: sub.Kind, Ref: sub.Ref, Amount: sub.Amount, Currency: sub.Currency, Data: sub.Data,
		Till: sub.Till, Mode: sub.Mode, CreatedAt: sub.CreatedAt, State: doors.Accepted,
	}
	hash := doors.BodyHash(asked)
	have, err := t.operation(rec.ID, sub.ID)
	switch {
	case err == nil && !asksForTheSame(have, asked, hash, sub.Erased):
		return s.contest(t, rec, have)
	case err == nil:
		return t.recognise(rec, have)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	if sub.Erased && sub.Kind.Personal() {
		hash = ""
	}
	o := operation{Operation: asked, store: rec.ID, epoch: rec.epoch, account: rec.Account, bodyHash: hash, recordedAt: t.now}
	o.mentionedAt = t.now.Add(-time.Duration(min(max(0, sub.AgeMS), oldest)) * time.Millisecond)
	if sub.Settled != nil && sub.Settled.State.Final() {
		// Done under a headquarters that this one has no memory of: never again.
		o.State, o.Reason, o.Message = sub.Settled.State, sub.Settled.Reason, sub.Settled.Message
		o.Result, o.Reversal = sub.Settled.Result, sub.Settled.Reversal
		return t.insert(o)
	}
	o.held = rec.standing == hubDrained
	_, err = s.take(t, rec, o)
	return err
}

// recordHere puts an operation on disk that was asked for at headquarters itself,
// by a till or by a person. It is of no epoch, so that a hub that offers it later
// is told its state again.
func (s *Server) recordHere(t *tx, rec record, till, key string, asked doors.Operation) (operation, error) {
	asked.ID, asked.Till, asked.Mode, asked.State = doors.OperationID(rec.ID, rec.Mode, till, key), till, rec.Mode, doors.Accepted
	hash := doors.BodyHash(asked)
	have, err := t.operation(rec.ID, asked.ID)
	switch {
	case err == nil && !asksForTheSame(have, asked, hash, false):
		return have, doors.ErrKeyReused.With("the key belongs to operation %s, which asks for something else", asked.ID)
	case err == nil || !isNoRows(err):
		return have, err
	}
	return s.take(t, rec, operation{Operation: asked, store: rec.ID, account: rec.Account, bodyHash: hash, recordedAt: t.now, mentionedAt: t.now})
}

// take puts a new operation on disk: as something to be done, or with its end.
func (s *Server) take(t *tx, rec record, o operation) (operation, error) {
	var err error
	o.Operation, err = checkOffered(rec, o.Operation)
	var refused *doors.Error
	switch {
	case errors.As(err, &refused):
		o.State, o.Reason, o.Message = doors.Failed, refused.Code, refused.Message
	case err != nil:
		return o, err
	case doors.SendsReceipt(o.Operation) != "":
		o.line, o.nextLook = receiptLine(o.Ref), t.now
	case !o.Kind.Money():
		o.State = doors.Succeeded // what it asks for is that it be kept
	default:
		o.line, o.nextLook = o.Ref, t.now
	}
	if err := t.insert(o); err != nil {
		return o, err
	}
	if o.State.Final() {
		return o, t.append(rec.ID, o.item())
	}
	return o, nil
}

// oldest is a hundred years in milliseconds: a larger age is nonsense and would
// overflow.
const oldest = 100 * 365 * 24 * 3600 * 1000

// checkOffered is the last look before money moves. What a till may not ask was
// refused at the hub's door; a field of data that only a newer hub knows must
// not stop a payment, so it is left out.
func checkOffered(rec record, op doors.Operation) (doors.Operation, error) {
	if op.Mode != rec.Mode {
		op.Data = nil
		return op, doors.ErrModeMismatch.With("the operation is of mode %q, the store of mode %q", op.Mode, rec.Mode)
	}
	kept, err := doors.CheckOperation(op)
	if err == nil {
		return kept, nil
	}
	op.Data = nil // it may be what must not be stored
	if !op.Kind.Money() {
		return op, err
	}
	return doors.CheckOperation(op)
}

// recognise tells the hub again what became of an operation, when the numbering
// in which it was told is no more.
func (t *tx) recognise(rec record, have operation) error {
	if have.epoch == rec.epoch {
		return nil
	}
	if _, err := t.Exec(`UPDATE operations SET epoch = ? WHERE seq = ?`, rec.epoch, have.seq); err != nil {
		return err
	}
	if have.State.Final() || have.Reason != "" || have.Unknown != nil || have.Deadline != nil {
		return t.append(rec.ID, have.item())
	}
	return nil
}

// contest ends the newcomer of two operations with one id. The first keeps its
// state here; the store hears no more of it, since it would take it for the
// newcomer's.
func (s *Server) contest(t *tx, rec record, have operation) error {
	if have.contested && have.epoch == rec.epoch {
		return nil
	}
	if _, err := t.Exec(`UPDATE operations SET contested = 1, epoch = ? WHERE seq = ?`, rec.epoch, have.seq); err != nil {
		return err
	}
	s.log.Warn("an operation id came with another body", "store", rec.ID, "operation", have.ID)
	if _, err := t.find(rec.ID, reasonReused, have.ID, "the id came again with another body; the first one stands"); err != nil {
		return err
	}
	return t.append(rec.ID, Item{Type: "operation", ID: have.ID, State: doors.Failed, Reason: reasonReused,
		Message: "another operation has this id"})
}

// item is the line of the feed that tells o's state.
func (o operation) item() Item {
	return Item{Type: "operation", ID: o.ID, State: o.State, Reason: o.Reason, Message: o.Message,
		Unknown: o.Unknown, Deadline: o.Deadline, Result: o.Result, Reversal: o.Reversal}
}

// object is the little of one of Stripe's objects that a hub is told.
func object(id, kind, status string) json.RawMessage {
	b, _ := json.Marshal(struct { // three strings always encode
		ID     string `json:"id"`
		Object string `json:"object"`
		Status string `json:"status,omitempty"`
	}{id, kind, status})
	return b
}
