//go:build unix

package hub

import "golang.org/x/sys/unix"

// diskFree is how much an unprivileged writer may still write where dir is.
func diskFree(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}

// diskReadOnly is whether the file system of dir takes no writes: mounted so, or made
// so by the kernel after an error of the disk.
func diskReadOnly(dir string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return false, err
	}
	return int64(s.Flags)&readOnlyFlag != 0, nil //nolint:unconvert // the types differ between systems
}
