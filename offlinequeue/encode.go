package offlinequeue

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"
)

// Stored values are framed: a version, a checksum, the fields one after another.
// Fields are never removed; a new one goes to the end with a new version.
const (
	frameVersion = 2
	frameNoted   = 3 // of an operation that was parked, or that a person did something about
)

type encoder []byte

// newEncoder leaves room for the frame.
func newEncoder(room int) encoder { return append(make(encoder, 0, 5+room), frameVersion, 0, 0, 0, 0) }

// framed fills the frame in.
func (e encoder) framed() []byte {
	binary.BigEndian.PutUint32(e[1:], crc32.Checksum(e[5:], castagnoli))
	return e
}

func (e *encoder) uint(n uint64)   { *e = binary.AppendUvarint(*e, n) }
func (e *encoder) int(n int64)     { *e = binary.AppendVarint(*e, n) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); *e = append(*e, s...) }
func (e *encoder) bool(b bool) {
	if b {
		*e = append(*e, 1)
	} else {
		*e = append(*e, 0)
	}
}

// json keeps nil and empty apart.
func (e *encoder) json(b json.RawMessage) {
	if b == nil {
		e.uint(0)
		return
	}
	e.uint(uint64(len(b)) + 1)
	*e = append(*e, b...)
}

func (e *encoder) time(t time.Time) {
	e.bool(!t.IsZero())
	if !t.IsZero() {
		e.int(t.Unix())
		e.uint(uint64(t.Nanosecond()))
	}
}

// decoder reads what encoder wrote. What is read after an error is zero.
type decoder struct {
	b       []byte
	version byte
	bad     bool
}

// unframed checks a frame.
func unframed(b []byte) (*decoder, error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("%w: %d bytes are too few", errFrame, len(b))
	}
	if b[0] != frameVersion && b[0] != frameNoted {
		return nil, fmt.Errorf("%w: frame version %d", errFrame, b[0])
	}
	if crc32.Checksum(b[5:], castagnoli) != binary.BigEndian.Uint32(b[1:]) {
		return nil, fmt.Errorf("%w: wrong checksum", errFrame)
	}
	return &decoder{b: b[5:], version: b[0]}, nil
}

// end tells whether all fields were there and nothing else.
func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("%w: its fields do not fit", errFrame)
	}
	return nil
}

func (d *decoder) uint() uint64 {
	n, used := binary.Uvarint(d.b)
	if used <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[used:]
	return n
}

func (d *decoder) int() int64 {
	n, used := binary.Varint(d.b)
	if used <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[used:]
	return n
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) string() string { return string(d.take(d.uint())) }

func (d *decoder) bool() bool {
	b := d.take(1)
	return len(b) == 1 && b[0] == 1
}

// json is a part of what is decoded.
func (d *decoder) json() json.RawMessage {
	n := d.uint()
	if n == 0 {
		return nil
	}
	return d.take(n - 1)
}

func (d *decoder) time() time.Time {
	if !d.bool() {
		return time.Time{}
	}
	s, n := d.int(), d.uint()
	if n >= 1e9 {
		d.bad = true
		return time.Time{}
	}
	return time.Unix(s, int64(n)).UTC()
}
