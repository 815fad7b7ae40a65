// Package sandbox is a stateful Stripe test mode over HTTP, with its faults.
//
// It keeps one account's objects, moves them as Stripe does, and keeps books of
// what really happened to the money, so that a test can tell what its own side
// believes from what is so. It answers from memory and connects to nothing but
// the address it is told to send webhooks to.
package sandbox

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options tell New what is not the default.
type Options struct {
	Live          bool         // play live mode; its keys are of that mode
	SecretKey     string       // sk_test_…, may do everything; "": one is made
	RestrictedKey string       // rk_test_…, may do what headquarters needs; "": one is made
	WebhookURL    string       // where events go; "": nowhere (they can still be listed)
	WebhookSecret string       // whsec_…; "": one is made
	WebhookClient *http.Client // nil: one of its own
	Log           *slog.Logger
	Seed          uint64                      // of ids; 0: random
	Mirror        func(*http.Request, []byte) // sees every API request with its body, before it is served; nil: none
	StateFile     string                      // the books are kept there across a restart; "": in memory only
	// OtherMode tells whether the account's other mode has the PaymentIntent id, which Stripe
	// says when it refuses it here. It must not ask this sandbox. nil: nobody knows.
	OtherMode func(id string) bool
}

// Sandbox is one mode of one Stripe account: test mode, or a live mode of which nothing
// is real. In live mode there are no simulated readers for a restricted
// key; the secret key is the hand of whoever sets up readers and holds cards to them.
type Sandbox struct {
	log    *slog.Logger
	mirror func(*http.Request, []byte)
	live   bool
	other  func(id string) bool

	mu        sync.Mutex
	st        state
	seed      uint64
	faults    []*Fault
	searchLag time.Duration
	due       time.Time // when settle has something to do

	hooks  *deliveries
	keeper *keeper
	closed chan struct{}
	once   sync.Once
}

// New makes an empty account, or the one that StateFile holds.
func New(o Options) (*Sandbox, error) {
	s := &Sandbox{log: o.Log, mirror: o.Mirror, seed: o.Seed, live: o.Live, other: o.OtherMode, closed: make(chan struct{})}
	for _, k := range []struct{ name, value, prefix string }{
		{"secret key", o.SecretKey, secretPrefix + s.mode()},
		{"restricted key", o.RestrictedKey, restrictedPrefix + s.mode()},
		{"webhook secret", o.WebhookSecret, webhookPrefix},
	} {
		if k.value != "" && !strings.HasPrefix(k.value, k.prefix) {
			return nil, fmt.Errorf("make sandbox: %s does not begin with %s", k.name, k.prefix)
		}
	}
	if o.Log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.seed == 0 {
		s.seed = randomSeed()
	}
	s.st = newState()
	if err := s.load(o.StateFile); err != nil {
		return nil, err
	}
	s.prepare(o)
	s.keeper = newKeeper(o.StateFile, s.snapshot, s.log)
	s.hooks = newDeliveries(o.WebhookClient, s.log, s.delivered)
	s.redeliver()
	return s, nil
}

// prepare gives the account what every account has: keys and a default configuration.
func (s *Sandbox) prepare(o Options) {
	k := &s.st.Keys
	k.Secret = firstOf(o.SecretKey, k.Secret, secretPrefix+s.mode()+s.random(24))
	k.Restricted = firstOf(o.RestrictedKey, k.Restricted, restrictedPrefix+s.mode()+s.random(24))
	k.Webhook = firstOf(o.WebhookSecret, k.Webhook, webhookPrefix+s.random(32))
	if o.WebhookURL != "" {
		s.st.WebhookURL = o.WebhookURL
	}
	s.configureEndpoint()
	if s.st.Account == "" {
		s.st.Account = "acct_1" + s.random(15)
		s.st.Configurations.add(&configuration{
			ID: s.id("tmc_", 14), Object: "terminal.configuration", IsAccountDefault: true, Livemode: s.live,
		})
	}
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// SecretKey is the key that may do everything.
func (s *Sandbox) SecretKey() string { return s.st.Keys.Secret }

// RestrictedKey is the key that may do what headquarters needs.
func (s *Sandbox) RestrictedKey() string { return s.st.Keys.Restricted }

// WebhookSecret signs what goes to the webhook URL of Options.
func (s *Sandbox) WebhookSecret() string { return s.st.Keys.Webhook }

// Account is the id of the account.
func (s *Sandbox) Account() string { return s.st.Account }

// SetWebhookURL says where events go from now on; "": nowhere.
func (s *Sandbox) SetWebhookURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.WebhookURL = url
	s.configureEndpoint()
	s.keeper.changed()
}

// Handler serves Stripe's API, and under /_sandbox/ a door for people who want
// to move the clock, inject faults and read the books.
func (s *Sandbox) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Close stops webhooks, frees hanging requests and writes StateFile. Requests
// that come later are cut.
func (s *Sandbox) Close() error {
	s.once.Do(func() { close(s.closed) })
	s.hooks.close()
	return s.keeper.close()
}

// Now is the account's clock; Advance moves it.
func (s *Sandbox) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// now is Now for those who hold mu.
func (s *Sandbox) now() time.Time { return time.Now().Add(s.st.Offset).UTC() }

// Advance moves the account's clock forward: keys are forgotten, authorisations
// lapse, refunds fail late. What falls due has happened when Advance returns.
func (s *Sandbox) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.Offset += max(d, 0)
	s.settle()
	s.keeper.changed()
}

// settle does what time has made due. It is called with mu held before each
// request, so nothing needs a timer.
func (s *Sandbox) settle() {
	now := s.now()
	if now.Before(s.due) {
		return
	}
	s.due = now.Add(time.Hour)
	for _, in := range s.st.Intents.list {
		if in.Status != statusRequiresCapture {
			continue
		}
		ch := s.chargeOf(in)
		if ch.lapsed(now) {
			s.lapse(in, ch)
			continue
		}
		s.dueBy(ch.captureBefore())
	}
	for _, re := range s.st.Refunds.list {
		if re.FailAt.IsZero() {
			continue
		}
		if !now.Before(re.FailAt) {
			s.failRefund(re)
			continue
		}
		s.dueBy(re.FailAt)
	}
	s.forgetKeys(now)
	s.forgetEvents(now)
}

// dueBy makes settle look again at a time.
func (s *Sandbox) dueBy(t time.Time) {
	if t.Before(s.due) {
		s.due = t
	}
}
