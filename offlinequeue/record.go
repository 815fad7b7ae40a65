package offlinequeue

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"
)

// The keys of the state:
//
//	m                      marks: one record, rewritten by every change
//	h                      history: chains and damage, rewritten when they change
//	o/<id>                 what the till asked for, and its place; never rewritten
//	s/<seq>                how that operation stands
//	n/<gen><number>        id and head of the submit chain after it
//	x/<id>                 an outcome whose operation this disk does not know
//
// In Badger every value is preceded by the number of the journal's record that wrote
// it, and a key "a" holds how far the journal is applied.
const (
	keyState    = "m"
	keyHistory  = "h"
	keyApplied  = "a"
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

// isKey reports whether b begins as one of the keys above, or as one of Badger's own.
func isKey(b []byte) bool {
	for _, prefix := range []string{prefixOp, prefixSeq, prefixLink, prefixStray, "!badger!", "~"} {
		if strings.HasPrefix(string(b), prefix) {
			return true
		}
	}
	// One letter, and Badger's version of it.
	return len(b) == 9 && strings.Contains(keyState+keyHistory+keyApplied, string(b[:1]))
}

// seqOf reads the place from such a key.
func seqOf[K string | []byte](key K) uint64 {
	if len(key) != len(prefixSeq)+8 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(key[len(prefixSeq):]))
}

// summed reports whether a key counts in the sum of the state. What the till asked
// for does not: it is never rewritten, and has to be there for each that stands.
func summed(key string) bool {
	switch {
	case len(key) == 1:
		return key == keyHistory
	case key[:2] == prefixOp:
		return false
	}
	return true
}

// share is a key's part of the sum: a state that lost one, or kept an older one,
// has another sum.
func share[K string | []byte](key K, number uint64) uint64 {
	return mixed(fnv(14695981039346656037, key) ^ number*0x9e3779b97f4a7c15)
}

// fnv is FNV-1a, from a state on.
func fnv[K string | []byte](h uint64, key K) uint64 {
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}

// mixed has every bit depend on every other.
func mixed(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>29
}

// record is an operation as it is stored. Gen is the generation of the submit
// chain its number belongs to; without a number, the one in which headquarters
// told its end.
type record struct {
	Op
	Gen uint32 `json:"gen,omitempty"`

	size    int    // of the frames it was read from or written as
	asked   int    // of what the till asked for among them
	written uint64 // number of the journal's record that says how it stands
	stood   []byte // what that says, if it was read just now
	frame   []byte // what the till asked for, behind its place, if it was read ahead
}

// ask is the frame of what the till asked for.
func (r *record) ask() []byte { return r.placed()[placeBytes:] }

// placed is that frame behind room for the operation's place.
func (r *record) placed() []byte {
	e := make(encoder, placeBytes, placeBytes+69+len(r.Hash)+len(r.Till)+len(r.Data))
	e = append(e, frameVersion, 0, 0, 0, 0)
	e.string(r.Hash)
	e.bool(r.Amount != nil)
	if r.Amount != nil {
		e.int(*r.Amount)
	}
	e.string(r.Currency)
	e.json(r.Data)
	e.string(r.Till)
	e.string(r.Mode)
	e[placeBytes:].framed()
	return e
}

// asks reads such a frame.
func (r *record) asks(b []byte) error {
	d, err := unframed(b)
	if err != nil {
		return err
	}
	r.Hash = d.string()
	if d.bool() {
		n := d.int()
		r.Amount = &n
	}
	r.Currency = d.string()
	r.Data = d.json()
	r.Till = d.string()
	r.Mode = d.string()
	return d.end()
}

// stand is the frame of how an operation stands.
func (r *record) stand() []byte {
	e := newEncoder(160 + len(r.ID) + len(r.Ref) + len(r.Message) + len(r.Unknown) + len(r.Result) + len(r.Reversal))
	e.string(r.ID)
	e.string(r.Kind)
	e.string(r.Ref)
	e.bool(r.Money)
	e.uint(uint64(r.asked))
	e.time(r.Created)
	e.time(r.Deadline)
	e.uint(r.Number)
	e.uint(uint64(r.Gen))
	e.string(string(r.State))
	e.time(r.Changed)
	e.string(r.Reason)
	e.string(r.Message)
	e.json(r.Unknown)
	e.json(r.Result)
	e.json(r.Reversal)
	e.uint(uint64(r.Attempts))
	e.time(r.AcceptedAt)
	e.notes(r)
	return e.framed()
}

// decodeStanding reads how the operation at a place stands; what is JSON of it is a part
// of b.
func decodeStanding(seq uint64, b []byte) (record, error) {
	d, err := unframed(b)
	if err != nil {
		return record{}, err
	}
	r := record{}
	r.Seq = seq
	r.ID = d.string()
	r.Kind = d.string()
	r.Ref = d.string()
	r.Money = d.bool()
	r.asked = int(d.uint())
	r.Created = d.time()
	r.Deadline = d.time()
	r.Number = d.uint()
	r.Gen = uint32(d.uint())
	r.State = d.state()
	r.Changed = d.time()
	r.Reason = d.string()
	r.Message = d.string()
	r.Unknown = d.json()
	r.Result = d.json()
	r.Reversal = d.json()
	r.Attempts = int(d.uint())
	r.AcceptedAt = d.time()
	d.notes(&r)
	r.size = len(b) + r.asked
	if err := d.end(); err != nil {
		return record{}, err
	}
	if r.ID == "" || r.Seq == 0 {
		return record{}, fmt.Errorf("%w: it is operation %q, place %d", errFrame, r.ID, r.Seq)
	}
	return r, nil
}

