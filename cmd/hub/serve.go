package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
	"storehub/internal/service"
)

// serviceName is that of the installed service.
const serviceName = "storehub"

type serveCmd struct{}

// Help is what ends it.
func (serveCmd) Help() string {
	return `Runs until SIGINT or SIGTERM; the second signal ends it at once.

Exit: 0 ended as asked, 2 wrong configuration, 3 could not run.

Example:

  hub serve --config /etc/storehub/hub.yaml`
}

// Run runs the hub as what this machine has.
func (*serveCmd) Run(a *app) error {
	return service.Run(a.ctx, serviceName, func(ctx context.Context, ready func(string)) error {
		cfg, err := a.load()
		if err != nil {
			return err
		}
		if err := cfg.Complete(); err != nil {
			return cli.Usage("`hub config check` says what else is missing", "%s: %w", a.configFile(), err)
		}
		tail := openLogTail(cfg.StateDir)
		defer tail.Close()
		log := logger(cfg.Log, io.MultiWriter(tail, a.stderr))
		log = slog.New(service.WithEvents(ctx, log.Handler(), hubEvents()))
		slog.SetDefault(log)
		parts := hub.Parts{Log: log, Version: buildinfo.Version(), Machine: hub.Fingerprint(), Bundle: consoleBundle(cfg, a.configFile())}
		if err = serve(ctx, cfg, parts, ready); err != nil {
			hub.TellUnable(ctx, cfg, parts, err)
		}
		return err
	})
}

// serve runs the hub of a configuration, with headquarters beside it if the configuration wants that.
func serve(ctx context.Context, cfg hub.Config, parts hub.Parts, ready func(string)) (err error) {
	var office *headquarters
	if cfg.HQ.Embedded {
		if office, err = embed(ctx, cfg, parts.Log); err != nil {
			return err
		}
		defer func() {
			if e := office.server.Close(); err == nil {
				err = e
			}
		}()
		parts.HQ = office.client
	}
	h, err := hub.New(cfg, parts)
	if err != nil {
		return err
	}
	tasks, ctx := errgroup.WithContext(ctx)
	if office != nil {
		tasks.Go(func() error {
			if err := office.server.Run(ctx); ctx.Err() == nil {
				return fmt.Errorf("run headquarters: %w", err)
			}
			return nil
		})
	}
	tasks.Go(func() error {
		for {
			select {
			case <-service.Resumed(ctx):
				h.Look()
			case <-ctx.Done():
				return nil
			}
		}
	})
	tasks.Go(func() error {
		return h.Run(ctx, func(at hub.Addr) {
			parts.Log.Info("hub is ready", "version", parts.Version, "store", cfg.Store, "url", at.URL, "metrics", at.Metrics)
			ready(fmt.Sprintf("serving store %s at %s", cfg.Store, at.URL))
		})
	})
	return tasks.Wait()
}

// logger writes as the configuration says.
func logger(c hub.LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the parser has let nothing else through
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
