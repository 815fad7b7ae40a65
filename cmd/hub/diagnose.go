package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"storehub/diagnostics"
	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
	"storehub/netcheck"
)

type diagnoseCmd struct {
	Format       string        `enum:"text,json,html" default:"text" help:"text, json or html."`
	Output       string        `placeholder:"FILE" help:"Write the report there instead of to the terminal."`
	Timeout      time.Duration `default:"15s" help:"Give up what has not answered by then."`
	OfflineFacts string        `placeholder:"FILE" help:"Ask nothing; judge the facts in FILE (- is standard input)."`
	SaveFacts    string        `placeholder:"FILE" help:"Write everything observed to FILE."`
}

// Help is the exit codes and examples.
func (diagnoseCmd) Help() string {
	return `Needs no configuration, no hub and no rights; it says what more it could tell with them.
A running hub adds what it knows of its queue, its readers and headquarters.

Exit: 0 no warning or critical cause, 1 at least one, 2 wrong usage, 3 could not run.

Examples:

  hub diagnose
  hub diagnose --format html --output report.html
  hub diagnose --save-facts facts.json
  hub diagnose --offline-facts facts.json --format json`
}

// Run observes, judges and reports.
func (c *diagnoseCmd) Run(a *app) error {
	if c.Timeout <= 0 {
		return cli.Usage("hub diagnose --timeout 15s", "read arguments: --timeout %s is not more than nothing", c.Timeout)
	}
	if c.OfflineFacts != "" && c.SaveFacts != "" {
		return cli.Usage("save facts when you observe, judge them later", "read arguments: --save-facts and --offline-facts exclude each other")
	}
	input, since, err := c.input(a)
	if err != nil {
		return err
	}
	if c.SaveFacts != "" {
		var b bytes.Buffer
		if err := diagnostics.SaveFacts(&b, input); err != nil {
			return fmt.Errorf("save facts: %w", err)
		}
		// Names of the shop's machines are nobody else's business.
		if err := replaceFile(c.SaveFacts, b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	report := diagnostics.Diagnose(input)
	remember(&report, since)
	if err := c.write(a, report); err != nil {
		return err
	}
	for _, cause := range report.Causes {
		if cause.Severity != diagnostics.Info {
			return cli.SomethingWrong
		}
	}
	return nil
}

// input is everything that can be known, and since when the running hub has seen
// its causes.
func (c *diagnoseCmd) input(a *app) (diagnostics.Input, map[string]time.Time, error) {
	if c.OfflineFacts != "" {
		in, err := c.offline(a)
		return in, nil, err
	}
	cfg, err := a.loadIfThere()
	if err != nil {
		return diagnostics.Input{}, nil, err
	}
	ctx, stop := signal.NotifyContext(a.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()

	facts, since := history(ctx, a, cfg)
	progress, done := a.progress()
	report := netcheck.Run(ctx, targets(cfg, facts, progress))
	done()
	return diagnosisInput(cfg, facts, report), since, nil
}

// diagnosisInput is what the network says beside what the running hub knows.
func diagnosisInput(cfg hub.Config, facts hub.Facts, net netcheck.Report) diagnostics.Input {
	return diagnostics.Input{
		At:          net.Started,
		Store:       cfg.Store,
		Version:     buildinfo.Version(),
		Integration: cfg.Checks.Integration,
		Workday:     cfg.Checks.Workday,
		Net:         &net,
		Queue:       facts.Queue,
		Readers:     facts.Readers,
		Hub:         facts.Hub,
	}
}

func (c *diagnoseCmd) offline(a *app) (diagnostics.Input, error) {
	from := a.stdin
	if c.OfflineFacts != "-" {
		f, err := os.Open(c.OfflineFacts)
		if err != nil {
			return diagnostics.Input{}, fmt.Errorf("read facts: %w", err)
		}
		defer f.Close()
		from = f
	}
	in, err := diagnostics.LoadFacts(from)
	if err != nil {
		return in, cli.CouldNot("make such a file with `hub diagnose --save-facts FILE`", "judge %s: %w", c.OfflineFacts, err)
	}
	return in, nil
}

// loadIfThere reads the configuration, or takes the defaults where nobody named a
// file and there is none.
func (a *app) loadIfThere() (hub.Config, error) {
	if a.config == "" {
		if _, err := os.Stat(defaultConfig()); errors.Is(err, os.ErrNotExist) {
			return hub.DefaultConfig(), nil
		}
	}
	return a.load()
}

// history asks the running hub, if there is one. A hub that does not answer is
// no reason not to look: on a bad day it may be the one in trouble.
func history(ctx context.Context, a *app, cfg hub.Config) (hub.Facts, map[string]time.Time) {
	admin, err := hub.DialAdmin(cfg.StateDir)
	if errors.Is(err, hub.ErrNotRunning) {
		return hub.Facts{}, nil
	}
	var facts hub.Facts
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it has all of it in memory
		defer cancel()
		if facts, err = admin.Facts(ctx); err == nil {
			since := map[string]time.Time{}
			if d, err := admin.Diagnosis(ctx); err == nil {
				for _, cause := range d.Causes {
					since[cause.Code] = cause.Since
				}
			}
			return facts, since
		}
	}
	fmt.Fprintf(a.stderr, "hub: the running hub's own facts are missing: %v\n", err)
	if errors.Is(err, os.ErrPermission) {
		fmt.Fprintln(a.stderr, "hint: run this as root, or as the hub's user")
	}
	return hub.Facts{}, nil
}

// targets is what to ask.
func targets(cfg hub.Config, facts hub.Facts, progress func(netcheck.Result)) netcheck.Targets {
	t := netcheck.Targets{
		Readers:    cfg.Checks.Readers,
		Endpoints:  cfg.Checks.Endpoints,
		HQ:         cfg.HQ.URL,
		HQCAFile:   cfg.HQ.CAFile,
		RangesFile: cfg.Checks.IPRangesFile,
		StateDir:   cfg.StateDir,
		Workday:    cfg.Checks.Workday,
		Progress:   progress,
	}
	for _, r := range facts.Readers {
		if r.Probeable() {
			t.Readers = append(t.Readers, r.Addr.String())
		}
	}
	return t
}

// remember lets a cause begin when the running hub first saw it.
func remember(r *diagnostics.Report, since map[string]time.Time) {
	for i := range r.Causes {
		if t := since[r.Causes[i].Code]; !t.IsZero() && t.Before(r.Causes[i].Since) {
			r.Causes[i].Since = t
		}
	}
}

// write renders the report where it was asked for.
func (c *diagnoseCmd) write(a *app, r diagnostics.Report) error {
	var b bytes.Buffer
	var err error
	switch c.Format {
	case "json":
		err = writeJSON(&b, r)
	case "html":
		err = diagnostics.WriteHTML(&b, r)
	default:
		err = diagnostics.WriteText(&b, r, diagnostics.TextOptions{Width: a.width(), Color: c.Output == "" && a.colour()})
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if c.Output != "" {
		return replaceFile(c.Output, b.Bytes(), 0o644)
	}
	_, err = b.WriteTo(a.stdout)
	return err
}

// progress shows on a terminal which answer came last, until done wipes it away;
// elsewhere it is nil.
func (a *app) progress() (show func(netcheck.Result), done func()) {
	if !isTerminal(a.stderr) || os.Getenv("TERM") == "dumb" {
		return nil, func() {}
	}
	const wipe = "\r\033[K"
	var mu sync.Mutex
	show = func(r netcheck.Result) {
		mu.Lock()
		defer mu.Unlock()
		line := "checked " + printable(r.Name)
		_, _ = io.WriteString(a.stderr, wipe+line[:min(len(line), 70)])
	}
	return show, func() { _, _ = io.WriteString(a.stderr, wipe) }
}
