package offlinequeue

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
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

// segment is one file of the journal.
type segment struct {
	file
	name   string
	seal   *seal
	before position // the record before its first
	end    int64    // where the next record goes; of the last segment, the journal's mu guards it
	last   position // its last record
	bad    []gap
	first  int64 // where the first record of the last flush begins
}

// gap is a run of records that cannot be read.
type gap struct {
	from, to uint64 // numbers; what they were may not be known
	at, end  int64
	torn     bool // whole sectors are missing
	flushed  bool // what follows was written after a later flush
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

// gapAt finds the gap that begins at a place; -1: none.
func gapAt(bad []gap, at int64) int {
	return slices.IndexFunc(bad, func(g gap) bool { return g.at == at && g.end > at })
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

// scan reads a segment, checks every record and the chain, and finds where it ends.
// last says that no segment follows. A head that cannot be read is replaced by what
// the segment before says (nil: nothing).
func (s *segment) scan(before *position, last bool) error {
	w := &window{f: s}
	b, err := w.bytes(0, headMost)
	if err != nil {
		return err
	}
	s.bad, s.first = nil, headSize
	chained := true
	if head, _, ok := decodeHead(b); ok && head.number == s.before.number {
		s.before = head
	} else {
		s.bad = append(s.bad, gap{from: s.before.number + 1, to: s.before.number, end: headSize})
		chained = before != nil
		if chained {
			s.before = *before
		}
	}
	if before != nil && *before != s.before {
		// Records between the two are gone, or the chain is not one.
		s.bad = append(s.bad, gap{from: before.number + 1, to: max(before.number+1, s.before.number), at: headSize, end: headSize})
	}
	at, prev := int64(headSize), s.before
	for {
		r, ok, err := w.record(at)
		if err != nil {
			return err
		}
		if ok && r.number == prev.number+1 && (!chained || r.chained(prev.hash)) {
			for i := range s.bad {
				s.bad[i].flushed = s.bad[i].flushed || r.first
			}
			if r.first {
				s.first = r.at
			}
			at, prev, chained = r.end(), r.position, true
			continue
		}
		g := gap{from: prev.number + 1, at: at}
		if ok && r.number > prev.number { // whole, but not what follows: its hash, or those between
			g.end, g.to = r.at, r.number-1
			if g.to < g.from {
				g.to, g.end = r.number, r.end()
				at, prev, chained = r.end(), r.position, false
				s.bad = append(s.bad, g)
				continue
			}
		} else if r, ok, err = w.find(at+1, prev.number); err != nil {
			return err
		} else if ok {
			g.end, g.to = r.at, r.number-1
		}
		if g.end == 0 {
			break
		}
		if g.torn, err = w.torn(g.at, g.end); err != nil {
			return err
		}
		if g.to >= g.from {
			s.bad = append(s.bad, g)
		}
		at, prev.number, chained = g.end, g.to, false
	}
	s.end, s.last = at, prev
	return s.judgeEnd(w, last)
}

// judgeEnd decides what the bytes after the last whole record are, and where a
// write that was cut off began.
func (s *segment) judgeEnd(w *window, last bool) error {
	end, err := w.written(s.end)
	if err != nil {
		return err
	}
	if end > s.end { // not a record, and none after it
		b, err := w.bytes(s.end, recordHeader)
		if err != nil {
			return err
		}
		extent := end
		if _, n, ok := parseHeader(b); ok {
			extent = min(s.size(), max(end, s.end+recordHeader+int64(n)))
		}
		// A header that is zeros was never written; so were its sectors.
		torn, err := w.torn(s.end, extent)
		if err != nil {
			return err
		}
		if whole, err := w.misstated(s.end, end); err != nil {
			return err
		} else if whole {
			torn, extent = false, end
		}
		g := gap{from: s.last.number + 1, to: s.last.number + 1, at: s.end, end: extent, torn: torn}
		s.bad = append(s.bad, g)
	}
	if !last {
		return nil
	}
	// Nothing was flushed after it: a write that was cut off, and nobody was told.
	for i, g := range s.bad {
		if g.torn && !g.flushed {
			s.end, s.bad = g.at, s.bad[:i]
			s.last, err = s.lastBefore(w, g.at)
			return err
		}
	}
	for i, g := range s.bad {
		if g.end > s.end { // its number stays taken
			s.end, s.last = g.end, position{number: g.to}
			s.bad = s.bad[:i+1]
			break
		}
	}
	return nil
}

// lastBefore is the last whole record before a place.
func (s *segment) lastBefore(w *window, end int64) (position, error) {
	last := s.before
	for at := int64(headSize); at < end; {
		r, ok, err := w.record(at)
		if err != nil {
			return last, err
		}
		if !ok { // a gap that stays
			i := gapAt(s.bad, at)
			if i < 0 {
				return last, fmt.Errorf("read %s at %d: no record", s.name, at)
			}
			at, last = s.bad[i].end, position{number: s.bad[i].to}
			continue
		}
		at, last = r.end(), r.position
	}
	return last, nil
}

// settle makes sure of the end of the journal. Everything after the last whole record
// becomes zeros, so that what a cut-off write left cannot be taken for records later.
// The last flush is written again: had it failed, its records may be readable now, and
// never reach the disk by themselves.
func (s *segment) settle() error {
	w := &window{f: s}
	end, err := w.written(s.end)
	if err != nil {
		return err
	}
	from := min(s.first, s.end)
	b := make([]byte, max(end, s.end)-from)
	if _, err := s.ReadAt(b[:s.end-from], from); err != nil && err != io.EOF {
		return err
	}
	if _, err := s.WriteAt(b, from); err != nil {
		return err
	}
	return s.flush()
}

// each calls fn for every whole record of a segment above a number, in order.
func (s *segment) each(after uint64, fn func(*segment, journalRecord) error) error {
	w := &window{f: s}
	for at := int64(headSize); at < s.end; {
		if i := gapAt(s.bad, at); i >= 0 {
			at = s.bad[i].end
			continue
		}
		r, ok, err := w.record(at)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("read %s at %d: no record", s.name, at)
		}
		at = r.end()
		if r.number > after {
			if err := fn(s, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// value reads one value of a record.
func (s *segment) value(p place) ([]byte, error) {
	if s.seal == nil {
		return readFull(s, p.at+recordHeader+int64(p.from), int(p.length))
	}
	head, err := readFull(s, p.at, recordHeader)
	if err != nil {
		return nil, err
	}
	r, n, ok := parseHeader(head)
	if !ok {
		return nil, fmt.Errorf("read %s at %d: no record", s.name, p.at)
	}
	if r.payload, err = readFull(s, p.at+recordHeader, n); err != nil {
		return nil, err
	}
	b, err := s.seal.open(nil, &r)
	if err == nil && int(p.from+p.length) > len(b) {
		err = errPayload
	}
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", s.name, p.at, err)
	}
	return b[p.from:][:p.length], nil
}

func readFull(f file, at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if got, err := f.ReadAt(b, at); got < n {
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, at, err)
	}
	return b, nil
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
