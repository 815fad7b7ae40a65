package offlinequeue

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Key is what a queue is encrypted with at rest: 32 bytes that nobody can guess.
type Key struct{ b [keyBytes]byte }

const keyBytes = 32

// ErrKey says that the keys given are not those of the queue. Nothing was touched.
var ErrKey = errors.New("the key is missing or wrong")

// Format keeps keys out of logs.
func (k Key) Format(w fmt.State, _ rune) { fmt.Fprintf(w, "[key %s]", k.ID()) }

// MarshalText keeps keys out of files.
func (k Key) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%v", k), nil }

// ID names a key without telling it: 16 hexadecimal digits.
func (k Key) ID() string {
	b := k.derive("name")
	return hex.EncodeToString(b[:idBytes])
}

const idBytes = 8

// derive makes a key for one purpose. The file's key has all the entropy there is, so
// HKDF needs no salt.
func (k Key) derive(purpose string) []byte {
	b, err := hkdf.Key(sha256.New, k.b[:], nil, "storehub queue 1 "+purpose, keyBytes)
	if err != nil { // only of lengths that are never asked for
		panic(err)
	}
	return b
}

// ParseKeys reads a key file: one key a line, 64 hexadecimal digits or base64 of 32
// bytes; empty lines and those that begin with # say nothing. The first is used, the
// others were used before.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	n := 0
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimSpace(string(line))
		if s == "" || s[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(s)
		if err != nil {
			b, err = base64.StdEncoding.DecodeString(s)
		}
		if err != nil || len(b) != keyBytes {
			return nil, fmt.Errorf("line %d is no key: want 64 hexadecimal digits, or base64 of %d bytes", n, keyBytes)
		}
		if bytes.Count(b, b[:1]) == len(b) {
			return nil, fmt.Errorf("line %d is no key: all its bytes are the same", n)
		}
		keys = append(keys, Key{[keyBytes]byte(b)})
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// seal encrypts the payloads of records. nil: they are as they are.
//
// A sealed payload is a nonce, what XChaCha20-Poly1305 made of the payload, and a byte
// that is not zero, as that of every record. Nonces are random and long enough for
// that; a number would not do, since one that was cut off with a torn tail is given
// again. The record's header up to its number is authenticated with it. Checksum and
// chain are over what is on the disk: a journal can be read, followed, compared and
// copied without its key, and a wrong key does not look like damage.
type seal struct {
	id   string
	aead cipher.AEAD
	main Key
}

const sealBytes = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead + 1

func newSeal(k Key) *seal {
	aead, err := chacha20poly1305.NewX(k.derive("journal"))
	if err != nil { // only of a length that is never given
		panic(err)
	}
	return &seal{k.ID(), aead, k}
}

// storeKey is what Badger is encrypted with; nil: it is not.
func (s *seal) storeKey() []byte {
	if s == nil {
		return nil
	}
	return s.main.derive("store")
}

// name is the key's id; "" without a key.
func (s *seal) name() string {
	if s == nil {
		return ""
	}
	return s.id
}

// before is how many bytes of a sealed payload come before what is sealed.
func (s *seal) before() int {
	if s == nil {
		return 0
	}
	return chacha20poly1305.NonceSizeX
}

// over is how much longer a payload is when it is sealed; its last byte is always there.
func (s *seal) over() int {
	if s == nil {
		return 1
	}
	return sealBytes
}

// close seals b[at:], which has room for a nonce before it, and returns b with it. head
// is the record's header, filled in up to its number.
func (s *seal) close(b []byte, at int, head []byte) []byte {
	if s != nil {
		nonce := b[at-chacha20poly1305.NonceSizeX : at]
		_, _ = rand.Read(nonce) // it never fails: the program ends before that
		b = s.aead.Seal(b[:at], nonce, b[at:], head[1:16])
	}
	return append(b, writeEnd)
}

// open returns the payload of a record as it was before it was sealed, in buf if that
// is long enough.
func (s *seal) open(buf []byte, r *journalRecord) ([]byte, error) {
	if s == nil {
		return r.payload, nil
	}
	p, n := r.payload, chacha20poly1305.NonceSizeX
	if len(p) < sealBytes {
		return nil, fmt.Errorf("record %d: %w: it is not encrypted", r.number, errFrame)
	}
	var head [recordHeader]byte
	putHeader(head[:], r.kind, r.first, r.number, len(p))
	b, err := s.aead.Open(buf[:0], p[:n], p[n:len(p)-1], head[1:16])
	if err != nil {
		return nil, fmt.Errorf("record %d: %w: it was not written with this key", r.number, errFrame)
	}
	return b, nil
}

// keyName is the file that says which key a directory is encrypted with; without it, it
// is not. It is there before anything that is encrypted.
const keyName = "key"

// encodeID and decodeID are its content: the id, and a checksum, since one bit of it may
// have flipped. What it said is then read from the journal.
func encodeID(id string) []byte {
	return fmt.Appendf(nil, "%s %08x\n", id, crc32.Checksum([]byte(id), castagnoli))
}

func decodeID(b []byte) (id string, ok bool) {
	id, sum, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	if len(id) != 2*idBytes || sum != fmt.Sprintf("%08x", crc32.Checksum([]byte(id), castagnoli)) {
		return "", false
	}
	return id, true
}
