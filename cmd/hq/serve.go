package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/hq"
	"storehub/hq/acme"
	"storehub/hq/console"
	"storehub/hq/postgres"
	"storehub/hq/stripeapi"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
	"storehub/internal/service"
)

// stopWithin is how long requests that are being answered have when the program
// is asked to stop.
const stopWithin = 3 * time.Second

type serveCmd struct{}

// Help is an example.
func (serveCmd) Help() string {
	return "Runs until a signal; the second signal ends at once.\n\nExample:\n\n  hq serve --config /etc/storehub/hq.yaml"
}

// Run serves until the system asks for the end.
func (*serveCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	log := logger(cfg.Log, a.stderr)
	o, err := options(cfg, log)
	if err != nil {
		return err
	}
	if o.PersonalKeys, err = cfg.PersonalKeys(true); err != nil {
		return cli.Usage("personal.key_file: 64 hexadecimal digits a line, mode 0600", "%w", err)
	}
	if o.PersonalKeys == nil {
		log.Warn("e-mail addresses and other receipt data are not kept: there is no personal.key_file")
	}
	if o.Engine, err = engine(a.ctx, cfg, log); err != nil {
		return err
	}
	if o.Authority, err = authority(cfg.ACME); err != nil {
		return err
	}
	return service.Run(a.ctx, "storehub-hq", func(ctx context.Context, ready func(string)) error {
		return serve(ctx, cfg, o, ready)
	})
}

// engine reaches the database server, if the configuration names one.
func engine(ctx context.Context, cfg hq.Config, log *slog.Logger) (hq.Engine, error) {
	if !cfg.Shared() {
		return nil, nil
	}
	e, err := postgres.Open(ctx, cfg.Database, log)
	if err != nil {
		return nil, cli.CouldNot("does the server run, and may this user connect to it?", "%w", err)
	}
	return e, nil
}

// authority is who certifies hubs' public names, if anybody does.
func authority(c hq.ACMEConfig) (hq.Authority, error) {
	if c.Directory == "" {
		return nil, nil
	}
	a, err := acme.Open(c, buildinfo.Version())
	if err != nil {
		return nil, cli.Usage("docs/operations.md tells how the files are made", "%w", err)
	}
	return a, nil
}

// options reads the files that the configuration names.
func options(cfg hq.Config, log *slog.Logger) (hq.Options, error) {
	o := hq.Options{Database: cfg.Database, PublicURL: cfg.PublicURL, Origins: cfg.API.Origins, Log: log, Version: buildinfo.Version(), SharedStores: cfg.Fleet.SharedStores}
	if cfg.Shared() {
		if err := postgres.CheckURL(cfg.Database); err != nil {
			return o, cli.Usage("", "use database: %w", err)
		}
	}
	limit := stripeapi.Limit("key", cfg.Stripe.RatePerEndpoint)
	o.Limiters = []hq.Limiter{limit}
	live, err := stripeapi.New(stripeapi.Options{KeyFile: cfg.Stripe.APIKeyFile, BaseURL: cfg.Stripe.APIBase, Limit: limit.Wait})
	if err != nil {
		return o, cli.Usage("put the key alone into the file that stripe.api_key_file names, mode 0600", "%w", err)
	}
	o.Stripe = live
	if file := cfg.Stripe.Test.APIKeyFile; file != "" {
		limit := stripeapi.Limit("test key", cfg.Stripe.RatePerEndpoint)
		o.Limiters = append(o.Limiters, limit)
		test, err := stripeapi.New(stripeapi.Options{KeyFile: file, BaseURL: cfg.Stripe.APIBase, Limit: limit.Wait})
		if err != nil {
			return o, cli.Usage("", "%w", err)
		}
		if test.Mode() == live.Mode() {
			return o, cli.Usage("stripe.test.* stands beside a live key only", "use Stripe keys: both are of mode %s", live.Mode())
		}
		o.TestStripe = test
	}
	for _, file := range []string{cfg.Stripe.WebhookSecretFile, cfg.Stripe.Test.WebhookSecretFile} {
		if file == "" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return o, cli.Usage("", "read webhook secrets: %w", err)
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" {
				o.WebhookSecret = append(o.WebhookSecret, line)
			}
		}
	}
	return o, nil
}

// serve is the whole life of headquarters.
func serve(ctx context.Context, cfg hq.Config, o hq.Options, ready func(string)) (err error) {
	s, err := hq.NewServer(o)
	if err != nil {
		return err
	}
	people, err := console.New(console.Options{Server: s, PublicURL: cfg.PublicURL, Log: o.Log})
	if err != nil {
		return errors.Join(err, s.Close())
	}
	ln, err := listen(cfg)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	srv := &http.Server{
		Handler:           people.Beside(s.Handler()),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second, // a long poll takes up to 50 s
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(gctx) })
	g.Go(func() error { people.Run(gctx); return nil })
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		s.EndPolls()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(gctx), stopWithin)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			return srv.Close()
		}
		return nil
	})
	o.Log.Info("headquarters serves", "listen", ln.Addr().String(), "mode", o.Stripe.Mode(), "version", o.Version)
	ready("serving on " + ln.Addr().String())
	return errors.Join(g.Wait(), s.Close())
}

func listen(cfg hq.Config) (net.Listener, error) {
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, cli.CouldNot("is another headquarters running here?", "listen: %w", err)
	}
	if cfg.TLS.CertFile == "" {
		return ln, nil
	}
	cert, err := tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
	if err != nil {
		return nil, errors.Join(cli.Usage("", "read certificate: %w", err), ln.Close())
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), nil
}

func logger(c hq.LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(fmt.Sprintf("a log level passed the check: %v", err))
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
