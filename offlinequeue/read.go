package offlinequeue

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
)

// Read yields the operations of a queue that no hub uses, newest first, without
// changing anything in its directory: it reads a copy. Of a damaged queue it
// yields what can be read. ErrInUse: ask the hub that has it.
func Read(dir string) iter.Seq2[Op, error] {
	return func(yield func(Op, error) bool) {
		q, discard, err := duplicate(dir)
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
func duplicate(dir string) (q *Queue, discard func(), err error) {
	if _, err := os.Stat(filepath.Join(dir, formatName)); err != nil {
		return nil, nil, err
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, nil, err
	}
	if err := checkFormat(dir); err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	copied, err := os.MkdirTemp("", "storehub-queue-")
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	err = errors.Join(duplicateFiles(copied, dir), lock.Close())
	if err == nil {
		q, err = Open(copied, Options{Log: slog.New(slog.DiscardHandler)})
	}
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(copied))
	}
	return q, func() { _, _ = q.Close(), os.RemoveAll(copied) }, nil
}

// duplicateFiles copies what Open needs.
func duplicateFiles(to, from string) error {
	if err := os.Mkdir(filepath.Join(to, storeName), 0o700); err != nil {
		return err
	}
	for _, pattern := range []string{formatName, witnessName, filepath.Join(storeName, "*")} {
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
	return nil
}
