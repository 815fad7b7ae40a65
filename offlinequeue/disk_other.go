//go:build !linux

package offlinequeue

import (
	"errors"
	"os"
	"syscall"
)

func allocate(f *os.File, size int64) error { return zeros(f, size) }

func flushData(f *os.File) error { return f.Sync() }

func unread(*os.File) error { return nil }

// isFull reports that the disk has no room: 112 is what Windows says.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.Errno(112))
}
