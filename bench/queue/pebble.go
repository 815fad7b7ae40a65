package main

import (
	"context"
	"encoding/binary"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// pebbled is Pebble with its defaults, which commits in groups by itself.
type pebbled struct {
	db   *pebble.DB
	next atomic.Uint64
}

func openPebble(dir string) (store, error) {
	db, err := pebble.Open(dir, &pebble.Options{Logger: silent{}})
	if err != nil {
		return nil, err
	}
	s := &pebbled{db: db}
	it, err := db.NewIter(nil)
	if err != nil {
		db.Close()
		return nil, err
	}
	if it.Last() {
		s.next.Store(binary.BigEndian.Uint64(it.Key()))
	}
	if err := it.Close(); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func (s *pebbled) Put(_ context.Context, payload []byte) error {
	return s.db.Set(binary.BigEndian.AppendUint64(nil, s.next.Add(1)), payload, pebble.Sync)
}

func (s *pebbled) each(f func([]byte) bool) error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !f(it.Value()) {
			break
		}
	}
	return it.Close()
}

func (s *pebbled) Close() error { return s.db.Close() }

// silent drops what the libraries would log.
type silent struct{}

func (silent) Infof(string, ...any)    {}
func (silent) Errorf(string, ...any)   {}
func (silent) Warningf(string, ...any) {}
func (silent) Debugf(string, ...any)   {}
func (silent) Fatalf(f string, a ...any) {
	panic(fatal{f, a})
}

// fatal is what a library wanted to end the process for.
type fatal struct {
	format string
	args   []any
}
