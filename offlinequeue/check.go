package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// check reads all of the state while the queue is at work already, after it was opened
// by a hint: that Badger has everything, and that memory knows what waits. Until then
// nothing is concluded from what is not there: no new operation is promised, no segment
// of the journal goes, and who asks for what Badger does not have waits.
type check struct {
	store *store
	stop  atomic.Bool
	begin chan struct{} // holds a token when somebody waits for it
	done  chan struct{}
	err   error // once done: why all has to be read anew; nil: all is well
	moved bool  // counts are those before the journal's last records
}

// checkLater is how long a check lets the first offers have the machine, unless somebody
// waits for it.
const checkLater = 500 * time.Millisecond

// errDoubt says that journal and state are read again; what was asked for is to be asked
// once more.
var errDoubt = errors.New("what is held has to be read again")

// over reports whether nothing is in doubt any more. A nil check is over.
func (c *check) over() bool {
	if c == nil {
		return true
	}
	select {
	case <-c.done:
		return c.err == nil
	default:
		return false
	}
}

// wait returns when the check has ended; errDoubt: not well.
func (c *check) wait() error {
	if c == nil {
		return nil
	}
	c.hurry()
	<-c.done
	return c.err
}

// hurry has the check begin now.
func (c *check) hurry() {
	select {
	case c.begin <- struct{}{}:
	default:
	}
}

// end has the check end now.
func (c *check) end() {
	if c != nil {
		c.stop.Store(true)
		c.hurry()
		<-c.done
	}
}

// startCheck begins a check of what was just opened by a hint. It returns once the check
// has hold of the state as it is: nobody may write before.
func (q *Queue) startCheck(f *found) *check {
	if f.seen == nil || !f.hinted {
		return nil
	}
	c := &check{store: f.store, begin: make(chan struct{}, 1), done: make(chan struct{}), moved: f.moved}
	held := make(chan struct{})
	s, st := f.store, f.st.clone()
	x, anchor, known, strays := f.index, f.journal.segments[0].before.number, f.marks, f.st.strays
	was := &index{counts: cloneCounts(x.counts), bytes: x.bytes, ended: x.ended}
	q.checks.Go(func() {
		is := newIndex(0)
		is.rest.seed = x.rest.seed
		v := &seen{index: is}
		marks, began := uint64(0), time.Now()
		err := s.view(func(t *tx) error {
			close(held)
			later := time.NewTimer(checkLater)
			defer later.Stop()
			select {
			case <-c.begin:
			case <-later.C:
			}
			return v.read(t, &st, func(r *record) error {
				if c.stop.Load() {
					return ErrClosed
				}
				is.count(r, 1)
				if m := is.rest.marked(&st, r); m.there() {
					marks += m.share(r.Seq)
				}
				return nil
			})
		})
		switch {
		case err != nil:
		case len(v.bad) > 0:
			err = errors.New(strings.Join(v.bad, "; "))
		case v.sum != st.Sum || v.held != st.Held || !v.whole:
			err = errors.New("the store is not whole")
		case v.oldest > 0 && v.oldest <= anchor:
			err = errors.New("the journal lacks what the store has")
		case marks != known:
			err = errors.New("the marks on disk were not what waits")
		case st.strays > strays:
			err = errors.New("there are more outcomes without their operation than the marks on disk say")
		}
		if err == nil {
			q.mu.Lock()
			x.correct(was, is)
			q.mu.Unlock()
			close(c.done)
			q.log.Debug("what is held was read and is whole", "dir", q.dir, "took", time.Since(began))
			debug.FreeOSMemory()
			q.tidy()
			return
		}
		c.err = fmt.Errorf("%w: %w", errDoubt, err)
		close(c.done)
		if !c.stop.Load() {
			q.doubt(err)
			_ = q.readAgain(s, c.err) // who asks next reads again if this could not
		}
	})
	select {
	case <-held:
	case <-c.done:
	}
	return c
}

// correct puts counts that were read in the place of those that were in the hint;
// what changed since is in both.
func (x *index) correct(was, is *index) {
	for _, by := range []struct {
		*index
		n int
	}{{was, -1}, {is, 1}} {
		for kind, states := range by.counts {
			if x.counts[kind] == nil {
				x.counts[kind] = map[State]int{}
			}
			for state, n := range states {
				x.counts[kind][state] += by.n * n
			}
		}
		x.bytes += int64(by.n) * by.bytes
		x.ended += int64(by.n) * by.ended
	}
}

// checking is the check under way, or the last.
func (q *Queue) checking() *check { return q.checked.Load() }

// sure returns when nothing is in doubt any more, or ctx ends.
func (q *Queue) sure(ctx context.Context) error {
	c := q.checking()
	if c == nil {
		return nil
	}
	c.hurry()
	select {
	case <-c.done:
		if c.err != nil {
			return q.readAgain(c.store, c.err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-q.closing:
		return ErrClosed
	}
}
