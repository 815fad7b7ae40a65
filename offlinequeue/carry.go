package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// This file writes again in the journal what still stands and would go: with a
// segment that is given back, with a record that cannot be read, with a journal that
// is missing. So the journal alone always holds everything that is kept.

// candidate is a key as some record wrote it.
type candidate struct {
	key    string
	number uint64
	size   int
}

// carryBytes bounds one record of what is carried.
const carryBytes = 128 << 10

// do1 does one request in the goroutine of the writer, or before there is one.
func (q *Queue) do1(step string, apply func(*change) error) error {
	r := &request{step: step, apply: apply, done: make(chan error, 1)}
	q.commit([]*request{r})
	return <-r.done
}

// doLater does a request through the writer.
func (q *Queue) doLater(step string, apply func(*change) error) error {
	return q.do(context.Background(), step, carryBytes*2, apply)
}

// look does nothing, but has what is broken read again.
func (q *Queue) look() error {
	return q.doLater("look", func(*change) error { return nil })
}

// doubtful reports whether an error is of a store that cannot be read, is in doubt, or was
// closed to be read again.
func doubtful(err error) bool {
	return errors.Is(err, errStore) || errors.Is(err, errDoubt) || errors.Is(err, ErrClosed)
}

// remake has a store that cannot be read made anew from the journal, and one that is in
// doubt read again. It returns when that is done.
func (q *Queue) remake(why error) error {
	if errors.Is(why, ErrClosed) {
		return q.look() // somebody else saw it, and the writer is at it
	}
	return q.readAgain(q.storeNow(), why)
}

// readAgain has everything read again if s is the store still.
func (q *Queue) readAgain(s *store, why error) error {
	err := q.doLater("look", func(c *change) error {
		if c.store != s {
			return nil // somebody else saw it too
		}
		return trouble(why)
	})
	if errors.Is(err, why) {
		err = q.look()
	}
	return err
}

// carry writes those of the candidates again that stand as they are. It returns how
// many those were.
func (q *Queue) carry(list []candidate, do func(string, func(*change) error) error) (carried int, err error) {
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && size < carryBytes && n < 1000 {
			size += list[n].size
			n++
		}
		part := list[:n]
		list = list[n:]
		count := 0
		err := do("carry", func(c *change) error {
			count = 0
			for _, k := range part {
				value, number, err := c.get(k.key)
				if errors.Is(err, errAbsent) || err == nil && number != k.number {
					continue
				}
				if err != nil {
					return trouble(err)
				}
				c.replace(k.key, value, number)
				c.forgets = true
				count++
			}
			return nil
		})
		if err != nil {
			return carried, fmt.Errorf("carry forward: %w", err)
		}
		carried += count
	}
	return carried, nil
}

// restore writes again what Badger has of the records from one to another.
func (q *Queue) restore(from, to uint64, do func(string, func(*change) error) error) (carried int, err error) {
	// What an operation was asked for goes before how it stands: when this is cut off,
	// the next Open sees by the latter that it has to go on.
	for _, prefix := range []string{prefixOp, prefixLink, prefixStray, prefixSeq, keyHistory} {
		next := ""
		for more := true; more; {
			var list []candidate
			more = false
			err := q.storeNow().view(func(t *tx) error {
				size := 0
				return t.scan(prefix, next, false, func(key string, value []byte, number uint64) (bool, error) {
					if size > carryBytes {
						next, more = key, true
						return false, nil
					}
					if from <= number && number <= to {
						list = append(list, candidate{key, number, len(key) + len(value)})
						size += len(key) + len(value)
					}
					return true, nil
				})
			})
			if err != nil {
				return carried, err
			}
			n, err := q.carry(list, do)
			if carried += n; err != nil {
				return carried, err
			}
		}
	}
	return carried, nil
}

// heal makes good in the journal what Badger still has, and names what neither has.
func (q *Queue) heal(f *found) error {
	if words := q.judge(f); len(words) > 0 {
		all, err := places(f.store)
		if err != nil {
			return err
		}
		all, half, err := halves(f.store, all)
		if err != nil {
			return err
		}
		st := f.st
		pruned, known := st.Seq-st.Held, !f.lost && st.Seq >= st.Held
		for _, g := range f.unapplied {
			if g.to == f.journal.last.number { // what it was is not known: perhaps a promise
				st.Seq += g.to - g.from + 1
			}
		}
		words = append(words, missing(all, st.Seq, pruned, known)...)
		st.Sum, st.Held, st.dirty = f.sum, f.held-uint64(len(half)), true
		st.Damaged = append(st.Damaged, q.damage(strings.Join(words, "; ")))
		q.mu.Lock()
		q.st = st
		q.mu.Unlock()
		// What is left when it is cut off is found, and named, at the next opening.
		for first := true; first || len(half) > 0; first = false {
			part := half[:min(len(half), forgetMost)]
			half = half[len(part):]
			err = q.do1("damage", func(c *change) error {
				c.wrote = true
				return c.forget(part)
			})
			if err != nil {
				return err
			}
		}
	}
	for _, s := range f.spans {
		n, err := q.restore(s.from, s.to, q.do1)
		if err != nil {
			return err
		}
		if n > 0 {
			q.healed(fmt.Sprintf("records %d to %d of the journal could not be read and were restored from the store", s.from, s.to))
		}
	}
	if len(f.spans) == 0 {
		return nil
	}
	return errors.Join(os.Remove(filepath.Join(q.dir, healingName)), syncDir(q.dir))
}

// forgetMost bounds one record of what is forgotten.
const forgetMost = 1000

