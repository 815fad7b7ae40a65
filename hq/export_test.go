package hq

import (
	"testing"
	"time"
)

// Synchronous opens the database as headquarters does and asks one of its
// connections how it flushes.
func Synchronous(t *testing.T, file string) (level int) {
	t.Helper()
	d, err := openDatabase("sqlite:"+file, time.Now, func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := d.w.QueryRow(`PRAGMA synchronous`).Scan(&level); err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	return level
}

// Backlog is how often the least tried of the open operations was tried in a
// row, and how long it is until the first of them is looked at.
func (s *Server) Backlog(t *testing.T) (tries int, next time.Duration) {
	t.Helper()
	var at int64
	if err := s.db.r.QueryRow(`SELECT coalesce(min(tries), 0), coalesce(min(next_look), 0) FROM operations WHERE next_look IS NOT NULL`).Scan(&tries, &at); err != nil {
		t.Fatal(err)
	}
	return tries, time.UnixMilli(at).Sub(s.now())
}

// Hurry lets the ledger look for what is due, as an event would.
func (s *Server) Hurry() { s.hurry() }
