package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// captureWithin is how long an authorisation is taken to live until headquarters
// says better: Stripe keeps card-present ones for 48 h, less an hour of margin.
const captureWithin = 47 * time.Hour

// submitTimeout: a batch over a poor line takes seconds, and there it is of 64; longer is silence.
const submitTimeout = 20 * time.Second

// Put implements [doors.Backend]: when it returns without an error the operation
// is on this disk.
func (h *Hub) Put(ctx context.Context, t doors.Till, key string, op doors.Operation) (doors.Operation, error) {
	if err := doors.MayPut(t, op, h.refundLimit()); err != nil {
		return doors.Operation{}, err
	}
	if t.Mode == "" {
		return doors.Operation{}, doors.ErrHQUnreachable.With("this hub has never reached headquarters and does not know whether the store is live or test")
	}
	op.ID = doors.OperationID(h.cfg.Store, t.Mode, t.Name, key)
	op.Till, op.Mode = t.Name, t.Mode
	if op.Kind == doors.Refund {
		h.refunds.Lock()
		defer h.refunds.Unlock()
		if _, err := h.queue.Get(op.ID); err != nil { // what was taken before is repeated
			if err := h.mayRefundMore(t, op.Amount); err != nil {
				return doors.Operation{}, err
			}
		}
	}
	stored, err := h.personal.put(ctx, h.queue, toQueue(op, h.now()))
	if err != nil {
		refusal := notStored(op.ID, err)
		switch {
		case errors.Is(err, offlinequeue.ErrFull):
			h.full.Store(time.Now().UnixNano())
		case errors.Is(refusal, doors.ErrInternal):
			h.log.Error("store operation", "id", op.ID, "kind", op.Kind, "err", err)
		}
		return doors.Operation{}, refusal
	}
	if offlineRecord(stored) {
		h.tellLimits()
	}
	return h.personal.show(stored), nil
}

// notStored gives a failure of the queue to store an operation in the words of the doors.
func notStored(id string, err error) error {
	switch {
	case errors.Is(err, offlinequeue.ErrReused):
		return doors.ErrKeyReused.With("the key belongs to operation %s, which asks for something else", id)
	case errors.Is(err, offlinequeue.ErrFull):
		return doors.ErrQueueFull
	case errors.Is(err, offlinequeue.ErrMirror):
		return doors.ErrMirrorAway
	}
	return doors.ErrInternal.With("store operation: %v", err)
}

// Await implements [doors.Backend].
func (h *Hub) Await(ctx context.Context, t doors.Till, id string) (doors.Operation, error) {
	if _, err := h.Operation(ctx, t, id); err != nil {
		return doors.Operation{}, err
	}
	op, err := h.queue.Await(ctx, id)
	if err != nil {
		return doors.Operation{}, doors.ErrInternal.With("await operation: %v", err)
	}
	return h.personal.show(op), nil
}

// Operation implements [doors.Backend].
func (h *Hub) Operation(_ context.Context, t doors.Till, id string) (doors.Operation, error) {
	op, err := h.queue.Get(id)
	switch {
	case errors.Is(err, offlinequeue.ErrNotFound), err == nil && !seesOperation(t, op):
		return doors.Operation{}, doors.ErrNotFound.With("no operation %s of this till", id)
	case err != nil:
		return doors.Operation{}, doors.ErrInternal.With("read operation: %v", err)
	}
	return h.personal.show(op), nil
}

// Operations implements [doors.Backend]. The hub's own heartbeats are no till's
// and are left out.
func (h *Hub) Operations(ctx context.Context, t doors.Till, state doors.State, limit int) ([]doors.Operation, error) {
	var states []offlinequeue.State
	if state != "" {
		states = append(states, offlinequeue.State(state))
	}
	out := []doors.Operation{}
	for op, err := range h.queue.All(states...) {
		if err != nil {
			return nil, doors.ErrInternal.With("list operations: %v", err)
		}
		if len(out) >= limit || ctx.Err() != nil {
			break
		}
		if op.Till != hubTill && seesOperation(t, op) {
			out = append(out, h.personal.show(op))
		}
	}
	return out, nil
}

// ReadQueue yields the operations on the disk of a hub that does not run, newest
// first, without changing anything there; of a damaged queue, what can be read.
func ReadQueue(c Config) iter.Seq2[doors.Operation, error] {
	return func(yield func(doors.Operation, error) bool) {
		keys, err := queueKeys(c)
		if err != nil {
			yield(doors.Operation{}, fmt.Errorf("read queue: %w", err))
			return
		}
		p := readPersonal(c)
		defer func() { _ = p.close() }() // it was read alone
		for op, err := range offlinequeue.Read(queueDir(c.StateDir), keys...) {
			if op.Till != hubTill && !yield(p.show(op), err) {
				return
			}
		}
	}
}

