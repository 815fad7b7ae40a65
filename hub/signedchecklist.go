package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
)

// ErrNotSigned means that a checklist is not what the hub and headquarters signed.
var ErrNotSigned = errors.New("not what was signed")

// StatedChecklist is a checklist with what makes it one of a store at a time.
type StatedChecklist struct {
	Store    string             `json:"store"`
	Location string             `json:"location,omitempty"`
	Mode     doors.Mode         `json:"mode,omitempty"`
	At       time.Time          `json:"at"`
	Version  string             `json:"version"` // of the hub's program
	Key      string             `json:"key"`     // the hub's, Ed25519, hex: what Signature is made with
	Items    []diagnostics.Item `json:"items"`
}

// SignedChecklist is a proof that can be shown later and elsewhere: the hub signs what it
// found, and headquarters signs that this store's hub showed it this, then. Headquarters'
// word is one on the submit chain (see [hq.Head]) whose nonce is the checklist's digest.
// Written as one line, each byte of it counts.
type SignedChecklist struct {
	Checklist    json.RawMessage `json:"checklist"` // a StatedChecklist, as it was signed
	Headquarters *hq.Head        `json:"headquarters,omitempty"`
	Alone        string          `json:"alone,omitempty"` // why headquarters has not signed
	Signature    string          `json:"signature"`       // the hub's, over all before it
}

// digest is what headquarters signs.
func (s SignedChecklist) digest() string {
	sum := sha256.Sum256(s.Checklist)
	return hex.EncodeToString(sum[:])
}

// message is what the hub signs.
func (s SignedChecklist) message() ([]byte, error) {
	word, err := json.Marshal(s.Headquarters)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(word)
	return fmt.Appendf(nil, "storehub checklist 1\n%s\n%x\n%q\n", s.digest(), sum, s.Alone), nil
}

// encode writes it as the one line that is verified.
func (s SignedChecklist) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return b.Bytes(), err
}

// signChecklist states how the store stands and has headquarters sign it too.
func (h *Hub) signChecklist(ctx context.Context) (s SignedChecklist, err error) {
	key, err := signingKey(h.cfg.StateDir)
	if err != nil {
		return s, err
	}
	stated := StatedChecklist{Store: h.cfg.Store, At: h.now().UTC().Truncate(time.Second), Version: h.parts.Version,
		Key:   hex.EncodeToString(key.Public().(ed25519.PublicKey)),
		Items: h.checklist(ctx, true)}
	known := ""
	if st := h.store.Load(); st != nil {
		stated.Location, stated.Mode, known = st.Location, st.Mode, st.HeadKey
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(stated); err != nil {
		return s, fmt.Errorf("state checklist: %w", err)
	}
	s.Checklist = bytes.TrimSpace(b.Bytes())
	asking, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	cursor := h.queue.Cursor()
	page, err := h.hq.Chain(asking, cursor.Epoch, cursor.AcceptedThrough, s.digest())
	if err == nil {
		if known == "" {
			known = page.Head.Key // its first word is only as good as the line
		}
		err = page.Head.Verify(h.cfg.Store, s.digest(), known)
	}
	if err != nil {
		s.Alone = err.Error()
	} else {
		s.Headquarters = &page.Head
	}
	message, err := s.message()
	if err != nil {
		return s, fmt.Errorf("sign checklist: %w", err)
	}
	s.Signature = hex.EncodeToString(ed25519.Sign(key, message))
	return s, nil
}

// signingKey is the hub's own, made when it is first wanted.
func signingKey(stateDir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(stateDir, "signing.key")
	b, err := os.ReadFile(path)
	if err == nil {
		seed, err := hex.DecodeString(strings.TrimSpace(string(b)))
		if err != nil || len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("read the hub's signing key: %s holds none", path)
		}
		return ed25519.NewKeyFromSeed(seed), nil
	}
	if !notExist(err) {
		return nil, fmt.Errorf("read the hub's signing key: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err == nil {
		err = writeFile(path, []byte(hex.EncodeToString(key.Seed())+"\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("make the hub's signing key: %w", err)
	}
	return key, nil
}

// VerifyChecklist reads a signed checklist and returns what it states, or ErrNotSigned
// with what is not right. Nobody has to be asked. hqKey is the key that is known to be
// headquarters' (hex); "" takes the one in the file, which is to be compared by hand.
func VerifyChecklist(file []byte, hqKey string) (StatedChecklist, SignedChecklist, error) {
	var s SignedChecklist
	var stated StatedChecklist
	not := func(format string, args ...any) (StatedChecklist, SignedChecklist, error) {
		return stated, s, fmt.Errorf("verify checklist: %w: "+format, append([]any{ErrNotSigned}, args...)...)
	}
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return not("it cannot be read: %v", err)
	}
	// What was signed is bytes: the file is exactly what is made of what it says.
	if same, err := s.encode(); err != nil || !bytes.Equal(same, file) {
		return not("it was written anew, or changed")
	}
	if err := json.Unmarshal(s.Checklist, &stated); err != nil {
		return not("the list cannot be read: %v", err)
	}
	key, err := hex.DecodeString(stated.Key)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return not("it names no key of a hub")
	}
	signature, err := hex.DecodeString(s.Signature)
	message, errMessage := s.message()
	if err != nil || errMessage != nil || hex.EncodeToString(signature) != s.Signature || !ed25519.Verify(key, message, signature) {
		return not("the hub's signature does not fit")
	}
	if s.Headquarters == nil {
		return stated, s, nil
	}
	if hqKey == "" {
		hqKey = s.Headquarters.Key
	}
	if err := s.Headquarters.Verify(stated.Store, s.digest(), hqKey); err != nil {
		return not("%v", err)
	}
	return stated, s, nil
}

// SignedChecklist has the running hub state and sign how the store stands; it is the
// bytes of the file.
func (a *Admin) SignedChecklist(ctx context.Context) ([]byte, error) {
	resp, err := a.stream(ctx, http.MethodGet, "/checklist/signed", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}

// serveSignedChecklist answers with the file, byte by byte.
func (h *Hub) serveSignedChecklist(w http.ResponseWriter, r *http.Request) {
	s, err := h.signChecklist(r.Context())
	file, errEncode := s.encode()
	if err = errors.Join(err, errEncode); err != nil {
		doors.WriteError(w, adminError(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(file) // the peer went away: nothing to tell it
}

// KnownHeadKey is headquarters' key as the hub of a state directory knows it; "" if it
// does not.
func KnownHeadKey(stateDir, store string) string {
	if s := rememberedStore(stateDir, store); s != nil {
		return s.HeadKey
	}
	return ""
}
