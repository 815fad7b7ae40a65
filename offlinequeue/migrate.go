package offlinequeue

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Format 1 had no journal: a store whose values are JSON in frames of version 1,
// and a witness file beside it that said how far the store reaches. Its store is
// carried once into one of today's; the journal is then made from that, as if it
// had been lost.
const (
	oldStoreName   = "store.format1"
	oldWitnessName = "witness"
)

// migrate makes a store of today's from one of format 1. It may be cut off at any
// point: the old one goes last.
func (q *Queue) migrate() error {
	path, kept, made := filepath.Join(q.dir, storeName), filepath.Join(q.dir, oldStoreName), filepath.Join(q.dir, newName)
	done, err := exists(kept)
	if err != nil {
		return err
	}
	if there, err := exists(path); err != nil || !done && !there {
		return err // nothing was ever put
	} else if !done {
		if err := q.fault("migrate:copy"); err != nil {
			return err
		}
		if err := q.carryOld(made, path); err != nil {
			return fmt.Errorf("carry over a queue of format 1: %w", err)
		}
		if err := errors.Join(os.Rename(path, kept), syncDir(q.dir)); err != nil {
			return err
		}
	}
	if err := q.fault("migrate:rename"); err != nil {
		return err
	}
	if there, err := exists(path); err != nil || there {
		return err
	}
	return errors.Join(os.Rename(made, path), syncDir(q.dir))
}

// migrated removes what format 1 left.
func (q *Queue) migrated() error {
	return errors.Join(
		os.RemoveAll(filepath.Join(q.dir, oldStoreName)),
		os.RemoveAll(filepath.Join(q.dir, oldWitnessName)),
		os.RemoveAll(filepath.Join(q.dir, "before-open")),
		syncDir(q.dir))
}

// carryOld copies an old store. All of the new one is as if written by record 1 of
// a journal that is gone.
func (q *Queue) carryOld(made, path string) (err error) {
	if err := errors.Join(checkStore(path, nil), os.RemoveAll(made)); err != nil {
		return err
	}
	from, err := openStore(path, q.log, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := openStore(made, q.log, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()

	const record1 = 1
	st := newState()
	var writes []write
	size := 0
	flush := func() error {
		err := to.update(func(t *tx) error {
			for _, w := range writes {
				if err := t.set(w.key, w.value, record1); err != nil {
					return err
				}
			}
			return nil
		})
		writes, size = writes[:0], 0
		return err
	}
	add := func(key string, value []byte) error {
		if summed(key) {
			st.Sum += share(key, record1)
		}
		writes, size = append(writes, write{key: key, value: value}), size+len(key)+len(value)
		if size > groupBytes || len(writes) > 2000 {
			return flush()
		}
		return nil
	}
	var marks oldState
	err = from.with(func(db *badger.DB) error {
		return db.View(func(t *badger.Txn) error {
			it := t.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				key := string(it.Item().Key())
				b, err := it.Item().ValueCopy(nil)
				if err == nil {
					err = convert(key, b, &marks, add)
				}
				if err != nil {
					return fmt.Errorf("read %q: %w", key, err)
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	st.Seq, st.Held, st.Tail, st.Head = marks.Seq, marks.Held, marks.Tail, marks.Head
	st.Cursor, st.LastAccepted, st.Damaged = marks.Cursor, marks.LastAccepted, marks.Damaged
	if len(marks.Chains) > 0 {
		st.Chains = marks.Chains
	}
	h, err := frame(st.history)
	if err == nil {
		err = add(keyHistory, h)
	}
	if err == nil {
		err = add(keyApplied, applied{position{number: record1}, position{number: record1}, record1}.encode())
	}
	if err == nil {
		err = add(keyState, st.encode())
	}
	return errors.Join(err, flush(), to.sync())
}

// oldState is what format 1 kept under the key of the marks.
type oldState struct {
	Seq          uint64    `json:"seq"`
	Held         uint64    `json:"held"`
	Tail         uint64    `json:"tail"`
	Head         string    `json:"head"`
	Chains       []chain   `json:"chains"`
	Cursor       Cursor    `json:"cursor"`
	LastAccepted time.Time `json:"last_accepted"`
	Damaged      []string  `json:"damaged"`
}

// oldUnframe reads a value of format 1.
func oldUnframe(b []byte, v any) error {
	if len(b) < 5 || b[0] != 1 || crc32.Checksum(b[5:], castagnoli) != binary.BigEndian.Uint32(b[1:]) {
		return errFrame
	}
	return json.Unmarshal(b[5:], v)
}

// convert tells add of what one key of format 1 is today.
func convert(key string, b []byte, marks *oldState, add func(string, []byte) error) error {
	switch {
	case key == keyState:
		return oldUnframe(b, marks)
	case strings.HasPrefix(key, prefixOp):
		var r record
		if err := oldUnframe(b, &r); err != nil {
			return err
		}
		asked := r.placed()
		r.asked = len(asked) - placeBytes
		return errors.Join(add(key, putPlace(asked, r.Seq)), add(keySeq(r.Seq), r.stand()))
	case strings.HasPrefix(key, prefixLink):
		var l link
		if err := oldUnframe(b, &l); err != nil {
			return err
		}
		return add(key, l.encode())
	case strings.HasPrefix(key, prefixStray):
		var s stray
		if err := oldUnframe(b, &s); err != nil {
			return err
		}
		v, err := frame(s)
		if err != nil {
			return err
		}
		return add(key, v)
	}
	return nil // the list of places is in the operations
}
