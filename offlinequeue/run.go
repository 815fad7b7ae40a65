package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	batchOps   = 64
	batchBytes = 256 << 10
	// Batches grow while headquarters answers full ones so quickly: then it is the flush
	// between two of them that takes the time.
	batchMost = 512
	quick     = 200 * time.Millisecond
	trialOps  = 1 // after an outage one operation feels the way

	// 60 s: whoever sends has limits of its own; this one only keeps a sender
	// without any from holding the queue for ever.
	sendLimit = time.Minute

	pauseFirst = 500 * time.Millisecond
	pauseMost  = 30 * time.Second
	// 50 ms: full jitter may fall on nothing, and nobody is helped by a spin.
	pauseLeast = 50 * time.Millisecond
)

// pause is how long to wait after so many failures in a row, where r is random
// in [0,1): anything up to a bound that doubles, so that ten thousand stores that
// lost headquarters together do not come back together.
func pause(failures int, r float64) time.Duration {
	bound := pauseMost
	if n := failures - 1; n < 6 { // 0.5 s · 2^6 is more than the bound
		bound = min(bound, pauseFirst<<n)
	}
	return max(pauseLeast, time.Duration(r*float64(bound)))
}

// Run offers what is pending until ctx ends, and then returns nil: order per
// ref, money before records, earliest deadline first; back-off with jitter; one
// trial operation after an outage; what headquarters cannot be brought to take is
// parked. A Put ends its rest, not its back-off: that is for Nudge. One Run at a time.
func (q *Queue) Run(ctx context.Context, s Sender) error {
	if !q.running.TryLock() {
		return fmt.Errorf("run queue %s: it runs already", q.dir)
	}
	defer q.running.Unlock()
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.awaitAhead()
	}()
	failures, d := 0, newDoubt()
	defer d.release(q)
	var next Batch // numbered with the last receipt
	for {
		ops := d.most
		if failures > 0 {
			ops = trialOps
		}
		b, err := next, error(nil)
		if len(b.Ops) == 0 || len(b.Ops) > ops {
			b, err = q.batch(ctx, ops, d.next(q))
		}
		next = Batch{}
		if err == nil && len(b.Ops) > 0 {
			next, err = q.offer(ctx, s, b, d.ahead)
		}
		var no *Refusal
		refused := errors.As(err, &no)
		if refused {
			err = q.refused(ctx, s, d, b, no)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrClosed):
			return fmt.Errorf("run queue %s: %w", q.dir, err)
		case err != nil:
			failures++
			d.most = min(d.most, batchOps) // the line may not be what it was
			wait := pause(failures, rand.Float64())
			q.log.Info("operations wait", "reason", err, "failures", failures, "pause", wait.Round(time.Millisecond))
			if !q.rest(ctx, wait) {
				return q.ended(ctx)
			}
		case refused: // go on with fewer, or with others
		case len(b.Ops) > 0:
			failures = 0
			d.taken(q, b)
		case len(d.suspects) > 0:
			// Nobody is there to show whether it is the operation or headquarters.
			failures++
			worked, going := q.restUnless(ctx, pause(failures, rand.Float64()), q.work)
			if !going {
				return q.ended(ctx)
			}
			if !worked {
				d.release(q)
				d.times = refusedAlone - 1
			}
		default:
			select {
			case <-q.work:
			case <-q.nudge:
			case <-ctx.Done():
				return nil
			case <-q.closing:
				return q.ended(ctx)
			}
		}
	}
}

// rest waits out a back-off, less if nudged; false: Run has to end.
func (q *Queue) rest(ctx context.Context, d time.Duration) bool {
	_, going := q.restUnless(ctx, d, nil)
	return going
}

// restUnless is rest that work ends too.
func (q *Queue) restUnless(ctx context.Context, d time.Duration, work <-chan struct{}) (worked, going bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-work:
		return true, true
	case <-t.C:
	case <-q.nudge:
	case <-ctx.Done():
		return false, false
	case <-q.closing:
		return false, false
	}
	return false, true
}

func (q *Queue) ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("run queue %s: %w", q.dir, ErrClosed)
}

// Nudge ends a back-off: headquarters may be there again.
func (q *Queue) Nudge() {
	select {
	case q.nudge <- struct{}{}:
	default:
	}
}

