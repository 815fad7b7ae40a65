package hq

import (
	"context"
	"sync"
	"time"
)

// work is what replicas call when there is more to do than one of them can.
const workName = "*work*"

// lookEvery is how often a replica looks for what others added, where the
// database does not tell.
const lookEvery = time.Second

// waiters lets long polls sleep until their store's feed grows.
type waiters struct {
	mu sync.Mutex
	m  map[string]chan struct{}
}

// on returns a channel that is closed when the store's feed next grows. Take it
// before looking at the feed, or a line could fall between.
func (w *waiters) on(store string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m == nil {
		w.m = map[string]chan struct{}{}
	}
	c, ok := w.m[store]
	if !ok {
		c = make(chan struct{})
		w.m[store] = c
	}
	return c
}

func (w *waiters) wake(store string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.m[store]; ok {
		close(c)
		delete(w.m, store)
	}
}

func (w *waiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.m {
		close(c)
	}
	clear(w.m)
}

// runWakes wakes long polls and the ledger when another replica changed
// something: told by the database, or by looking where it does not tell.
func (s *Server) runWakes(ctx context.Context) error {
	if s.db.engine == nil {
		return nil
	}
	var looking sync.WaitGroup
	looking.Go(func() { s.lookForChanges(ctx) })
	defer looking.Wait()
	s.db.engine.Listen(ctx, func(name string) {
		if name == workName {
			s.hurry()
			return
		}
		s.feeds.wake(name)
	}, func(listening bool) {
		if s.listening.Swap(listening) != listening {
			s.log.Info("notifications between replicas", "arrive", listening)
		}
		s.feeds.wakeAll() // something may have been missed
	})
	return ctx.Err()
}

// lookForChanges compares all stores' numbers with those of the last look.
func (s *Server) lookForChanges(ctx context.Context) {
	seen := map[string]string{}
	for pause(ctx, lookEvery) == nil {
		if s.listening.Load() {
			clear(seen)
			continue
		}
		if err := s.lookOnce(ctx, seen); err != nil && ctx.Err() == nil {
			s.log.Error("look for changes", "err", err)
		}
	}
}

func (s *Server) lookOnce(ctx context.Context, seen map[string]string) error {
	rows, err := s.db.r.QueryContext(ctx, `SELECT id, epoch || ' ' || feed_seq FROM stores`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var store, at string
		if err := rows.Scan(&store, &at); err != nil {
			return err
		}
		if seen[store] != at {
			seen[store] = at
			s.feeds.wake(store)
		}
	}
	return rows.Err()
}
