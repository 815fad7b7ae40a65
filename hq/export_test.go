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
