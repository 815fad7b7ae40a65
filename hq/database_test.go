package hq

import (
	"sync"
	"testing"
	"time"
)

// TestTransactionsSeeTheDatabaseAsIfAlone: what is read and then written by many
// at once loses nothing, on whatever engine.
func TestTransactionsSeeTheDatabaseAsIfAlone(t *testing.T) {
	s, _ := ledger(t)
	const each, writers = 20, 5
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				err := s.db.tx(t.Context(), func(t *tx) error {
					var n int
					if err := t.QueryRow(`SELECT count(*) FROM cursors`).Scan(&n); err != nil {
						return err
					}
					_, err := t.Exec(`INSERT INTO cursors VALUES (?, ?)`, time.Unix(int64(n), 0).UTC().Format(time.TimeOnly), "x")
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := s.db.r.QueryRow(`SELECT count(*) FROM cursors`).Scan(&n); err != nil || n != each*writers {
		t.Errorf("%d of %d are there, %v", n, each*writers, err)
	}
}

// TestReplicasBringTheSchemaUpOnce: several start at once on an empty database.
func TestReplicasBringTheSchemaUpOnce(t *testing.T) {
	var o Options
	TestDatabase(t, &o)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := NewServer(o)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