// state reads a state; the four have one text each.
func (d *decoder) state() State {
	b := d.take(d.uint())
	for _, s := range [...]State{Pending, Accepted, Succeeded, Failed} {
		if string(b) == string(s) {
			return s
		}
	}
	return State(b)
}

// placeBytes is how long an operation's place is, before what the till asked for.
const placeBytes = 8

// putPlace fills in the place of what placed returned.
func putPlace(b []byte, seq uint64) []byte {
	binary.BigEndian.PutUint64(b, seq)
	return b
}

func splitAsked(b []byte) (seq uint64, ask []byte, err error) {
	if len(b) < placeBytes {
		return 0, nil, fmt.Errorf("%w: %d bytes are too few", errFrame, len(b))
	}
	return binary.BigEndian.Uint64(b), b[placeBytes:], nil
}

// link is one step of the submit chain.
type link struct {
	ID   string `json:"id"`
	Head string `json:"head"`
}

func (l link) encode() []byte {
	e := newEncoder(48 + len(l.ID))
	e.string(l.ID)
	e.head(l.Head)
	return e.framed()
}

func decodeLink(b []byte) (l link, err error) {
	d, err := unframed(b)
	if err != nil {
		return l, err
	}
	l.ID, l.Head = d.string(), d.head()
	return l, d.end()
}

// applied is how far the journal is in Badger: the last record, and where the
// journal began when that was written.
type applied struct {
	position
	anchor position
	synced uint64 // up to here it was flushed then
}

func (a applied) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, a.number)
	b = append(b, a.hash[:]...)
	b = binary.BigEndian.AppendUint64(b, a.anchor.number)
	b = append(b, a.anchor.hash[:]...)
	return binary.BigEndian.AppendUint64(b, a.synced)
}

func decodeApplied(b []byte) (a applied, err error) {
	if len(b) != 80 && len(b) != 88 {
		return a, fmt.Errorf("%w: %d bytes say how far it goes", errFrame, len(b))
	}
	a.number, a.anchor.number = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[40:])
	a.synced = a.number
	if len(b) > 80 {
		a.synced = binary.BigEndian.Uint64(b[80:])
	}
	copy(a.hash[:], b[8:40])
	copy(a.anchor.hash[:], b[48:])
	return a, nil
}

// stray is an outcome that came before its operation.
type stray struct {
	Outcome
	Kept time.Time
}

// state is what one change takes over from the one before.
type state struct {
	Seq          uint64 // last place given
	Held         uint64 // operations in the state
	Tail         uint64 // last number given
	Head         string // of the submit chain at Tail
	Cursor       Cursor
	LastAccepted time.Time
	Sum          uint64 // of all keys and the records that wrote them

	history
	dirty  bool // history changed
	strays int  // outcomes without their operation, or more; counted at Open
}

// history changes seldom.
type history struct {
	Chains  []chain  `json:"chains"`
	Damaged []string `json:"damaged,omitempty"`
	// Days are when each of the last days that were lived through was counted.
	Days []time.Time `json:"days,omitempty"`
}

func newState() state { return state{history: history{Chains: []chain{{}}}} }

// clone lets a change have its copy.
func (s *state) clone() state {
	c := *s
	c.Chains = slices.Clone(s.Chains)
	c.Damaged = slices.Clone(s.Damaged)
	c.Days = slices.Clone(s.Days)
	return c
}

// head writes a head of the submit chain; one that is no hash is kept as it is.
func (e *encoder) head(s string) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == 32 && hex.EncodeToString(b) == s {
		e.bool(true)
		*e = append(*e, b...)
		return
	}
	e.bool(false)
	e.string(s)
}

func (d *decoder) head() string {
	if d.bool() {
		return hex.EncodeToString(d.take(32))
	}
	return d.string()
}

// encode writes the marks.
func (s *state) encode() []byte {
	e := newEncoder(160)
	e.uint(s.Seq)
	e.uint(s.Held)
	e.uint(s.Tail)
	e.head(s.Head)
	e.string(s.Cursor.Epoch)
	e.uint(s.Cursor.Seq)
	e.uint(s.Cursor.AcceptedThrough)
	e.head(s.Cursor.Head)
	e.time(s.LastAccepted)
	e.uint(s.Sum)
	return e.framed()
}

// decode reads the marks.
func (s *state) decode(b []byte) error {
	d, err := unframed(b)
	if err != nil {
		return err
	}
	s.Seq = d.uint()
	s.Held = d.uint()
	s.Tail = d.uint()
	s.Head = d.head()
	s.Cursor.Epoch = d.string()
	s.Cursor.Seq = d.uint()
	s.Cursor.AcceptedThrough = d.uint()
	s.Cursor.Head = d.head()
	s.LastAccepted = d.time()
	s.Sum = d.uint()
	return d.end()
}

// remember reads the history.
func (s *state) remember(b []byte) error {
	var h history
	if err := unframe(b, &h); err != nil {
		return err
	}
	if len(h.Chains) == 0 {
		return fmt.Errorf("%w: no chain", errFrame)
	}
	s.history = h
	return nil
}

// maxRecord is the largest operation that is stored: several hundred of the largest
// the doors let in, or one of these, fit one change.
const maxRecord = 256 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFrame = errors.New("the record is damaged")

// frame makes a stored value of v, in JSON.
func frame(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(newEncoder(len(body)), body...).framed(), nil
}

// unframe reads a stored value in JSON into v.
func unframe(b []byte, v any) error {
	d, err := unframed(b)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(d.b, v); err != nil {
		return fmt.Errorf("%w: %v", errFrame, err)
	}
	return nil
}
