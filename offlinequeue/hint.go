package offlinequeue

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/crypto/chacha20poly1305"
)

// A hint is what memory knew of the backlog at one place of the journal. With it a
// queue of any length is open at once: it is brought on by the journal behind that
// place, and all of the state is read afterwards, as a check of both. It is never a
// truth: whoever loses it loses the time that reading takes.
//
// The file, all numbers little-endian:
//
//	0   8   "shqmark1"
//	8   8   number of the journal's record that it is of
//	16  32  hash of the chain there
//	48  1   1 if what follows is sealed, else 0
//	49  4   CRC-32C of all that
//	53      parts: length (4), that many bytes, CRC-32C over record number, number of
//	        the part, and the bytes
//
// The first part has the small things, in JSON; then come the places to be read from
// the state, the marks of what was in the schedule, and the blocks of marks, 128 each.
type hint struct {
	hintHead
	position
	look    []uint64 // places of what is more than a mark: offered, parked, waiting for a person
	entries []placedMark
	blocks  []block

	behindBytes int64 // of the journal, after it; known when it was brought on
}

// hintHead is its first part.
type hintHead struct {
	Segment uint64                   `json:"segment"` // number of the first record of the segment that the record is in,
	At      int64                    `json:"at"`      // and where it ends there
	Seed    uint64                   `json:"seed"`    // of the hashes of refs
	Chains  [sha256.Size]byte        `json:"chains"`  // hash of the generations of the submit chain
	Strays  int                      `json:"strays"`
	Counts  map[string]map[State]int `json:"counts"`
	Bytes   int64                    `json:"bytes"`
	Ended   int64                    `json:"ended"`
	Look    int                      `json:"look"`    // how many places,
	Entries int                      `json:"entries"` // marks,
	Blocks  int                      `json:"blocks"`  // and blocks follow
}

type placedMark struct {
	seq uint64
	mark
}

const (
	hintName  = "marks"
	hintBegin = "shqmark1"
	hintBytes = 53

	placedBytes = 8 + markBytes
	markBytes   = 14
	blockBytes  = 8 + blockSize*markBytes
	// No part is larger: the first has kinds, which tills name.
	hintPart = 1 << 20
)

// errHint says that a hint cannot be used; what follows says why.
var errHint = errors.New("the marks on disk are of no use")

// chainsHash is what has to be the same for a hint to be used: which numbers stand.
func chainsHash(s *state) ([sha256.Size]byte, error) {
	b, err := json.Marshal(s.Chains)
	return sha256.Sum256(b), err
}

// hintSeal is what hints are sealed with; nil: they are not.
func (s *seal) hintSeal() cipher.AEAD {
	if s == nil {
		return nil
	}
	aead, err := chacha20poly1305.NewX(s.main.derive("marks"))
	if err != nil { // only of a length that is never given
		panic(err)
	}
	return aead
}

// hintParts writes or reads the parts of a hint.
type hintParts struct {
	number uint64 // of the record
	part   uint64
	aead   cipher.AEAD // nil: they are not sealed
	buf    []byte
	w      io.Writer
	r      io.Reader
}

func (p *hintParts) place() (b [16]byte) {
	binary.LittleEndian.PutUint64(b[:], p.number)
	binary.LittleEndian.PutUint64(b[8:], p.part)
	return b
}

func partSum(place [16]byte, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, b)
}

