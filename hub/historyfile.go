package hub

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"storehub/diagnostics"
)

// A file of the history is a row of frames: four letters, the payload's length
// and its CRC-32C, the payload. A full record holds a report and its facts; a
// repeat says in a few bytes that one of the file's full records holds again, so
// a file can be read, and be deleted, without any other.
const (
	frameMark = "SHhi"
	frameHead = len(frameMark) + 8
	// frameMax bounds a payload: a report with a hundred readers' facts takes 20 KB.
	frameMax = 1 << 20
	// unpackedMax bounds what a damaged or hostile payload may become in memory.
	unpackedMax = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	kindFull   = 'F'
	kindRepeat = 'R'
)

// entry is one frame of a file, read.
type entry struct {
	at     time.Time
	state  int         // number of the full record in its file
	sign   uint64      // of a full record: what it has in common with its repeats
	report []byte      // of a full record: JSON without probes, deflated
	facts  []byte      // of a full record: as [diagnostics.SaveFacts] writes it, deflated
	since  []time.Time // of a repeat: when each cause of the full record's report began
}

func frame(payload []byte) []byte {
	b := make([]byte, frameHead, frameHead+len(payload))
	copy(b, frameMark)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(payload, castagnoli))
	return append(b, payload...)
}

// fullRecord is the frame of a report with its facts.
func fullRecord(at time.Time, state int, sign uint64, report, facts []byte) []byte {
	p := binary.LittleEndian.AppendUint64([]byte{kindFull}, uint64(at.UnixMilli()))
	p = binary.AppendUvarint(p, uint64(state))
	p = binary.LittleEndian.AppendUint64(p, sign)
	p = binary.AppendUvarint(p, uint64(len(report)))
	return frame(append(append(p, report...), facts...))
}

// repeatRecord is the frame that says: as in that full record, since then.
func repeatRecord(at time.Time, state int, causes []diagnostics.Cause) []byte {
	p := binary.LittleEndian.AppendUint64([]byte{kindRepeat}, uint64(at.UnixMilli()))
	p = binary.AppendUvarint(p, uint64(state))
	for _, c := range causes {
		p = binary.AppendUvarint(p, uint64(max(at.Sub(c.Since)/time.Second, 0)))
	}
	return frame(p)
}

var errRecord = errors.New("not a record")

// parseEntry reads a payload whose checksum is right.
func parseEntry(p []byte) (entry, error) {
	if len(p) < 9 {
		return entry{}, errRecord
	}
	e := entry{at: time.UnixMilli(int64(binary.LittleEndian.Uint64(p[1:]))).UTC()}
	kind, rest := p[0], p[9:]
	state, size := binary.Uvarint(rest)
	if size <= 0 || state > frameMax {
		return entry{}, errRecord
	}
	e.state, rest = int(state), rest[size:]
	switch kind {
	case kindFull:
		if len(rest) < 8 {
			return entry{}, errRecord
		}
		e.sign, rest = binary.LittleEndian.Uint64(rest), rest[8:]
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return entry{}, errRecord
		}
		e.report, e.facts = rest[size:size+int(n)], rest[size+int(n):]
	case kindRepeat:
		for len(rest) > 0 {
			ago, size := binary.Uvarint(rest)
			if size <= 0 || ago > 1<<32 {
				return entry{}, errRecord
			}
			e.since, rest = append(e.since, e.at.Add(-time.Duration(ago)*time.Second)), rest[size:]
		}
	default:
		return entry{}, errRecord
	}
	return e, nil
}

// readRecords reads what can be read. lost is how many bytes cannot; whole is how
// far the file is sound from its beginning. A repeat of a lost record is lost too.
func readRecords(b []byte) (entries []entry, lost, whole int) {
	known := map[int]bool{} // full records that were read
	off := 0
	for off < len(b) {
		e, size, err := parseFrame(b[off:])
		if err != nil {
			if lost == 0 {
				whole = off
			}
			// The next sound frame begins with the mark.
			next := bytes.Index(b[off+1:], []byte(frameMark))
			if next < 0 {
				return entries, lost + len(b) - off, whole
			}
			lost += next + 1
			off += next + 1
			continue
		}
		off += size
		if e.report != nil {
			known[e.state] = true
		} else if !known[e.state] {
			lost += size
			continue
		}
		entries = append(entries, e)
	}
	if lost == 0 {
		whole = off
	}
	return entries, lost, whole
}

func parseFrame(b []byte) (entry, int, error) {
	if len(b) < frameHead || string(b[:len(frameMark)]) != frameMark {
		return entry{}, 0, errRecord
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n > frameMax || n > len(b)-frameHead {
		return entry{}, 0, errRecord
	}
	p := b[frameHead : frameHead+n]
	if crc32.Checksum(p, castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return entry{}, 0, errRecord
	}
	e, err := parseEntry(p)
	return e, frameHead + n, err
}

// squeeze deflates; inflate undoes it, within bounds.
func squeeze(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func inflate(b []byte) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), unpackedMax+1))
	if err != nil {
		return nil, err
	}
	if len(out) > unpackedMax {
		return nil, fmt.Errorf("larger than %d MiB", unpackedMax>>20)
	}
	return out, nil
}

// moments are the entries as the diagnosis reads them. What cannot be unpacked
// is counted.
func moments(entries []entry) (out []diagnostics.Moment, unread int) {
	reports := map[int]diagnostics.Report{}
	for _, e := range entries {
		if e.report != nil {
			var r diagnostics.Report
			raw, err := inflate(e.report)
			if err == nil {
				err = json.Unmarshal(raw, &r)
			}
			if err != nil {
				unread++
				continue
			}
			reports[e.state] = r
			out = append(out, diagnostics.Moment{At: e.at, Report: r})
			continue
		}
		r, known := reports[e.state]
		if !known {
			unread++
			continue
		}
		causes := make([]diagnostics.Cause, len(r.Causes))
		copy(causes, r.Causes)
		for i := range min(len(causes), len(e.since)) {
			causes[i].Since = e.since[i]
		}
		r.Causes = causes
		out = append(out, diagnostics.Moment{At: e.at, Report: r})
	}
	return out, unread
}
