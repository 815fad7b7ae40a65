// Package try is the whole system on one machine: a Stripe sandbox, headquarters,
// a hub and three simulated readers, each on a loopback port of its own, joined
// by cables that a hand can cut. `hub try` shows it to people, the stories in
// internal/storesim test it.
package try

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hub"
	"storehub/internal/freeport"
	"storehub/internal/sandbox"
)

// Options tell Start what is not the default. The zero value is good.
type Options struct {
	Listen   string       // the hub's address; "" and 127.0.0.1:0 are a free port
	StateDir string       // kept across a restart; "": a temporary one, removed by Close
	Log      *slog.Logger // nil: nothing is logged
	Version  string
	Mirror   func(*http.Request, []byte) // see sandbox.Options
	// Live makes the store one of live mode, of which nothing is real, with a test mode
	// beside it: its Location is there for rehearsals, if Rehearses.
	Live, Rehearses bool
	// What tests start the parts with instead of the default; nil: the default.
	Hub func(*hub.Config, *hub.Parts)
	HQ  func(*hq.Options)
}

// System is a running system. The cables are the hands on it.
type System struct {
	HubURL, POSURL, ConsoleURL, MetricsURL string
	HQURL, StripeURL, StripeKey            string
	ConfigFile, POSCredential              string

	Sandbox  *sandbox.Sandbox
	TestMode *sandbox.Sandbox // of the same account as a live Sandbox; nil: that is of test mode itself
	Internet *Cable           // hub <-> headquarters
	Stripe   *Cable           // headquarters <-> Stripe

	o         Options
	dir       string
	temporary bool
	account   account
	secrets   secrets

	testLocation string

	mu     sync.Mutex // guards following
	hq     *running
	server *hq.Server
	hub    *running
	daemon *hub.Hub
	closed bool

	dead atomic.Bool            // the hub's power is cut
	bug  atomic.Pointer[string] // the payment on which headquarters breaks; nil: none

	hqListen, hubListen string // chosen at the first start, kept ever after
	sandboxServer       *http.Server
	sandboxDone         chan struct{}
}

// running is a part that runs until its context is cancelled.
type running struct {
	stop context.CancelFunc
	done chan error
}

// end stops the part and waits for it.
func (r *running) end() error {
	if r == nil {
		return nil
	}
	r.stop()
	return <-r.done
}

// store is the one shop of the system.
const store = "0001"

