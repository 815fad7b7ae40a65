package offlinequeue

import (
	"context"
)

// Await returns when the operation has an end or ctx ends, with the operation
// as it then stands. The end of ctx is no error.
func (q *Queue) Await(ctx context.Context, id string) (Op, error) {
	for {
		q.mu.Lock()
		ended := q.waiting[id]
		if ended == nil {
			ended = make(chan struct{})
			q.waiting[id] = ended
		}
		q.mu.Unlock()
		op, err := q.Get(id)
		if err != nil || op.State.Final() {
			q.forget(id, ended)
			return op, err
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return q.Get(id)
		case <-q.closing:
			return op, ErrClosed
		}
	}
}

// forget drops a channel that nobody will close.
func (q *Queue) forget(id string, ended chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[id] == ended {
		close(ended) // others who wait for it look for themselves
		delete(q.waiting, id)
	}
}
