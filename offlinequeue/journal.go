package offlinequeue

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// journal is the append-only file of all changes: what is flushed here is promised.
// It is cut into segments of one size, whose room is taken before they are written.
// One goroutine appends; any number may read what is flushed.
type journal struct {
	disk disk
	size int64 // of a segment
	seal *seal // of its records; nil: none, or nobody reads what they say

	mu       sync.RWMutex // guards segments and last
	segments []*segment   // the last one is written to
	last     position     // flushed

	// spareMu is held from the making of the spare file until it has a name of its
	// own: two who use one name would write into one file.
	spareMu sync.Mutex
	spare   file // the next segment, without a head; nil: none
	closed  bool // another journal of this disk may use the name
}

// next is the first segment that begins after a record, and whether it is the last.
func (j *journal) next(after uint64) (s *segment, last bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	i := slices.IndexFunc(j.segments, func(s *segment) bool { return s.before.number >= after })
	if i < 0 {
		return nil, false
	}
	return j.segments[i], i+1 == len(j.segments)
}

const (
	segmentSize   = 16 << 20
	segmentSuffix = ".journal"
	spareName     = "spare"
	// A head has a sector of any disk for itself.
	headSize  = 4096
	headBytes = 8 + 8 + 32 + 4
	headMost  = headBytes + idBytes
)

// The head of a sealed segment also has the key's id.
var (
	headMagic   = [8]byte{'s', 'h', 'q', 'j', 'r', 'n', '0', '1'}
	sealedMagic = [8]byte{'s', 'h', 'q', 'j', 'r', 'n', '0', '2'}
)

var errBroken = errors.New("journal or store cannot be written")

func segmentName(base uint64) string { return fmt.Sprintf("%016x%s", base, segmentSuffix) }

// encodeHead makes a head; id is the key's, "" without one.
func encodeHead(before position, id string) []byte {
	magic := headMagic
	raw, err := hex.DecodeString(id)
	if len(raw) > 0 && err == nil {
		magic = sealedMagic
	}
	b := append(make([]byte, 0, headMost), magic[:]...)
	b = binary.LittleEndian.AppendUint64(b, before.number)
	b = append(b, before.hash[:]...)
	b = append(b, raw...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHead(b []byte) (p position, id string, ok bool) {
	n := headBytes
	if len(b) >= headMost && [8]byte(b[:8]) == sealedMagic {
		n = headMost
		id = hex.EncodeToString(b[48:][:idBytes])
	} else if len(b) < headBytes || [8]byte(b[:8]) != headMagic {
		return p, "", false
	}
	if crc32.Checksum(b[:n-4], castagnoli) != binary.LittleEndian.Uint32(b[n-4:]) {
		return p, "", false
	}
	return position{binary.LittleEndian.Uint64(b[8:]), [32]byte(b[16:48])}, id, true
}

// openJournal lists the segments on a disk, oldest first. None of them is read yet.
func openJournal(d disk, size int64, sealed *seal) (*journal, error) {
	names, err := d.list()
	if err != nil {
		return nil, err
	}
	j := &journal{disk: d, size: size, seal: sealed}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, segmentSuffix)
		n, err := strconv.ParseUint(base, 16, 64)
		if !ok || err != nil || n == 0 {
			continue
		}
		f, err := d.open(name)
		if err != nil {
			return nil, errors.Join(err, j.close())
		}
		s := &segment{file: f, name: name, seal: sealed, before: position{number: n - 1}, end: headSize}
		s.last = s.before
		j.segments = append(j.segments, s)
	}
	slices.SortFunc(j.segments, func(a, b *segment) int {
		return strings.Compare(a.name, b.name)
	})
	return j, nil
}

// start begins a new segment after a position: of a new journal, or where records
// that only the state has would be.
func (j *journal) start(after position) error {
	j.spareMu.Lock()
	defer j.spareMu.Unlock()
	f := j.spare
	j.spare = nil
	if f == nil {
		var err error
		if f, err = j.newSpare(); err != nil {
			return err
		}
	}
	name := segmentName(after.number + 1)
	_, err := f.WriteAt(encodeHead(after, j.seal.name()), 0)
	if err = errors.Join(err, f.flush()); err == nil {
		err = errors.Join(j.disk.rename(spareName, name), j.disk.sync())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: begin segment: %w", errBroken, err), f.Close())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = append(j.segments, &segment{file: f, name: name, seal: j.seal, before: after, last: after, end: headSize})
	j.last = after
	return nil
}

// newSpare makes the file of a segment that has no name yet; spareMu is held.
func (j *journal) newSpare() (file, error) {
	if j.closed {
		return nil, fmt.Errorf("begin segment: %w", ErrClosed)
	}
	f, err := j.disk.create(spareName, j.size)
	if isFull(err) {
		return nil, fmt.Errorf("%w: %w", ErrFull, err)
	}
	return f, err
}

// prepare takes the room of the next segment ahead of its use.
func (j *journal) prepare() (err error) {
	j.spareMu.Lock()
	defer j.spareMu.Unlock()
	if j.spare == nil {
		j.spare, err = j.newSpare()
	}
	return err
}

// group begins a flush.
func (j *journal) group(buf []byte) *flushGroup {
	return &flushGroup{buf: buf[:0], last: j.last, seal: j.seal}
}

// append writes and flushes a group, and says where it is. ErrFull: there is no
// room, and nothing was written. After any other error nobody knows what is there.
func (j *journal) append(g *flushGroup) (*segment, int64, error) {
	s := j.segments[len(j.segments)-1]
	if s.end+int64(len(g.buf)) > s.size() {
		if headSize+int64(len(g.buf)) > j.size {
			return nil, 0, fmt.Errorf("%d bytes are more than a segment holds", len(g.buf))
		}
		if err := j.start(j.last); err != nil {
			return nil, 0, err
		}
		s = j.segments[len(j.segments)-1]
	}
	at := s.end
	_, err := s.WriteAt(g.buf, at)
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errBroken, err)
	}
	j.mu.Lock()
	s.end += int64(len(g.buf))
	s.last, j.last = g.last, g.last
	j.mu.Unlock()
	return s, at, nil
}

// drop deletes the oldest segment.
func (j *journal) drop() error {
	j.mu.Lock()
	s := j.segments[0]
	j.segments = slices.Delete(j.segments, 0, 1)
	j.mu.Unlock()
	return errors.Join(s.Close(), j.disk.remove(s.name), j.disk.sync())
}

// bytes is how much room the journal takes.
func (j *journal) bytes() (n int64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, s := range j.segments {
		n += s.size()
	}
	return n
}

func (j *journal) close() error {
	var err error
	for _, s := range j.segments {
		err = errors.Join(err, s.Close())
	}
	j.spareMu.Lock()
	defer j.spareMu.Unlock()
	j.closed = true
	if j.spare != nil {
		err = errors.Join(err, j.spare.Close())
		j.spare = nil
	}
	return err
}
