package offlinequeue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// freeSpace is how many bytes this process may still write below dir.
func freeSpace(dir string) (uint64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, err
	}
	return free, nil
}

// syncDir has nothing to do: NTFS journals names, and a directory cannot be
// flushed by itself.
func syncDir(string) error { return nil }

// sameDisk reports whether two paths are on one volume.
func sameDisk(a, b string) (bool, error) {
	a, aerr := filepath.Abs(a)
	b, berr := filepath.Abs(b)
	return strings.EqualFold(filepath.VolumeName(a), filepath.VolumeName(b)), errors.Join(aerr, berr)
}

// lockFile takes the lock at path until the file is closed; ErrInUse if another
// process (or another queue of this one) has it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
