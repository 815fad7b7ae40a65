package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/stripeapi"
	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
)

// headquarters in this process, for one shop alone.
type headquarters struct {
	server *hq.Server
	client *hq.Client
}

// embed opens headquarters on a database in the state directory and enrols this
// store with it. No port is opened.
func embed(ctx context.Context, cfg hub.Config, log *slog.Logger) (_ *headquarters, err error) {
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	stripe, err := restricted(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	o := hq.Options{
		Database: "sqlite:" + filepath.Join(cfg.StateDir, "hq.db"),
		Stripe:   stripe,
		Log:      log.With("part", "hq"),
		Version:  buildinfo.Version(),
	}
	if o.TestStripe, err = testStripe(cfg); err != nil {
		return nil, err
	}
	if o.PersonalKeys, err = hub.PersonalKeys(cfg); err != nil {
		return nil, err
	}
	for key, file := range map[string]string{"webhook_secret_file": cfg.HQ.Stripe.WebhookSecretFile, "test.webhook_secret_file": cfg.HQ.Stripe.TestWebhookFile} {
		if file == "" {
			continue
		}
		secrets, err := secretLines(file)
		if err != nil {
			return nil, cli.Usage("", "read hq.stripe.%s: %w", key, err)
		}
		o.WebhookSecret = append(o.WebhookSecret, secrets...)
	}
	server, err := hq.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("open embedded headquarters: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, server.Close())
		}
	}()
	client := &hq.Client{
		URL:     "http://headquarters", // the way there is in memory; the name does not matter
		HTTP:    &http.Client{Transport: hq.NewLocal(server)},
		Version: buildinfo.Version(),
	}
	file := filepath.Join(cfg.StateDir, "hq.credential")
	if err := enrolHere(ctx, cfg, server, client, stripe.Mode(), file); err != nil {
		return nil, err
	}
	if err := rehearseHere(ctx, cfg, server); err != nil {
		return nil, err
	}
	lines, err := secretLines(file)
	if err != nil {
		return nil, fmt.Errorf("read the store's credential: %w", err)
	}
	secret, key := hq.ParseCredential(strings.Join(lines, "\n"))
	client.Credential, client.Key = func() string { return secret }, func() ed25519.PrivateKey { return key }
	return &headquarters{server, client}, nil
}

// testStripe is where a live store rehearses; nil: there is no test key.
func testStripe(cfg hub.Config) (hq.Stripe, error) {
	if cfg.HQ.Stripe.TestAPIKeyFile == "" {
		return nil, nil
	}
	key, err := stripeapi.ReadKey(cfg.HQ.Stripe.TestAPIKeyFile)
	if err == nil {
		var mode doors.Mode
		if mode, err = key.Mode(); err == nil && mode != doors.Test {
			err = errors.New("it is a live key")
		}
	}
	if err != nil {
		return nil, cli.Usage("", "open embedded headquarters: hq.stripe.test.api_key_file: %w", err)
	}
	stripe, err := stripeapi.New(stripeapi.Options{Key: key, BaseURL: cfg.HQ.Stripe.APIBase})
	if err != nil {
		return nil, fmt.Errorf("open embedded headquarters: %w", err)
	}
	return stripe, nil
}

// enrolHere makes the store known to headquarters, once.
func enrolHere(ctx context.Context, cfg hub.Config, server *hq.Server, client *hq.Client, mode doors.Mode, file string) error {
	stores, err := server.Stores(ctx)
	if err != nil {
		return fmt.Errorf("list stores: %w", err)
	}
	for _, s := range stores {
		if s.ID == cfg.Store {
			if _, err := os.Stat(file); err == nil {
				return hub.RememberStore(cfg.StateDir, s.Store)
			}
		} else {
			return cli.Usage("an embedded headquarters is for one store; use another state_dir for another store",
				"open embedded headquarters: its ledger is that of store %q, not %q", s.ID, cfg.Store)
		}
	}
	code, _, err := server.AddStore(ctx, hq.Store{ID: cfg.Store, Location: cfg.HQ.Location, Mode: mode, TimeZone: timeZone(), DayEnds: "04:00"})
	if err != nil {
		return fmt.Errorf("add store to embedded headquarters: %w", err)
	}
	return enrol(ctx, client, code, true, cfg.StateDir, file, nil)
}

