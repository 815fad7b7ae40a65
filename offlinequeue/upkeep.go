package offlinequeue

import (
	"context"
	"errors"
	"time"
)

const (
	upkeepEvery = time.Minute
	// How many operations one round of upkeep looks at: at one round a minute a
	// shop's five weeks are gone through in hours, and no till feels it.
	upkeepLook = 512
	// So many pruned operations are worth compacting for.
	compactAfter = 2000
)

// diskUsage is how much was on disk when it was last looked at.
type diskUsage struct {
	at    time.Time
	bytes int64
}

// diskUse is read at most every few seconds: a scrape must not walk the disk.
func (q *Queue) diskUse() int64 {
	q.mu.Lock()
	use := q.use
	q.mu.Unlock()
	if !use.at.IsZero() && time.Since(use.at) < 10*time.Second {
		return use.bytes
	}
	use = diskUsage{time.Now(), diskUse(q.dir)}
	q.mu.Lock()
	q.use = use
	q.mu.Unlock()
	return use.bytes
}

// upkeep prunes what has ended long enough ago, in small steps, and gives its
// room back when nothing waits.
func (q *Queue) upkeep() {
	defer close(q.upkept)
	t := time.NewTicker(upkeepEvery)
	defer t.Stop()
	var seek <-chan time.Time
	if q.mirrorNow() != nil {
		s := time.NewTicker(mirrorEvery)
		defer s.Stop()
		seek = s.C
	}
	from, pruned := "", 0
	took := func(n int, err error) bool {
		pruned += n
		if err != nil && !errors.Is(err, ErrClosed) {
			q.log.Warn("prune queue", "dir", q.dir, "error", err)
		}
		return err == nil
	}
	for {
		select {
		case <-q.old:
			q.keepJournal()
			continue
		case <-seek:
			q.seek()
			continue
		case <-t.C:
			if q.overlayNow().isHeld() {
				continue // what is in Badger stays as it is
			}
			q.keepJournal()
			if err := q.scrub(); err != nil && !errors.Is(err, ErrClosed) {
				q.log.Warn("read journal", "dir", q.dir, "error", err)
			}
		case <-q.closing:
			return
		}
		if !took(q.pruneOldest()) {
			continue
		}
		n, next, err := q.prune(from)
		if from = next; !took(n, err) {
			continue
		}
		if pruned >= compactAfter && q.idle() {
			if err := q.compact(); err != nil && !errors.Is(err, ErrClosed) {
				q.log.Warn("compact queue", "dir", q.dir, "error", err)
			}
			q.keepJournal()
			pruned = 0
		}
	}
}

// compact gives back the room of what was pruned.
func (q *Queue) compact() error {
	q.mu.Lock()
	a := q.applier
	q.mu.Unlock()
	if err := a.settleTables(); err != nil {
		return err
	}
	return a.store.compact()
}

// pruneOldest prunes in the order of promises as long as there is something: what came
// together mostly ends together.
func (q *Queue) pruneOldest() (pruned int, err error) {
	for from := ""; ; {
		n, next, err := q.prune(from)
		pruned += n
		if err != nil || n == 0 || next == "" {
			return pruned, err
		}
		from = next
	}
}

// keepJournal gives back old segments and takes the room of the next.
func (q *Queue) keepJournal() {
	err := q.journalNow().prepare()
	if e := q.retire(); !errors.Is(e, ErrClosed) {
		err = errors.Join(err, e)
	}
	if err != nil {
		q.log.Warn("keep journal", "dir", q.dir, "error", err)
	}
}

func (q *Queue) journalNow() *journal {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.journal
}

func (q *Queue) overlayNow() *overlay {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.overlay
}

// idle reports whether nothing waits for headquarters.
func (q *Queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.index.offered) == 0 && len(q.index.waiting.order) == 0
}

// prune looks at the next operations from the key from on, and removes those
// whose time is over. It returns where to go on.
func (q *Queue) prune(from string) (pruned int, next string, err error) {
	now := q.now()
	var over []uint64
	next = ""
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
			if r.over(now) {
				over = append(over, r.Seq)
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
	if len(over) == 0 {
		return 0, next, nil
	}
	err = q.do(context.Background(), "prune", len(over)*128, func(c *change) error {
		pruned = 0
		for _, seq := range over {
			r, err := c.standing(seq)
			if errors.Is(err, ErrNotFound) || err == nil && !r.over(now) {
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
func (r *record) over(now time.Time) bool {
	keep := keepRecords
	if r.Money {
		keep = keepMoney
	}
	return r.State.Final() && now.Sub(r.Changed) > keep && !r.Unresolved()
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
	err := q.storeNow().view(func(t *tx) error {
		return t.scan(prefixStray, "", false, func(key string, value []byte, _ uint64) (bool, error) {
			var s stray
			if err := unframe(value, &s); err != nil {
				return false, err
			}
			if now.Sub(s.Kept) > keepMoney {
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
