package sandbox

import (
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// stateVersion grows when an older program could not read the file.
const stateVersion = 1

// state is all that the account knows, and what StateFile holds.
type state struct {
	Version        int                      `json:"version"`
	Account        string                   `json:"account"`
	Keys           keyring                  `json:"keys"`
	WebhookURL     string                   `json:"webhook_url"`
	Offset         time.Duration            `json:"clock_offset"`
	Drawn          uint64                   `json:"drawn"` // how many random texts were made: ids stay different across a restart
	Locations      shelf[*location]         `json:"locations"`
	Configurations shelf[*configuration]    `json:"configurations"`
	Readers        shelf[*readerRecord]     `json:"readers"`
	Intents        shelf[*intentRecord]     `json:"payment_intents"`
	Charges        shelf[*chargeRecord]     `json:"charges"`
	Refunds        shelf[*refundRecord]     `json:"refunds"`
	SetupIntents   shelf[*setupIntent]      `json:"setup_intents"`
	Customers      shelf[*customer]         `json:"customers"`
	PaymentMethods shelf[*paymentMethod]    `json:"payment_methods"`
	Events         shelf[*eventRecord]      `json:"events"`
	Endpoints      shelf[*endpointRecord]   `json:"webhook_endpoints"`
	Tokens         map[string]*tokenRecord  `json:"connection_tokens"`
	Answers        map[string]*storedAnswer `json:"idempotent_answers"`
	Books          []Entry                  `json:"books"`
}

func newState() state {
	return state{
		Version: stateVersion,
		Tokens:  map[string]*tokenRecord{},
		Answers: map[string]*storedAnswer{},
	}
}

// item is an object that has an id for ever.
type item interface{ ident() string }

// shelf keeps objects in the order they were made.
type shelf[T item] struct {
	list []T
	byID map[string]T
}

func (s *shelf[T]) add(v T) {
	if s.byID == nil {
		s.byID = map[string]T{}
	}
	s.list = append(s.list, v)
	s.byID[v.ident()] = v
}

func (s *shelf[T]) get(id string) (T, bool) {
	v, ok := s.byID[id]
	return v, ok
}

func (s *shelf[T]) remove(id string) {
	delete(s.byID, id)
	for i, v := range s.list {
		if v.ident() == id {
			s.list = append(s.list[:i:i], s.list[i+1:]...)
			return
		}
	}
}

// MarshalJSON writes the list; the index is made anew from it.
func (s shelf[T]) MarshalJSON() ([]byte, error) {
	if s.list == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(s.list)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *shelf[T]) UnmarshalJSON(b []byte) error {
	var list []T
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*s = shelf[T]{}
	for _, v := range list {
		s.add(v)
	}
	return nil
}

func randomSeed() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never errs
	return binary.LittleEndian.Uint64(b[:])
}

// random makes n letters and digits that the same seed makes again.
func (s *Sandbox) random(n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	r := rand.New(rand.NewPCG(s.seed, s.st.Drawn))
	s.st.Drawn++
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func (s *Sandbox) id(prefix string, n int) string { return prefix + s.random(n) }

// load reads the state of an earlier run; no file is an empty account.
func (s *Sandbox) load(path string) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load sandbox: %w", err)
	}
	st := newState()
	if err := json.Unmarshal(b, &st); err != nil {
		return fmt.Errorf("load sandbox %s: %w", path, err)
	}
	if st.Version != stateVersion {
		return fmt.Errorf("load sandbox %s: version %d is not %d", path, st.Version, stateVersion)
	}
	// Who was being answered when the file was written is gone by now.
	maps.DeleteFunc(st.Answers, func(_ string, a *storedAnswer) bool { return a.Status == 0 })
	s.st = st
	return nil
}

func (s *Sandbox) snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.MarshalIndent(s.st, "", " ")
}

// keeper writes the state file soon after a change, and at the end.
type keeper struct {
	path     string
	snapshot func() ([]byte, error)
	log      *slog.Logger
	dirty    chan struct{}
	stop     chan struct{}
	done     chan struct{}
}

// keepPause joins a burst of changes to one write; a kill loses that much at most, or,
// of a large account, keepShare times what a write takes: so writing, which holds up
// requests, never takes more than that share of the time.
const (
	keepPause = 100 * time.Millisecond
	keepShare = 10
)

// newKeeper returns nil, which does nothing, when there is no file to keep.
func newKeeper(path string, snapshot func() ([]byte, error), log *slog.Logger) *keeper {
	if path == "" {
		return nil
	}
	k := &keeper{
		path: path, snapshot: snapshot, log: log,
		dirty: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	k.changed()
	go k.run()
	return k
}

func (k *keeper) changed() {
	if k == nil {
		return
	}
	select {
	case k.dirty <- struct{}{}:
	default:
	}
}

func (k *keeper) run() {
	defer close(k.done)
	pause := keepPause
	for {
		select {
		case <-k.stop:
			return
		case <-k.dirty:
		}
		select {
		case <-k.stop:
			return
		case <-time.After(pause):
		}
		began := time.Now()
		if err := k.write(); err != nil {
			k.log.Warn("the sandbox's books are not on disk", "error", err)
		}
		pause = max(keepPause, keepShare*time.Since(began))
	}
}

func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	select {
	case <-k.done:
	default:
		close(k.stop)
		<-k.done
	}
	return k.write()
}

func (k *keeper) write() error {
	b, err := k.snapshot()
	if err != nil {
		return fmt.Errorf("write sandbox: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(k.path), filepath.Base(k.path)+".*")
	if err != nil {
		return fmt.Errorf("write sandbox: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), k.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write sandbox: %w", err)
	}
	return nil
}
