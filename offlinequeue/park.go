package offlinequeue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Headquarters takes every operation it can read, and a "no" is an outcome. This file
// is for the operation that it cannot be brought to take all the same: because it
// breaks on it, or because something between refuses to pass it on. Such a one is
// found by halving the batch, and held back only when headquarters took others between
// its refusals: trouble with everything is headquarters', not the operation's.

const (
	// So often in a row the first of the line is refused alone before others may pass.
	refusedAlone = 3
	// So often it is refused although others were taken in between before it is parked.
	refusedForGood = 2
	// So many are set aside before it counts as trouble with everything; doubled
	// each time that this is so, in case the line begins with several bad ones.
	suspectsFirst, suspectsMost = 2, 16

	heldMost  = 20 // how many Stats names
	notesMost = 16 // how many an operation keeps
)

// Refusal is a Sender's error: it was answered, and the batch was not taken.
type Refusal struct {
	Reason  string // a code
	Message string
}

// Error is both.
func (r *Refusal) Error() string { return fmt.Sprintf("refused: %s: %s", r.Reason, r.Message) }

// Held is an operation that waits for a person.
type Held struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Ref     string    `json:"ref"`
	State   State     `json:"state"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Message string    `json:"message,omitempty"`
}

// held lists the first of them.
func held(all map[string]Held) []Held {
	list := make([]Held, 0, len(all))
	for _, h := range all {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Held) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return list[:min(len(list), heldMost)]
}

// note keeps who waits for a person.
func (x *index) note(r *record, there bool) {
	delete(x.parked, r.ID)
	delete(x.unresolved, r.ID)
	delete(x.places, r.ID)
	h := Held{ID: r.ID, Kind: r.Kind, Ref: r.Ref, State: r.State}
	if there && r.Parked != nil {
		h.Since, h.Reason, h.Message = r.Parked.Since, r.Parked.Reason, r.Parked.Message
		x.parked[r.ID], x.places[r.ID] = h, r.Seq
	}
	if there && r.Unresolved() {
		h.Since, h.Reason, h.Message = r.Changed, r.Reason, r.Message
		x.unresolved[r.ID], x.places[r.ID] = h, r.Seq
	}
}

// retract has what was offered wait for new numbers.
func (x *index) retract(now time.Time) {
	for _, e := range x.offered {
		if x.entries[e.id] == e && e.lane == nil {
			x.waiting.add(e, now)
		}
	}
	x.offered = nil
}

// suspect sets an entry aside, or back in its line.
func (x *index) suspect(id string, is bool) {
	e := x.entries[id]
	if e == nil {
		return
	}
	was, l := e.held(), e.lane
	x.waiting.hold(e, e.parked, is)
	if l != nil && was && !e.held() && x.rest.waits > 0 {
		x.unload(l) // what was promised before it may be in the backlog
	}
	x.turned()
}

// setAside tells a new index who is set aside.
func (x *index) setAside(ids map[string]bool) {
	x.suspects = ids
	for id := range ids {
		x.suspect(id, true)
	}
}

// doubt is what Run thinks of refusals.
type doubt struct {
	most     int    // operations of the next batch
	alone    string // was refused alone last
	times    int    // so often in a row
	suspects []string
	allowed  int
	proved   bool           // another operation was taken since the last of them was refused
	refused  map[string]int // so often although others were taken
}

func newDoubt() *doubt {
	return &doubt{most: batchOps, allowed: suspectsFirst, refused: map[string]int{}}
}

// clear forgets a suspect.
func (d *doubt) clear(q *Queue, id string) {
	if i := slices.Index(d.suspects, id); i >= 0 {
		d.suspects = slices.Delete(d.suspects, i, i+1)
		q.suspect(id, false)
	}
	if len(d.suspects) == 0 {
		d.allowed, d.proved = suspectsFirst, false
	}
}

// release puts all suspects back in their lines.
func (d *doubt) release(q *Queue) {
	for len(d.suspects) > 0 {
		d.clear(q, d.suspects[0])
	}
}

// ahead says how many may be numbered while a batch's receipt is taken in, of which
// headquarters needed so long: none while something is set aside.
func (d *doubt) ahead(b Batch, took time.Duration) int {
	switch {
	case d.most < batchOps:
		d.most = min(2*d.most, batchOps)
	case took > quick:
		d.most = batchOps
	case len(b.Ops) == d.most:
		d.most = min(2*d.most, batchMost)
	}
	if len(d.suspects) > 0 {
		return 0
	}
	return d.most
}

// taken notes that headquarters took a batch.
func (d *doubt) taken(q *Queue, b Batch) {
	for _, op := range b.Ops {
		d.clear(q, op.ID)
		delete(d.refused, op.ID)
	}
	d.alone, d.times = "", 0
	d.proved = len(d.suspects) > 0
}

// next is the suspect whose turn it is to be offered alone; "": none. One that is not
// the first of its ref any more goes back in its line.
func (d *doubt) next(q *Queue) string {
	for d.proved {
		id := d.suspects[0]
		q.mu.Lock()
		e := q.index.entries[id]
		busy := len(q.index.offered) > 0
		first := e != nil && e.lane != nil && e.lane.entries[0] == e
		q.mu.Unlock()
		switch {
		case busy:
			return ""
		case first:
			return id
		}
		d.clear(q, id)
	}
	return ""
}

func (q *Queue) suspect(id string, is bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.suspected[id] = is
	if !is {
		delete(q.suspected, id)
	}
	q.index.suspect(id, is)
}

// refused decides what to do about a batch that was answered and not taken. An error
// is a reason to pause.
func (q *Queue) refused(ctx context.Context, s Sender, d *doubt, b Batch, why *Refusal) error {
	if len(b.Ops) > 1 {
		d.most = len(b.Ops) / 2
		return nil
	}
	if len(b.Ops) == 0 {
		return why
	}
	id := b.Ops[0].ID
	if d.alone != id {
		d.alone, d.times = id, 0
	}
	d.times++
	known := slices.Contains(d.suspects, id)
	switch {
	case known && d.proved:
		d.refused[id]++
		if d.refused[id] >= refusedForGood {
			return q.takeBack(ctx, s, d, id, why)
		}
	case !known && len(d.suspects) == 0 && d.times < refusedAlone:
		return why
	case !known && len(d.suspects) == d.allowed:
		allowed := min(2*d.allowed, suspectsMost)
		d.release(q)
		d.allowed, d.times = allowed, refusedAlone-1
		return why
	}
	return q.takeBack(ctx, s, d, id, nil)
}

// takeBack takes back the numbers from that of an operation on, once headquarters has
// said that it does not have them, so that others can go first. The operation is set
// aside, or, for good reason, parked.
func (q *Queue) takeBack(ctx context.Context, s Sender, d *doubt, id string, park *Refusal) error {
	if err := q.ask(ctx, s); err != nil {
		return err
	}
	if i := slices.Index(d.suspects, id); i >= 0 {
		d.suspects = slices.Delete(d.suspects, i, i+1)
	}
	d.suspects = append(d.suspects, id) // the next in turn goes first
	d.proved = false
	q.suspect(id, true)
	step, there := "withdraw", false
	if park != nil {
		step = "park"
	}
	err := q.do(ctx, step, 4096, func(c *change) error {
		there = false
		old, err := c.load(id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !c.st.holds(old.Gen, old.Number) || old.Number <= c.st.Cursor.AcceptedThrough {
			return nil // it was taken after all
		}
		there = true
		c.st.withdraw()
		c.retract, c.wrote = true, true
		if park != nil {
			r := *old
			r.Parked = &Parked{Since: c.now, Reason: park.Reason, Message: park.Message}
			c.save(old, &r)
			c.tell(&r)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("take back numbers: %w", err)
	}
	if park != nil && there {
		q.log.Warn("operation parked", "id", id, "reason", park.Reason, "message", park.Message)
	}
	if park != nil || !there {
		d.clear(q, id)
		delete(d.refused, id)
		d.proved = len(d.suspects) > 0
	}
	return nil
}

// ask has headquarters say where it stands.
func (q *Queue) ask(ctx context.Context, s Sender) error {
	c := q.Cursor()
	limited, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	r, err := s.Send(limited, Batch{Epoch: c.Epoch, Head: c.Head})
	if err != nil || r == (Receipt{}) {
		return err
	}
	return q.acceptAll(ctx, r, batchMost, nil)
}

// Retry has a parked operation offered again; the note says who wants it and why.
func (q *Queue) Retry(ctx context.Context, id string, n Note) (Op, error) {
	op, err := q.noted(ctx, id, "retry", n, func(r *record) error {
		if r.Parked == nil {
			return ErrNotParked
		}
		r.Parked = nil
		return nil
	})
	if err == nil {
		q.Nudge()
	}
	return op, err
}

// Resolve settles what Unresolved tells of an operation; the note says who did and how.
func (q *Queue) Resolve(ctx context.Context, id string, n Note) (Op, error) {
	return q.noted(ctx, id, "resolve", n, func(r *record) error {
		if !r.Unresolved() {
			return ErrNotToSettle
		}
		r.Resolved = true
		return nil
	})
}

func (q *Queue) noted(ctx context.Context, id, deed string, n Note, change1 func(*record) error) (Op, error) {
	var stands Op
	err := q.do(ctx, deed, 2048+len(n.By)+len(n.Text), func(c *change) error {
		old, err := c.load(id)
		if err != nil {
			return err
		}
		r := *old
		if err := change1(&r); err != nil {
			return err
		}
		n.At, n.Deed = c.now, deed
		r.Notes = append(slices.Clone(r.Notes), n)
		if len(r.Notes) > notesMost {
			r.Notes = r.Notes[1:]
		}
		c.save(old, &r)
		c.tell(&r)
		stands = c.st.show(&r)
		return nil
	})
	if err != nil {
		return Op{}, fmt.Errorf("%s operation %q: %w", deed, id, err)
	}
	return stands, nil
}

// notes writes what few operations have; without any of it the frame is as it was
// before there were notes.
func (e *encoder) notes(r *record) {
	if r.Parked == nil && len(r.Notes) == 0 && !r.Resolved {
		return
	}
	(*e)[0] = frameNoted
	e.bool(r.Parked != nil)
	if r.Parked != nil {
		e.time(r.Parked.Since)
		e.string(r.Parked.Reason)
		e.string(r.Parked.Message)
	}
	e.bool(r.Resolved)
	e.uint(uint64(len(r.Notes)))
	for _, n := range r.Notes {
		e.time(n.At)
		e.string(n.Deed)
		e.string(n.By)
		e.string(n.Text)
	}
}

func (d *decoder) notes(r *record) {
	if d.version != frameNoted {
		return
	}
	if d.bool() {
		r.Parked = &Parked{Since: d.time(), Reason: d.string(), Message: d.string()}
	}
	r.Resolved = d.bool()
	for n := d.uint(); n > 0 && !d.bad; n-- {
		r.Notes = append(r.Notes, Note{At: d.time(), Deed: d.string(), By: d.string(), Text: d.string()})
	}
}
