package offlinequeue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// store is an ordered map with transactions on Badger; this file and
// store_check.go alone name it.
// One goroutine updates; any number may view.
type store struct {
	dir string
	log *slog.Logger
	key []byte // nil: it is not encrypted

	mu sync.RWMutex // held shared while db is used, alone to close it
	db *badger.DB   // nil: closed

	// To begin a transaction waits for those that are being committed. Single keys are
	// read through one that was begun after the last: refresh.
	lastMu sync.RWMutex
	last   *badger.Txn

	flushed string // the value logs before this one are flushed; of the one that syncs
}

// errAbsent says that a key is not there.
var errAbsent = errors.New("absent")

// errStore says that what is there cannot be read.
var errStore = errors.New("the store cannot be read")

const (
	// 4 MiB: a transaction holds at most 15 % of it, and it fits what a table is made in.
	// Badger keeps up to eight such, each as large as the largest table it ever made, for
	// half a minute after the last: with larger ones they alone were 60 to 90 MiB.
	memTable  = 4 << 20
	tableSize = memTable / 2 // it takes twice that
	// groupBytes bounds one transaction's values, well below those 15 %.
	groupBytes = 512 << 10
	// What a till asked for is written once, and read by its key: from this size on it
	// goes to the value log, which is not written again and again as the tree is.
	valueThreshold = 512
	// Of an encrypted store: the index of a table has some 100 KiB.
	blockCache = 2 << 20
	indexCache = 4 << 20
)

// storeOptions are for many small records and little memory. Nothing is flushed by
// itself: what was promised is in the journal.
func storeOptions(dir string, log *slog.Logger, key []byte) badger.Options {
	o := badger.DefaultOptions(dir)
	o.TableSizeMultiplier = 1 // of all levels
	o = o.
		WithSyncWrites(false).
		WithMemTableSize(memTable).
		WithNumMemtables(2).
		WithBaseTableSize(tableSize).
		WithNumCompactors(2).
		WithValueLogFileSize(logSize).
		WithValueThreshold(valueThreshold).
		WithVerifyValueChecksum(true).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithDetectConflicts(false). // one writer
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithLogger(storeLog{log})
	if key != nil {
		// Blocks and indices are decrypted when they are read: Badger wants them kept.
		o = o.WithEncryptionKey(key).WithBlockCacheSize(blockCache).WithIndexCacheSize(indexCache)
	}
	return o
}

