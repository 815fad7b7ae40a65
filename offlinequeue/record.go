package offlinequeue

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
)

// The keys of the store:
//
//	m                      state: one record, rewritten by every transaction
//	o/<id>                 an operation
//	s/<seq>                its id
//	n/<gen><number>        id and head of the submit chain after it
//	x/<id>                 an outcome whose operation this disk does not know
//
// Every value is framed: a version, a checksum, JSON. The store below has
// checksums of its own; these also cover what it keeps unchecked.
const (
	keyState    = "m"
	prefixOp    = "o/"
	prefixSeq   = "s/"
	prefixLink  = "n/"
	prefixStray = "x/"
)

func keyOp(id string) string    { return prefixOp + id }
func keyStray(id string) string { return prefixStray + id }

func keySeq(seq uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(prefixSeq), seq))
}

func keyLink(gen uint32, number uint64) string {
	return string(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte(prefixLink), gen), number))
}

// seqOf reads the place from such a key.
func seqOf(key string) uint64 {
	if len(key) != len(prefixSeq)+8 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(key[len(prefixSeq):]))
}

// record is an operation as it is stored. Gen is the generation of the submit
// chain its number belongs to; without a number, the one in which headquarters
// told its end.
type record struct {
	Op
	Gen uint32 `json:"gen,omitempty"`

	size int // of the frame it was read from or written as
}

// link is one step of the submit chain.
type link struct {
	ID   string `json:"id"`
	Head string `json:"head"`
}

// stray is an outcome that came before its operation.
type stray struct {
	Outcome
	Kept time.Time
}

// state is what one transaction takes over from the one before.
type state struct {
	Commit       uint64    `json:"commit"` // counts transactions
	Seq          uint64    `json:"seq"`    // last place given
	Held         uint64    `json:"held"`   // operations in the store
	Tail         uint64    `json:"tail"`   // last number given
	Head         string    `json:"head"`   // of the submit chain at Tail
	Chains       []chain   `json:"chains"`
	Cursor       Cursor    `json:"cursor"`
	LastAccepted time.Time `json:"last_accepted,omitzero"`
	Damaged      []string  `json:"damaged,omitempty"`
}

func newState() state { return state{Chains: []chain{{}}} }

// clone lets a transaction change its copy.
func (s *state) clone() state {
	c := *s
	c.Chains = slices.Clone(s.Chains)
	c.Damaged = slices.Clone(s.Damaged)
	return c
}

// maxRecord is the largest frame that is stored: several hundred of the largest
// the doors let in, or one of these, fit one transaction.
const maxRecord = 256 << 10

const frameVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFrame = errors.New("the record is damaged")

// frame makes a stored value of v.
func frame(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 5, 5+len(body))
	b[0] = frameVersion
	binary.BigEndian.PutUint32(b[1:], crc32.Checksum(body, castagnoli))
	return append(b, body...), nil
}

// unframe reads a stored value into v.
func unframe(b []byte, v any) error {
	if len(b) < 5 {
		return fmt.Errorf("%w: %d bytes are too few", errFrame, len(b))
	}
	if b[0] != frameVersion {
		return fmt.Errorf("%w: frame version %d", errFrame, b[0])
	}
	if crc32.Checksum(b[5:], castagnoli) != binary.BigEndian.Uint32(b[1:]) {
		return fmt.Errorf("%w: wrong checksum", errFrame)
	}
	if err := json.Unmarshal(b[5:], v); err != nil {
		return fmt.Errorf("%w: %v", errFrame, err)
	}
	return nil
}

// decodeRecord reads an operation stored under id.
func decodeRecord(id string, b []byte) (record, error) {
	var r record
	if err := unframe(b, &r); err != nil {
		return record{}, err
	}
	if r.ID != id || r.Seq == 0 {
		return record{}, fmt.Errorf("%w: it is operation %q, place %d", errFrame, r.ID, r.Seq)
	}
	r.size = len(b)
	return r, nil
}

// decodeState reads the state.
func decodeState(b []byte) (state, error) {
	var s state
	if err := unframe(b, &s); err != nil {
		return state{}, err
	}
	if len(s.Chains) == 0 {
		return state{}, fmt.Errorf("%w: no chain", errFrame)
	}
	return s, nil
}

// setState writes the state alone.
func (s *store) setState(st state) error {
	b, err := frame(st)
	if err != nil {
		return err
	}
	return s.update(func(t *tx) error { return t.set(keyState, b) })
}
