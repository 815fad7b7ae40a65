package hq

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

const (
	maxWait      = 50 * time.Second // below the minute after which proxies cut idle requests
	feedPage     = 200
	feedPageSize = 512 << 10 // bytes; a page holds at least one line
	// readStep: how far the hub has read is written down each so many lines. It only
	// says what may be pruned.
	readStep = 64
)

// errFeedPruned: lines were asked for that are kept no more.
var errFeedPruned = errors.New("the feed is kept no more from there on")

// append adds one line to the store's feed, in the transaction that made it true.
func (t *tx) append(store string, it Item) error {
	var epoch string
	if err := t.QueryRow(`UPDATE stores SET feed_seq = feed_seq + 1 WHERE id = ? RETURNING epoch, feed_seq`, store).Scan(&epoch, &it.Seq); err != nil {
		return err
	}
	it.At = t.now.UTC()
	b, err := json.Marshal(it)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO feed VALUES (?, ?, ?, ?)`, store, epoch, it.Seq, b); err != nil {
		return err
	}
	t.wakened[store] = true
	return t.d.fault("feed:append")
}

// feed is the feed as the store's hub reads it: its cursor tells what is on its
// disk. A cursor ahead of ours was given out by a headquarters that knew more than
// this one (restored from a backup), one before what is kept is of a hub that was
// put back by long: numbers must not be used twice nor left out, so an epoch ends.
func (s *Server) feed(ctx context.Context, store, epoch string, after uint64, wait time.Duration) (Feed, error) {
	for {
		f, err := s.lines(ctx, store, epoch, after, wait, true)
		why := "the hub knows lines of the feed that headquarters lacks"
		switch {
		case errors.Is(err, errFeedPruned):
			why = "the hub asks for lines of the feed that are kept no more"
		case !errors.Is(err, errFeedAhead):
			return f, err
		}
		if err := s.db.tx(ctx, func(t *tx) error {
			if now, err := readStore(t, `id = ?`, store); err != nil || now.epoch != f.Epoch {
				return err
			}
			return s.renewEpoch(t, store, why)
		}); err != nil {
			return Feed{}, err
		}
		epoch, after = f.Epoch, 0
	}
}

// errFeedAhead: the cursor is ahead of the feed.
var errFeedAhead = errors.New("the feed does not reach so far")

// lines returns the lines after the given one, waiting for the first of them. A
// cursor of another epoch is answered at once with the epoch that holds now.
func (s *Server) lines(ctx context.Context, store, epoch string, after uint64, wait time.Duration, hub bool) (Feed, error) {
	timeout := time.NewTimer(min(wait, maxWait))
	defer timeout.Stop()
	for {
		grown := s.feeds.on(store)
		rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, store)
		if err != nil {
			return Feed{}, err
		}
		f := Feed{Epoch: rec.epoch, AcceptedThrough: rec.acceptedThrough, Head: rec.head, Items: []Item{}}
		switch {
		case epoch != "" && epoch != rec.epoch:
			return f, nil
		case after > rec.feedSeq:
			return f, errFeedAhead
		}
		if hub && epoch != "" && after >= rec.feedRead+readStep {
			if err := s.db.haveRead(ctx, store, epoch, after); err != nil {
				return Feed{}, err
			}
		}
		if f.Items, err = s.db.items(ctx, store, rec.epoch, after); err != nil {
			return f, err
		}
		if len(f.Items) > 0 {
			if f.Items[0].Seq != after+1 {
				return f, errFeedPruned
			}
			return f, nil
		}
		select {
		case <-grown:
		case <-timeout.C:
			return f, nil
		case <-s.closing:
			return f, nil
		case <-ctx.Done():
			return f, ctx.Err()
		}
	}
}

// haveRead writes down that the store's hub has the feed so far on its disk.
func (d *database) haveRead(ctx context.Context, store, epoch string, through uint64) error {
	return d.tx(ctx, func(t *tx) error {
		_, err := t.Exec(`UPDATE stores SET feed_read = ?1 WHERE id = ?2 AND epoch = ?3 AND feed_read < ?1 AND feed_seq >= ?1`, through, store, epoch)
		return err
	})
}

func (d *database) items(ctx context.Context, store, epoch string, after uint64) ([]Item, error) {
	rows, err := d.r.QueryContext(ctx, `SELECT item FROM feed WHERE store = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?`, store, epoch, after, feedPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items, size := []Item{}, 0
	for rows.Next() && size < feedPageSize {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		var it Item
		if err := json.Unmarshal(b, &it); err != nil {
			return nil, err
		}
		items, size = append(items, it), size+len(b)
	}
	return items, rows.Err()
}
