package offlinequeue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// setAside puts away a store that cannot be used.
func (q *Queue) setAside(f *found, why string) error {
	if f.store != nil {
		if err := f.store.close(); err != nil {
			q.log.Warn("close damaged store", "dir", q.dir, "error", err)
		}
		f.store = nil
	}
	f.through, f.synced = position{}, 0
	aside := filepath.Join(q.dir, asideName+q.now().UTC().Format("20060102T150405.000000000"))
	if err := q.fault("open:aside"); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(q.dir, storeName), aside); err != nil {
		return err
	}
	q.healed(why + "; it is kept in " + aside)
	return syncDir(q.dir)
}

// rebuild makes a store of the whole journal.
func (q *Queue) rebuild(f *found) error {
	f.rebuilt = true
	made, path := filepath.Join(q.dir, newName), filepath.Join(q.dir, storeName)
	if err := os.RemoveAll(made); err != nil { // ours, and half made
		return err
	}
	if err := f.scan(0); err != nil {
		return err
	}
	if err := q.fault("open:rebuild"); err != nil {
		return err
	}
	s, err := openStore(made, q.log, q.seal.storeKey())
	if err != nil {
		return err
	}
	a := newApplier(s, f.journal, newOverlay(0), position{})
	if err = errors.Join(a.all(), s.close()); err != nil {
		return fmt.Errorf("rebuild store: %w", err)
	}
	if err := q.fault("open:rename"); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(made, path), syncDir(q.dir)); err != nil {
		return err
	}
	if err := f.openState(path, q); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return nil
}
