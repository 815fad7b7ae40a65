package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Of what waits for a number only so much is in memory: the oldest. The rest is read
// from the state, in the order of promises, as they leave. So the order of submission
// holds among the oldest; within a ref it always does, since nothing is in memory
// while something promised before it is not.
const windowMost = 16 << 10

// allIn says that nothing waits outside of memory.
const allIn = math.MaxUint64

// outside reports whether an operation that waits stays on disk: it, and all that is
// promised after it.
func (x *index) outside(r *record) bool {
	if x.through == allIn && x.waiting.waits >= x.most {
		x.through = r.Seq - 1
	}
	return r.Seq > x.through
}

// scarce reports whether there are more on disk, and room for them.
func (x *index) scarce() bool { return x.through != allIn && x.waiting.waits <= x.most/2 }

// refill takes in what waits on disk, a part of it.
func (q *Queue) refill(ctx context.Context) error {
	err := q.do(ctx, "look", 0, func(c *change) error {
		q.mu.Lock()
		from, most := q.index.through, q.index.most
		q.mu.Unlock()
		if from == allIn {
			return nil
		}
		var list []record
		seq := from
		for looked := 0; seq < c.st.Seq && looked < most && len(list) < (most+3)/4; looked++ {
			r, err := c.standing(seq + 1)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if seq++; err == nil {
				list = append(list, r)
			}
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.index.through = seq
		for i := range list {
			q.index.admit(&c.st, &list[i], c.now)
		}
		if seq >= c.st.Seq {
			q.index.through = allIn
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what waits: %w", err)
	}
	return nil
}
