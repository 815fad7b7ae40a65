package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// found is what Open sees.
type found struct {
	journal *journal
	store   *store
	through position // Badger has the journal up to here
	synced  uint64   // and it is flushed there up to here
	st      state
	*seen
	gaps      []gap  // what cannot be read of the journal
	hint      *hint  // nil: all of the state is read
	unapplied []gap  // those that Badger did not have either
	spans     []span // what is to be restored to the journal, if Badger has it
	short     uint64 // Badger has records above this one that the journal does not have; 0: none
	rebuilt   bool   // Badger was made anew from the journal
	lost      bool   // and nothing was there to make it from
}

// load opens journal and store, brings them level, and makes good in each what the
// other still has. What neither has is named.
func (q *Queue) load() error {
	f := &found{hint: q.seekHint()}
	err := q.openBoth(f)
	if err == nil {
		err = q.compare(f)
	}
	if err == nil {
		err = q.note(f)
	}
	if err == nil && f.short > 0 {
		// The journal goes on where Badger is.
		err = f.journal.start(f.through)
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	if err := f.store.refresh(); err != nil {
		return errors.Join(err, f.close())
	}
	q.adopt(f)
	q.loading = true
	err = q.heal(f)
	q.loading = false
	if err != nil {
		q.broken = true
		return errors.Join(err, q.shut(false))
	}
	return nil
}

// span is a run of records that the journal may lack and Badger may have.
type span struct{ from, to uint64 }

// note finds what has to be restored to the journal, and notes it in a file until
// that is done: what was cut off is gone on with.
func (q *Queue) note(f *found) error {
	path := filepath.Join(q.dir, healingName)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(b)) {
		var s span
		if _, err := fmt.Sscan(line, &s.from, &s.to); err != nil {
			return fmt.Errorf("read %s: %q: %w", path, line, err)
		}
		f.spans = append(f.spans, s)
	}
	if anchor := f.journal.segments[0].before.number; f.oldest > 0 && f.oldest <= anchor {
		f.spans = append(f.spans, span{0, anchor})
	}
	if f.short > 0 {
		f.spans = append(f.spans, span{f.short, f.through.number})
	}
	for _, g := range f.gaps {
		f.spans = append(f.spans, span{g.from, g.to})
	}
	if len(f.spans) == 0 {
		return nil
	}
	var all strings.Builder
	for _, s := range f.spans {
		fmt.Fprintln(&all, s.from, s.to)
	}
	if all.String() == string(b) {
		return nil
	}
	return writeFile(path, []byte(all.String()))
}

func (f *found) close() error {
	var err error
	if f.store != nil {
		err = f.store.close()
	}
	if f.journal != nil {
		err = errors.Join(err, f.journal.close())
	}
	return err
}

// openBoth opens the two, whatever state they are in, and checks what of the
// journal Badger may not have.
func (q *Queue) openBoth(f *found) (err error) {
	if err := q.fault("open:journal"); err != nil {
		return err
	}
	q.join(false)
	if f.journal, err = openJournal(q.disk, q.segmentSize, q.seal); err != nil {
		return err
	}
	path := filepath.Join(q.dir, storeName)
	there, err := exists(path)
	if err != nil {
		return err
	}
	if there {
		if err := q.fault("open:store"); err != nil {
			return err
		}
		if err = q.rotten; err == nil {
			err = f.openState(path, q)
		}
		if err != nil {
			if cause := environment(err); cause != nil {
				return cause
			}
			if err := q.setAside(f, fmt.Sprintf("the store does not open: %v", err)); err != nil {
				return err
			}
		}
	}
	if len(f.journal.segments) == 0 {
		known, err := readFormat(q.dir)
		if err != nil {
			return err
		}
		f.lost = known > 0 && f.store == nil
		if f.store != nil && known >= format {
			q.healed("the journal was missing and was made anew from the store")
		}
		if err := f.journal.start(f.through); err != nil {
			return err
		}
	} else if f.store != nil && f.journal.segments[0].before.number > f.through.number {
		if err := q.setAside(f, "the store ends before the journal begins"); err != nil {
			return err
		}
	}
	if err := f.scan(f.synced); err != nil { // one segment Badger has, and all after it
		return err
	}
	if last := f.journal.last.number; f.store != nil && last < f.through.number {
		f.short = last + 1
	}
	if err := f.applyAgain(); err != nil {
		return err
	}
	if f.store == nil {
		if !there && f.journal.last.number > 0 {
			q.healed("the store was missing and was made anew from the journal")
		}
		return q.rebuild(f)
	}
	return nil
}

// openState opens a store and reads how far it goes.
func (f *found) openState(path string, q *Queue) error {
	check := checkStore
	if f.hint != nil {
		check = checkHeads // the rest is read by and by
	}
	if err := check(path, q.seal.storeKey()); err != nil {
		return err
	}
	whole, err := checkLog(path, q.seal.storeKey())
	if err != nil {
		return err
	}
	s, err := openStore(path, q.log, q.seal.storeKey())
	if err != nil {
		return err
	}
	var a applied
	err = s.view(func(t *tx) error {
		b, _, err := t.get(keyApplied)
		if errors.Is(err, errAbsent) {
			return nil
		}
		if err == nil {
			a, err = decodeApplied(b)
		}
		return err
	})
	if err == nil && whole < a.synced {
		err = errors.New("the value log cannot be read up to its end")
	}
	if err != nil {
		return errors.Join(err, s.close())
	}
	f.store, f.through, f.synced = s, a.position, a.synced
	return nil
}

