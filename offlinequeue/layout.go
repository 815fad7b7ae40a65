package offlinequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// What is in a queue's directory:
//
//	format           the version of all this, in decimal
//	key              the id of the key it is encrypted with; without one it is not
//	lock             held by the hub that uses it
//	journal/         what was promised, and everything that became of it
//	store/           Badger: the same, to be asked
//	store.new/       a store being made
//	marks            what waits, as memory knew it: a hint, so that Open need not read everything
//	healing          which records of the journal are being restored from the store
//	aside-<time>/    a damaged store, as it was found; never deleted
const (
	formatName  = "format"
	lockName    = "lock"
	journalName = "journal"
	storeName   = "store"
	newName     = "store.new"
	healingName = "healing"
	asideName   = "aside-"

	format       = 2
	formatSealed = 3 // the same, encrypted: of an older program it would look damaged
)

// Format is the newest version of a directory that this program reads. A package
// looks before it puts an older program in the place of a newer one.
const Format = formatSealed

// readFormat is the version of a directory, 0 if it is new. ErrTooNew: a newer
// program wrote it.
func readFormat(dir string) (int, error) {
	path := filepath.Join(dir, formatName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %q is no version", path, b)
	}
	if n > Format {
		return 0, fmt.Errorf("%w: it has format %d, this program knows %d", ErrTooNew, n, Format)
	}
	return n, nil
}

func writeFormat(dir string, sealed bool) error {
	return writeFile(filepath.Join(dir, formatName), []byte(strconv.Itoa(formatOf(sealed))+"\n"))
}

func formatOf(sealed bool) int {
	if sealed {
		return formatSealed
	}
	return format
}

// writeFile makes a file that is there whole or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
