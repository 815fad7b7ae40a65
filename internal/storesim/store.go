// Package storesim is a whole store in one process for tests: hub, headquarters
// and Stripe's sandbox with a hand on every cable. Stories read like a script;
// the first step that goes wrong ends the story with its line.
package storesim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/hq"
	"storehub/hub"
	"storehub/internal/sandbox"
	"storehub/internal/try"
)

// patience is how long a story waits for something that should come to pass.
// Generous, since the race detector and a busy machine are slow; a story that
// goes right never waits that long.
const patience = 60 * time.Second

// Store is one shop with everything it hangs on.
type Store struct {
	t   testing.TB
	sys *try.System
	log *journal
}

// Option changes how a store is opened.
type Option func(*try.Options)

// Mirror shows every request that reaches Stripe.
func Mirror(f func(*http.Request, []byte)) Option {
	return func(o *try.Options) { o.Mirror = f }
}

// Parts changes what hub and headquarters are made of.
func Parts(hubs func(*hub.Config, *hub.Parts), headquarters func(*hq.Options)) Option {
	return func(o *try.Options) { o.Hub, o.HQ = hubs, headquarters }
}

// Open brings a store up and takes it down at the test's end.
func Open(t testing.TB, options ...Option) *Store {
	t.Helper()
	s := &Store{t: t, log: &journal{}}
	o := try.Options{StateDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, option := range options {
		option(&o)
	}
	sys, err := try.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("open store: %v\n%s", err, s.log)
	}
	s.sys = sys
	t.Cleanup(func() {
		if err := sys.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
		if t.Failed() {
			t.Logf("what the store logged:\n%s", s.log)
		}
		s.keepsNoSecrets()
	})
	return s
}

// System is what the hands hold.
func (s *Store) System() *try.System { return s.sys }

// Stripe is the account's sandbox.
func (s *Store) Stripe() *sandbox.Sandbox { return s.sys.Sandbox }

// CutInternet ends the line between the hub and headquarters.
func (s *Store) CutInternet() { s.sys.Internet.Cut() }

// SilenceInternet leaves a line on which nothing answers.
func (s *Store) SilenceInternet() { s.sys.Internet.Silence() }

// MendInternet makes it whole again.
func (s *Store) MendInternet() { s.sys.Internet.Mend() }

// CutStripe ends the line between headquarters and Stripe.
func (s *Store) CutStripe() { s.sys.Stripe.Cut() }

// MendStripe makes it whole again.
func (s *Store) MendStripe() { s.sys.Stripe.Mend() }

// PowerCut takes the hub away in mid-step.
func (s *Store) PowerCut() {
	s.t.Helper()
	s.must("cut power", s.sys.PowerCut())
}

// Boot starts the hub on what its disk holds.
func (s *Store) Boot() {
	s.t.Helper()
	s.must("boot hub", s.sys.BootHub(s.t.Context()))
}

// StopHQ ends headquarters.
func (s *Store) StopHQ() {
	s.t.Helper()
	s.must("stop headquarters", s.sys.StopHQ())
}

// BootHQ starts headquarters on its database.
func (s *Store) BootHQ() {
	s.t.Helper()
	s.must("boot headquarters", s.sys.BootHQ())
}

// Pass lets time go by on Stripe's clock, and on headquarters', which keeps it.
func (s *Store) Pass(d time.Duration) { s.sys.Sandbox.Advance(d) }

// Effects are the effects of that kind on an intent that Stripe's books hold.
func (s *Store) Effects(intent, effect string) []sandbox.Entry {
	var found []sandbox.Entry
	for _, e := range s.sys.Sandbox.Books() {
		if e.Intent == intent && e.Effect == effect {
			found = append(found, e)
		}
	}
	return found
}

