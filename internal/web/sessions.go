package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// SessionOptions say how long people stay in.
type SessionOptions struct {
	Cookie string           // its name; two consoles on one machine share cookies, so each has its own
	Idle   time.Duration    // without a request of a person (streams and refreshes count)
	Life   time.Duration    // in all
	Most   int              // sessions, and links, kept at once: the one that ends first goes
	Now    func() time.Time // nil: [time.Now]
	Store  Store            // nil: in memory, gone with the process
	// Secure says whether the browser speaks TLS, though this process may not see it: a
	// proxy in front does. nil: as the connection here does.
	Secure func(*http.Request) bool
	// Valid is asked at each request whether whoever signed in still may: false ends the
	// session. nil: always.
	Valid func(Session) bool
}

// Session is somebody who is in.
type Session struct {
	Who   string    `json:"who"`           // a name for logs and sign-offs
	Role  string    `json:"role"`          // what it may do, in the console's own words
	Began time.Time `json:"began"`         // signed in
	Seen  time.Time `json:"seen"`          // to the minute
	Key   string    `json:"key,omitempty"` // whatever Valid wants to know it by, such as a credential's hash
	word  string
}

// CSRF is what a form of this session must carry: a hash of the cookie, which no other
// page can read.
func (s Session) CSRF() string { return hash("csrf:" + s.word) }

// Store keeps sessions under the hash of their cookie. Headquarters of several replicas
// brings one that they share.
type Store interface {
	Save(hash string, s Session, ends time.Time) error
	Load(hash string) (s Session, ends time.Time, ok bool)
	Delete(hash string) error
}

// Sessions are who is in, and the one-time links by which others come in. What opens
// something is kept as a hash alone.
type Sessions struct {
	o     SessionOptions
	store Store
	mu    sync.Mutex
	links map[string]link // hash of the code
}

type link struct {
	session Session
	ends    time.Time
}

// NewSessions has nobody in.
func NewSessions(o SessionOptions) *Sessions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Secure == nil {
		o.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if o.Store == nil {
		o.Store = &memory{most: o.Most, now: o.Now, in: map[string]kept{}}
	}
	return &Sessions{o: o, store: o.Store, links: map[string]link{}}
}

// Invite makes a code that lets somebody in once, until expires.
func (s *Sessions) Invite(who Session, life time.Duration) (code string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	code, expires = newWord(), now.Add(life)
	s.links[hash(code)] = link{who, expires}
	first := ""
	for h, l := range s.links {
		if now.After(l.ends) {
			delete(s.links, h)
		} else if first == "" || l.ends.Before(s.links[first].ends) {
			first = h
		}
	}
	if len(s.links) > s.o.Most {
		delete(s.links, first)
	}
	return code, expires
}

// Enter trades a code for a session, whose cookie it sets. A code works once.
func (s *Sessions) Enter(w http.ResponseWriter, r *http.Request, code string) (bool, error) {
	s.mu.Lock()
	l, known := s.links[hash(code)]
	delete(s.links, hash(code))
	s.mu.Unlock()
	if !known || !s.o.Now().Before(l.ends) {
		return false, nil
	}
	return true, s.Begin(w, r, l.session)
}

// Begin lets somebody in whom the console knows, and ends the session the browser had.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, who Session) error {
	now := s.o.Now()
	who.Began, who.Seen, who.word = now, now, newWord()
	if old, ok := s.cookie(r); ok {
		_ = s.store.Delete(hash(old)) // it ends by itself
	}
	if err := s.store.Save(hash(who.word), who, now.Add(min(s.o.Life, s.o.Idle))); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.o.Cookie, Value: who.word, Path: "/", HttpOnly: true, Secure: s.o.Secure(r),
		SameSite: http.SameSiteStrictMode, MaxAge: int(s.o.Life.Seconds()),
	})
	return nil
}

