package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// Verification is the proof that nothing was lost: the disk against itself, and the
// submit chain against headquarters'.
type Verification struct {
	Disk         offlinequeue.Report `json:"disk"`
	Headquarters Comparison          `json:"headquarters"`
}

// Verdicts of a verification.
const (
	VerifiedWhole   = "whole"   // nothing is missing, on either side
	VerifiedWrong   = "wrong"   // something is missing or damaged
	VerifiedUnknown = "unknown" // the disk is whole; what headquarters has is not known
)

// Verdict sums up.
func (v Verification) Verdict() string {
	switch {
	case !v.Disk.OK() || v.Headquarters.State == ComparedBehind || v.Headquarters.State == ComparedDiffers:
		return VerifiedWrong
	case v.Headquarters.State == ComparedUnknown:
		return VerifiedUnknown
	}
	return VerifiedWhole
}

// What a comparison can find.
const (
	ComparedEqual   = "equal"
	ComparedBehind  = "behind"  // headquarters lacks what it had accepted
	ComparedDiffers = "differs" // the two remember another past, or the word is not headquarters'
	ComparedUnknown = "unknown" // headquarters did not say
)

// Comparison holds our submit chain against headquarters' signed word. Number and
// Head are where both are compared; Ours is our head there.
type Comparison struct {
	State    string   `json:"state"`
	Why      string   `json:"why,omitempty"`
	Number   uint64   `json:"number"`
	Ours     string   `json:"ours"`
	Word     *hq.Head `json:"word,omitempty"` // headquarters', as it was signed
	Gap      []GapIn  `json:"gap,omitempty"`  // at most gapMost
	GapInAll int      `json:"gap_in_all"`
}

// GapIn is an operation that one side has and the other has not.
type GapIn struct {
	Number  uint64      `json:"number"`
	ID      string      `json:"id"`
	State   doors.State `json:"state,omitempty"`
	Missing string      `json:"missing"` // where: headquarters or hub
}

const gapMost = 1000

func (c *Comparison) gap(g GapIn) {
	if c.GapInAll++; len(c.Gap) < gapMost {
		c.Gap = append(c.Gap, g)
	}
}

// asks is the part of headquarters that a comparison needs.
type asks interface {
	Chain(ctx context.Context, epoch string, after uint64, nonce string) (hq.ChainPage, error)
}

// compareWithin bounds the walk along two chains that differ.
const compareWithin = 25 * time.Second

// compare holds the chain of a queue against headquarters.
func compare(ctx context.Context, q *offlinequeue.Queue, at asks, store, key string) (c Comparison) {
	ctx, cancel := context.WithTimeout(ctx, compareWithin)
	defer cancel()
	cursor := q.Cursor()
	c.Number, c.Ours = cursor.AcceptedThrough, cursor.Head
	unknown := func(err error) Comparison {
		c.State, c.Why = ComparedUnknown, err.Error()
		return c
	}
	differs := func(why string) Comparison {
		c.State, c.Why = ComparedDiffers, why
		return c
	}
	nonce := rand.Text()
	page, err := at.Chain(ctx, cursor.Epoch, 0, nonce)
	if err != nil {
		return unknown(err)
	}
	w := page.Head
	c.Word = &w
	if key == "" {
		key = w.Key // the first word: it is only as good as the line
		c.Why = "headquarters' key was not known before"
	}
	if err := w.Verify(store, nonce, key); err != nil {
		return differs(err.Error())
	}
	if cursor.Epoch == "" && c.Number == 0 && w.Number == 0 {
		c.State = ComparedEqual // neither has anything yet
		return c
	}
	if w.Epoch != cursor.Epoch {
		return differs("headquarters has begun another ledger than the one this hub knows; what it lacks is offered again when the hub hears of it")
	}
	_, ours, known, err := q.Submitted(w.Number)
	if err != nil {
		return unknown(err)
	}
	if known && ours == w.Head && w.Number >= cursor.AcceptedThrough {
		c.State, c.Number, c.Ours = ComparedEqual, w.Number, ours
		if more := w.Number - cursor.AcceptedThrough; more > 0 {
			c.Why = fmt.Sprintf("the receipt of the last %d is still on its way", more)
		}
		return c
	}
	if err := c.walk(ctx, q, at, page, cursor, nonce); err != nil {
		return unknown(err)
	}
	c.State, c.Number, c.Ours = ComparedDiffers, w.Number, ours
	switch {
	case known && ours == w.Head:
		c.State, c.Why = ComparedBehind, fmt.Sprintf("headquarters had accepted up to number %d and has only up to %d; the rest is offered again", cursor.AcceptedThrough, w.Number)
	case !known:
		c.Why = fmt.Sprintf("this hub does not know its own head at number %d", w.Number)
	default:
		c.Why = fmt.Sprintf("the two do not have the same past at number %d", w.Number)
	}
	return c
}