// Start brings everything up: when it returns, the hub answers and has polled its
// readers once.
func Start(ctx context.Context, o Options) (_ *System, err error) {
	if o.Listen == "" || o.Listen == "127.0.0.1:0" {
		if o.Listen, err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &System{o: o, dir: o.StateDir}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "storehub-try-"); err != nil {
			return nil, fmt.Errorf("make state directory: %w", err)
		}
		s.temporary = true
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return nil, fmt.Errorf("find state directory %q: %w", o.StateDir, err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	if s.secrets, err = loadSecrets(filepath.Join(s.dir, "secrets.json"), s.mode()); err != nil {
		return nil, err
	}
	if err := s.startSandbox(); err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	if s.account, err = openAccount(ctx, s.StripeURL, s.StripeKey); err != nil {
		return nil, fmt.Errorf("furnish sandbox: %w", err)
	}
	if err := s.findTestLocation(ctx); err != nil {
		return nil, fmt.Errorf("furnish test mode: %w", err)
	}
	if err := s.BootHQ(); err != nil {
		return nil, err
	}
	if err := s.enrolOnce(ctx); err != nil {
		return nil, fmt.Errorf("enrol store: %w", err)
	}
	if err := s.BootHub(ctx); err != nil {
		return nil, err
	}
	if err := s.pair(); err != nil {
		return nil, fmt.Errorf("pair till: %w", err)
	}
	return s, nil
}

// startSandbox serves Stripe. Its webhooks go to headquarters' address, which is
// chosen here, before headquarters listens.
func (s *System) startSandbox() error {
	var err error
	if s.hqListen, err = freeport.Address(); err != nil {
		return err
	}
	s.Sandbox, err = sandbox.New(sandbox.Options{
		Live:          s.o.Live,
		SecretKey:     s.secrets.SecretKey,
		RestrictedKey: s.secrets.RestrictedKey,
		WebhookURL:    "http://" + s.hqListen + "/stripe/webhook",
		WebhookSecret: s.secrets.WebhookSecret,
		Log:           s.o.Log.With("part", "sandbox"),
		Mirror:        s.o.Mirror,
		StateFile:     filepath.Join(s.dir, "stripe.json"),
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.StripeURL = "http://" + ln.Addr().String()
	s.StripeKey = s.secrets.SecretKey
	if s.Stripe, err = NewCable(ln.Addr().String()); err != nil {
		return err
	}
	if s.Internet, err = NewCable(s.hqListen); err != nil {
		return err
	}
	mux := http.NewServeMux()
	if err := s.openTestMode(); err != nil {
		return err
	}
	mux.Handle("/", s.byMode())
	mux.Handle("/_try/", s.hands())
	mux.Handle("/_try/till/", s.till())
	s.sandboxServer = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.sandboxDone = make(chan struct{})
	go func() {
		defer close(s.sandboxDone)
		if err := s.sandboxServer.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.o.Log.Error("serve sandbox", "err", err)
		}
	}()
	return nil
}

func (s *System) credential() string { return filepath.Join(s.dir, "hq.credential") }

// configure writes hub.yaml.
func (s *System) configure(listen string) error {
	s.ConfigFile = filepath.Join(s.dir, "hub.yaml")
	text := fmt.Sprintf(`# Written by hub try at each start.
store: %q
state_dir: %q
listen: %q
hq:
  url: %q
  credential_file: %q
mdns: "off"
api:
  origins: ["http://localhost:3000", %q]
checks:
  every: "off"
`, store, s.hubDir(), listen, "http://"+s.Internet.Addr(), s.credential(), s.StripeURL)
	return writeSecret(s.ConfigFile, []byte(text))
}

func (s *System) hubDir() string { return filepath.Join(s.dir, "hub") }

// Doors is what the hub that runs answers its tills with.
func (s *System) Doors() doors.Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.daemon
}

// BootHub starts the hub on its directory, after PowerCut for instance, at the
// address it had before.
func (s *System) BootHub(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	listen := s.hubListen
	if listen == "" {
		listen = s.o.Listen
	}
	if err := s.configure(listen); err != nil {
		return fmt.Errorf("configure hub: %w", err)
	}
	f, err := os.Open(s.ConfigFile)
	if err != nil {
		return fmt.Errorf("configure hub: %w", err)
	}
	defer f.Close()
	cfg, err := hub.ParseConfig(f, s.ConfigFile)
	if err != nil {
		return err
	}
	s.dead.Store(false)
	parts := hub.Parts{Log: s.o.Log.With("part", "hub"), Version: s.o.Version, Fault: s.fault}
	if s.o.Hub != nil {
		s.o.Hub(&cfg, &parts)
	}
	h, err := hub.New(cfg, parts)
	if err != nil {
		return fmt.Errorf("open hub: %w", err)
	}
	running := &running{done: make(chan error, 1)}
	var run context.Context
	run, running.stop = context.WithCancel(context.Background())
	ready := make(chan hub.Addr, 1)
	go func() { running.done <- h.Run(run, func(a hub.Addr) { ready <- a }) }()
	select {
	case a := <-ready:
		s.hub = running
		s.daemon = h
		s.HubURL = a.URL
		s.MetricsURL = a.Metrics
		s.ConsoleURL = h.ConsoleLink(a.URL)
		_, s.hubListen, _ = strings.Cut(s.HubURL, "://")
		return s.configure(s.hubListen) // commands that read the file find this address
	case err := <-running.done:
		return fmt.Errorf("run hub: %w", err)
	case <-ctx.Done():
		_ = running.end() // it was never ready: its end says nothing
		return ctx.Err()
	}
}

// pair gives the till its credential, once: it survives a restart.
func (s *System) pair() error {
	if s.secrets.Till == "" {
		credential, err := s.daemon.Pair("Demo till", doors.ScopeManager, s.mode())
		if err != nil {
			return err
		}
		s.secrets.Till = credential
		if err := s.secrets.save(filepath.Join(s.dir, "secrets.json")); err != nil {
			return err
		}
	}
	s.POSCredential = s.secrets.Till
	s.POSURL = s.HubURL + "/pos/" + s.POSCredential
	return nil
}

// StopHub ends the hub as a service manager would.
func (s *System) StopHub() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.hub
	s.hub, s.daemon = nil, nil
	return r.end()
}

// PowerCut takes the hub away in mid-step: what its disk holds at this moment is
// all that the next BootHub finds. Nothing is flushed or closed on its behalf.
func (s *System) PowerCut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// From here on nothing the hub does leaves it or reaches its disk, so nothing more
	// is promised or sent; then the disk is copied as it is, and the old hub may end
	// in the directory that no one will read again.
	line := s.Internet.set(cut)
	defer s.Internet.set(line)
	s.dead.Store(true)
	kept := s.hubDir() + ".kept"
	if err := copyStill(kept, s.hubDir()); err != nil {
		return fmt.Errorf("copy disk: %w", err)
	}
	r := s.hub
	s.hub, s.daemon = nil, nil
	if err := r.end(); err != nil {
		s.o.Log.Debug("the hub that lost its power ended", "err", err)
	}
	if err := os.RemoveAll(s.hubDir()); err != nil {
		return err
	}
	return os.Rename(kept, s.hubDir())
}

// errNoPower is what every durable step of a hub ends with once its power is cut.
var errNoPower = errors.New("the power is cut")

func (s *System) fault(string) error {
	if s.dead.Load() {
		return errNoPower
	}
	return nil
}

// Close ends everything and, when the state was temporary, removes it.
func (s *System) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	errs := []error{s.StopHub(), s.StopHQ()}
	for _, c := range []*Cable{s.Internet, s.Stripe} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	if s.sandboxServer != nil {
		errs = append(errs, s.sandboxServer.Close())
		<-s.sandboxDone
	}
	for _, mode := range []*sandbox.Sandbox{s.Sandbox, s.TestMode} {
		if mode != nil {
			errs = append(errs, mode.Close())
		}
	}
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