func seesOperation(t doors.Till, op offlinequeue.Op) bool {
	return t.Scope == doors.ScopeManager || t.Scope == doors.ScopeMonitor || op.Till == t.Name && op.Mode == string(t.Mode)
}

// toQueue and fromQueue are the border between the doors and the queue.
func toQueue(op doors.Operation, now time.Time) offlinequeue.Op {
	q := offlinequeue.Op{
		ID: op.ID, Hash: doors.BodyHash(op),
		Kind: string(op.Kind), Ref: op.Ref, Amount: op.Amount, Currency: op.Currency, Data: op.Data,
		Till: op.Till, Mode: string(op.Mode), Money: op.Kind.Money(), Created: now,
	}
	if op.Kind == doors.Capture {
		q.Deadline = now.Add(captureWithin)
	}
	return q
}

func fromQueue(q offlinequeue.Op) doors.Operation {
	op := doors.Operation{
		ID: q.ID, Kind: doors.Kind(q.Kind), Ref: q.Ref, Amount: q.Amount, Currency: q.Currency, Data: q.Data,
		Till: q.Till, Mode: doors.Mode(q.Mode), CreatedAt: q.Created,
		State: doors.State(q.State), Reason: q.Reason, Message: q.Message, Result: q.Result, Reversal: q.Reversal,
	}
	if !q.Deadline.IsZero() && !q.State.Final() {
		op.Deadline = &q.Deadline
	}
	if q.Parked != nil {
		op.Parked = (*doors.Parked)(q.Parked)
	}
	for _, n := range q.Notes {
		op.Notes = append(op.Notes, doors.Note(n))
	}
	op.Resolved = q.Resolved
	if len(q.Unknown) > 0 && !q.State.Final() {
		var u doors.Unknown
		if json.Unmarshal(q.Unknown, &u) == nil {
			op.Unknown = &u
		}
	}
	return op
}

// operationChanged is the queue's OnChange: the change is on disk.
func (h *Hub) operationChanged(q offlinequeue.Op) {
	if q.Till == hubTill {
		if q.State == offlinequeue.Succeeded {
			h.heartbeat.Store(q.Changed.UnixNano())
		}
		return
	}
	if q.State == offlinequeue.Succeeded && q.Till != rehearsalTill {
		switch doors.Kind(q.Kind) {
		case doors.Capture:
			h.marks.set(markCapture, q.Changed)
		case doors.Receipt:
			h.marks.set(markCopy, q.Changed)
		}
	}
	kind := eventOperation
	if len(q.Reversal) > 0 {
		kind = eventReversed
	}
	h.events.publish(doors.Event{Type: kind, Till: q.Till, Data: h.personal.show(q)}, false)
}

// sender offers the queue's batches to headquarters.
type sender struct {
	hq       HQ
	now      func() time.Time
	personal *personal
}

// Send implements [offlinequeue.Sender].
func (s sender) Send(ctx context.Context, b offlinequeue.Batch) (offlinequeue.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	if b.Epoch == "" {
		return s.enter(ctx)
	}
	sub := hq.Submission{Epoch: b.Epoch, Head: b.Head, Operations: make([]hq.Submitted, 0, len(b.Ops))}
	for _, q := range b.Ops {
		sub.Operations = append(sub.Operations, s.personal.submitted(q, s.now()))
	}
	r, err := s.hq.Submit(ctx, sub)
	if err != nil {
		return offlinequeue.Receipt{}, notTaken(err)
	}
	return offlinequeue.Receipt{Epoch: r.Epoch, AcceptedThrough: r.AcceptedThrough, Head: r.Head}, nil
}

// enter asks where headquarters stands before anything is offered to it for the first
// time. A hub whose disk is gone, under the credential that it had, would begin at
// number 1 again, and be taken for a copy of itself (money.md 4.3). Its head is merely
// behind: it goes on from headquarters'. A copy that does so too is found out by the
// next number that both give.
func (s sender) enter(ctx context.Context) (offlinequeue.Receipt, error) {
	f, err := s.hq.Feed(ctx, "", 0, 0)
	if err != nil {
		return offlinequeue.Receipt{}, err
	}
	if f.Epoch == "" {
		return offlinequeue.Receipt{}, errors.New("ask headquarters where it stands: it names no epoch")
	}
	return offlinequeue.Receipt{Epoch: f.Epoch, AcceptedThrough: f.AcceptedThrough, Head: f.Head}, nil
}

// notTaken tells an answer that may be about what was offered from silence and from
// answers about the hub or the moment. The queue holds against the one operation what
// others do not meet.
func notTaken(err error) error {
	var refusal *doors.Error
	var status *hq.StatusError
	switch {
	case errors.As(err, &refusal):
		switch refusal.Status {
		case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return &offlinequeue.Refusal{Reason: refusal.Code, Message: refusal.Message}
		}
	case errors.As(err, &status):
		switch status.Status {
		case http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusNetworkAuthenticationRequired:
		default:
			if status.Status >= 400 {
				return &offlinequeue.Refusal{Reason: "answered_" + strconv.Itoa(status.Status), Message: status.Error()}
			}
		}
	}
	return err
}

