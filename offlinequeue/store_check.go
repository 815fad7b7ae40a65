package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/dgraph-io/ristretto/v2/z"
)

// This file looks at Badger's tables without Badger. Badger opens each table in
// a goroutine of its own and panics there on a damaged one, which ends the whole
// process, at every start. So tables are judged before it sees them.

// checkStore reads every table the store in dir says it has.
func checkStore(dir string, key []byte) error {
	return checkTables(dir, key, func(r *tableReader, id, keyID uint64) error {
		t, err := r.table(id, keyID)
		if err == nil {
			err = guard(t.VerifyChecksum)
		}
		return err
	})
}

// checkHeads reads of each table what Badger reads when it opens it: with that whole it
// does not panic. A damaged block it finds, by its checksum, when the block is read.
func checkHeads(dir string, key []byte) error { return checkTables(dir, key, (*tableReader).head) }

func checkTables(dir string, key []byte, check func(r *tableReader, id, keyID uint64) error) error {
	keys, err := listedTables(dir)
	if err != nil || len(keys) == 0 {
		return err
	}
	read := &tableReader{dir: dir, key: key}
	if key != nil {
		// An encrypted table has its index in a cache or nowhere.
		read.indices, err = ristretto.NewCache(&ristretto.Config[uint64, *fb.TableIndex]{NumCounters: 1 << 10, MaxCost: 64 << 20, BufferItems: 64})
		if err != nil {
			return err
		}
		defer read.indices.Close()
	}
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		if err := check(read, id, keys[id]); err != nil {
			return fmt.Errorf("table %d cannot be read: %w", id, err)
		}
	}
	return nil
}

// listedTables reads the store's list of tables, each with the data key it is encrypted
// with (0: none). A new store has none.
func listedTables(dir string) (keys map[uint64]uint64, err error) {
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
		m, _, err = badger.ReplayManifestFile(f, 0, storeOptions(dir, slog.Default(), nil))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the list of tables cannot be read: %w", err)
	}
	keys = map[uint64]uint64{}
	for id, t := range m.Tables {
		keys[id] = t.KeyID
	}
	return keys, nil
}

// tableReader reads tables into memory; their blocks are checked as they are read.
type tableReader struct {
	dir     string
	key     []byte
	indices *ristretto.Cache[uint64, *fb.TableIndex]
}

func (r *tableReader) table(id, keyID uint64) (t *table.Table, err error) {
	data, err := dataKey(r.dir, r.key, keyID)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(table.NewFilename(id, r.dir))
	if err != nil {
		return nil, err
	}
	err = guard(func() (err error) {
		t, err = table.OpenInMemoryTable(b, id, &table.Options{ChkMode: options.OnBlockRead, BlockSize: 4 << 10, DataKey: data, IndexCache: r.indices})
		return err
	})
	return t, err
}

// head opens a table as Badger does, and closes it.
func (r *tableReader) head(id, keyID uint64) error {
	data, err := dataKey(r.dir, r.key, keyID)
	if err != nil {
		return err
	}
	f, err := z.OpenMmapFile(table.NewFilename(id, r.dir), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	err = guard(func() error {
		_, err := table.OpenTable(f, table.Options{ChkMode: options.OnBlockRead, BlockSize: 4 << 10, DataKey: data, IndexCache: r.indices})
		return err
	})
	return errors.Join(err, guard(func() error { return f.Close(-1) }))
}

// dataKey reads one of the keys that Badger made and keeps, encrypted with key; nil for
// key 0, of what is not encrypted.
func dataKey(dir string, key []byte, id uint64) (data *pb.DataKey, err error) {
	if id == 0 {
		return nil, nil
	}
	if key == nil {
		return nil, errors.New("it is encrypted, and without a key")
	}
	err = guard(func() error {
		r, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true, EncryptionKey: key})
		if err == nil {
			data, err = r.DataKey(id)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("data key %d cannot be read: %w", id, err)
	}
	return data, nil
}
