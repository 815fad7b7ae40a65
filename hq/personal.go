package hq

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"storehub/doors"
)

// PersonalKeys lock the keys of personal fields (money.md 5.2), the first one those of
// new operations. A key is 32 bytes; it has no printable form.
type PersonalKeys []personalKey

type personalKey [32]byte

// String hides the key.
func (personalKey) String() string { return "[redacted]" }

// GoString hides the key from %#v.
func (personalKey) GoString() string { return "[redacted]" }

// ReadPersonalKeys reads a file of keys, each 64 hexadecimal digits on a line of its
// own, the newest first. Where create is set and there is no file, one is made that
// its owner alone can read.
func ReadPersonalKeys(file string, create bool) (PersonalKeys, error) {
	text, err := ReadSecret("key of personal fields", file)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := makePersonalKey(file); err != nil {
			return nil, fmt.Errorf("make key of personal fields: %w", err)
		}
		text, err = ReadSecret("key of personal fields", file)
	}
	if err != nil {
		return nil, err
	}
	var keys PersonalKeys
	for _, word := range strings.Fields(text) {
		var k personalKey
		if n, err := hex.Decode(k[:], []byte(word)[:min(len(word), 2*len(k))]); err != nil || n != len(k) || len(word) != 2*len(k) {
			return nil, fmt.Errorf("read key of personal fields %s: line %d is not 64 hexadecimal digits", file, len(keys)+1)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// makePersonalKey writes a new key beside its final name and links it there, so that of
// two programs that begin at once both read the same whole one.
func makePersonalKey(file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(randomHex(32) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), file); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// ErrErased says that the key of an operation's personal fields is destroyed, or not ours.
var ErrErased = errors.New("personal fields are erased")

// Seal encrypts an operation's personal fields under a key of their own, which it gives
// locked. Both are bound to the operation.
func (keys PersonalKeys) Seal(store, op string, plain []byte) (locked, sealed []byte, err error) {
	name := personalName(store, op)
	if len(keys) == 0 {
		return nil, nil, ErrErased
	}
	var own personalKey
	_, _ = rand.Read(own[:]) // never errs since Go 1.24
	if locked, err = keys[0].encrypt(name, own[:]); err != nil {
		return nil, nil, err
	}
	sealed, err = own.encrypt(name, plain)
	return locked, sealed, err
}

// Open is Seal's other way, or ErrErased.
func (keys PersonalKeys) Open(store, op string, locked, sealed []byte) ([]byte, error) {
	name := personalName(store, op)
	for _, k := range keys {
		b, err := k.decrypt(name, locked)
		if err != nil || len(b) != len(k) {
			continue
		}
		plain, err := personalKey(b).decrypt(name, sealed)
		if err != nil {
			return nil, ErrErased
		}
		return plain, nil
	}
	return nil, ErrErased
}

func (k personalKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k personalKey) encrypt(name string, plain []byte) ([]byte, error) {
	a, err := k.aead()
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, plain, []byte(name)), nil
}

func (k personalKey) decrypt(name string, sealed []byte) ([]byte, error) {
	a, err := k.aead()
	if err != nil {
		return nil, err
	}
	return a.Open(nil, nil, sealed, []byte(name))
}

// personalName binds what is sealed to its operation.
func personalName(store, op string) string { return store + "\n" + op }

// keepPersonal puts an operation's personal fields away under a key of their own.
// at is when a till first mentioned it: from then on they age. Without keys they are
// not kept at all.
func (t *tx) keepPersonal(store string, o doors.Operation, at time.Time) error {
	if len(t.d.personal) == 0 {
		return nil
	}
	locked, sealed, err := t.d.personal.Seal(store, o.ID, o.Data)
	if err != nil {
		return fmt.Errorf("seal personal fields: %w", err)
	}
	if _, err := t.Exec(`INSERT INTO personal (store, op, at, locked, sealed) VALUES (?, ?, ?, ?, ?)`, store, o.ID, ms(at), locked, sealed); err != nil {
		return err
	}
	return t.d.fault("personal:keep")
}

// personalOf is what was put away of an operation; nil when it is erased, or never was.
func (d *database) personalOf(ctx context.Context, store, op string) (json.RawMessage, error) {
	var locked, sealed []byte
	err := d.r.QueryRowContext(ctx, `SELECT locked, sealed FROM personal WHERE store = ? AND op = ?`, store, op).Scan(&locked, &sealed)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read personal fields: %w", err)
	}
	plain, err := d.personal.Open(store, op, locked, sealed)
	if errors.Is(err, ErrErased) {
		return nil, nil
	}
	return plain, err
}

// asksForTheSame reports whether an operation that is offered is the one that is
// recorded. What is erased, here or where it is offered from, cannot be compared, and is
// answered with its outcome: a fingerprint of personal fields would outlive them.
func asksForTheSame(have operation, asked doors.Operation, hash string, erased bool) bool {
	return have.bodyHash == hash ||
		have.Kind == asked.Kind && have.Kind.Personal() && (erased || have.bodyHash == "")
}

// erasePersonal destroys the keys of personal fields that are kept no longer, with
// what else could tell them, and seals those that an earlier version kept in the clear.
func (s *Server) erasePersonal(ctx context.Context, now time.Time) error {
	before := ms(now.AddDate(0, -keepMonths, 0))
	if err := s.inBatches(ctx, func(t *tx) (bool, error) {
		const over = `(SELECT store, op FROM personal WHERE at < ?1 ORDER BY at, store, op LIMIT ?2)`
		if _, err := t.Exec(`UPDATE operations SET body_hash = '' WHERE (store, id) IN `+over, before, upkeepBatch); err != nil {
			return false, err
		}
		n, err := t.delete(`DELETE FROM personal WHERE (store, op) IN `+over, before, upkeepBatch)
		if err != nil {
			return false, err
		}
		return n == upkeepBatch, t.d.fault("upkeep:personal")
	}); err != nil {
		return err
	}
	return s.inBatches(ctx, func(t *tx) (bool, error) {
		list, err := t.inTheClear()
		if err != nil {
			return false, err
		}
		for _, o := range list {
			hash := o.bodyHash
			if ms(o.mentionedAt) < before {
				hash = ""
			} else if err := t.keepPersonal(o.store, o.Operation, o.mentionedAt); err != nil {
				return false, err
			}
			if _, err := t.Exec(`UPDATE operations SET data = NULL, body_hash = ? WHERE seq = ?`, hash, o.seq); err != nil {
				return false, err
			}
		}
		return len(list) == upkeepBatch, nil
	})
}

// inTheClear lists operations whose personal fields an earlier version kept as they came.
func (t *tx) inTheClear() ([]operation, error) {
	rows, err := t.Query(`SELECT `+operationColumns+` FROM operations WHERE kind = ? AND data IS NOT NULL ORDER BY seq LIMIT ?`, doors.Receipt, upkeepBatch)
	if err != nil {
		return nil, err
	}
	return scanOperations(rows)
}
