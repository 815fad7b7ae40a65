package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"storehub/diagnostics"
	"storehub/hub"
	"storehub/internal/cli"
	"storehub/netcheck"
)

type checklistCmd struct {
	Action string `arg:"" optional:"" enum:"verify," default:"" placeholder:"verify" help:"verify: check a signed checklist; nobody is asked."`
	File   string `arg:"" optional:"" placeholder:"FILE" help:"What to verify."`
	Signed bool   `help:"State it as one line of JSON that the hub and headquarters sign."`
	HQKey  string `placeholder:"HEX" name:"hq-key" help:"Headquarters' key, for verify; the one that the hub here knows unless given."`
	Format string `enum:"text,json,html,pdf" default:"text" help:"text, json, html or pdf."`
	Output string `placeholder:"FILE" help:"Write it there instead of to the terminal."`
	Attest string `placeholder:"ITEM" and:"attest" help:"Sign an item off that no machine can see."`
	By     string `placeholder:"NAME" and:"attest" help:"Who signs it off."`
	Note   string `placeholder:"TEXT" and:"attest" help:"What was seen or agreed."`
	Since  string `placeholder:"WHEN" help:"What has changed since then: 30d, 2026-10-27 09:00."`
	Until  string `placeholder:"YYYY-MM-DD" help:"The sign-off's last day; a year from now if left out."`
}

// Help is the exit codes.
func (checklistCmd) Help() string {
	return `The running hub answers with what it has seen; without one, what can be checked from
here is checked, and the rest is said to be unknown.

Exit: 0 no item fails, 1 at least one does, 2 wrong usage, 3 could not run.

Examples:

  hub checklist
  hub checklist --since 30d
  hub checklist --format html --output checklist.html
  hub checklist --format pdf --output checklist.pdf
  hub checklist --signed --output checklist-0412.json
  hub checklist verify checklist-0412.json
  hub checklist --attest sdk --by "J. Doe" --note "all lanes on SDK 5.2" --until 2027-06-30`
}

// Run asks the running hub, or looks by itself.
func (c *checklistCmd) Run(a *app) error {
	if c.Action == "verify" {
		return c.verify(a)
	}
	until, err := c.until()
	if err != nil {
		return err
	}
	if c.Since != "" {
		return c.difference(a)
	}
	if c.Signed {
		return c.signed(a)
	}
	if c.Attest != "" {
		admin, err := a.dial()
		if err != nil {
			return err
		}
		if err := admin.Attest(a.ctx, hub.Attestation{Item: c.Attest, By: c.By, Note: c.Note, Until: until}); err != nil {
			return err
		}
	}
	cfg, err := a.loadIfThere()
	if err != nil {
		return err
	}
	items, err := c.items(a, cfg)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	switch c.Format {
	case "json":
		err = writeJSON(&b, hub.Checklist{Items: items})
	case "html":
		err = diagnostics.WriteChecklistHTML(&b, items)
	case "pdf":
		err = diagnostics.WriteChecklistPDF(&b, cfg.Store, time.Now(), items)
	default:
		err = diagnostics.WriteChecklistText(&b, items, diagnostics.TextOptions{Width: a.width(), Color: c.Output == "" && a.colour()})
	}
	if err != nil {
		return fmt.Errorf("write checklist: %w", err)
	}
	if c.Output != "" {
		err = replaceFile(c.Output, b.Bytes(), 0o644)
	} else {
		_, err = b.WriteTo(a.stdout)
	}
	if err == nil && slices.ContainsFunc(items, func(i diagnostics.Item) bool { return i.State == diagnostics.ItemFail }) {
		return cli.SomethingWrong
	}
	return err
}

// difference says what has changed, by the running hub or its disk.
func (c *checklistCmd) difference(a *app) error {
	const example = "hub checklist --since 30d"
	if c.Attest != "" || c.Signed || c.Format != "text" && c.Format != "json" {
		return cli.Usage(example, "read arguments: --since goes with --format text or json, and --output")
	}
	from, err := since(c.Since, time.Now(), example)
	if err != nil {
		return err
	}
	cfg, err := a.loadIfThere()
	if err != nil {
		return err
	}
	var d diagnostics.ChecklistDiff
	admin, err := hub.DialAdmin(cfg.StateDir)
	switch {
	case err == nil:
		d, err = admin.ChecklistSince(a.ctx, from)
	case errors.Is(err, hub.ErrNotRunning):
		d, err = hub.ChecklistPast(cfg.StateDir, from, time.Now())
	}
	if errors.Is(err, hub.ErrNoHistory) {
		return cli.CouldNot("a hub that serves keeps 400 days; name its file with --config", "%w", err)
	}
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if c.Format == "json" {
		err = writeJSON(&b, d)
	} else {
		err = diagnostics.WriteChecklistDiffText(&b, d, diagnostics.TextOptions{Width: a.width(), Color: c.Output == "" && a.colour()})
	}
	if err != nil {
		return fmt.Errorf("write checklist: %w", err)
	}
	if c.Output != "" {
		return replaceFile(c.Output, b.Bytes(), 0o644)
	}
	_, err = b.WriteTo(a.stdout)
	return err
}

// until is the end of the day that the sign-off counts to; zero: none was given.
func (c *checklistCmd) until() (time.Time, error) {
	if c.Until == "" {
		return time.Time{}, nil
	}
	const example = `hub checklist --attest sdk --by "J. Doe" --note "all lanes on SDK 5.2" --until 2027-06-30`
	if c.Attest == "" {
		return time.Time{}, cli.Usage(example, "read arguments: --until needs --attest")
	}
	day, err := time.ParseInLocation(time.DateOnly, c.Until, time.Local)
	if err != nil {
		return time.Time{}, cli.Usage(example, "read arguments: --until %q is no day such as 2027-06-30", c.Until)
	}
	return day.AddDate(0, 0, 1), nil
}

func (c *checklistCmd) items(a *app, cfg hub.Config) ([]diagnostics.Item, error) {
	ctx, stop := signal.NotifyContext(a.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	admin, err := hub.DialAdmin(cfg.StateDir)
	if err == nil {
		list, err := admin.Checklist(ctx)
		return list.Items, err
	}
	if !errors.Is(err, hub.ErrNotRunning) {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	progress, done := a.progress()
	net := netcheck.Run(ctx, targets(cfg, hub.Facts{}, progress))
	done()
	report := diagnostics.Diagnose(diagnosisInput(cfg, hub.Facts{}, net))
	return diagnostics.Checklist(diagnostics.ChecklistInput{
		At: net.Started, Integration: cfg.Checks.Integration, Report: &report, Location: cfg.HQ.Location,
	}), nil
}
