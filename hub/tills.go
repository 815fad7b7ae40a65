package hub

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"storehub/doors"
	"storehub/hq"
)

// credentialPrefix lets a person, or a scanner of leaked secrets, see what a
// stray string is.
const credentialPrefix = "shp_"

// hubTill is the name of the hub's own operations (heartbeats); no till may have it.
const hubTill = "hub"

// ErrNoTill means that no till has that name.
var ErrNoTill = errors.New("no till has that name")

// Tills is who may call: tills.json in the state directory. Credentials are kept
// only as hashes. A name outlives its credential, because operation ids are made
// from it: pairing a known name again replaces the credential, revoking keeps the name.
type Tills struct {
	mu    sync.Mutex
	path  string
	tills map[string]*tillRecord
	dirty bool          // LastUsed changed since the last save
	news  chan struct{} // a credential was given or ended
}

// TillInfo is one till as it is listed. Mode "" is the store's.
type TillInfo struct {
	Name     string      `json:"name"`
	Scope    doors.Scope `json:"scope"`
	Mode     doors.Mode  `json:"mode,omitempty"`
	Created  time.Time   `json:"created"`
	LastUsed time.Time   `json:"last_used,omitzero"`
	Revoked  time.Time   `json:"revoked,omitzero"`
}

type tillRecord struct {
	TillInfo
	Hash string `json:"hash,omitempty"` // hex SHA-256 of the credential; "" once revoked
}

type tillsFile struct {
	Version int           `json:"version"`
	Tills   []*tillRecord `json:"tills"`
}

// OpenTills reads the tills of a state directory, making it if need be. A hub
// that runs on it does not see changes made here; ask it by [DialAdmin] instead.
func OpenTills(stateDir string) (*Tills, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, fmt.Errorf("open tills: %w", err)
	}
	t := &Tills{path: filepath.Join(stateDir, "tills.json"), tills: map[string]*tillRecord{}, news: make(chan struct{}, 1)}
	b, err := os.ReadFile(t.path)
	if notExist(err) {
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open tills: %w", err)
	}
	if err := t.parse(b); err != nil {
		return nil, fmt.Errorf("open tills %s: %w", t.path, err)
	}
	return t, nil
}

func (t *Tills) parse(b []byte) error {
	var f tillsFile
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return err
	}
	if f.Version != 1 {
		return fmt.Errorf("version %d; this program knows version 1", f.Version)
	}
	for _, r := range f.Tills {
		if r == nil || checkTillName(r.Name) != nil || t.tills[r.Name] != nil {
			return errors.New("a till without a name of its own")
		}
		t.tills[r.Name] = r
	}
	return nil
}

// Pair gives the till a new credential, which is shown here and never again.
// Mode "" is the store's own.
func (t *Tills) Pair(name string, scope doors.Scope, mode doors.Mode) (credential string, err error) {
	if err := checkTillName(name); err != nil {
		return "", fmt.Errorf("pair till: %w", err)
	}
	switch scope {
	case doors.ScopePOS, doors.ScopeManager, doors.ScopeMonitor:
	default:
		return "", fmt.Errorf("pair till: scope %q is not one of pos, manager, monitor", scope)
	}
	switch mode {
	case "", doors.Live, doors.Test:
	default:
		return "", fmt.Errorf("pair till: mode %q is neither live nor test", mode)
	}
	credential = newCredential()
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.tills[name]
	t.tills[name] = &tillRecord{
		TillInfo: TillInfo{Name: name, Scope: scope, Mode: mode, Created: time.Now().UTC().Truncate(time.Second)},
		Hash:     hashCredential(credential),
	}
	if err := t.save(); err != nil {
		if t.tills[name] = before; before == nil {
			delete(t.tills, name)
		}
		return "", fmt.Errorf("pair till: %w", err)
	}
	t.tell()
	return credential, nil
}

// Revoke ends the till's credential; what it was promised is still done.
func (t *Tills) Revoke(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.tills[name]
	if r == nil || r.Hash == "" {
		return fmt.Errorf("revoke till %q: %w", name, ErrNoTill)
	}
	before := *r
	r.Hash, r.Revoked = "", time.Now().UTC().Truncate(time.Second)
	if err := t.save(); err != nil {
		*r = before
		return fmt.Errorf("revoke till %q: %w", name, err)
	}
	t.tell()
	return nil
}

// tell says that headquarters should hear of the tills.
func (t *Tills) tell() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// book is the tills that may call, as headquarters is told of them: by hashes.
func (t *Tills) book(store doors.Mode) hq.TillBook {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := hq.TillBook{Tills: []hq.TillRecord{}}
	for _, name := range slices.Sorted(maps.Keys(t.tills)) {
		if r := t.tills[name]; r.Hash != "" {
			b.Tills = append(b.Tills, hq.TillRecord{Name: name, Scope: r.Scope, Mode: cmp.Or(r.Mode, store), Hash: r.Hash})
		}
	}
	return b
}

// List is every till, by name.
func (t *Tills) List() []TillInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]TillInfo, 0, len(t.tills))
	for _, r := range t.tills {
		out = append(out, r.TillInfo)
	}
	slices.SortFunc(out, func(a, b TillInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// lookup compares with every till's hash, so that time says nothing of any.
func (t *Tills) lookup(credential string) (doors.Till, bool) {
	given := []byte(hashCredential(credential))
	t.mu.Lock()
	defer t.mu.Unlock()
	var found *tillRecord
	for _, r := range t.tills {
		if subtle.ConstantTimeCompare(given, []byte(r.Hash)) == 1 {
			found = r
		}
	}
	if found == nil {
		return doors.Till{}, false
	}
	found.LastUsed, t.dirty = time.Now().UTC().Truncate(time.Millisecond), true
	return doors.Till{Name: found.Name, Scope: found.Scope, Mode: found.Mode}, true
}

// holds reports whether the till still has the credential of that hash.
func (t *Tills) holds(name, hash string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.tills[name]
	return r != nil && hash != "" && r.Hash == hash
}

// flush saves when tills were last used; nothing is lost but that if it is not called.
func (t *Tills) flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dirty {
		return nil
	}
	return t.save()
}

func (t *Tills) save() error {
	f := tillsFile{Version: 1, Tills: make([]*tillRecord, 0, len(t.tills))}
	for _, name := range slices.Sorted(maps.Keys(t.tills)) {
		f.Tills = append(f.Tills, t.tills[name])
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(t.path, append(b, '\n')); err != nil {
		return err
	}
	t.dirty = false
	return nil
}

// checkTillName: a name is what people call the till ("Lane 1", "Kasse süd"). It
// is part of every operation's id and of logs, so it must be visible and unambiguous.
func checkTillName(name string) error {
	switch {
	case name == "" || len(name) > 64:
		return fmt.Errorf("name %q: want 1 to 64 characters", name)
	case name == hubTill:
		return fmt.Errorf("name %q is the hub's own", name)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("name %q: visible characters and single spaces only", name)
	case strings.Join(strings.Fields(name), " ") != name:
		return fmt.Errorf("name %q: no space at the ends, none doubled", name)
	}
	return nil
}

func newCredential() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return credentialPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

func hashCredential(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return hex.EncodeToString(sum[:])
}
