package main

import (
	"encoding/binary"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// bolt is bbolt with its defaults; its own Batch waits 10 ms for company, so it
// has the same group commit as the bare file.
type bolt struct {
	*group
	db *bbolt.DB
}

var boltBucket = []byte("operations")

func openBolt(dir string) (store, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	s := &bolt{db: db}
	s.group = newGroup(s.commit)
	return s, nil
}

func (s *bolt) commit(payloads [][]byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(boltBucket)
		b.FillPercent = 0.9 // keys only grow
		for _, p := range payloads {
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, n), p); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *bolt) each(f func([]byte) bool) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(boltBucket).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if !f(v) {
				break
			}
		}
		return nil
	})
}

func (s *bolt) Close() error {
	s.stop()
	return s.db.Close()
}