// write writes the next part.
func (p *hintParts) write(body []byte) error {
	place := p.place()
	p.part++
	b := append(p.buf[:0], 0, 0, 0, 0)
	if p.aead != nil {
		b = append(b, make([]byte, chacha20poly1305.NonceSizeX)...)
		nonce := b[4:]
		_, _ = rand.Read(nonce) // it never fails: the program ends before that
		b = p.aead.Seal(b, nonce, body, place[:])
	} else {
		b = append(b, body...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	b = binary.LittleEndian.AppendUint32(b, partSum(place, b[4:]))
	p.buf = b
	_, err := p.w.Write(b)
	return err
}

// read reads the next part, of so many bytes (-1: any); it is good until the next call.
func (p *hintParts) read(want int) ([]byte, error) {
	place := p.place()
	p.part++
	over := 0
	if p.aead != nil {
		over = chacha20poly1305.NonceSizeX + p.aead.Overhead()
	}
	var length [4]byte
	if _, err := io.ReadFull(p.r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(length[:]))
	if n < over || n > hintPart || want >= 0 && n != want+over {
		return nil, fmt.Errorf("part %d has %d bytes", p.part-1, n)
	}
	if cap(p.buf) < n+4 {
		p.buf = make([]byte, n+4)
	}
	b := p.buf[:n+4]
	if _, err := io.ReadFull(p.r, b); err != nil {
		return nil, err
	}
	b, sum := b[:n], binary.LittleEndian.Uint32(b[n:])
	if partSum(place, b) != sum {
		return nil, fmt.Errorf("part %d has a wrong checksum", p.part-1)
	}
	if p.aead == nil {
		return b, nil
	}
	nonce, sealed := b[:chacha20poly1305.NonceSizeX], b[chacha20poly1305.NonceSizeX:]
	return p.aead.Open(sealed[:0], nonce, sealed, place[:])
}

// write writes a hint.
func (h *hint) write(to io.Writer, s *seal) error {
	w := bufio.NewWriterSize(to, 256<<10)
	b := append(make([]byte, 0, hintBytes), hintBegin...)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = append(b, h.hash[:]...)
	b = append(b, byte(count(s != nil)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := w.Write(b); err != nil {
		return err
	}
	p := &hintParts{number: h.number, aead: s.hintSeal(), w: w}
	h.Look, h.Entries, h.Blocks = len(h.look), len(h.entries), len(h.blocks)
	b, err := json.Marshal(h.hintHead)
	if err == nil && len(b) > hintPart/2 {
		err = fmt.Errorf("%d bytes of counts are too many", len(b))
	}
	if err == nil {
		err = p.write(b)
	}
	for list := h.look; err == nil && len(list) > 0; list = list[min(len(list), blockSize):] {
		b = b[:0]
		for _, seq := range list[:min(len(list), blockSize)] {
			b = binary.LittleEndian.AppendUint64(b, seq)
		}
		err = p.write(b)
	}
	for list := h.entries; err == nil && len(list) > 0; list = list[min(len(list), blockSize):] {
		b = b[:0]
		for _, e := range list[:min(len(list), blockSize)] {
			b = appendMark(binary.LittleEndian.AppendUint64(b, e.seq), e.mark)
		}
		err = p.write(b)
	}
	for _, k := range h.blocks {
		if err != nil {
			break
		}
		b = binary.LittleEndian.AppendUint64(b[:0], k.first)
		for i := range blockSize {
			b = appendMark(b, k.marks.at(i))
		}
		err = p.write(b)
	}
	return errors.Join(err, w.Flush())
}

func appendMark(b []byte, m mark) []byte {
	b = binary.LittleEndian.AppendUint32(b, m.due)
	b = binary.LittleEndian.AppendUint32(b, m.born)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.ref))
	return binary.LittleEndian.AppendUint16(b, uint16(m.ref>>32))
}

// markOf reads a mark; the zero mark: there is none.
func markOf(b []byte) mark {
	m := mark{due: binary.LittleEndian.Uint32(b), born: binary.LittleEndian.Uint32(b[4:])}
	m.ref = uint64(binary.LittleEndian.Uint32(b[8:])) | uint64(binary.LittleEndian.Uint16(b[12:]))<<32
	if !m.there() {
		return mark{}
	}
	return m
}

// readHint reads a hint. errHint: it is of no use.
func readHint(from io.Reader, s *seal) (*hint, error) {
	h, err := parseHint(from, s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHint, err)
	}
	return h, nil
}

func parseHint(from io.Reader, s *seal) (*hint, error) {
	r := bufio.NewReaderSize(from, 256<<10)
	var b [hintBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return nil, err
	}
	h := &hint{}
	h.number = binary.LittleEndian.Uint64(b[8:])
	copy(h.hash[:], b[16:48])
	switch {
	case string(b[:8]) != hintBegin:
		return nil, errors.New("it is of another format")
	case crc32.Checksum(b[:49], castagnoli) != binary.LittleEndian.Uint32(b[49:]):
		return nil, errors.New("its head has a wrong checksum")
	case b[48] != byte(count(s != nil)):
		return nil, errors.New("it is sealed otherwise than the queue")
	}
	p := &hintParts{number: h.number, aead: s.hintSeal(), r: r}
	first, err := p.read(-1)
	if err == nil {
		err = json.Unmarshal(first, &h.hintHead)
	}
	if err == nil && (h.Look < 0 || h.Look > lookMost || h.Entries < 0 || h.Blocks < 0) {
		err = errors.New("it does not fit")
	}
	for len(h.look) < h.Look && err == nil {
		n := min(h.Look-len(h.look), blockSize)
		var b []byte
		for b, err = p.read(n * 8); len(b) > 0; b = b[8:] {
			h.look = append(h.look, binary.LittleEndian.Uint64(b))
		}
	}
	for len(h.entries) < h.Entries && err == nil {
		n := min(h.Entries-len(h.entries), blockSize)
		var b []byte
		for b, err = p.read(n * placedBytes); len(b) > 0; b = b[placedBytes:] {
			h.entries = append(h.entries, placedMark{binary.LittleEndian.Uint64(b), markOf(b[8:])})
		}
	}
	for len(h.blocks) < h.Blocks && err == nil {
		var b []byte
		if b, err = p.read(blockBytes); err == nil {
			err = h.block(b)
		}
	}
	if err == nil {
		if _, end := r.ReadByte(); end != io.EOF {
			err = errors.New("it is too long")
		}
	}
	return h, err
}

// block takes in a block of marks.
func (h *hint) block(b []byte) error {
	k := block{first: binary.LittleEndian.Uint64(b), marks: newMarks()}
	if k.first%blockSize != 0 || len(h.blocks) > 0 && k.first <= h.blocks[len(h.blocks)-1].first {
		return fmt.Errorf("a block begins at %d", k.first)
	}
	for i := range blockSize {
		if m := markOf(b[8+i*markBytes:]); m.there() {
			k.marks.put(i, m)
			k.n++
		}
	}
	if k.n > 0 {
		h.blocks = append(h.blocks, k)
	} else {
		return fmt.Errorf("nothing is in the block at %d", k.first)
	}
	return nil
}

// openHint reads the hint of a directory; nil: there is none.
func openHint(path string, s *seal) (*hint, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHint, err)
	}
	h, err := readHint(f, s)
	return h, errors.Join(err, f.Close())
}
