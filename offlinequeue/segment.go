package offlinequeue

import (
	"fmt"
	"io"
	"slices"
)

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

// gapAt finds the gap that begins at a place; -1: none.
func gapAt(bad []gap, at int64) int {
	return slices.IndexFunc(bad, func(g gap) bool { return g.at == at && g.end > at })
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
