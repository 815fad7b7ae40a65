package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/internal/service"
	"storehub/internal/try"
)

type tryCmd struct {
	Listen    string `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"The hub's address."`
	StateDir  string `placeholder:"DIR" help:"Keep everything there across a restart; without it nothing is kept."`
	ReadyFile string `placeholder:"FILE" help:"Write the addresses there, as JSON, when it is up."`
	Verbose   bool   `help:"Log what the parts do."`
}

// Help is an example.
func (tryCmd) Help() string {
	return `No account and no internet is needed: nothing outside this machine is connected to.

Example:

  hub try --state-dir ./try --ready-file ready.json`
}

// tryReady is what --ready-file holds, for ever: scripts read it.
type tryReady struct {
	HubURL        string `json:"hub_url"`
	POSURL        string `json:"pos_url"`
	ConsoleURL    string `json:"console_url"`
	MetricsURL    string `json:"metrics_url"`
	HQURL         string `json:"hq_url"`
	StripeURL     string `json:"stripe_url"`
	StripeKey     string `json:"stripe_key"`
	ConfigFile    string `json:"config_file"`
	POSCredential string `json:"pos_credential"`
	HQConsoleURL  string `json:"hq_console_url"`
}

// Run runs everything until a signal.
func (c *tryCmd) Run(a *app) error {
	said := io.Discard
	if c.Verbose {
		said = a.stderr
	}
	log := slog.New(slog.NewTextHandler(said, nil))
	slog.SetDefault(log)
	return service.Run(a.ctx, "storehub-try", func(ctx context.Context, ready func(string)) (err error) {
		tail := &logTail{} // the hub's own log, for its console
		defer tail.Close()
		furnish := func(cfg *hub.Config, p *hub.Parts) {
			if tail.path == "" {
				tail.begin(cfg.StateDir)
			}
			p.Log = slog.New(slog.NewTextHandler(io.MultiWriter(tail, said), nil))
			p.Components = true
			p.Bundle = consoleBundle(*cfg, filepath.Join(filepath.Dir(cfg.StateDir), "hub.yaml"))
		}
		s, err := try.Start(ctx, try.Options{Listen: c.Listen, StateDir: c.StateDir, Log: log, Version: buildinfo.Version(), Hub: furnish})
		if ctx.Err() != nil {
			return nil // asked to end before it was up
		}
		if err != nil {
			return fmt.Errorf("try the system: %w", err)
		}
		defer func() {
			if e := s.Close(); err == nil {
				err = e
			}
		}()
		people, err := s.HQLink(ctx)
		if err != nil {
			return fmt.Errorf("try the system: %w", err)
		}
		if err := c.announce(a.stdout, s, people); err != nil {
			return err
		}
		ready("trying the system at " + s.HubURL)
		<-ctx.Done()
		return nil
	})
}

// announce tells people and scripts where everything is.
func (c *tryCmd) announce(w io.Writer, s *try.System, people string) error {
	if c.ReadyFile != "" {
		b, err := json.MarshalIndent(tryReady{
			HubURL: s.HubURL, POSURL: s.POSURL, ConsoleURL: s.ConsoleURL, MetricsURL: s.MetricsURL,
			HQURL: s.HQURL, StripeURL: s.StripeURL, StripeKey: s.StripeKey,
			ConfigFile: s.ConfigFile, POSCredential: s.POSCredential, HQConsoleURL: people,
		}, "", "  ")
		if err != nil {
			return err
		}
		if err := replaceFile(c.ReadyFile, append(b, '\n'), 0o600); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, `Store Hub is up, with a Stripe sandbox, headquarters and three simulated readers.

  console   %s
  HQ's      %s  (once, within ten minutes)
  pos_url   %s
  till      %s/_try/till/

Three things to try:

  1  curl -X POST %s/connection_token
  2  hub diagnose --config %s
  3  cut the line to headquarters, then look at the console and at /v1/status:
     curl -X POST %s/_try/internet/cut      (and mend it: …/_try/internet/mend)

Ctrl-C ends it.
`, s.ConsoleURL, people, s.POSURL, s.StripeURL, "$pos_url", s.ConfigFile, s.StripeURL)
	return err
}