// rehearseHere keeps headquarters' record of the test Location as configured.
func rehearseHere(ctx context.Context, cfg hub.Config, server *hq.Server) error {
	stores, err := server.Stores(ctx)
	if err != nil {
		return fmt.Errorf("list stores: %w", err)
	}
	for _, s := range stores {
		if s.TestLocation == cfg.HQ.TestLocation {
			continue
		}
		if err := server.ConfigureStore(ctx, s.ID, hq.Change{TestLocation: &cfg.HQ.TestLocation}); err != nil {
			return cli.Usage("", "hq.test_location: %w", err)
		}
	}
	return nil
}

// keyHint is what to do about a key that may do too much.
const keyHint = "make a restricted key in Stripe's Dashboard (Developers, API keys) with Terminal, PaymentIntents, Charges and Refunds alone"

// restricted opens Stripe with the key of the configuration and makes sure that
// it may do no more than a shop needs: the box can be carried away.
func restricted(ctx context.Context, cfg hub.Config, log *slog.Logger) (hq.Stripe, error) {
	key, err := stripeapi.ReadKey(cfg.HQ.Stripe.APIKeyFile)
	if err != nil {
		return nil, cli.Usage(keyHint, "open embedded headquarters: hq.stripe.api_key_file: %w", err)
	}
	stripe, err := stripeapi.New(stripeapi.Options{Key: key, BaseURL: cfg.HQ.Stripe.APIBase})
	if err != nil {
		return nil, cli.Usage(keyHint, "open embedded headquarters: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	passed := filepath.Join(cfg.StateDir, "stripe-key.checked")
	err = stripe.Restricted(ctx)
	switch {
	case err == nil:
		return stripe, replaceFile(passed, []byte(checked(key)+"\n"), 0o600)
	case !silence(err):
		return nil, cli.Usage(keyHint, "open embedded headquarters: %w", err)
	}
	// After a power cut the shop must be able to start without internet. What is
	// not known about a key is let pass only for one that was looked at before.
	if b, e := os.ReadFile(passed); e != nil || strings.TrimSpace(string(b)) != checked(key) {
		return nil, cli.CouldNot("a new key needs Stripe to answer once", "open embedded headquarters: %w", err)
	}
	log.Warn("Stripe does not answer; its key was found to be restricted before", "err", err)
	return stripe, nil
}

// silence reports whether Stripe said nothing about the key: no answer, or one
// about troubles of its own.
func silence(err error) bool {
	var refusal *hq.StripeError
	if errors.As(err, &refusal) {
		return refusal.Status == http.StatusTooManyRequests || refusal.Status >= 500
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// secretLines reads a file of secrets, one a line, that only its owner may read.
func secretLines(file string) ([]string, error) {
	if err := checkFile(file, true); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range bytes.Lines(b) {
		if s := strings.TrimSpace(string(line)); s != "" {
			lines = append(lines, s)
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s is empty", file)
	}
	return lines, nil
}

// timeZone is this machine's, as IANA names it.
func timeZone() string {
	if b, err := os.ReadFile("/etc/timezone"); err == nil {
		if _, err := time.LoadLocation(strings.TrimSpace(string(b))); err == nil {
			return strings.TrimSpace(string(b))
		}
	}
	if link, err := os.Readlink("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(link, "zoneinfo/"); ok {
			if _, err := time.LoadLocation(name); err == nil {
				return name
			}
		}
	}
	return "UTC"
}

// checked is a key as it is remembered: not to be read from it.
func checked(key stripeapi.Key) string {
	sum := sha256.Sum256([]byte("storehub stripe key\x00" + string(key)))
	return hex.EncodeToString(sum[:])
}