// applyAgain has what was not flushed in Badger applied once more: the power may have
// gone, and of its files each kept another part. Where the journal lacks some of that,
// what Badger has is left alone.
func (f *found) applyAgain() error {
	lacks := slices.ContainsFunc(f.gaps, func(g gap) bool { return g.to > f.synced && g.from <= f.through.number })
	if f.store == nil || f.short == 0 && !lacks {
		return nil
	}
	f.synced = f.through.number
	return f.store.sync()
}

// environment is a reason why a store does not open that says nothing about
// the store.
func environment(err error) error {
	for _, s := range []string{"permission denied", "too many open files", "no space left", "cannot allocate memory", "directory lock"} {
		if strings.Contains(strings.ToLower(err.Error()), s) {
			if s == "directory lock" {
				return ErrInUse
			}
			return err
		}
	}
	return nil
}

// scan checks the journal from the segment on that has the record after a number.
func (f *found) scan(after uint64) error {
	j := f.journal
	f.gaps = nil
	var before *position
	for i, s := range j.segments {
		last := i+1 == len(j.segments)
		if !last && j.segments[i+1].before.number <= after {
			continue
		}
		if err := s.scan(before, last); err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		f.gaps = append(f.gaps, s.bad...)
		before = &s.last
		if last {
			j.last = s.last
			if err := s.settle(); err != nil {
				return err
			}
		}
	}
	f.gaps = slices.DeleteFunc(f.gaps, func(g gap) bool { return g.from > g.to })
	f.unapplied = slices.DeleteFunc(slices.Clone(f.gaps), func(g gap) bool { return g.to <= f.through.number })
	return nil
}

// compare brings Badger level and holds it against its own sum. One that is not
// whole is made anew.
func (q *Queue) compare(f *found) error {
	for {
		err := f.level()
		if err == nil {
			err = q.examine(f)
		}
		if err == nil && (f.sum == f.st.Sum || f.rebuilt || len(f.unapplied) > 0) {
			return nil
		}
		if err == nil {
			err = errors.New("it is not whole")
		} else if cause := environment(err); cause != nil {
			return cause
		}
		if f.rebuilt {
			return fmt.Errorf("%w: %v", ErrDamaged, err)
		}
		if err := q.setAside(f, fmt.Sprintf("the store is damaged: %v", err)); err != nil {
			return err
		}
		if err := q.rebuild(f); err != nil {
			return err
		}
	}
}

// level applies what Badger lacks, and what may not have reached its disk.
func (f *found) level() error {
	after := f.through
	if f.synced < after.number {
		after = position{number: f.synced}
	}
	a := newApplier(f.store, f.journal, newOverlay(0), after)
	a.synced.Store(f.synced) // what it writes says so: the next Open would apply everything again
	if err := a.all(); err != nil {
		return err
	}
	if a.last.number > f.through.number {
		f.through = a.last
	}
	return nil
}

// examine reads the state.
func (q *Queue) examine(f *found) error {
	f.st = newState()
	err := f.store.view(func(t *tx) error {
		b, _, err := t.get(keyState)
		if errors.Is(err, errAbsent) {
			f.st.dirty = true
			return nil
		}
		if err == nil {
			err = f.st.decode(b)
		}
		if err != nil {
			return err
		}
		if b, _, err = t.get(keyHistory); errors.Is(err, errAbsent) {
			return nil // the sum tells
		}
		if err == nil {
			err = f.st.remember(b)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("its state cannot be read: %w", err)
	}
	if f.hint != nil {
		f.seen, err = f.hint.take(f, q.now(), q.window)
		if err == nil {
			return nil
		}
		f.hint = nil
		q.doubt(err)
	}
	if f.seen, err = readState(f.store, &f.st, q.now(), q.window); err != nil {
		return err
	}
	if len(f.bad) > 0 {
		return errors.New(strings.Join(f.bad, "; "))
	}
	if !f.whole && !f.rebuilt && len(f.unapplied) == 0 {
		return errors.New("what was asked for is not there of every operation")
	}
	return nil
}

// adopt makes what was found the queue's own.
func (q *Queue) adopt(f *found) {
	o := newOverlay(f.journal.last.number)
	a := newApplier(f.store, f.journal, o, f.journal.last)
	a.synced.Store(f.synced)
	a.fault, a.onSync, o.wanted = q.fault, q.tidy, a.more
	a.room, a.alone = q.roomToApply, q.alone
	check := q.startCheck(f)
	q.mu.Lock()
	f.index.setAside(q.suspected)
	q.store, q.st, q.index, q.overlay = f.store, f.st, f.index, o
	q.journal, q.applier = f.journal, a
	q.checked.Store(check)
	last := f.journal.segments[len(f.journal.segments)-1]
	q.end, q.hinted = journalEnd{position: f.journal.last, segment: last.before.number + 1, at: last.end}, -1
	if f.hint != nil {
		q.end.bytes, q.hinted = f.hint.behindBytes, 0
	}
	q.mu.Unlock()
	q.broken, q.rotten, q.recent = false, nil, newRecent()
	go a.run()
}

// damage is one entry of Stats.Damaged.
func (q *Queue) damage(words string) string {
	words = q.now().UTC().Format(time.RFC3339) + ": " + words
	q.log.Error("queue damaged", "dir", q.dir, "what", words)
	return words
}

// healed tells what was damaged and made good.
func (q *Queue) healed(words string) {
	q.log.Warn("queue healed", "dir", q.dir, "what", words)
	q.mu.Lock()
	q.mended = append(q.mended, q.now().UTC().Format(time.RFC3339)+": "+words)
	q.mu.Unlock()
}
