package offlinequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// settle takes an outcome into the operation and reports whether that changed
// it. States only move forward: what HQ says again, or said before it was set
// back, changes nothing.
func (r *record) settle(o Outcome, now time.Time) bool {
	changed := false
	switch {
	case o.State == Succeeded && r.State != Succeeded, o.State == Failed && !r.State.Final():
		r.State, r.Unknown = o.State, nil
		r.Reason, r.Message, r.Result = o.Reason, o.Message, valid(o.Result)
		changed = true
	case o.State == Accepted && !r.State.Final():
		changed = r.State != Accepted || r.Reason != o.Reason || r.Message != o.Message ||
			string(r.Unknown) != string(valid(o.Unknown))
		r.State = Accepted
		r.Reason, r.Message, r.Unknown = o.Reason, o.Message, valid(o.Unknown)
		if o.Result != nil {
			r.Result = valid(o.Result)
		}
	}
	if !r.State.Final() && !o.Deadline.IsZero() && !o.Deadline.Equal(r.Deadline) {
		r.Deadline, changed = o.Deadline.UTC(), true
	}
	if o.Reversal != nil && string(valid(o.Reversal)) != string(r.Reversal) {
		r.Reversal, changed = valid(o.Reversal), true
	}
	if r.State != Pending && r.AcceptedAt.IsZero() {
		r.AcceptedAt = now
	}
	if changed {
		r.Changed, r.Resolved = now, false
		if r.State != Pending {
			r.Parked = nil // headquarters has it, by whatever road
		}
	}
	return changed
}

// valid is b, or as a JSON string if it is no JSON: one line of the feed that
// cannot be read must not hold up those behind it.
func valid(b json.RawMessage) json.RawMessage {
	if b == nil || wellFormed(b) {
		return b
	}
	s, err := json.Marshal(string(b))
	if err != nil {
		return nil
	}
	return s
}

// Settle records outcomes and the cursor in one step. States only move forward.
// Outcomes at or before the cursor are known already and skipped; so is all of an
// epoch that was left behind. An outcome of an operation that this disk does not
// know is kept for it. Many outcomes are taken in several steps, each with the
// cursor at its last.
func (q *Queue) Settle(ctx context.Context, c Cursor, outs []Outcome) error {
	if err := q.enter(ctx, c); err != nil {
		return fmt.Errorf("settle outcomes: %w", err)
	}
	for {
		n, size := 0, 0
		for _, o := range outs {
			size += len(o.Result) + len(o.Reversal) + len(o.Unknown) + 512
		}
		err := q.do(ctx, "settle", min(size, settleBytes), func(ch *change) (err error) {
			n, err = ch.settle(c, outs)
			return err
		})
		if err != nil {
			return fmt.Errorf("settle outcomes: %w", err)
		}
		if outs = outs[n:]; len(outs) == 0 {
			return nil
		}
	}
}

// settleBytes is about how much one step of Settle writes.
const settleBytes = groupBytes / 2

// settle is one step of Settle: of so many of the outcomes.
func (c *change) settle(to Cursor, outs []Outcome) (n int, err error) {
	if to.Epoch != c.st.Cursor.Epoch {
		return len(outs), nil // left behind while these were under way
	}
	through := to.Seq
	for size := 0; n < len(outs); n++ {
		if size > settleBytes {
			through = outs[n-1].Seq
			break
		}
		o := outs[n]
		size += 128
		if o.ID == "" || o.Seq != 0 && o.Seq <= c.st.Cursor.Seq {
			continue
		}
		if len(o.ID) > maxID {
			continue
		}
		old, err := c.load(o.ID)
		if errors.Is(err, ErrNotFound) {
			if err := c.keep(o); err != nil {
				return n, err
			}
			size += len(o.Result) + len(o.Reversal) + len(o.Unknown)
			continue
		}
		if err != nil {
			return n, err
		}
		r := *old
		if !r.settle(o, c.now) {
			continue
		}
		if !c.st.holds(r.Gen, r.Number) {
			r.Number, r.Gen = 0, c.st.gen() // headquarters has it, by whatever road
		}
		c.save(old, &r)
		size += r.size - r.asked
		c.tell(&r)
	}
	if through > c.st.Cursor.Seq {
		c.st.Cursor.Seq, c.wrote = through, true
	}
	return n, nil
}

