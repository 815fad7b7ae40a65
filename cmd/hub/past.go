package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/hub"
	"storehub/internal/cli"
)

// past answers --at and --since: not what is wrong, but what was.
func (c *diagnoseCmd) past(a *app) error {
	from, to, err := c.period(time.Now())
	if err != nil {
		return err
	}
	cfg, err := a.loadIfThere()
	if err != nil {
		return err
	}
	h, err := pastOf(a.ctx, cfg.StateDir, from, to)
	if errors.Is(err, hub.ErrNoHistory) {
		return cli.CouldNot("a hub that serves keeps 14 days; name its file with --config", "%w", err)
	}
	if err != nil {
		return err
	}
	if c.SaveFacts != "" {
		in, err := hub.PastFacts(cfg.StateDir, to)
		if err != nil {
			return err
		}
		if err := saveFacts(c.SaveFacts, in); err != nil {
			return err
		}
	}
	if err := c.writePast(a, h); err != nil {
		return err
	}
	if h.Verdict == diagnostics.Unwatched {
		return &cli.Failure{Code: cli.ExitCouldNot} // the report has said why
	}
	for _, cause := range h.Causes {
		if cause.Severity != diagnostics.Info {
			return cli.SomethingWrong
		}
	}
	return nil
}

// pastOf asks the hub that runs on the directory, or reads the directory.
func pastOf(ctx context.Context, stateDir string, from, to time.Time) (diagnostics.History, error) {
	admin, err := hub.DialAdmin(stateDir)
	if errors.Is(err, hub.ErrNotRunning) {
		return hub.Past(stateDir, from, to, time.Now())
	}
	if err != nil {
		return diagnostics.History{}, err
	}
	return admin.History(ctx, from, to)
}

// period is the time asked for. Both ends are the same for one moment.
func (c *diagnoseCmd) period(now time.Time) (from, to time.Time, err error) {
	if c.At != "" {
		at, err := parseTime(c.At, now)
		if err != nil {
			return at, at, cli.Usage("hub diagnose --at 14:30", "read arguments: --at %w", err)
		}
		return at, at, nil
	}
	from, err = since(c.Since, now, "hub diagnose --since 2h")
	return from, now, err
}

// since reads how long ago, or when.
func since(s string, now time.Time, example string) (time.Time, error) {
	if d, ok := parseAgo(s); ok {
		return now.Add(-d), nil
	}
	from, err := parseTime(s, now)
	if err != nil {
		return from, cli.Usage(example, "read arguments: --since %w", err)
	}
	return from, nil
}

// parseAgo reads a duration: Go's, or days.
func parseAgo(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n > 0 && n < 1000
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d > 0
}

// parseTime reads a time as people say it, in the zone of now: RFC 3339, 14:30
// (the last one that has been), yesterday 14:30, 2026-11-26 14:30.
func parseTime(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return passed(s, t, now)
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return passed(s, t, now)
		}
	}
	word, rest, two := strings.Cut(s, " ")
	if !two {
		word, rest = "", s
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		clock, err := time.Parse(layout, strings.TrimSpace(rest))
		if err != nil {
			continue
		}
		on := func(days int) time.Time {
			return time.Date(now.Year(), now.Month(), now.Day()+days, clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		}
		switch word {
		case "yesterday":
			return on(-1), nil
		case "today":
			return passed(s, on(0), now)
		case "":
			if on(0).After(now) {
				return on(-1), nil
			}
			return on(0), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; say 14:30, \"yesterday 14:30\", \"2026-11-26 14:30\" or 2026-11-26T14:30:00+01:00", s)
}

func passed(s string, t, now time.Time) (time.Time, error) {
	if t.After(now) {
		return t, fmt.Errorf("%q has not been yet", s)
	}
	return t, nil
}

// writePast renders the history where it was asked for, with times as this
// machine's clock shows them.
func (c *diagnoseCmd) writePast(a *app, h diagnostics.History) error {
	var b bytes.Buffer
	var err error
	switch c.Format {
	case "json":
		err = writeJSON(&b, h)
	case "html":
		err = diagnostics.WriteHistoryHTML(&b, h, time.Local)
	default:
		err = diagnostics.WriteHistoryText(&b, h, diagnostics.TextOptions{Width: a.width(), Color: c.Output == "" && a.colour(), Zone: time.Local})
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return c.put(a, b.Bytes())
}
