package offlinequeue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
)

// Read yields the operations of a queue that no hub uses, newest first, without
// changing anything in its directory: it reads a copy. Of a damaged queue it
// yields what can be read. ErrInUse: ask the hub that has it. ErrKey: it is encrypted,
// with none of the keys.
func Read(dir string, keys ...Key) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		q, discard, err := duplicate(dir, keys)
		if err != nil {
			yield(Op{}, fmt.Errorf("read queue %s: %w", dir, err))
			return
		}
		defer discard()
		for op, err := range q.All() {
			if !yield(op, err) {
				return
			}
		}
	}
}

// duplicate opens a copy of the queue in dir, to be looked at and discarded.
func duplicate(dir string, keys []Key) (q *Queue, discard func(), err error) {
	if _, err := os.Stat(filepath.Join(dir, formatName)); err != nil {
		return nil, nil, err
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, nil, err
	}
	if _, err := readFormat(dir); err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	if keys, err = locked(dir, keys); err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	copied, err := os.MkdirTemp("", "storehub-queue-")
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	err = errors.Join(duplicateFiles(copied, dir), lock.Close())
	if err == nil {
		q, err = Open(copied, Options{Log: slog.New(slog.DiscardHandler), Keys: keys})
	}
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(copied))
	}
	return q, func() { _, _ = q.Close(), os.RemoveAll(copied) }, nil
}

// duplicateFiles copies what Open needs.
func duplicateFiles(to, from string) error {
	for _, name := range []string{storeName, journalName} {
		if err := os.Mkdir(filepath.Join(to, name), 0o700); err != nil {
			return err
		}
	}
	for _, pattern := range []string{
		formatName, keyName, filepath.Join(storeName, "*"), filepath.Join(journalName, "*"+segmentSuffix),
	} {
		names, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			at, err := filepath.Rel(from, name)
			if err != nil {
				return err
			}
			if err := copySparse(filepath.Join(to, at), name); err != nil {
				return err
			}
		}
	}
	// A directory with nothing in it would look like a store that was emptied.
	for _, name := range []string{storeName, journalName} {
		if left, err := os.ReadDir(filepath.Join(to, name)); err == nil && len(left) == 0 {
			if err := os.Remove(filepath.Join(to, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copySparse copies a file and leaves out blocks of zeros.
func copySparse(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	block, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; at += int64(len(block)) {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], zero[:n]) {
			if _, err := out.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return out.Truncate(at + int64(n))
		}
		if err != nil {
			return err
		}
	}
}