// keep stores an outcome whose operation is not here (yet).
func (c *change) keep(o Outcome) error {
	var r record // an operation of which nothing but outcomes is known
	b, _, err := c.get(keyStray(o.ID))
	if err != nil && !errors.Is(err, errAbsent) {
		return trouble(err)
	}
	if err == nil {
		var before stray
		if err := unframe(b, &before); err != nil {
			return trouble(fmt.Errorf("read outcome of %q: %w", o.ID, err))
		}
		r.settle(before.Outcome, before.Kept)
	} else {
		c.st.strays++
	}
	r.settle(o, c.now)
	b, err = frame(stray{Kept: c.now, Outcome: Outcome{
		Seq: o.Seq, ID: o.ID, State: r.State, Reason: r.Reason, Message: r.Message,
		Unknown: r.Unknown, Deadline: r.Deadline, Result: r.Result, Reversal: r.Reversal,
	}})
	if err != nil {
		return trouble(err)
	}
	return c.set(keyStray(o.ID), b)
}

// enter compares where headquarters says it is with where this queue is: under a
// new epoch the cursor begins anew, and what headquarters lacks is offered again.
func (q *Queue) enter(ctx context.Context, c Cursor) error {
	q.mu.Lock()
	st := q.st.clone()
	q.mu.Unlock()
	if c.Epoch == st.Cursor.Epoch || c.Epoch == "" {
		return nil
	}
	return q.do(ctx, "settle", 1024, func(ch *change) error {
		if c.Epoch == ch.st.Cursor.Epoch || ch.st.left(c.Epoch) {
			return nil
		}
		return ch.follow(c.Epoch, c.AcceptedThrough, c.Head)
	})
}

// follow takes over a headquarters that stands elsewhere in the chain than this
// queue thought: under another epoch, behind, or on a chain that is not ours.
func (c *change) follow(epoch string, through uint64, head string) error {
	if c.overlay.isHeld() {
		return errHeld // every operation has to be looked at
	}
	ours, err := c.ours(through, head)
	if err != nil {
		return err
	}
	first := c.st.Cursor.Epoch == ""
	c.wrote = true
	switch {
	case !ours:
		c.st.begin(through, head, 0)
	case first && through >= c.st.Cursor.AcceptedThrough:
		// The first word ever: the receipts of our own offers do the rest.
		c.st.Cursor.Epoch = epoch
		return nil
	case !first && epoch != c.st.Cursor.Epoch:
		// It was restored from a backup: what it kept of the chain stands, and
		// the rest is numbered anew, the most pressing first.
		c.st.begin(through, head, through)
	default:
		whole, err := c.whole(through)
		if err != nil {
			return err
		}
		if !whole {
			c.st.begin(through, head, through)
		}
	}
	c.reindex = true
	c.st.Cursor = Cursor{Epoch: epoch, AcceptedThrough: through, Head: head}
	return nil
}

// ours reports whether head is that of our own chain at number.
func (c *change) ours(number uint64, head string) (bool, error) {
	mine, known, err := c.head(&c.st, number)
	return known && mine == head, err
}

// whole reports whether every operation numbered above through is still here,
// so that it can be offered again under its number.
func (c *change) whole(through uint64) (bool, error) {
	for n := through + 1; n <= c.st.Tail; n++ {
		gen, _, atStart, ok := c.st.place(n)
		if !ok || atStart {
			return false, nil
		}
		l, ok, err := c.link(gen, n)
		if err != nil || !ok {
			return false, err
		}
		if _, err := c.load(l.ID); errors.Is(err, ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}
