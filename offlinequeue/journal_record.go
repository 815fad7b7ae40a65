package offlinequeue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A record of the journal, all numbers little-endian:
//
//	0   1   0xA5
//	1   1   kind; the highest bit is set on the first record of a flush
//	2   2   zero
//	4   4   length of the payload
//	8   8   number, from 1 without gaps
//	16  32  SHA-256 of bytes 1 to 16, the hash of the record before, and the payload
//	48  4   CRC-32C of bytes 0 to 48 and the payload
//	52      payload
//
// Its last byte is not zero, so that a write that was cut off is known.
//
// The payload is a list of writes: how the keys it names stand after the change. So
// a record can be applied twice, and one can be applied without those before it.
const (
	recordMagic  = 0xA5
	recordHeader = 52
	firstOfFlush = 0x80

	// maxPayload is far above any change, and bounds what a damaged length can ask for.
	maxPayload = 4 << 20
)

// kind says which transition a record is.
type kind byte

const (
	kindPut      kind = 1 + iota // an operation was promised
	kindNumber                   // operations got their numbers and are offered
	kindAccept                   // headquarters has them
	kindSettle                   // outcomes, and the cursor
	kindPrune                    // operations whose time is over
	kindCarry                    // what stands, written again so that an old segment can go
	kindDamage                   // what was found damaged
	kindWithdraw                 // numbers that headquarters does not take were taken back
	kindPark                     // the same, and the operation it does not take is held back
	kindRetry                    // a person has it offered again
	kindResolve                  // a person has settled what became of it
	kindUnknown  kind = 0
)

var kinds = map[string]kind{
	"put": kindPut, "number": kindNumber, "accept": kindAccept, "settle": kindSettle,
	"prune": kindPrune, "carry": kindCarry, "damage": kindDamage,
	"withdraw": kindWithdraw, "park": kindPark, "retry": kindRetry, "resolve": kindResolve,
}

// position is a place in the journal: a record's number, and the hash of the chain there.
type position struct {
	number uint64
	hash   [32]byte
}

// journalRecord is one record as read.
type journalRecord struct {
	position
	kind    kind
	first   bool // of a flush
	payload []byte
	at      int64 // where it begins in its segment
}

func (r *journalRecord) end() int64 { return r.at + recordHeader + int64(len(r.payload)) }

// chained reports whether the record follows the one with that hash.
func (r *journalRecord) chained(before [32]byte) bool {
	var head [recordHeader]byte
	putHeader(head[:], r.kind, r.first, r.number, len(r.payload))
	return chainHash(head[:], before, r.payload) == r.hash
}

func putHeader(b []byte, k kind, first bool, number uint64, length int) {
	b[0], b[1], b[2], b[3] = recordMagic, byte(k), 0, 0
	if first {
		b[1] |= firstOfFlush
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(length))
	binary.LittleEndian.PutUint64(b[8:], number)
}

func chainHash(head []byte, before [32]byte, payload []byte) (sum [32]byte) {
	h := sha256.New()
	h.Write(head[1:16])
	h.Write(before[:])
	h.Write(payload)
	h.Sum(sum[:0])
	return sum
}

// flushGroup is what one flush writes.
type flushGroup struct {
	buf     []byte
	last    position
	seal    *seal
	open    int // where the open record begins
	payload int // and its payload, before it is sealed
}

// begin opens a record; its payload is appended to buf.
func (g *flushGroup) begin() {
	g.open = len(g.buf)
	g.buf = append(g.buf, make([]byte, recordHeader+g.seal.before())...)
	g.payload = len(g.buf)
}

// end closes the open record.
func (g *flushGroup) end(k kind) error {
	n := len(g.buf) - g.payload + g.seal.over()
	if n > maxPayload {
		return fmt.Errorf("a change of %d bytes is too large", n)
	}
	head := g.buf[g.open:g.payload]
	putHeader(head, k, g.open == 0, g.last.number+1, n)
	g.buf = g.seal.close(g.buf, g.payload, head)
	head, payload := g.buf[g.open:][:recordHeader], g.buf[g.open+recordHeader:]
	g.last.hash = chainHash(head, g.last.hash, payload)
	g.last.number++
	copy(head[16:], g.last.hash[:])
	sum := crc32.Update(crc32.Checksum(head[:48], castagnoli), castagnoli, payload)
	binary.LittleEndian.PutUint32(head[48:], sum)
	return nil
}

