package offlinequeue

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate takes the room of a file without writing it, where the file system can.
func allocate(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return zeros(f, size)
	}
	return err
}

// flushData flushes what was written, and of the file's own record what is needed
// to read it.
func flushData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// unread has reads of a file fetch what they ask for and nothing beyond. What lies
// beyond is about to be written: read ahead it becomes large pages, each of which is
// written whole at every flush.
func unread(f *os.File) error {
	err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ESPIPE) {
		return nil // it is only advice
	}
	return err
}

// isFull reports that the disk has no room, or that this user may take no more.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