// settled tells a headquarters that forgot an operation what became of it.
func settled(q offlinequeue.Op) *hq.Item {
	if !q.State.Final() {
		return nil
	}
	return &hq.Item{
		Type: "operation", At: q.Changed, ID: q.ID, State: doors.State(q.State),
		Reason: q.Reason, Message: q.Message, Result: q.Result, Reversal: q.Reversal,
	}
}

const (
	feedWait = 45 * time.Second // headquarters holds an empty answer back as long
	// While headquarters is silent it is asked briefly and often, so that "known
	// dead" (10 s) never lapses between two asks and its return is seen at once.
	feedRetryTimeout = 4 * time.Second
	feedPause        = 3 * time.Second
)

// feed brings outcomes home until ctx ends.
func (h *Hub) feed(ctx context.Context) error {
	for ctx.Err() == nil {
		err := h.feedOnce(ctx)
		if err == nil {
			continue
		}
		h.log.Debug("ask for outcomes", "err", err)
		if h.link.inDoubt() {
			continue // at once: was it the line that waited, or headquarters?
		}
		// 50 to 100 % of the pause: a thousand stores do not return in step.
		pause(ctx, feedPause/2+rand.N(feedPause/2))
	}
	return nil
}

func (h *Hub) feedOnce(ctx context.Context) error {
	silence := h.link.silence()
	wait, limit := feedWait, feedWait+10*time.Second
	if !h.link.state().Failing.IsZero() || h.link.inDoubt() {
		wait, limit = 0, feedRetryTimeout
	}
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-silence:
			// Another exchange met silence: the line this one waits on may be dead
			// without a sign.
			cancel()
		case <-done:
		}
	}()
	c := h.queue.Cursor()
	began := time.Now()
	f, err := h.hq.Feed(asking, c.Epoch, c.Seq, wait)
	if err != nil {
		return err
	}
	if len(f.Items) == 0 && wait > 0 && time.Since(began) < time.Second {
		pause(ctx, time.Second) // it does not hold answers back: it is stopping
	}
	return h.settle(ctx, c, f)
}

// settle records one answer of the feed: outcomes and cursor in one step.
func (h *Hub) settle(ctx context.Context, c offlinequeue.Cursor, f hq.Feed) error {
	next := offlinequeue.Cursor{Epoch: f.Epoch, Seq: c.Seq, AcceptedThrough: f.AcceptedThrough, Head: f.Head}
	if f.Epoch != c.Epoch && c.Epoch != "" {
		// Another ledger than the one the cursor counts in: begin at its first line.
		h.log.Warn("headquarters has a new ledger", "epoch", f.Epoch, "was", c.Epoch)
		next.Seq = 0
		if err := h.queue.Settle(ctx, next, nil); err != nil {
			return err
		}
		if h.queue.Cursor().Epoch != f.Epoch {
			return errors.New("headquarters answers from a ledger that was left behind")
		}
		return nil
	}
	if len(f.Items) == 0 && f.Epoch == c.Epoch {
		return nil
	}
	outs := make([]offlinequeue.Outcome, 0, len(f.Items))
	for _, it := range f.Items {
		out := outcome(it)
		outs = append(outs, out)
		next.Seq = max(next.Seq, it.Seq)
	}
	h.takePolicies(f.Items)
	if err := h.queue.Settle(ctx, next, outs); err != nil {
		h.log.Error("settle outcomes", "err", err)
		return err
	}
	for _, it := range f.Items {
		switch it.Type {
		case "event":
			h.marks.set(markEvent, it.At)
			h.events.publish(doors.Event{Type: eventStripe, Data: stripeEvent{it.Event, it.Object}}, true)
		case "finding":
			h.events.publish(doors.Event{Type: eventFinding, Data: stripeEvent{it.Event, it.Object}}, true)
		}
	}
	return nil
}

type stripeEvent struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object,omitempty"`
}

func outcome(it hq.Item) offlinequeue.Outcome {
	out := offlinequeue.Outcome{Seq: it.Seq}
	if it.Type != "operation" && it.Type != "reversal" {
		return out // it only moves the cursor
	}
	out.ID, out.State = it.ID, offlinequeue.State(it.State)
	out.Reason, out.Message = it.Reason, it.Message
	out.Result, out.Reversal = it.Result, it.Reversal
	if it.Deadline != nil {
		out.Deadline = *it.Deadline
	}
	if it.Unknown != nil {
		out.Unknown, _ = json.Marshal(it.Unknown) // a string and a time
	}
	return out
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
