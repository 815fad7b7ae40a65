package try

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// copyStill copies dir to kept as it is at one moment: while something in it
// changed during the copy, it is copied anew.
func copyStill(kept, dir string) error {
	for range 50 {
		before, err := fingerprint(dir)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(kept); err != nil {
			return err
		}
		err = os.CopyFS(kept, regular{os.DirFS(dir)})
		after, errAfter := fingerprint(dir)
		switch {
		case errAfter != nil:
			return errAfter
		case before != after || errors.Is(err, fs.ErrNotExist): // a file went while it was copied
		case err != nil:
			return err
		default:
			return samePermissions(kept, dir)
		}
	}
	return fmt.Errorf("%s does not come to rest", dir)
}

// samePermissions gives copied files those of the originals: os.CopyFS opens them to all,
// and a key that all may read is refused.
func samePermissions(kept, dir string) error {
	return filepath.WalkDir(kept, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(kept, path)
		if err != nil {
			return err
		}
		info, err := os.Stat(filepath.Join(dir, at))
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm())
	})
}

// fingerprint is every file's name, size and time.
func fingerprint(dir string) (string, error) {
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = fmt.Appendf(all, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // it changes: that is all the caller wants to know
	}
	return string(all), err
}

// regular hides what cannot be copied, such as sockets.
type regular struct{ fs.FS }

// ReadDir lists directories and regular files.
func (r regular) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(r.FS, name)
	kept := all[:0]
	for _, e := range all {
		if e.IsDir() || e.Type().IsRegular() {
			kept = append(kept, e)
		}
	}
	return kept, err
}
