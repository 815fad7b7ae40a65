package try

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"storehub/hq"
	"storehub/hq/console"
	"storehub/hq/stripeapi"
	"storehub/hub"
)

// BootHQ starts headquarters on its database, after CutHQ for instance.
func (s *System) BootHQ() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	api, err := stripeapi.New(stripeapi.Options{
		Key:     stripeapi.Key(s.secrets.RestrictedKey),
		BaseURL: "http://" + s.Stripe.Addr(),
	})
	if err != nil {
		return fmt.Errorf("open stripe: %w", err)
	}
	keys, err := hq.ReadPersonalKeys(filepath.Join(s.dir, "personal.key"), true)
	if err != nil {
		return fmt.Errorf("open headquarters: %w", err)
	}
	o := hq.Options{
		PersonalKeys:  keys,
		Database:      "sqlite:" + filepath.Join(s.dir, "hq.db"),
		Stripe:        api,
		WebhookSecret: s.webhookSecrets(),
		PublicURL:     "http://" + s.hqListen,
		Log:           s.o.Log.With("part", "hq"),
		Version:       s.o.Version,
		Now:           s.Sandbox.Now, // headquarters lives on the sandbox's clock
		ReadBudget:    1 << 40,       // a sandbox rations nothing
		Origins:       []string{s.StripeURL},
	}
	if s.TestMode != nil {
		if o.TestStripe, err = stripeapi.New(stripeapi.Options{Key: stripeapi.Key(s.TestMode.RestrictedKey()), BaseURL: "http://" + s.Stripe.Addr()}); err != nil {
			return fmt.Errorf("open stripe: %w", err)
		}
	}
	if s.o.HQ != nil {
		s.o.HQ(&o)
	}
	server, err := hq.NewServer(o)
	if err != nil {
		return fmt.Errorf("open headquarters: %w", err)
	}
	people, err := console.New(console.Options{Server: server, PublicURL: o.PublicURL, Log: o.Log, Now: o.Now})
	if err != nil {
		return fmt.Errorf("open headquarters' console: %w", errors.Join(err, server.Close()))
	}
	ln, err := net.Listen("tcp", s.hqListen)
	if err != nil {
		server.Close()
		return fmt.Errorf("listen for headquarters: %w", err)
	}
	s.HQURL = "http://" + s.hqListen
	s.server = server
	ctx, stop := context.WithCancel(context.Background())
	part := &running{stop: stop, done: make(chan error, 1)}
	s.hq = part
	web := &http.Server{Handler: people.Beside(s.breaking(server.Handler())), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		worked := make(chan error, 1)
		go func() { worked <- server.Run(ctx) }()
		served := make(chan struct{})
		go func() {
			defer close(served)
			if err := web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				s.o.Log.Error("serve headquarters", "err", err)
			}
		}()
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			people.Run(ctx)
		}()
		<-ctx.Done()
		<-looked // the streams of open pages have ended
		server.EndPolls()
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if web.Shutdown(closing) != nil {
			web.Close()
		}
		<-served
		err := <-worked
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		part.done <- errors.Join(err, server.Close())
	}()
	return nil
}

// HQLink makes a one-time way into headquarters' console, for whoever tries the system.
func (s *System) HQLink(ctx context.Context) (string, error) {
	server := s.Headquarters()
	if server == nil {
		return "", errors.New("make link: headquarters does not run")
	}
	code, _, err := server.InviteOperator(ctx, hq.Operator{Who: "whoever tries it", Role: hq.RoleOperator})
	if err != nil {
		return "", err
	}
	return console.Link(s.HQURL, code), nil
}

// StopHQ ends headquarters and keeps its database.
func (s *System) StopHQ() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.hq
	s.hq, s.server = nil, nil
	return r.end()
}

// enrolOnce enrols the store at the first start; its hub keeps the credential.
func (s *System) enrolOnce(ctx context.Context) error {
	_, err := os.Stat(s.credential())
	if errors.Is(err, os.ErrNotExist) {
		return s.Enrol(ctx)
	}
	return err
}

// Enrol makes the store known to headquarters, or asks it for another code, and puts a
// new credential where the next BootHub finds it, as for a hub that replaces another
// (docs/operations.md). The one before ends.
func (s *System) Enrol(ctx context.Context) error {
	code, err := s.Code(ctx)
	if err != nil {
		return err
	}
	c := &hq.Client{URL: s.HQURL, Version: s.o.Version}
	// This machine's, so that `hub serve` may go on with the same configuration.
	got, err := c.Enrol(ctx, hq.EnrolRequest{Code: code, Fingerprint: hub.Fingerprint(), Version: s.o.Version})
	if err != nil {
		return err
	}
	return writeSecret(s.credential(), []byte(got.Credential+"\n"))
}

// Code is what enrols a hub of the store, once. Headquarters is at [System.Internet].
func (s *System) Code(ctx context.Context) (string, error) {
	code, _, err := s.server.AddStore(ctx, hq.Store{ID: store, Location: s.account.Location, Mode: s.mode(),
		Name: "Demo shop", TimeZone: "UTC", DayEnds: "04:00"})
	if err == nil && s.o.Rehearses {
		err = s.server.ConfigureStore(ctx, store, hq.Change{TestLocation: &s.testLocation})
	}
	return code, err
}

// Headquarters is the server that runs; nil: none does.
func (s *System) Headquarters() *hq.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}
