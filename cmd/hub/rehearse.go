package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"storehub/hub"
	"storehub/internal/cli"
	"storehub/internal/rehearsal"
)

type rehearseCmd struct {
	Currency string `default:"usd" placeholder:"usd" help:"Currency of the test payments: that of the store's country."`
	Format   string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is what it does.
func (rehearseCmd) Help() string {
	return `The running hub plays a till's day with Stripe's test cards on a simulated reader, through
headquarters and Stripe's test mode: accepted, declined in each way, interrupted and resumed
with the same payment, captured, cancelled, refunded. It says what the cashier is told. No
money is left on any payment afterwards, also when it is ended in the middle: the next one
cleans up. A live store rehearses in test mode beside its sales, once headquarters knows its
test Location (hq store configure --test-location). What it proves counts for the checklist for 90 days.

Exit: 0 every scene passed, 1 one did not, 2 wrong usage, 3 could not run.

Example:

  hub rehearse --currency eur`
}

// Run has the hub rehearse and shows each scene as it goes.
func (c *rehearseCmd) Run(a *app) error {
	report, err := a.scenes(c.Format, func(ctx context.Context, admin *hub.Admin, tell func(rehearsal.Result)) (rehearsal.Report, error) {
		return admin.Rehearse(ctx, hub.RehearseRequest{Currency: strings.ToLower(c.Currency)}, tell)
	})
	switch {
	case errors.Is(err, context.Canceled):
		return cli.CouldNot("what it left is cleaned up by the hub, at the latest before the next one", "rehearse: ended by hand")
	case err != nil:
		return err
	}
	return a.showPlayed(c.Format, report)
}

// scenes has the running hub play and shows each scene as it goes, until a signal.
func (a *app) scenes(format string, play func(context.Context, *hub.Admin, func(rehearsal.Result)) (rehearsal.Report, error)) (rehearsal.Report, error) {
	admin, err := a.dial()
	if err != nil {
		return rehearsal.Report{}, err
	}
	ctx, stop := signal.NotifyContext(a.ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	tell := func(r rehearsal.Result) { writeScene(a.stdout, r) }
	if format == "json" {
		tell = nil
	}
	return play(ctx, admin, tell)
}

// showPlayed ends what was played: whole, or with something wrong.
func (a *app) showPlayed(format string, report rehearsal.Report) error {
	write := writeRehearsal
	if format == "json" {
		write = func(w io.Writer, r rehearsal.Report) error { return writeJSON(w, r) }
	}
	if err := write(a.stdout, report); err != nil {
		return err
	}
	if !report.Whole() {
		return cli.SomethingWrong
	}
	return nil
}

func writeScene(w io.Writer, r rehearsal.Result) {
	fmt.Fprintf(w, "%-8s%-13s%s\n", r.State, r.Scene, r.Says)
	if r.Detail != "" {
		fmt.Fprintf(w, "%21s%s\n", "", r.Detail)
	}
	for _, words := range r.Words {
		fmt.Fprintf(w, "%21s%q\n", "", words)
	}
}

func writeRehearsal(w io.Writer, report rehearsal.Report) error {
	n, took := map[rehearsal.State]int{}, int64(0)
	for _, r := range report.Results {
		n[r.State]++
		took += r.TookMS
	}
	_, err := fmt.Fprintf(w, "\n%d scenes passed, %d failed, %d could not be told, in %s\n",
		n[rehearsal.Pass], n[rehearsal.Fail], n[rehearsal.Unknown], (time.Duration(took) * time.Millisecond).Round(100*time.Millisecond))
	return err
}
