package main

import (
	"encoding/binary"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// badgered is Badger alone, with the settings that were the best of those tried
// for small records and little memory. With values in the value log a flush that
// fails is only logged, so this is a measure of speed and not a thing to build on.
type badgered struct {
	*group
	db   *badger.DB
	next uint64
}

func openBadger(dir string) (store, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithValueThreshold(256).
		WithValueLogFileSize(16 << 20). // larger maps are written many times over
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithLogger(silent{}))
	if err != nil {
		return nil, err
	}
	s := &badgered{db: db}
	err = db.View(func(t *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Reverse, o.PrefetchValues = true, false
		it := t.NewIterator(o)
		defer it.Close()
		if it.Rewind(); it.Valid() {
			s.next = binary.BigEndian.Uint64(it.Item().Key())
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	s.group = newGroup(s.commit)
	return s, nil
}

func (s *badgered) commit(payloads [][]byte) error {
	return s.db.Update(func(t *badger.Txn) error {
		for _, p := range payloads {
			s.next++
			if err := t.Set(binary.BigEndian.AppendUint64(nil, s.next), p); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *badgered) each(f func([]byte) bool) error {
	return s.db.View(func(t *badger.Txn) error {
		it := t.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			more := true
			if err := it.Item().Value(func(p []byte) error { more = f(p); return nil }); err != nil {
				return err
			}
			if !more {
				break
			}
		}
		return nil
	})
}

func (s *badgered) Close() error {
	s.stop()
	return s.db.Close()
}
