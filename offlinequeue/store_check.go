package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// This file looks at Badger's tables without Badger. Badger opens each table in
// a goroutine of its own and panics there on a damaged one, which ends the whole
// process, at every start. So tables are judged before it sees them.

// checkStore reads every table the store in dir says it has.
func checkStore(dir string) error {
	ids, err := listedTables(dir)
	if err != nil {
		return err
	}
	for _, id := range ids {
		t, err := readTable(dir, id)
		if err == nil {
			err = guard(t.VerifyChecksum)
		}
		if err != nil {
			return fmt.Errorf("table %d cannot be read: %w", id, err)
		}
	}
	return nil
}

// listedTables reads the store's list of tables. A new store has none.
func listedTables(dir string) (ids []uint64, err error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		// Badger would make a new list, and delete every table that is not on it.
		tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
		if err == nil && len(tables) > 0 {
			err = errors.New("the list of tables is missing")
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var m badger.Manifest
	err = guard(func() (err error) {
		m, _, err = badger.ReplayManifestFile(f, 0, storeOptions(dir, slog.Default()))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the list of tables cannot be read: %w", err)
	}
	for id := range m.Tables {
		ids = append(ids, id)
	}
	return ids, nil
}

// readTable reads a table into memory; its blocks are checked as they are read.
func readTable(dir string, id uint64) (t *table.Table, err error) {
	b, err := os.ReadFile(table.NewFilename(id, dir))
	if err != nil {
		return nil, err
	}
	err = guard(func() (err error) {
		t, err = table.OpenInMemoryTable(b, id, &table.Options{ChkMode: options.OnBlockRead, BlockSize: 4 << 10})
		return err
	})
	return t, err
}

// rescue makes a store in to of what can be read of the one in from: its logs,
// which a fresh store takes for its own, and every block of its tables. Of each
// key the newest version counts.
func rescue(to, from string, log *slog.Logger) (err error) {
	logs, err := unflushed(from)
	if err != nil {
		return err
	}
	s, err := rescueLogs(to, logs, log)
	for i := 0; err != nil && i < len(logs); i++ { // one of them may be beyond reading
		s, err = rescueLogs(to, slices.Delete(slices.Clone(logs), i, i+1), log)
	}
	if err != nil {
		s, err = rescueLogs(to, nil, log)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	newest := map[string]uint64{}
	err = s.view(func(t *tx) error {
		o := badger.DefaultIteratorOptions
		o.AllVersions, o.PrefetchValues = true, false
		it := t.t.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := string(it.Item().Key())
			newest[key] = max(newest[key], it.Item().Version())
		}
		return nil
	})
	if err != nil {
		return err
	}
	ids, err := listedTables(from)
	if err != nil { // the list is damaged: all there are
		names, err := filepath.Glob(filepath.Join(from, "*.sst"))
		if err != nil {
			return err
		}
		for _, name := range names {
			if id, ok := table.ParseFileID(name); ok {
				ids = append(ids, id)
			}
		}
	}
	for _, id := range ids {
		if err := s.addTable(from, id, newest); err != nil {
			log.Warn("read damaged table", "dir", from, "table", id, "error", err)
		}
	}
	return nil
}

// rescueLogs opens a store in to that has nothing but copies of the logs.
func rescueLogs(to string, logs []string, log *slog.Logger) (*store, error) {
	if err := errors.Join(os.RemoveAll(to), os.Mkdir(to, 0o700)); err != nil {
		return nil, err
	}
	for _, name := range logs {
		if err := rescueLog(filepath.Join(to, filepath.Base(name)), name); err != nil {
			return nil, err
		}
	}
	return openStore(to, log)
}

// rescueLog copies a log and mends the first eight bytes of its head: they name
// a key, and a store that is not encrypted has none.
func rescueLog(to, from string) (err error) {
	if err := copySparse(to, from); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteAt(make([]byte, 8), 0)
	return err
}

// addTable writes those entries of a table that are newer than what is known,
// block by block: one that is damaged costs its own entries only.
func (s *store) addTable(dir string, id uint64, newest map[string]uint64) error {
	t, err := readTable(dir, id)
	if err != nil {
		return err
	}
	const deleted = 1 // Badger's mark of a tombstone
	var keys []string
	values := map[string]y.ValueStruct{}
	size := 0
	flush := func() error {
		err := s.update(func(t *tx) error {
			for _, key := range keys {
				var err error
				if v := values[key]; v.Meta&deleted != 0 {
					err = t.delete(key)
				} else {
					err = t.set(key, v.Value)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		keys, size = nil, 0
		clear(values)
		return err
	}
	add := func(key string, version uint64, v y.ValueStruct) error {
		if known, ok := newest[key]; strings.HasPrefix(key, "!badger!") || ok && known >= version {
			return nil
		}
		newest[key] = version
		if _, ok := values[key]; !ok {
			keys = append(keys, key)
		}
		values[key] = v
		if size += len(key) + len(v.Value); size > groupBytes || len(keys) > 2000 {
			return flush()
		}
		return nil
	}
	var damage error
	starts := t.KeySplits(math.MaxInt32, nil)
	for i, start := range starts {
		damage = errors.Join(damage, guard(func() error {
			it := t.NewIterator(0)
			defer func() { _ = it.Close() }()
			for it.Seek([]byte(start)); it.Valid(); it.Next() {
				if i+1 < len(starts) && y.CompareKeys(it.Key(), []byte(starts[i+1])) >= 0 {
					return nil
				}
				if err := add(string(y.ParseKey(it.Key())), y.ParseTs(it.Key()), it.ValueCopy()); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return errors.Join(damage, flush())
}