// Of is whose request it is. A session that nobody used for Idle, that is older than
// Life, or whose owner is not valid any more, is none.
func (s *Sessions) Of(r *http.Request) (Session, bool) {
	word, ok := s.cookie(r)
	if !ok {
		return Session{}, false
	}
	h, now := hash(word), s.o.Now()
	in, ends, ok := s.store.Load(h)
	if !ok || !now.Before(ends) {
		return Session{}, false
	}
	if s.o.Valid != nil && !s.o.Valid(in) {
		_ = s.store.Delete(h) // it stays not valid
		return Session{}, false
	}
	if now.Sub(in.Seen) >= time.Minute {
		in.Seen = now
		ends = in.Began.Add(s.o.Life)
		if idle := now.Add(s.o.Idle); idle.Before(ends) {
			ends = idle
		}
		_ = s.store.Save(h, in, ends) // the old end stands
	}
	in.word = word
	return in, true
}

// End signs a browser out.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, &http.Cookie{Name: s.o.Cookie, Path: "/", HttpOnly: true, Secure: s.o.Secure(r), SameSite: http.SameSiteStrictMode, MaxAge: -1})
	if word, ok := s.cookie(r); ok {
		return s.store.Delete(hash(word))
	}
	return nil
}

func (s *Sessions) cookie(r *http.Request) (string, bool) {
	c, err := r.Cookie(s.o.Cookie)
	return valueOf(c), err == nil && c.Value != ""
}

func valueOf(c *http.Cookie) string {
	if c == nil {
		return ""
	}
	return c.Value
}

// newWord is 160 bits: it cannot be guessed, so that looking up its hash tells nothing.
func newWord() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func hash(word string) string {
	sum := sha256.Sum256([]byte(word))
	return hex.EncodeToString(sum[:])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// memory is a [Store] that ends with the process.
type memory struct {
	mu   sync.Mutex
	most int
	now  func() time.Time
	in   map[string]kept
}

type kept struct {
	session Session
	ends    time.Time
}

func (m *memory) Save(h string, s Session, ends time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.word = "" // what opens something is kept as a hash alone
	m.in[h] = kept{s, ends}
	now, first := m.now(), ""
	for h, k := range m.in {
		if !now.Before(k.ends) {
			delete(m.in, h)
		} else if first == "" || k.ends.Before(m.in[first].ends) {
			first = h
		}
	}
	if m.most > 0 && len(m.in) > m.most {
		delete(m.in, first)
	}
	return nil
}

func (m *memory) Load(h string) (Session, time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.in[h]
	return k.session, k.ends, ok
}

func (m *memory) Delete(h string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.in, h)
	return nil
}

// Kept is a [Store] of one process whose sessions outlive it.
type Kept struct {
	memory
	save func([]byte) error
}

// keptLine is a session as it is written down.
type keptLine struct {
	Session Session   `json:"session"`
	Ends    time.Time `json:"ends"`
}

// NewKept begins with what an earlier process saved; what cannot be read is nobody.
// save is given all of them whenever one changes.
func NewKept(saved []byte, most int, now func() time.Time, save func([]byte) error) *Kept {
	k := &Kept{memory{most: most, now: now, in: map[string]kept{}}, save}
	var lines map[string]keptLine
	if json.Unmarshal(saved, &lines) == nil {
		for h, l := range lines {
			k.in[h] = kept{l.Session, l.Ends}
		}
	}
	return k
}

// Save implements [Store].
func (k *Kept) Save(h string, s Session, ends time.Time) error {
	_ = k.memory.Save(h, s, ends) // it does not fail
	return k.write()
}

// Delete implements [Store].
func (k *Kept) Delete(h string) error {
	_ = k.memory.Delete(h) // it does not fail
	return k.write()
}

func (k *Kept) write() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	lines := make(map[string]keptLine, len(k.in))
	for h, s := range k.in {
		lines[h] = keptLine{s.session, s.ends}
	}
	b, err := json.Marshal(lines)
	if err != nil {
		return fmt.Errorf("keep sessions: %w", err)
	}
	return k.save(b)
}
