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
	At           string        `placeholder:"TIME" xor:"past" help:"Say what was wrong then: 14:30, \"yesterday 14:30\", RFC 3339."`
	Since        string        `placeholder:"TIME" xor:"past" help:"Say what was wrong since then: 2h, 3d, 14:30."`
}

// Help is the exit codes and examples.
func (diagnoseCmd) Help() string {
	return `Needs no configuration, no hub and no rights; it says what more it could tell with them.
A running hub adds what it knows of its queue, its readers and headquarters, since when a
cause stands and how often it did in the last day.

--at and --since ask the history that a serving hub keeps for 14 days. They probe nothing and
need no running hub. Times are those of this machine's clock; the answer names the zone.

Exit: 0 no warning or critical cause, 1 at least one, 2 wrong usage, 3 could not run, or
nobody watched then.

Examples:

  hub diagnose
  hub diagnose --format html --output report.html
  hub diagnose --save-facts facts.json
  hub diagnose --offline-facts facts.json --format json
  hub diagnose --at "yesterday 14:30"
  hub diagnose --since 2h`
}

// Run observes, judges and reports.
func (c *diagnoseCmd) Run(a *app) error {
	if c.Timeout <= 0 {
		return cli.Usage("hub diagnose --timeout 15s", "read arguments: --timeout %s is not more than nothing", c.Timeout)
	}
	if c.OfflineFacts != "" && c.SaveFacts != "" {
		return cli.Usage("save facts when you observe, judge them later", "read arguments: --save-facts and --offline-facts exclude each other")
	}
	if c.At != "" || c.Since != "" {
		if c.OfflineFacts != "" || c.Since != "" && c.SaveFacts != "" {
			return cli.Usage("one moment has facts: hub diagnose --at 14:30 --save-facts FILE", "read arguments: --at, --since, --offline-facts and --save-facts do not go together like this")
		}
		return c.past(a)
	}
	input, past, err := c.input(a)
	if err != nil {
		return err
	}
	if c.SaveFacts != "" {
		if err := saveFacts(c.SaveFacts, input); err != nil {
			return err
		}
	}
	report := diagnostics.Diagnose(input)
	remember(&report, past)
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

// saveFacts writes what was observed. Names of the shop's machines are nobody
// else's business.
func saveFacts(file string, in diagnostics.Input) error {
	var b bytes.Buffer
	if err := diagnostics.SaveFacts(&b, in); err != nil {
		return fmt.Errorf("save facts: %w", err)
	}
	return replaceFile(file, b.Bytes(), 0o600)
}

// input is everything that can be known, and what the running hub remembers of
// its causes.
func (c *diagnoseCmd) input(a *app) (diagnostics.Input, memory, error) {
	if c.OfflineFacts != "" {
		in, err := c.offline(a)
		return in, memory{}, err
	}
	cfg, err := a.loadIfThere()
	if err != nil {
		return diagnostics.Input{}, memory{}, err
	}
	if cfg, err = cfg.WithPolicy(); err != nil {
		fmt.Fprintf(a.stderr, "hub: %v; checks.workday holds instead\n", err)
	}
	ctx, stop := signal.NotifyContext(a.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()

	facts, past := askHub(ctx, a, cfg)
	progress, done := a.progress()
	report := netcheck.Run(ctx, targets(cfg, facts, progress))
	done()
	return diagnosisInput(cfg, facts, report), past, nil
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

// memory is what a running hub remembers of its causes, by code.
type memory struct {
	since   map[string]time.Time
	lastDay map[string]diagnostics.Recurrence
}

// askHub asks the running hub, if there is one. A hub that does not answer is
// no reason not to look: on a bad day it may be the one in trouble.
func askHub(ctx context.Context, a *app, cfg hub.Config) (hub.Facts, memory) {
	admin, err := hub.DialAdmin(cfg.StateDir)
	if errors.Is(err, hub.ErrNotRunning) {
		return hub.Facts{}, memory{}
	}
	var facts hub.Facts
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it has all of it at hand
		defer cancel()
		if facts, err = admin.Facts(ctx); err == nil {
			return facts, rememberedBy(ctx, admin)
		}
	}
	fmt.Fprintf(a.stderr, "hub: the running hub's own facts are missing: %v\n", err)
	if errors.Is(err, os.ErrPermission) {
		fmt.Fprintln(a.stderr, "hint: run this as root, or as the hub's user")
	}
	return hub.Facts{}, memory{}
}

func rememberedBy(ctx context.Context, admin *hub.Admin) memory {
	m := memory{map[string]time.Time{}, map[string]diagnostics.Recurrence{}}
	if d, err := admin.Diagnosis(ctx); err == nil {
		for _, cause := range d.Causes {
			m.since[cause.Code] = cause.Since
		}
	}
	now := time.Now()
	if h, err := admin.History(ctx, now.Add(-24*time.Hour), now); err == nil {
		for _, past := range h.Causes {
			if past.LastDay != nil {
				m.lastDay[past.Code] = *past.LastDay
			}
		}
	}
	return m
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

// remember lets a cause begin when the running hub first saw it, and says how
// often it saw it.
func remember(r *diagnostics.Report, m memory) {
	for i := range r.Causes {
		c := &r.Causes[i]
		if t := m.since[c.Code]; !t.IsZero() && t.Before(c.Since) {
			c.Since = t
		}
		if often, ok := m.lastDay[c.Code]; ok {
			c.LastDay = &often
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
	return c.put(a, b.Bytes())
}

func (c *diagnoseCmd) put(a *app, report []byte) error {
	if c.Output != "" {
		return replaceFile(c.Output, report, 0o644)
	}
	_, err := a.stdout.Write(report)
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
