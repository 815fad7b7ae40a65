package hq

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
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

// crowded is a database on which a transaction meets others so many times in a row.
type crowded struct{ Engine }

var errMet = errors.New("it met another one")

func (crowded) Again(err error) bool { return errors.Is(err, errMet) }

// TestATransactionGoesOnWhileItMeetsOthers: for a time, not for a number of tries, and
// not for longer than its caller waits.
func TestATransactionGoesOnWhileItMeetsOthers(t *testing.T) {
	for name, c := range map[string]struct {
		meets, tries int // 0: some
		patience     time.Duration
		want         error
	}{
		"met a few":                {meets: 3, tries: 4},
		"met a hundred":            {meets: 100, tries: 101},
		"met without end":          {meets: 1 << 30, want: errMet},
		"its caller waits no more": {meets: 1 << 30, patience: time.Second, want: errMet},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, err := openDatabase("sqlite:"+filepath.Join(t.TempDir(), "hq.db"), nil, time.Now, func(string) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				defer d.close()
				d.engine = crowded{}
				ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.patience, time.Hour))
				defer cancel()
				began, tries := time.Now(), 0
				err = d.tx(ctx, func(*tx) error {
					if tries++; tries <= c.meets {
						return errMet
					}
					return nil
				})
				took := time.Since(began)
				if !errors.Is(err, c.want) || c.tries > 0 && tries != c.tries || c.want != nil && took > cmp.Or(c.patience, againFor)+time.Second {
					t.Errorf("%v after %d tries and %s", err, tries, took)
				}
			})
		})
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