// walk goes along both chains and names what only one of them has.
func (c *Comparison) walk(ctx context.Context, q *offlinequeue.Queue, at asks, page hq.ChainPage, cursor offlinequeue.Cursor, nonce string) error {
	last := uint64(0)
	for len(page.Links) > 0 {
		for _, l := range page.Links {
			last = l.Number
			id, _, known, err := q.Submitted(l.Number)
			if err != nil {
				return err
			}
			if l.ID == "" || !known || id == "" || id == l.ID {
				continue // where the epoch began, pruned here, or the same
			}
			c.gap(GapIn{l.Number, id, standing(q, id), "headquarters"})
			if _, err := q.Get(l.ID); errors.Is(err, offlinequeue.ErrNotFound) {
				c.gap(GapIn{Number: l.Number, ID: l.ID, Missing: "hub"})
			}
		}
		var err error
		if page, err = at.Chain(ctx, cursor.Epoch, last, nonce); err != nil {
			return err
		}
	}
	for n := max(last, c.Word.Number) + 1; n <= cursor.AcceptedThrough; n++ {
		id, _, known, err := q.Submitted(n)
		if err != nil {
			return err
		}
		if known && id != "" {
			c.gap(GapIn{n, id, standing(q, id), "headquarters"})
		}
	}
	return nil
}

func standing(q *offlinequeue.Queue, id string) doors.State {
	op, err := q.Get(id)
	if err != nil {
		return ""
	}
	return doors.State(op.State)
}

// verify is `hub queue verify` of the running hub.
func (h *Hub) verify(ctx context.Context) (Verification, error) {
	r, err := h.queue.Verify(ctx)
	if err != nil {
		return Verification{}, doors.ErrInternal.With("%v", err)
	}
	key := ""
	if s := h.store.Load(); s != nil {
		key = s.HeadKey
	}
	return Verification{r, compare(ctx, h.queue, h.hq, h.cfg.Store, key)}, nil
}

// VerifyStored is the same on the disk of a hub that does not run: it changes nothing
// there. An embedded headquarters does not run then either.
func VerifyStored(ctx context.Context, c Config, version, machine string) (v Verification, err error) {
	keys, err := queueKeys(c)
	if err != nil {
		return v, fmt.Errorf("read queue: %w", err)
	}
	err = offlinequeue.Examine(queueDir(c.StateDir), func(r offlinequeue.Report, q *offlinequeue.Queue) error {
		v.Disk = r
		if c.HQ.Embedded {
			v.Headquarters = Comparison{State: ComparedUnknown, Why: "headquarters is embedded in the hub, which does not run"}
			return nil
		}
		client, err := newClient(c, version, machine)
		if err != nil {
			v.Headquarters = Comparison{State: ComparedUnknown, Why: err.Error()}
			return nil
		}
		key := ""
		if s := rememberedStore(c.StateDir, c.Store); s != nil {
			key = s.HeadKey
		}
		v.Headquarters = compare(ctx, q, client, c.Store, key)
		return nil
	}, keys...)
	return v, err
}