// wake tells Run that there may be something to offer.
func (q *Queue) wake() {
	select {
	case q.work <- struct{}{}:
	default:
	}
}

// errNoProgress says that headquarters answered and took nothing.
var errNoProgress = errors.New("headquarters took nothing of the batch")

// offer offers a batch and takes in the receipt. When headquarters has all of it, what
// goes next is numbered in the same flush, and returned: at most so many as ahead says of
// how long the answer took.
func (q *Queue) offer(ctx context.Context, s Sender, b Batch, ahead func(Batch, time.Duration) int) (Batch, error) {
	limited, cancel := context.WithTimeout(ctx, sendLimit)
	began := time.Now()
	r, err := s.Send(limited, b)
	cancel()
	if err != nil {
		return Batch{}, err
	}
	return q.receive(ctx, b, r, ahead(b, time.Since(began)))
}

// batch chooses what is offered next, and puts its numbers on disk before it
// leaves: what headquarters saw under a number is never offered under another.
// What was offered and has no receipt goes first, in the order of its numbers.
func (q *Queue) batch(ctx context.Context, ops int, only string) (Batch, error) {
	ids, size, err := q.choose(ops, only)
	if err != nil || len(ids) == 0 {
		return Batch{}, err
	}
	var b Batch
	err = q.do(ctx, "number", size+len(ids)*256, func(c *change) error {
		b = Batch{}
		return c.number(&b, ids)
	})
	if err != nil {
		return Batch{}, fmt.Errorf("number operations: %w", err)
	}
	return b, nil
}

// choose says what the next batch is of, and about how large that is.
func (q *Queue) choose(ops int, only string) (ids []string, size int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if only != "" {
		return []string{only}, 0, nil
	}
	entries := q.index.offered
	if len(entries) == 0 {
		if entries, err = q.pick(ops); err != nil {
			return nil, 0, err
		}
	}
	for _, e := range entries {
		if len(ids) == ops || len(ids) > 0 && size+e.size > bytesOf(ops) {
			break
		}
		ids, size = append(ids, e.id), size+e.size
	}
	return ids, size, nil
}

// bytesOf is how large a batch of at most so many operations may be: headquarters
// takes 1 MiB of JSON.
func bytesOf(ops int) int { return batchBytes * (1 + count(ops > batchOps)) }

// number gives the next numbers to those that have none, and makes the batch.
// What no longer fits, since the chain or a state changed in between, is left
// for the next batch.
func (c *change) number(b *Batch, ids []string) error {
	b.Epoch, b.Ops = c.st.Cursor.Epoch, make([]Op, 0, len(ids))
	for _, id := range ids {
		old, err := c.load(id)
		if err != nil {
			return trouble(err)
		}
		if old.Parked != nil {
			continue
		}
		r := *old
		if !c.st.holds(r.Gen, r.Number) {
			if r.State.Final() && !c.st.forgotten(old, c.now) {
				// Its time passed while it waited: it leaves the index.
				c.saved, c.wrote = append(c.saved, saved{old, old}), true
				continue
			}
			if n := len(b.Ops); n > 0 && b.Ops[n-1].Number != c.st.Tail {
				break
			}
			c.st.Tail++
			c.st.Head = Chain(c.st.Head, id)
			r.Number, r.Gen = c.st.Tail, c.st.gen()
			c.chain(r.Gen, r.Number, link{id, c.st.Head})
		} else if n := len(b.Ops); r.Number <= c.st.Cursor.AcceptedThrough || n > 0 && b.Ops[n-1].Number+1 != r.Number {
			break
		}
		r.Attempts++
		c.save(old, &r)
		if len(b.Ops) == 0 {
			head, ok, err := c.head(&c.st, r.Number-1)
			if err != nil {
				return err
			}
			if !ok {
				return trouble(fmt.Errorf("the head before number %d is not known", r.Number))
			}
			b.Head = head
		}
		b.Ops = append(b.Ops, r.Op)
	}
	return nil
}

