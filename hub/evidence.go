package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
)

const (
	evidenceTimeout = 10 * time.Second
	// evidenceAge is how long what headquarters said counts while it is silent.
	evidenceAge = time.Hour
	// strangeFor is how long a till's word on a foreign reader counts.
	strangeFor = 24 * time.Hour
)

// hqWord is what headquarters last said of the store, and why it said nothing since.
type hqWord struct {
	asking sync.Mutex // one question at a time

	mu     sync.Mutex
	last   *hq.Evidence
	at     time.Time // by our clock
	silent string
}

// facts is what counts now; nil with the reason: nothing does.
func (t *hqWord) facts(now time.Time) (*diagnostics.HQFacts, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil || t.silent != "" && now.Sub(t.at) > evidenceAge {
		return nil, t.silent
	}
	f := diagnostics.HQFacts(*t.last)
	return &f, ""
}

// askEvidence has headquarters say how it knows the store.
func (h *Hub) askEvidence(ctx context.Context) {
	if h.store.Load() == nil {
		return // never reached headquarters
	}
	h.told.asking.Lock()
	defer h.told.asking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, evidenceTimeout)
	defer cancel()
	e, err := h.hq.Evidence(ctx)
	if s := h.store.Load(); err == nil && s != nil && (e.Offline != "" && e.Offline != s.Offline || e.Untold[hq.UntoldConfiguration] == "" && e.UpdateWindow != s.UpdateWindow) {
		h.learnStore(ctx)
	}
	h.told.mu.Lock()
	defer h.told.mu.Unlock()
	var status *hq.StatusError
	switch {
	case err == nil:
		h.told.last, h.told.at, h.told.silent = &e, h.now(), ""
	case errors.As(err, &status) && status.Status == http.StatusNotFound, errors.Is(err, doors.ErrNotFound):
		h.told.last, h.told.silent = nil, "this headquarters does not tell it"
	default:
		h.told.silent = err.Error()
	}
}

// secretKey is what a secret or restricted key of Stripe's looks like.
var secretKey = regexp.MustCompile(`\b[sr]k_(live|test)_[0-9A-Za-z]{8,}`)

// servedPaths is what anybody gets without a credential.
var servedPaths = []string{"/", "/console/style.css", "/healthz", "/readyz", "/openapi.json", "/metrics", caPath}

// servedKeys looks through what the hub serves, to anybody and to tills, for secret keys.
func (h *Hub) servedKeys(ctx context.Context) (looked int, leaks []string) {
	see := func(name string, body []byte) {
		looked++
		if secretKey.Match(body) {
			leaks = append(leaks, name)
		}
	}
	if h.door != nil {
		for _, path := range servedPaths {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
			if err != nil {
				continue
			}
			w := answered{header: http.Header{}}
			h.door.ServeHTTP(&w, r)
			see(path, w.body.Bytes())
		}
	}
	for name, ask := range map[string]func() (any, error){
		"/v1/status":    func() (any, error) { return h.Status(ctx, admin) },
		"/v1/readers":   func() (any, error) { return h.readerList(admin), nil },
		"/v1/diagnosis": func() (any, error) { return h.Diagnosis(ctx, admin) },
	} {
		v, err := ask()
		if err != nil {
			continue
		}
		if b, err := json.Marshal(v); err == nil {
			see(name, b)
		}
	}
	slices.Sort(leaks)
	return looked, leaks
}

// strangers are readers that tills say they are connected to and that are not at the
// store's Location, by till.
type strangers struct {
	mu sync.Mutex
	by map[string]stranger
}

type stranger struct {
	reader string
	at     time.Time
}

// saw takes in that a till told of a reader.
func (s *strangers) saw(till, reader string, known, connected bool, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case known:
		delete(s.by, till)
	case connected:
		if s.by == nil {
			s.by = map[string]stranger{}
		}
		s.by[till] = stranger{reader, at}
	}
}

func (s *strangers) sentences(location string, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, till := range slices.Sorted(maps.Keys(s.by)) {
		if v := s.by[till]; now.Sub(v.at) < strangeFor {
			out = append(out, fmt.Sprintf("till %s uses reader %s, which is not at %s", till, v.reader, location))
		}
	}
	return out
}