// parseHeader reads a header that may be one: the length is plausible.
func parseHeader(b []byte) (r journalRecord, length int, ok bool) {
	if len(b) < recordHeader || b[0] != recordMagic || b[2] != 0 || b[3] != 0 {
		return r, 0, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > maxPayload {
		return r, 0, false
	}
	r.kind, r.first = kind(b[1]&^firstOfFlush), b[1]&firstOfFlush != 0
	r.number = binary.LittleEndian.Uint64(b[8:])
	copy(r.hash[:], b[16:48])
	return r, int(n), r.number > 0
}

// parseRecord reads a whole record.
func parseRecord(b []byte) (r journalRecord, ok bool) {
	r, n, ok := parseHeader(b)
	if !ok || len(b) < recordHeader+n {
		return r, false
	}
	r.payload = b[recordHeader : recordHeader+n]
	sum := crc32.Update(crc32.Checksum(b[:48], castagnoli), castagnoli, r.payload)
	return r, sum == binary.LittleEndian.Uint32(b[48:])
}

// write is one key as it stands after a change.
type write struct {
	key     string
	value   []byte
	deleted bool
	at      int // of the value in the payload
}

const (
	writeSet    = 1
	writeDelete = 2
	writeEnd    = 0x5A // the last byte of a record is not zero: see torn
)

func appendWrite(b []byte, w write) []byte {
	if w.deleted {
		b = binary.AppendUvarint(append(b, writeDelete), uint64(len(w.key)))
		return append(b, w.key...)
	}
	b = binary.AppendUvarint(append(b, writeSet), uint64(len(w.key)))
	b = append(b, w.key...)
	b = binary.AppendUvarint(b, uint64(len(w.value)))
	return append(b, w.value...)
}

var errPayload = errors.New("the record is no list of writes")

// eachWrite calls fn for each write of a payload; values are parts of it.
func eachWrite(payload []byte, fn func(write) error) error {
	rest := payload
	take := func() ([]byte, bool) {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			return nil, false
		}
		b := rest[used : used+int(n)]
		rest = rest[used+int(n):]
		return b, true
	}
	for len(rest) > 0 {
		op := rest[0]
		rest = rest[1:]
		if op == writeEnd {
			break
		}
		key, ok := take()
		if !ok || op != writeSet && op != writeDelete {
			return errPayload
		}
		w := write{key: string(key), deleted: op == writeDelete}
		if !w.deleted {
			if w.value, ok = take(); !ok {
				return errPayload
			}
			w.at = len(payload) - len(rest) - len(w.value)
		}
		if err := fn(w); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return errPayload
	}
	return nil
}

// window reads a file through a buffer.
type window struct {
	f     file
	limit int64 // nothing is read from here on, since it may yet be written; 0: the file's end
	buf   []byte
	from  int64
}

func (w *window) size() int64 {
	if w.limit > 0 {
		return w.limit
	}
	return w.f.size()
}

const windowSize = 256 << 10

// bytes are up to n bytes at a place, less only at the end of the file. They are
// good until the next call.
func (w *window) bytes(at int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size()-at))
	if n <= 0 {
		return nil, nil
	}
	if at < w.from || at+int64(n) > w.from+int64(len(w.buf)) {
		want := int(min(int64(max(n, windowSize)), w.size()-at))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.from = w.buf[:want], at
		got, err := w.f.ReadAt(w.buf, at)
		w.buf = w.buf[:got]
		if err != nil && (err != io.EOF || got < n) {
			return nil, err
		}
	}
	return w.buf[at-w.from:][:n], nil
}

// record reads the record at a place; !ok: there is none that is whole.
func (w *window) record(at int64) (r journalRecord, ok bool, err error) {
	b, err := w.bytes(at, recordHeader)
	if err != nil {
		return r, false, err
	}
	_, n, ok := parseHeader(b)
	if !ok {
		return r, false, nil
	}
	if b, err = w.bytes(at, recordHeader+n); err != nil {
		return r, false, err
	}
	r, ok = parseRecord(b)
	r.at = at
	return r, ok, nil
}

// find looks for the next whole record with a number above after, from a place on.
func (w *window) find(at int64, after uint64) (r journalRecord, ok bool, err error) {
	size := w.f.size()
	for at < size {
		b, err := w.bytes(at, int(min(windowSize, size-at)))
		if err != nil {
			return r, false, err
		}
		i := bytes.IndexByte(b, recordMagic)
		if i < 0 {
			at += int64(len(b))
			continue
		}
		at += int64(i)
		// No record is shorter than its header: numbers cannot run ahead of bytes.
		r, ok, err := w.record(at)
		if err != nil {
			return r, false, err
		}
		if ok && r.number > after && r.number-after <= uint64(size)/recordHeader {
			return r, true, nil
		}
		at++
	}
	return r, false, nil
}

// sector is the smallest part of a write that reaches a disk whole or not at all.
const sector = 512

// torn judges the bytes from at up to end, where a whole record should be: a
// write that was cut off left out its end or whole sectors, and the file was zeros
// before. What has something in every sector and at its end was written, and damaged
// since.
func (w *window) torn(at, end int64) (bool, error) {
	if end-at < recordHeader {
		return true, nil
	}
	if b, err := w.bytes(end-1, 1); err != nil || b[0] == 0 {
		return true, err
	}
	for at < end {
		next := min(end, (at/sector+1)*sector)
		b, err := w.bytes(at, int(next-at))
		if err != nil {
			return false, err
		}
		if allZero(b) {
			return true, nil
		}
		at = next
	}
	return false, nil
}

// misstated reports whether the bytes up to end are a record but for its length.
func (w *window) misstated(at, end int64) (bool, error) {
	b, err := w.bytes(at, int(min(end-at, recordHeader+maxPayload)))
	if err != nil || len(b) < recordHeader {
		return false, err
	}
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-recordHeader))
	_, ok := parseRecord(b)
	return ok, nil
}

// written is where the last byte that is not zero ends, from at on.
func (w *window) written(at int64) (int64, error) {
	end := at
	for size := w.f.size(); at < size; {
		b, err := w.bytes(at, windowSize)
		if err != nil {
			return 0, err
		}
		if !allZero(b) {
			end = at + int64(len(bytes.TrimRight(b, "\x00")))
		}
		at += int64(len(b))
	}
	return end, nil
}

// allZero reports whether all of b is zeros. Room that was taken ahead is, and Open looks
// through megabytes of it: so it is compared with itself, which is many bytes at a time.
func allZero(b []byte) bool { return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1]) }
