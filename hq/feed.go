package hq

import (
	"context"
	"encoding/json"
	"time"
)

const (
	maxWait      = 50 * time.Second // below the minute after which proxies cut idle requests
	feedPage     = 200
	feedPageSize = 512 << 10 // bytes; a page holds at least one line
)

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

// feed returns the lines after the given one, waiting for the first of them. A
// cursor of another epoch is answered at once with the epoch that holds now. A
// cursor ahead of ours was given out by a headquarters that knew more than this
// one (restored from a backup): numbers must not be used twice, so an epoch ends.
func (s *Server) feed(ctx context.Context, store, epoch string, after uint64, wait time.Duration) (Feed, error) {
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
			err := s.db.tx(ctx, func(t *tx) error {
				if now, err := readStore(t, `id = ?`, store); err != nil || now.epoch != rec.epoch || after <= now.feedSeq {
					return err
				}
				return s.renewEpoch(t, store, "the hub knows lines of the feed that headquarters lacks")
			})
			if err != nil {
				return Feed{}, err
			}
			epoch, after = rec.epoch, 0
			continue
		}
		if f.Items, err = s.db.items(ctx, store, rec.epoch, after); err != nil || len(f.Items) > 0 {
			return f, err
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