// forget removes what says how operations stand of which it is lost what was asked for:
// the till that repeats its Put, and headquarters, know them.
func (c *change) forget(half []uint64) error {
	for _, seq := range half {
		r, err := c.standing(seq)
		if err != nil {
			return err
		}
		if err := c.remove(keySeq(seq)); err != nil {
			return err
		}
		c.stands[r.ID], c.forgets = nil, true
		c.saved = append(c.saved, saved{old: &r})
	}
	return nil
}

// judge says what is lost for good.
func (q *Queue) judge(f *found) (words []string) {
	if f.lost {
		return []string{"journal and store are missing"}
	}
	tail := false
	for _, g := range f.unapplied {
		tail = tail || g.to == f.journal.last.number
	}
	// What was asked for is not in the sum: it is never rewritten.
	if f.sum == f.st.Sum && f.whole && !tail {
		return nil
	}
	gaps := f.unapplied
	if f.rebuilt {
		gaps = f.gaps
	}
	for _, g := range gaps {
		words = append(words, fmt.Sprintf("records %d to %d of the journal cannot be read", g.from, g.to))
	}
	if len(words) == 0 {
		words = append(words, "what is held does not fit its sum")
	}
	return words
}

// tidy tells upkeep that old segments may have become needless, or that the next has
// no room yet.
func (q *Queue) tidy() {
	select {
	case q.old <- struct{}{}:
	default:
	}
}

// retire gives back old segments while most of the journal is not needed any more.
// What still stands of them is carried forward first.
func (q *Queue) retire() error {
	for {
		j, s := q.needless()
		if s == nil {
			return nil
		}
		if err := q.renew(s); err != nil {
			return err
		}
		err := q.doLater("drop", func(*change) error {
			if q.journal != j || j.segments[0] != s {
				return nil // all was read again in between
			}
			if err := q.fault("drop"); err != nil {
				return err
			}
			return j.drop()
		})
		if err != nil {
			return fmt.Errorf("drop %s: %w", s.name, err)
		}
	}
}

// needless is the journal's oldest segment if it may go, else nil: Badger has all of
// it for sure, and most of the journal holds what is over.
func (q *Queue) needless() (*journal, *segment) {
	q.mu.Lock()
	live, j, a := q.index.bytes+int64(q.st.Held)*256, q.journal, q.applier
	q.mu.Unlock()
	j.mu.RLock()
	n, s := len(j.segments), j.segments[0]
	j.mu.RUnlock()
	if n < 2 || j.bytes() <= 2*live+2*q.segmentSize || a.synced.Load() <= s.last.number {
		return j, nil
	}
	return j, s
}

// renew carries forward what stands of a segment.
func (q *Queue) renew(s *segment) error {
	old := segment{file: s.file, name: s.name, seal: s.seal, before: position{number: s.before.number}}
	if err := old.scan(nil, false); err != nil {
		return err
	}
	rd, _ := q.reader()
	var list []candidate
	size := 0
	err := old.each(0, func(_ *segment, r journalRecord) error {
		payload, err := s.seal.open(nil, &r)
		if err != nil {
			return err
		}
		err = eachWrite(payload, func(w write) error {
			if w.deleted || w.key == keyState {
				return nil
			}
			_, number, err := rd.get(w.key)
			if err == nil && number == r.number {
				list = append(list, candidate{w.key, number, len(w.key) + len(w.value)})
				size += len(w.key) + len(w.value)
			}
			if errors.Is(err, errAbsent) {
				err = nil
			}
			return err
		})
		if err != nil || size < carryBytes {
			return err
		}
		_, err = q.carry(list, q.doLater)
		list, size = nil, 0
		return err
	})
	if err == nil {
		_, err = q.carry(list, q.doLater)
	}
	if err != nil {
		return err
	}
	return q.mend(&old)
}

// mend restores what cannot be read of a segment from Badger.
func (q *Queue) mend(s *segment) error {
	for _, g := range s.bad {
		if g.from > g.to {
			continue
		}
		if err := q.level(); err != nil {
			return err
		}
		n, err := q.restore(g.from, g.to, q.doLater)
		if err != nil {
			return err
		}
		if n > 0 {
			q.healed(fmt.Sprintf("records %d to %d of the journal could not be read and were restored from the store", g.from, g.to))
		}
	}
	return nil
}

// scrub reads one closed segment and one log of values, the next in turn, and makes
// good what has rotted.
func (q *Queue) scrub() error {
	if err := q.scrubLog(); err != nil {
		return err
	}
	q.mu.Lock()
	j := q.journal
	q.mu.Unlock()
	j.mu.RLock()
	var next *segment
	for _, s := range j.segments[:len(j.segments)-1] {
		if s.before.number >= q.scrubbed {
			next = s
			break
		}
	}
	j.mu.RUnlock()
	if next == nil {
		q.scrubbed = 0
		return nil
	}
	q.scrubbed = next.before.number + 1
	s := segment{file: next.file, name: next.name, before: position{number: next.before.number}}
	if err := s.scan(nil, false); err != nil {
		return fmt.Errorf("read %s: %w", s.name, err)
	}
	return q.mend(&s)
}

// scrubLog reads one value log of Badger that is not written to any more.
func (q *Queue) scrubLog() error {
	s := q.storeNow()
	name, err := s.closedLog(q.scrubbedLog)
	if q.scrubbedLog = name; err != nil || name == "" {
		return err
	}
	through, err := readLog(name, s.key)
	if errors.Is(err, fs.ErrNotExist) { // given back meanwhile
		return nil
	}
	if err == nil && through != math.MaxUint64 {
		err = q.remake(fmt.Errorf("%w: %s has rotted", errStore, filepath.Base(name)))
	}
	return err
}
