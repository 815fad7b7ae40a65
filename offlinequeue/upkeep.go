package offlinequeue

import (
	"errors"
	"time"
)

const (
	upkeepEvery = 30 * time.Second
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
			q.keepHint(false)
			continue
		case <-seek:
			q.seek()
			continue
		case <-t.C:
			if q.overlayNow().isHeld() || !q.checking().over() {
				continue // what is in Badger stays as it is, and in the journal
			}
			q.keepJournal()
			q.keepHint(false)
			if err := q.scrub(); err != nil && !errors.Is(err, ErrClosed) {
				q.log.Warn("read journal", "dir", q.dir, "error", err)
			}
		case <-q.closing:
			return
		}
		if !took(0, q.countDay()) || !took(q.pruneOldest()) {
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
	if q.checking().over() {
		if e := q.retire(); !errors.Is(e, ErrClosed) {
			err = errors.Join(err, e)
		}
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
	return len(q.index.offered) == 0 && q.index.waiting.order.Len()+q.index.waiting.late.Len() == 0 && q.index.rest.best == lastTurn
}