// openStore opens or makes the store in dir.
func openStore(dir string, log *slog.Logger, key []byte) (*store, error) {
	s := &store{dir: dir, log: log, key: key}
	err := guard(func() (err error) {
		s.db, err = badger.Open(storeOptions(dir, log, key))
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// close flushes and closes. A second close does nothing.
func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	s.lastMu.Lock()
	defer s.lastMu.Unlock()
	if s.last != nil {
		s.last.Discard()
		s.last = nil
	}
	db := s.db
	s.db = nil
	return guard(db.Close)
}

// update runs fn in a transaction. It is flushed by sync.
func (s *store) update(fn func(*tx) error) error {
	return s.with(func(db *badger.DB) error {
		return db.Update(func(t *badger.Txn) error { return fn(&tx{t: t}) })
	})
}

// view runs fn on the store as it is at one moment.
func (s *store) view(fn func(*tx) error) error {
	return s.with(func(db *badger.DB) error {
		return db.View(func(t *badger.Txn) error { return fn(&tx{t: t}) })
	})
}

func (s *store) with(fn func(*badger.DB) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	return guard(func() error { return fn(s.db) })
}

// get reads a key as of the last refresh.
func (s *store) get(key string) (value []byte, number uint64, err error) {
	s.lastMu.RLock()
	defer s.lastMu.RUnlock()
	if s.last == nil {
		return nil, 0, ErrClosed
	}
	err = guard(func() (err error) {
		value, number, err = (&tx{t: s.last}).get(key)
		return err
	})
	if err != nil && !errors.Is(err, errAbsent) {
		err = fmt.Errorf("%w: %w", errStore, err)
	}
	return value, number, err
}

// refresh has get see all updates that have returned.
func (s *store) refresh() error {
	return s.with(func(db *badger.DB) error {
		now := db.NewTransaction(false)
		s.lastMu.Lock()
		before := s.last
		s.last = now
		s.lastMu.Unlock()
		if before != nil {
			before.Discard()
		}
		return nil
	})
}

// sync flushes what was updated, and the names of its files.
func (s *store) sync() error {
	return s.with(func(*badger.DB) error { return errors.Join(s.syncLogs(), syncDir(s.dir)) })
}

// compact gives back the room of what was deleted and is in tables: settleTables.
func (s *store) compact() error {
	if err := s.with(func(db *badger.DB) error { return db.Flatten(1) }); err != nil {
		return err
	}
	return s.collect()
}

// settleTables has everything that is in memory made a table. Nobody may update
// meanwhile. Badger does that before it drops a prefix, and never when asked.
func (s *store) settleTables() error {
	const filler = "~"
	if err := s.update(func(t *tx) error { return t.set(filler, nil, 0) }); err != nil {
		return err
	}
	return s.with(func(db *badger.DB) error { return db.DropPrefix([]byte(filler)) })
}

// tx is one transaction.
type tx struct {
	t     *badger.Txn
	arena []byte // keys and values that were set, until it is committed
}

// get returns a value and the number of the record that wrote it; errAbsent if the
// key is not there.
func (t *tx) get(key string) (value []byte, number uint64, err error) {
	item, err := t.t.Get([]byte(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, 0, errAbsent
	}
	if err != nil {
		return nil, 0, err
	}
	return stored(item)
}

func stored(item *badger.Item) (value []byte, number uint64, err error) {
	b, err := item.ValueCopy(nil)
	if err != nil {
		return nil, 0, err
	}
	return split(b, item.Key())
}

// split is a value and the number it begins with.
func split(b, key []byte) (value []byte, number uint64, err error) {
	if len(b) < 8 {
		return nil, 0, fmt.Errorf("%w: %d bytes under %q", errFrame, len(b), key)
	}
	return b[8:], binary.BigEndian.Uint64(b), nil
}

func (t *tx) set(key string, value []byte, number uint64) error {
	n := len(key)
	b := t.take(n + 8 + len(value))
	copy(b, key)
	binary.BigEndian.PutUint64(b[n:], number)
	copy(b[n+8:], value)
	return t.t.Set(b[:n:n], b[n:])
}

func (t *tx) delete(key string) error {
	b := t.take(len(key))
	copy(b, key)
	return t.t.Delete(b)
}

// take is room that stays as it is until the transaction is committed.
func (t *tx) take(n int) []byte {
	if cap(t.arena)-len(t.arena) < n {
		t.arena = make([]byte, 0, max(n, 64<<10))
	}
	at := len(t.arena)
	t.arena = t.arena[: at+n : cap(t.arena)]
	return t.arena[at : at+n : at+n]
}

// scan calls fn for each key with the prefix, from the key from on ("": from the
// end where it begins), until fn returns false or an error.
func (t *tx) scan(prefix, from string, reverse bool, fn func(key string, value []byte, number uint64) (bool, error)) error {
	return t.lend(prefix, from, reverse, func(key, value []byte, number uint64) (bool, error) {
		return fn(string(key), bytes.Clone(value), number)
	})
}

// lend is scan with keys and values that are fn's until it returns.
func (t *tx) lend(prefix, from string, reverse bool, fn func(key, value []byte, number uint64) (bool, error)) error {
	o := badger.DefaultIteratorOptions
	o.Prefix = []byte(prefix)
	o.Reverse = reverse
	// Badger would read values in goroutines of its own, and panic there: see guard.
	o.PrefetchValues = false
	it := t.t.NewIterator(o)
	defer it.Close()
	if from == "" {
		from = prefix
		if reverse {
			from += "\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		}
	}
	more := true
	for it.Seek([]byte(from)); more && it.ValidForPrefix(o.Prefix); it.Next() {
		item := it.Item()
		err := item.Value(func(b []byte) error {
			value, number, err := split(b, item.Key())
			if err == nil {
				more, err = fn(item.Key(), value, number)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keys calls fn for each key with the prefix; the key is fn's until it returns, and values
// are not read.
func (t *tx) keys(prefix string, fn func(key []byte)) {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = []byte(prefix), false
	it := t.t.NewIterator(o)
	defer it.Close()
	for it.Rewind(); it.ValidForPrefix(o.Prefix); it.Next() {
		fn(it.Item().Key())
	}
}

// guard turns a panic into an error: on a damaged file Badger panics, and the
// shop must go on selling.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the store panicked: %v", p)
		}
	}()
	return fn()
}

// diskUse is how many bytes the files below dir hold. The store's logs are sparse while
// they are written: those of tables are counted as empty, those of values as full.
func diskUse(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(d.Name(), ".mem") {
			return nil // a file may vanish under the walk
		}
		if info, err := d.Info(); err == nil {
			size := info.Size()
			if strings.HasSuffix(d.Name(), ".vlog") {
				size = min(size, logSize)
			}
			n += size
		}
		return nil
	})
	return n
}

// storeLog passes on what the store complains of; its chatter is for debugging.
type storeLog struct{ log *slog.Logger }

func (l storeLog) say(level slog.Level, format string, args ...any) {
	l.log.Log(context.Background(), level, "store", "says", strings.TrimSpace(fmt.Sprintf(format, args...)))
}
func (l storeLog) Errorf(format string, args ...any)   { l.say(slog.LevelError, format, args...) }
func (l storeLog) Warningf(format string, args ...any) { l.say(slog.LevelWarn, format, args...) }
func (l storeLog) Infof(format string, args ...any)    { l.say(slog.LevelDebug, format, args...) }
func (l storeLog) Debugf(format string, args ...any)   { l.say(slog.LevelDebug, format, args...) }
