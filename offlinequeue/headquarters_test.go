package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// headquarters is the other end as the queue sees it: a chain per epoch, which
// takes what continues it and answers anything else with where it stands.
type headquarters struct {
	mu      sync.Mutex
	changed chan struct{}
	epoch   string
	log     []Op // the chain
	heads   []string
	batches []Batch
	down    bool // answers nothing
	deaf    bool // takes everything and the answer is lost
}

func newHeadquarters() *headquarters {
	return &headquarters{epoch: "epoch 1", changed: make(chan struct{}, 1)}
}

var errSilence = errors.New("no answer")

func (h *headquarters) Send(_ context.Context, b Batch) (Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() {
		select {
		case h.changed <- struct{}{}:
		default:
		}
	}()
	h.batches = append(h.batches, b)
	if h.down {
		return Receipt{}, errSilence
	}
	if len(b.Ops) == 0 {
		return Receipt{h.epoch, uint64(len(h.log)), h.head(len(h.log))}, nil
	}
	first := int(b.Ops[0].Number)
	if b.Epoch != "" && b.Epoch != h.epoch || first > len(h.log)+1 || h.head(first-1) != b.Head {
		return Receipt{h.epoch, uint64(len(h.log)), h.head(len(h.log))}, nil
	}
	for _, op := range b.Ops {
		n := int(op.Number)
		switch {
		case n <= len(h.log) && h.log[n-1].ID == op.ID: // again
		case n == len(h.log)+1:
			h.log = append(h.log, op)
			h.heads = append(h.heads, Chain(h.head(n-1), op.ID))
		default:
			return Receipt{h.epoch, uint64(len(h.log)), h.head(len(h.log))}, nil
		}
	}
	if h.deaf {
		return Receipt{}, errSilence
	}
	return Receipt{h.epoch, uint64(len(h.log)), h.head(len(h.log))}, nil
}

func (h *headquarters) head(n int) string {
	if n == 0 {
		return ""
	}
	if n < 0 || n > len(h.heads) {
		return "unknown"
	}
	return h.heads[n-1]
}

// send offers one batch of at most so many.
func (q *Queue) send(ctx context.Context, s Sender, ops int) (Batch, error) {
	b, err := q.batch(ctx, ops, "")
	if err == nil && len(b.Ops) > 0 {
		_, err = q.offer(ctx, s, b, func(Batch, time.Duration) int { return 0 })
	}
	return b, err
}

// restore sets headquarters back to what it had after n operations.
func (h *headquarters) restore(epoch string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch, h.log, h.heads = epoch, slices.Clone(h.log[:n]), slices.Clone(h.heads[:n])
}

// ids is the order in which operations came.
func (h *headquarters) ids() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, op := range h.log {
		list = append(list, op.ID)
	}
	return list
}

// wait returns when cond holds; it is looked at after each Send.
func (h *headquarters) wait(t testing.TB, cond func() bool) {
	t.Helper()
	limit := time.After(2 * time.Minute) // a back-off of the queue is up to 30 s
	for {
		h.mu.Lock()
		ok := cond()
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-h.changed:
		case <-limit:
			t.Fatalf("headquarters waited in vain; it has %q", h.ids())
		}
	}
}

// running runs q until the test or the returned func ends it.
func running(t testing.TB, q *Queue, s Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx, s) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// eventually returns when cond holds. It is for what another goroutine does
// after its last sign; there is nothing else to wait for.
func eventually(t testing.TB, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("waited in vain")
}

func accepted(t testing.TB, q *Queue, n int) {
	t.Helper()
	eventually(t, func() bool {
		have := 0
		for _, states := range q.Stats().Operations {
			have += states[Accepted]
		}
		return have == n
	})
}

func numbered(ops []Op) []string {
	var list []string
	for _, op := range ops {
		list = append(list, fmt.Sprintf("%d %s", op.Number, op.ID))
	}
	return list
}
