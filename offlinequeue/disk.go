package offlinequeue

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is what the journal needs of a file system: names in one directory.
// Tests give it one that forgets what was not flushed.
type disk interface {
	// create makes a file of that length, all zeros, whose room is taken: to write
	// into it later needs none. An error leaves no file.
	create(name string, size int64) (file, error)
	open(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	list() ([]string, error)
	sync() error // makes the names durable
}

// file is one file of a disk.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	flush() error // returns when what was written is durable
	size() int64
}

// osDisk is a directory.
type osDisk string

func (d osDisk) path(name string) string { return filepath.Join(string(d), name) }

func (d osDisk) create(name string, size int64) (file, error) {
	f, err := openNamed(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(allocate(f, size), f.Sync(), unread(f)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return osFile{f, size}, nil
}

func (d osDisk) open(name string) (file, error) {
	f, err := openNamed(d.path(name), os.O_RDWR)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = unread(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return osFile{f, info.Size()}, nil
}

func (d osDisk) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d osDisk) remove(name string) error     { return os.Remove(d.path(name)) }
func (d osDisk) sync() error                  { return syncDir(string(d)) }

func (d osDisk) list() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

type osFile struct {
	*os.File
	length int64
}

func (f osFile) flush() error { return flushData(f.File) }
func (f osFile) size() int64  { return f.length }

// zeros takes the room of a file by writing it.
func zeros(f *os.File, size int64) error {
	block := make([]byte, 256<<10)
	for at := int64(0); at < size; at += int64(len(block)) {
		if _, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}
