package offlinequeue

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// witness is the file beside the store that says how far the store must reach:
// it is flushed after the store and before anyone is told. A store that lost
// its tail without knowing it reaches less far than its witness.
//
// Two marks are written in turn, each in a sector of its own, so that a torn
// write can only spoil the one nobody was told of.
type witness struct {
	file *os.File
	last mark
	slot int // the one to write next
}

// mark is one statement of the witness.
type mark struct {
	Commit uint64 // of the last transaction that was told
	Seq    uint64 // last place given
	Number uint64 // last number given
	Head   string // of the submit chain at Number, "" or 64 hex digits
}

const (
	witnessName = "witness"
	markSize    = 8 + 3*8 + 32 + 4
	slotSize    = 4096 // two marks never share a physical sector
)

var (
	markMagic = [8]byte{'s', 'h', 'q', 'w', 'i', 't', '0', '1'}
	errMark   = errors.New("no readable mark")
)

// encode gives the mark's bytes.
func (m mark) encode() ([]byte, error) {
	b := append(make([]byte, 0, markSize), markMagic[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Commit)
	b = binary.BigEndian.AppendUint64(b, m.Seq)
	b = binary.BigEndian.AppendUint64(b, m.Number)
	head := make([]byte, 32)
	if m.Head != "" {
		h, err := hex.DecodeString(m.Head)
		if err != nil || len(h) != 32 {
			return nil, fmt.Errorf("encode mark: head %q is no SHA-256", m.Head)
		}
		copy(head, h)
	}
	b = append(b, head...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// decodeMark reads a mark's bytes.
func decodeMark(b []byte) (mark, error) {
	if len(b) < markSize || [8]byte(b[:8]) != markMagic {
		return mark{}, errMark
	}
	body := b[:markSize-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[markSize-4:markSize]) {
		return mark{}, errMark
	}
	m := mark{
		Commit: binary.BigEndian.Uint64(b[8:]),
		Seq:    binary.BigEndian.Uint64(b[16:]),
		Number: binary.BigEndian.Uint64(b[24:]),
	}
	if head := [32]byte(b[32:64]); head != [32]byte{} {
		m.Head = hex.EncodeToString(head[:])
	}
	return m, nil
}

// openWitness opens or makes the witness of dir. A file that is there and has
// no readable mark is reported as errMark beside a usable witness.
func openWitness(dir string) (*witness, error) {
	path := filepath.Join(dir, witnessName)
	_, statErr := os.Stat(path)
	fresh := errors.Is(statErr, os.ErrNotExist)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	w := &witness{file: f}
	if fresh {
		// Full length from the start: later marks change no metadata.
		if _, err := f.WriteAt(make([]byte, 2*slotSize), 0); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if err := errors.Join(f.Sync(), syncDir(dir)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return w, nil
	}
	found, blank := false, true
	for slot := range 2 {
		b := make([]byte, markSize)
		n, err := f.ReadAt(b, int64(slot)*slotSize)
		if err != nil && err != io.EOF {
			return nil, errors.Join(err, f.Close())
		}
		for _, c := range b[:n] {
			blank = blank && c == 0
		}
		m, err := decodeMark(b[:n])
		if err != nil {
			continue
		}
		if !found || m.Commit >= w.last.Commit {
			w.last, w.slot = m, 1-slot
		}
		found = true
	}
	if !found && !blank {
		return w, errMark
	}
	return w, nil
}

// write states m and returns when that is on disk.
func (w *witness) write(m mark) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	if _, err := w.file.WriteAt(b, int64(w.slot)*slotSize); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.last, w.slot = m, 1-w.slot
	return nil
}

func (w *witness) close() error { return w.file.Close() }
