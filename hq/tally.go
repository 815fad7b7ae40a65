package hq

import (
	"context"
	"maps"
	"sync"
	"time"

	"storehub/doors"
)

const (
	// tallyPatience: a scrape is not kept waiting longer for a count.
	tallyPatience = 3 * time.Second
	// A count that took longer than tallyQuick is followed by a rest of tallyRest times
	// as long, so that counting a large ledger takes at most 2 % of one connection, or a second a scrape.
	tallyQuick = time.Second
	tallyRest  = 50
	tallyMost  = 10 * time.Minute // for one count
)

// tally is how many operations the ledger has, by kind and state. Counting them reads
// all of it, so that a large ledger is counted more rarely than it is asked about.
type tally struct {
	count func(context.Context) (map[[2]string]float64, error)

	mu     sync.Mutex
	last   map[[2]string]float64 // nil: not known yet
	at     time.Time             // when last was true
	err    error                 // of the last count
	rested time.Time             // not counted again before
	done   chan struct{}         // closed when the count that runs is over; nil: none runs
}

// now is the last count and its time; nil: there is none yet. It counts anew if that
// may be, and waits a little for it.
func (t *tally) now(ctx context.Context) (map[[2]string]float64, time.Time, error) {
	t.mu.Lock()
	if t.done == nil && !time.Now().Before(t.rested) {
		t.done = make(chan struct{})
		go t.run(t.done)
	}
	done := t.done
	t.mu.Unlock()
	if done != nil {
		patience := time.NewTimer(tallyPatience)
		defer patience.Stop()
		select {
		case <-done:
		case <-patience.C:
		case <-ctx.Done():
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last, t.at, t.err
}

func (t *tally) run(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), tallyMost)
	defer cancel()
	began := time.Now()
	counts, err := t.count(ctx)
	took := time.Since(began)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err = err; err == nil {
		t.last, t.at = counts, began
	}
	if took > tallyQuick {
		t.rested = time.Now().Add(tallyRest * took)
	}
	t.done = nil
	close(done)
}

// noOperations is a tally of nothing: every kind and state there is.
var noOperations = func() map[[2]string]float64 {
	counts := map[[2]string]float64{}
	for _, k := range doors.Kinds {
		for _, st := range []doors.State{doors.Accepted, doors.Succeeded, doors.Failed} {
			counts[[2]string{string(k), string(st)}] = 0
		}
	}
	return counts
}()

// countOperations reads the whole ledger; what was rehearsed counts nowhere.
func (d *database) countOperations(ctx context.Context) (map[[2]string]float64, error) {
	counts := maps.Clone(noOperations)
	rows, err := d.r.QueryContext(ctx, `SELECT kind, state, count(*) FROM operations WHERE `+notStandIn+` GROUP BY kind, state`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k [2]string
		var n float64
		if err := rows.Scan(&k[0], &k[1], &n); err != nil {
			return nil, err
		}
		if _, known := counts[k]; known { // a kind nobody knows must not become a label
			counts[k] = n
		}
	}
	return counts, rows.Err()
}