// WantCapturedOnce fails unless Stripe captured exactly amount exactly once.
func (s *Store) WantCapturedOnce(intent string, amount int64) {
	s.t.Helper()
	if got := s.Effects(intent, "captured"); len(got) != 1 || got[0].Amount != amount {
		s.t.Fatalf("Stripe's books for %s: captured %v, want %d once\nall: %v", intent, got, amount, s.sys.Sandbox.Books())
	}
}

// Until waits for something to come to pass.
func (s *Store) Until(what string, happened func() bool) {
	s.t.Helper()
	end := time.Now().Add(patience)
	for !happened() {
		if time.Now().After(end) {
			s.t.Fatalf("waited %v for: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond) // polls other goroutines' real work; there is nothing to subscribe to
	}
}

// AtStripe does what a reader and its customer do: it speaks to Stripe directly
// with the account's key.
func (s *Store) AtStripe(method, path string, form url.Values) map[string]any {
	s.t.Helper()
	return s.atStripe(s.sys.StripeKey, "", method, path, form)
}

// atStripe is AtStripe with a key and by another version of Stripe's API; "": the account's.
func (s *Store) atStripe(key, version, method, path string, form url.Values) map[string]any {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.sys.StripeURL+path, strings.NewReader(form.Encode()))
	s.must("ask Stripe", err)
	req.Header.Set("Authorization", "Bearer "+key)
	if version != "" {
		req.Header.Set("Stripe-Version", version)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	s.must("ask Stripe", err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.must("read Stripe's answer", err)
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	var v map[string]any
	s.must("read Stripe's answer", json.Unmarshal(body, &v))
	return v
}

// AuthoriseAtStripe is a sale whose intent is there and whose till sees no
// headquarters.
func (s *Store) AuthoriseAtStripe(amount int64) string {
	s.t.Helper()
	pi := s.AtStripe(http.MethodPost, "/v1/payment_intents", url.Values{"amount": {fmt.Sprint(amount)}, "currency": {"usd"},
		"capture_method": {"manual"}, "payment_method_types[]": {"card_present"}})["id"].(string)
	reader := s.sys.Readers()[0]
	s.AtStripe(http.MethodPost, "/v1/terminal/readers/"+reader+"/process_payment_intent", form("payment_intent", pi))
	s.AtStripe(http.MethodPost, "/v1/test_helpers/terminal/readers/"+reader+"/present_payment_method", nil)
	return pi
}

func (s *Store) must(step string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", step, err)
	}
}

// keepsNoSecrets fails when anything the store logged, at any level, holds a key,
// a credential, a connection token or a client secret.
func (s *Store) keepsNoSecrets() {
	logged := s.log.String()
	for name, secret := range map[string]string{
		"the account's key": s.sys.StripeKey, "the till's credential": s.sys.POSCredential,
		"a connection token": "pst_test_", "a live one": "pst_live_", "a live restricted key": "rk_live_", "a client secret": "_secret_", "a restricted key": "rk_test_", "a webhook secret": "whsec_",
	} {
		if i := strings.Index(logged, secret); secret != "" && i >= 0 {
			s.t.Errorf("the log holds %s: …%s…", name, logged[max(0, i-120):min(len(logged), i+20)])
		}
	}
}

// journal keeps what was logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

// String is all of it.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// Answer is what a till got.
type Answer struct {
	Status int
	Body   string
	Header http.Header
}

// JSON decodes the body.
func (a Answer) JSON(into any) error {
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		return fmt.Errorf("decode %d %q: %w", a.Status, a.Body, err)
	}
	return nil
}

// request is one request with a bounded wait.
func request(ctx context.Context, method, address string, header http.Header, body string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Answer{Status: resp.StatusCode, Body: string(b), Header: resp.Header}, err
}

// CutStripeAfter cuts the line to Stripe as soon as something has come to pass.
func (s *Store) CutStripeAfter(happened func() bool) {
	watching, stop := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for watching.Err() == nil {
			if happened() {
				s.CutStripe()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	s.t.Cleanup(func() { stop(); <-done })
}

func form(key, value string) url.Values { return url.Values{key: {value}} }