// receive takes a receipt: what headquarters has is accepted; where it stands
// elsewhere in the chain it is followed. It returns what was numbered with it, at most so
// many as ahead.
func (q *Queue) receive(ctx context.Context, b Batch, r Receipt, ahead int) (Batch, error) {
	last := b.Ops[len(b.Ops)-1].Number
	if r == (Receipt{}) {
		r = Receipt{Epoch: b.Epoch, AcceptedThrough: last}
		for head, i := b.Head, 0; i < len(b.Ops); i++ {
			head = Chain(head, b.Ops[i].ID)
			r.Head = head
		}
	}
	before := b.Ops[0].Number - 1
	var next Batch // the writer's until it has answered
	var number *request
	if r.AcceptedThrough == last && ahead > 0 {
		ids, err := q.chooseAhead(len(b.Ops), ahead)
		if err != nil {
			return Batch{}, err
		}
		if len(ids) > 0 {
			number = &request{step: "number", size: len(ids) * 512, apply: func(c *change) error {
				next = Batch{}
				if cur := c.st.Cursor; cur.AcceptedThrough != last || cur.Epoch != r.Epoch || c.st.Tail != last {
					return nil // the receipt is not taken in yet, or says something else
				}
				return c.number(&next, ids)
			}}
		}
	}
	if err := q.acceptAll(ctx, r, len(b.Ops), number); err != nil {
		return Batch{}, err
	}
	if r.AcceptedThrough <= before || r.Epoch != b.Epoch && b.Epoch != "" {
		// It stands elsewhere than we thought; now we stand there too. The pause
		// is for the case that this was not the last time.
		return Batch{}, errNoProgress
	}
	return next, nil
}

// chooseAhead says what goes after the batch that is offered, of so many; nothing if
// that is not all that was.
func (q *Queue) chooseAhead(offered, ops int) (ids []string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.index.offered) != offered {
		return nil, nil
	}
	entries, err := q.pick(ops)
	for _, e := range entries {
		ids = append(ids, e.id)
	}
	return ids, err
}

// acceptAll takes in all of a receipt, of a batch of so many; with (nil: nothing) goes
// with each step of it.
func (q *Queue) acceptAll(ctx context.Context, r Receipt, batch int, with *request) error {
	for {
		done := false
		err := q.doWith(ctx, &request{step: "accept", size: min(acceptBytes, 4096+batch*512), with: with, apply: func(c *change) (err error) {
			done, err = c.accept(r)
			return err
		}})
		if err != nil {
			return fmt.Errorf("record receipt: %w", err)
		}
		if done {
			return nil
		}
	}
}

// acceptBytes is about how much one step of a receipt writes.
const acceptBytes = groupBytes / 4

// accept marks what a receipt covers, a part of it at a time.
func (c *change) accept(r Receipt) (done bool, err error) {
	if c.st.left(r.Epoch) {
		return true, nil
	}
	ours, err := c.ours(r.AcceptedThrough, r.Head)
	if err != nil {
		return false, err
	}
	first := c.st.Cursor.Epoch == ""
	if !ours || !first && r.Epoch != c.st.Cursor.Epoch || r.AcceptedThrough < c.st.Cursor.AcceptedThrough {
		return true, c.follow(r.Epoch, r.AcceptedThrough, r.Head)
	}
	c.wrote = true
	c.st.Cursor.Epoch = r.Epoch
	c.st.LastAccepted = c.now
	n := c.st.Cursor.AcceptedThrough
	for size := 0; n < r.AcceptedThrough && size < acceptBytes; size += 64 {
		n++
		gen, _, atStart, ok := c.st.place(n)
		if !ok || atStart {
			continue // numbers that a damaged store lost
		}
		l, ok, err := c.link(gen, n)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		c.st.Cursor.Head = l.Head
		written, err := c.acceptOne(l.ID)
		if err != nil {
			return false, err
		}
		size += written
	}
	c.st.Cursor.AcceptedThrough = n
	if n == r.AcceptedThrough {
		c.st.Cursor.Head = r.Head
		return true, nil
	}
	return false, nil
}

// acceptOne returns how many bytes it wrote.
func (c *change) acceptOne(id string) (size int, err error) {
	old, err := c.load(id)
	if errors.Is(err, ErrNotFound) {
		return 0, nil // pruned since
	}
	if err != nil {
		return 0, err
	}
	if old.State != Pending && !old.AcceptedAt.IsZero() {
		return 0, nil
	}
	r := *old
	if r.State == Pending {
		r.State, r.Changed = Accepted, c.now
	}
	if r.AcceptedAt.IsZero() {
		r.AcceptedAt = c.now
	}
	c.save(old, &r)
	if r.State != old.State {
		c.tell(&r)
	}
	return old.size - old.asked, nil
}
