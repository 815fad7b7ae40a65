package hq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"storehub/doors"
)

const (
	// keyLife: Stripe keeps a key's answer for at least 24 h; an hour is left for
	// a request that is under way and for clocks that differ.
	keyLife = 23 * time.Hour
	// assumedLife of an authorisation until Stripe says capture_before (money.md 3.2).
	assumedLife = 47 * time.Hour
	// restLook is how often something that waits for the world is looked at anyway,
	// since webhooks get lost.
	restLook = 15 * time.Minute
	// patience with a payment that nobody authorised.
	patience        = 72 * time.Hour
	patienceOffline = 30 * 24 * time.Hour
	// decideBefore the deadline headquarters captures what was authorised.
	decideBefore = 6 * time.Hour
	// worrying: a capture that waits longer for its authorisation is a finding.
	worrying = time.Hour
	// stripeTimeout is for one call on behalf of an operation: nobody waits at a till.
	stripeTimeout = 20 * time.Second
	// idleLook bounds the scheduler's sleep, should the wall clock jump.
	idleLook = 5 * time.Second
)

// step is what one look at an operation came to.
type step struct {
	state    doors.State // "": accepted, look again
	reason   string
	message  string
	unknown  string // why nobody can say what became of it
	result   json.RawMessage
	deadline time.Time
	after    time.Duration // until the next look
	trouble  bool          // after grows with every such step in a row
	soon     bool          // the next step follows at once: nothing new was learnt about trouble
	resting  bool          // it waits, and certainly has no effect at Stripe
	ask      bool          // a person should look at it
	line     string        // the intent that its ref turned out to be
	listed   time.Time     // refunds were listed once and showed no effect
	attempt  *attempt      // the key whose answer is known now
}

func failed(reason, message string) step {
	return step{state: doors.Failed, reason: reason, message: message}
}

func rest(reason, message string) step {
	return step{reason: reason, message: message, after: restLook, resting: true}
}

// runLedger acts on what is due until ctx ends, one operation per line at a time.
func (s *Server) runLedger(ctx context.Context) error {
	busy := map[place]bool{}
	list := agenda{ask: s.listDue}
	done := make(chan place)
	defer func() {
		for len(busy) > 0 {
			delete(busy, <-done)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p := <-done:
			delete(busy, p)
		case <-s.nudge:
		case <-timer.C:
		}
		wait := idleLook
		if free := s.workers - len(busy); free > 0 {
			now := s.now()
			ops, anew, err := list.next(ctx, busy, free, now)
			if err == nil && !anew {
				wait = time.Until(list.until)
			} else if err == nil {
				var next time.Time
				if next, err = s.db.nextLook(ctx, now); err == nil && !next.IsZero() {
					wait = min(wait, max(next.Sub(now), time.Millisecond))
				}
			}
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				s.log.Error("look for due operations", "err", err)
				wait = time.Second
			}
			if anew && list.left(busy) && s.db.engine != nil {
				s.db.engine.Tell(workName)
			}
			for _, o := range ops {
				p := o.place()
				busy[p] = true
				go func() {
					s.work(ctx, o)
					done <- p
				}()
			}
		}
		timer.Reset(wait)
	}
}

// work takes one look at an operation. When it could not write down what it saw,
// nothing is lost: the attempt is on disk, and the next look begins by reading.
func (s *Server) work(ctx context.Context, o operation) {
	o, ours, err := s.claim(ctx, o)
	if err == nil && ours {
		if err = s.look(ctx, o); err != nil {
			if err := s.db.drop(ctx, o.lineLease()); err != nil {
				s.log.Warn("drop the lease of an operation", "operation", o.ID, "err", err)
			}
		}
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, errLeaseLost) {
		return
	}
	s.log.Error("act on operation", "store", o.store, "operation", o.ID, "kind", o.Kind, "err", err)
	select {
	case <-time.After(time.Second): // the disk is in trouble: do not spin
	case <-ctx.Done():
	}
}

func (s *Server) look(ctx context.Context, o operation) error {
	ctx = WithPriority(ctx, o.priority(s.now()), o.mustEnd())
	st, err := s.stripe(o.Mode)
	if err != nil {
		return s.settle(ctx, o, step{reason: "stripe_key_missing", message: err.Error(), trouble: true})
	}
	if o.held {
		if hold := gate(o, reasonHeld, "the hub was drained; a person must look at what it still sent"); hold != nil {
			return s.settle(ctx, o, *hold)
		}
	}
	if o.Kind == doors.Receipt {
		next, err := s.mailReceipt(ctx, st, o)
		if err != nil {
			return err
		}
		return s.settle(ctx, o, next)
	}
	if !isIntent(o.line) {
		next, err := s.resolve(ctx, st, o)
		if err != nil {
			return err
		}
		return s.settle(ctx, o, next)
	}
	var next step
	switch o.Kind {
	case doors.Capture:
		next, err = s.capture(ctx, st, o)
	case doors.Cancel:
		next, err = s.cancel(ctx, st, o)
	case doors.Refund:
		next, err = s.refund(ctx, st, o)
	case doors.OfflinePayment:
		next, err = s.forwarded(ctx, st, o)
	default:
		next = failed("invalid_field", "this kind is not acted on")
	}
	if err != nil {
		return err
	}
	return s.settle(ctx, o, next)
}

