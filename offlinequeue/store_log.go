package offlinequeue

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
)

// This file looks after Badger's logs: the value log, which holds what tills asked
// for, and the logs of tables that are still in memory. Badger flushes the newest of
// each, reads them without a word up to the first byte that is wrong, and gives
// nothing back by itself.

const (
	tableLogs = "*.mem"
	valueLogs = "*.vlog"
	// 20 bytes: the key that a log is encrypted with, and where that begins.
	logHead = 20
	logSize = 16 << 20 // of the value log; one change more may follow
)

// syncLogs flushes all logs that may have changed since the last time, the newest and
// those that were the newest in between.
func (s *store) syncLogs() error {
	for _, pattern := range []string{tableLogs, valueLogs} {
		names, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			return err
		}
		slices.Sort(names) // they are numbered
		for _, name := range names {
			if pattern == valueLogs && name < s.flushed {
				continue // closed before it was flushed
			}
			if err := flushFile(name); err != nil {
				return err
			}
		}
		if pattern == valueLogs && len(names) > 0 {
			s.flushed = names[len(names)-1]
		}
	}
	return nil
}

// flushFile flushes what anyone wrote to a file. One that is gone is in a table, or
// nobody needs it.
func flushFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(flushData(f), f.Close())
}

// collect gives back the room of the value log that nothing points to any more.
// Tables have to be compacted before: that is how it is known.
func (s *store) collect() error {
	for range 1 << 12 { // more than there are files
		err := s.with(func(db *badger.DB) error { return db.RunValueLogGC(0.5) })
		if errors.Is(err, badger.ErrNoRewrite) || errors.Is(err, badger.ErrRejected) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkLog reads the newest value log in dir. Badger would cut it at the first byte
// that is wrong, and forget what follows. It returns up to which record of the journal
// the log is whole; all of it: the largest number.
func checkLog(dir string, key []byte) (through uint64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, valueLogs))
	if err != nil || len(names) == 0 {
		return math.MaxUint64, err
	}
	return readLog(slices.Max(names), key)
}

// checkTableLogs reports whether the logs of tables in dir are whole. Badger reads them
// up to the first byte that is wrong, without a word.
func checkTableLogs(dir string, key []byte) (whole bool, err error) {
	names, err := filepath.Glob(filepath.Join(dir, tableLogs))
	for _, name := range names {
		through, err := readLog(name, key)
		if err != nil || through != math.MaxUint64 {
			return false, err
		}
	}
	return true, err
}

// closedLog is the value log after a name that is not written to any more; "": it was
// the last.
func (s *store) closedLog(after string) (string, error) {
	names, err := filepath.Glob(filepath.Join(s.dir, valueLogs))
	if err != nil || len(names) == 0 {
		return "", err
	}
	slices.Sort(names)
	for _, name := range names[:len(names)-1] {
		if name > after {
			return name, nil
		}
	}
	return "", nil
}

// readLog reads a log: entries one after the other, each with its checksum, and
// nothing but zeros behind them.
func readLog(name string, key []byte) (through uint64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	l := &logReader{at: logHead, r: bufio.NewReaderSize(f, 256<<10)}
	head := make([]byte, logHead)
	if _, err := io.ReadFull(l.r, head); err != nil {
		return math.MaxUint64, nil // made, and nothing was in it yet
	}
	if l.data, err = dataKey(filepath.Dir(name), key, binary.BigEndian.Uint64(head)); err != nil {
		return 0, err
	}
	l.iv = [16]byte(append(head[8:logHead:logHead], 0, 0, 0, 0))
	for {
		number, ok, err := l.entry()
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		through = max(through, number)
	}
	for block := l.buf[:cap(l.buf)]; ; {
		n, err := l.r.Read(block)
		if !allZero(block[:n]) {
			return through, nil
		}
		if err == io.EOF {
			return math.MaxUint64, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// logReader reads entries as Badger writes them: two bytes, the lengths of key and
// value, when it expires, key, value, CRC-32C of all that.
type logReader struct {
	r    *bufio.Reader
	at   uint32 // where the next entry begins
	data *pb.DataKey
	iv   [16]byte // of key and value, with where the entry begins at its end
	buf  []byte
}

// entry reads one, and the number its value begins with; false: there is none that is
// whole, and nothing was read.
func (l *logReader) entry() (number uint64, ok bool, err error) {
	if l.buf == nil {
		l.buf = make([]byte, 64<<10)
	}
	head, err := l.r.Peek(2 + 3*binary.MaxVarintLen64)
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	at, lengths := 2, [3]uint64{}
	for i := range lengths {
		used := 0
		if at < len(head) {
			lengths[i], used = binary.Uvarint(head[at:])
		}
		if used <= 0 || lengths[0] == 0 || lengths[i] > 2*logSize && i < 2 {
			return 0, false, nil
		}
		at += used
	}
	key, end := at+int(lengths[0]), at+int(lengths[0]+lengths[1])
	b, err := l.r.Peek(end + crc32.Size)
	if err == bufio.ErrBufferFull {
		l.r = bufio.NewReaderSize(l.r, end+crc32.Size)
		b, err = l.r.Peek(end + crc32.Size)
	}
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	if len(b) < end+crc32.Size || crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return 0, false, nil
	}
	if end-key >= 8 {
		both := b[at : key+8]
		if l.data != nil {
			binary.BigEndian.PutUint32(l.iv[12:], l.at)
			if both, err = y.XORBlockAllocate(both, l.data.Data, l.iv[:]); err != nil {
				return 0, false, err
			}
		}
		if l.data != nil && !isKey(both[:key-at]) {
			return 0, false, nil // the head of the log is wrong: that has no checksum
		}
		number = binary.BigEndian.Uint64(both[key-at:])
	}
	l.at += uint32(end + crc32.Size)
	_, err = l.r.Discard(end + crc32.Size)
	return number, true, err
}
