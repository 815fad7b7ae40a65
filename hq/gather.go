package hq

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"time"
)

const (
	// gatherPatience: a statement that takes longer than any that is well has another
	// begun beside it, so that a connection that hangs holds up nobody; so many at most.
	gatherPatience = 2 * time.Millisecond
	gatherAtOnce   = 4
	// gatherMost bounds how many one statement asks for.
	gatherMost = 64
	// gatherWithin bounds a statement, whose first caller may be gone.
	gatherWithin = 10 * time.Second
)

// gather asks the database for many rows at a time. What is asked for while the others
// are being read is read next, together: so a row is as it was after it was asked for,
// never remembered from before, and whoever is alone waits for nobody.
type gather[T any] struct {
	read    func(ctx context.Context, keys []string) (map[string]T, error)
	mu      sync.Mutex
	waiting []*gathered[T]
	running int
	began   time.Time // the last of those that run
}

type gathered[T any] struct {
	key  string
	told chan told[T]
}

type told[T any] struct {
	row T
	err error
}

// ask returns the key's row, or sql.ErrNoRows.
func (g *gather[T]) ask(ctx context.Context, key string) (row T, err error) {
	a := &gathered[T]{key, make(chan told[T], 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	if g.running == 0 || g.running < gatherAtOnce && time.Since(g.began) > gatherPatience {
		g.running++
		g.began = time.Now()
		go g.run(context.WithoutCancel(ctx))
	}
	g.mu.Unlock()
	select {
	case t := <-a.told:
		return t.row, t.err
	case <-ctx.Done():
		return row, ctx.Err()
	}
}

// run reads until nobody waits.
func (g *gather[T]) run(ctx context.Context) {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), gatherMost)
		if n == 0 {
			g.running--
			g.mu.Unlock()
			return
		}
		now := g.waiting[:n:n]
		g.waiting = append([]*gathered[T](nil), g.waiting[n:]...)
		g.began = time.Now()
		g.mu.Unlock()

		keys := make([]string, n)
		for i, a := range now {
			keys[i] = a.key
		}
		reading, cancel := context.WithTimeout(ctx, gatherWithin)
		rows, err := g.read(reading, keys)
		cancel()
		for _, a := range now {
			t := told[T]{err: err}
			if row, ok := rows[a.key]; ok && err == nil {
				t.row = row
			} else if err == nil {
				t.err = sql.ErrNoRows
			}
			a.told <- t
		}
	}
}

// oneOf is the list of placeholders for that many values and more: few lengths, since
// each is a statement that the database prepares. The last value fills it up.
func oneOf(values []any) (list string, filled []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	for len(values) < n {
		values = append(values, values[len(values)-1])
	}
	return "(" + strings.TrimSuffix(strings.Repeat("?,", n), ",") + ")", values
}

// storesByCredential reads the stores of many hashes of credentials.
func (s *Server) storesByCredential(ctx context.Context, hashes []string) (map[string]record, error) {
	values := make([]any, len(hashes))
	for i, h := range hashes {
		values[i] = []byte(h)
	}
	list, values := oneOf(values)
	rows, err := s.db.r.QueryContext(ctx, `SELECT `+storeColumns+` FROM stores WHERE credential IN `+list, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stores := make(map[string]record, len(hashes))
	for rows.Next() {
		rec, hash, err := scanStore(rows)
		if err != nil {
			return nil, err
		}
		stores[string(hash)] = rec
	}
	return stores, rows.Err()
}