// settle writes down what a look came to and tells the hub if it would see a
// difference. It outlives ctx: what was seen must not be forgotten because the
// program is stopping.
func (s *Server) settle(ctx context.Context, o operation, n step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stripeTimeout)
	defer cancel()
	if n.state == "" {
		n.state = doors.Accepted
	}
	paid := false
	err := s.db.tx(ctx, func(t *tx) error {
		paid = false
		if n.attempt != nil {
			if err := t.conclude(o.seq, *n.attempt); err != nil {
				return err
			}
		}
		if err := s.db.fault("settle:attempt"); err != nil {
			return err
		}
		if err := t.drop(o.lineLease()); err != nil {
			return err
		}
		was, err := t.operation(o.store, o.ID)
		if err != nil || was.State.Final() {
			return err
		}
		is := was
		is.State, is.Reason, is.Message, is.unknown, is.resting, is.listedAt = n.state, n.reason, n.message, n.unknown, n.resting, n.listed
		if n.line != "" {
			is.line = n.line
		}
		if n.result != nil {
			is.Result = n.result
		}
		if !n.deadline.IsZero() {
			d := n.deadline.UTC()
			is.Deadline = &d
		}
		switch {
		case n.trouble:
			is.tries = was.tries + 1
			n.after = backOff(is.tries)
		case n.soon:
			n.after = 100*time.Millisecond + rand.N(time.Second)
		default:
			is.tries = 0
		}
		if n.ask && !n.state.Final() {
			left, err := s.escalate(t, is)
			if err != nil {
				return err
			}
			n.after = min(n.after, left)
		}
		is.nextLook = t.now.Add(n.after)
		switch {
		case n.state.Final():
			is.nextLook = time.Time{}
		case was.wakes != o.wakes:
			is.nextLook = t.now // something happened while we looked
		}
		is.Unknown = nil
		if is.unknown != "" {
			is.Unknown = &doors.Unknown{Reason: is.unknown, NextLook: is.nextLook.UTC()}
		}
		if err := t.update(is); err != nil {
			return err
		}
		paid = n.state == doors.Succeeded && is.Kind == doors.Capture
		if n.state.Final() {
			// What rests on the same payment may be decided by this end.
			if err := t.wake(is.line); err != nil {
				return err
			}
			if err := t.close(is); err != nil {
				return err
			}
		}
		if is.contested || !visible(was, is) {
			return nil
		}
		if n.state.Final() {
			s.log.Info("operation ended", "store", o.store, "operation", o.ID, "kind", o.Kind, "state", n.state, "reason", n.reason)
		}
		return t.append(o.store, is.item())
	})
	if err == nil && paid {
		s.reads.pays(stripeAccount{o.Mode, o.account}, s.now())
	}
	if err == nil && n.state.Final() {
		s.hurry() // the next of its line may go
	}
	return err
}

// update stores what a look can change.
func (t *tx) update(o operation) error {
	var deadline, settled int64
	if o.Deadline != nil {
		deadline = ms(*o.Deadline)
	}
	if o.State.Final() {
		settled = ms(t.now)
	}
	_, err := t.Exec(`UPDATE operations SET line = ?, state = ?, reason = ?, message = ?, unknown = ?, next_look = ?, resting = ?,
		deadline = ?, result = ?, tries = ?, listed_at = ?, settled_at = ? WHERE seq = ?`,
		o.line, o.State, o.Reason, o.Message, o.unknown, orNull(o.nextLook), o.resting,
		deadline, blob(o.Result), o.tries, ms(o.listedAt), settled, o.seq)
	return err
}

// visible reports whether a hub would see a difference. The time of the next look
// alone is none: it would fill the feed.
func visible(was, is operation) bool {
	sameDeadline := was.Deadline == nil && is.Deadline == nil ||
		was.Deadline != nil && is.Deadline != nil && was.Deadline.Equal(*is.Deadline)
	return was.State != is.State || was.Reason != is.Reason || was.unknown != is.unknown || !sameDeadline ||
		!bytes.Equal(was.Result, is.Result)
}

// wake makes open operations due whose line or ref is one of names.
func (t *tx) wake(names ...string) error {
	for _, n := range names {
		if n == "" {
			continue
		}
		if _, err := t.Exec(`UPDATE operations SET next_look = ?1, wakes = wakes + 1 WHERE next_look IS NOT NULL AND (line = ?2 OR ref = ?2)`, ms(t.now), n); err != nil {
			return err
		}
	}
	return nil
}

// backOff is the wait after so many fruitless looks in a row: full jitter under
// a ceiling that doubles from one second to five minutes.
func backOff(tries int) time.Duration {
	ceiling := 5 * time.Minute
	if tries < 9 {
		ceiling = min(ceiling, time.Second<<max(0, tries-1))
	}
	return 100*time.Millisecond + rand.N(ceiling)
}
