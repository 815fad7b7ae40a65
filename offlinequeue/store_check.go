package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
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
