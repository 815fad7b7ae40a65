package offlinequeue

import (
	"context"
	"errors"
	"time"
)

// What has ended is kept for a time, so that headquarters and tills can ask for it:
// money 35 days, records 7, and less of these when they take too much room.
const (
	keepMoney   = 35 * day // headquarters may ask for it again
	keepRecords = 7 * day
	keepLeast   = day // a till that was off over night learns the end

	// The hub sends one a minute, and nobody asks for what became of an old one.
	heartbeat      = "heartbeat"
	keepHeartbeats = time.Hour

	day = 24 * time.Hour
	// As many days are remembered as money is kept, and the one that began before.
	keepDays = int(keepMoney/day) + 2

	// How many operations one step of upkeep looks at: no till feels it. The oldest are
	// gone through as long as their time is over, and one step of the others a round.
	upkeepLook = 512
)

// age is how long ago a time was, as far as it was lived through: a clock that is set
// forward by weeks has lived one day. It is by at most a day, and by what the hub was
// switched off, less than the true age.
func (s *state) age(t, now time.Time) time.Duration {
	n := 0
	for _, d := range s.Days {
		if d.After(t) {
			n++
		}
	}
	return min(now.Sub(t), max(0, time.Duration(n-1)*day))
}

// turnBack takes the days with a clock that went back: what is stamped from now on
// ended after them.
func (s *state) turnBack(now time.Time) {
	n := len(s.Days)
	if n == 0 || !s.Days[n-1].After(now) {
		return
	}
	back := now.Add(-time.Hour)
	for i, d := range s.Days {
		if d.After(back) {
			s.Days[i] = back
		}
	}
	s.dirty = true
}

// countDay counts a day when one has passed by the wall clock, and by the machine's
// own if this process saw it.
func (q *Queue) countDay() error {
	now := q.now().UTC()
	q.mu.Lock()
	days, counted := q.st.Days, q.counted
	q.mu.Unlock()
	went := len(days) > 0 && days[len(days)-1].After(now)
	passed := len(days) == 0 || now.Sub(days[len(days)-1]) >= day
	passed = passed && (counted.IsZero() || time.Since(counted) >= day)
	if !went && !passed {
		return nil
	}
	err := q.do(context.Background(), "prune", 2048, func(c *change) error { // the commit itself turns back
		if passed {
			c.st.Days = append(c.st.Days, c.now)
		}
		if n := len(c.st.Days) - keepDays; n > 0 {
			c.st.Days = c.st.Days[n:]
		}
		c.st.dirty, c.wrote = true, true
		return nil
	})
	if err == nil && passed {
		q.mu.Lock()
		q.counted = time.Now()
		q.mu.Unlock()
	}
	return err
}

// prune looks at the next operations from the key from on, and removes those
// whose time is over. It returns where to go on.
func (q *Queue) prune(from string) (pruned int, next string, err error) {
	now := q.now()
	var gone []uint64
	next = ""
	q.mu.Lock()
	st, excess := q.st, int64(0)
	if q.retention > 0 {
		excess = q.index.ended - q.retention
	}
	q.mu.Unlock()
	if err := q.level(); err != nil {
		return 0, from, err
	}
	err = q.storeNow().view(func(t *tx) error {
		looked := 0
		return t.scan(prefixSeq, from, false, func(key string, value []byte, _ uint64) (bool, error) {
			if looked == upkeepLook {
				next = key
				return false, nil
			}
			looked++
			r, err := decodeStanding(seqOf(key), value)
			if err != nil {
				return false, err
			}
			if over := q.over(&st, &r, now); over || excess > 0 && q.spare(&st, &r, now) {
				if !over {
					excess -= int64(r.size)
				}
				gone = append(gone, r.Seq)
			}
			return true, nil
		})
	})
	if err != nil {
		return 0, from, err
	}
	if next == "" { // one round through all operations ends with the strays
		if err := q.pruneStrays(now); err != nil {
			return 0, from, err
		}
	}
	if len(gone) == 0 {
		return 0, next, nil
	}
	err = q.do(context.Background(), "prune", len(gone)*128, func(c *change) error {
		pruned = 0
		for _, seq := range gone {
			r, err := c.standing(seq)
			if errors.Is(err, ErrNotFound) || err == nil && !q.over(&c.st, &r, now) && !q.spare(&c.st, &r, now) {
				continue
			}
			if err != nil {
				return err
			}
			if err := c.prune(r); err != nil {
				return err
			}
			pruned++
		}
		return nil
	})
	return pruned, next, err
}

// over reports whether an operation's time has passed: never before its end, nor
// while a person has to see to it.
func (q *Queue) over(st *state, r *record, now time.Time) bool {
	keep := keepRecords
	switch {
	case r.Kind == heartbeat:
		return r.State.Final() && now.Sub(r.Changed) >= keepHeartbeats
	case r.Money:
		keep = keepMoney
	}
	return r.State.Final() && st.age(r.Changed, now) >= keep && !r.Unresolved()
}

// spare reports whether an operation may go before its time, because what has ended
// takes more room than it may: a record that nobody waits for.
func (q *Queue) spare(st *state, r *record, now time.Time) bool {
	if r.Money || !r.State.Final() || r.Unresolved() || st.age(r.Changed, now) < keepLeast {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	mark := q.index.rest.at(r.Seq)
	return q.index.entries[r.ID] == nil && !mark.there()
}

// prune removes an operation.
func (c *change) prune(r record) error {
	for _, key := range []string{keyOp(r.ID), keySeq(r.Seq)} {
		if err := c.remove(key); err != nil {
			return err
		}
	}
	if r.Number > 0 {
		if err := c.remove(keyLink(r.Gen, r.Number)); err != nil {
			return err
		}
	}
	c.st.Held--
	c.stands[r.ID], c.forgets = nil, true
	c.saved = append(c.saved, saved{old: &r})
	return nil
}

// pruneStrays removes outcomes whose operation never came.
func (q *Queue) pruneStrays(now time.Time) error {
	var over []string
	q.mu.Lock()
	st := q.st
	q.mu.Unlock()
	err := q.storeNow().view(func(t *tx) error {
		return t.scan(prefixStray, "", false, func(key string, value []byte, _ uint64) (bool, error) {
			var s stray
			if err := unframe(value, &s); err != nil {
				return false, err
			}
			if st.age(s.Kept, now) >= keepMoney {
				over = append(over, key)
			}
			return len(over) < upkeepLook, nil
		})
	})
	if err != nil || len(over) == 0 {
		return err
	}
	return q.do(context.Background(), "prune", len(over)*128, func(c *change) error {
		for _, key := range over {
			if err := c.remove(key); err != nil {
				return err
			}
		}
		return nil
	})
}
