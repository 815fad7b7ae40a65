package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"storehub/hub"
	"storehub/internal/cli"
	"storehub/internal/rehearsal"
)

type drillCmd struct {
	For         time.Duration `default:"1m" placeholder:"1m" help:"How long the line stays cut: 5s to 30m."`
	By          string        `placeholder:"NAME" help:"Who holds the drill."`
	DryRun      bool          `help:"Say what would be done, and whether it may be done now. Nothing is cut."`
	DuringSales bool          `help:"Also while a live store sells: customers wait for the time of the drill."`
	Format      string        `enum:"text,json" default:"text" help:"text or json."`
}

// Help is what it does.
func (drillCmd) Help() string {
	return `The running hub cuts its own line to headquarters for a while and looks at what happens: tills
are told so, a token is refused at once, what is promised is on the disk, the hub can still
be opened, every till in use calls and is answered. Then the line is whole again, and what
waited is delivered. Let somebody try to sell meanwhile. Readers keep their own line.

The line is mended when the command is ended, when the time is up, and when the hub is
killed: nothing but the running process knows that it was cut. A live store where a till
has called in the last 15 minutes is left alone, unless --during-sales. What the drill
proves counts for the checklist for 90 days.

Exit: 0 everything happened as it must, 1 something did not, 2 wrong usage, 3 could not run.

Examples:

  hub drill --dry-run
  hub drill --for 3m --by Kim`
}

// Run has the hub hold the drill and shows each scene as it goes.
func (c *drillCmd) Run(a *app) error {
	if c.By == "" && !c.DryRun {
		return cli.Usage("hub drill --by NAME", "hold drill: who holds it is not said")
	}
	report, err := a.scenes(c.Format, func(ctx context.Context, admin *hub.Admin, tell func(rehearsal.Result)) (rehearsal.Report, error) {
		if c.Format == "text" && !c.DryRun && isTerminal(a.stdout) {
			fmt.Fprintf(a.stdout, "The line to headquarters is cut for %s. Try to sell now. Ctrl-C mends it.\n\n", c.For)
		}
		return admin.Drill(ctx, hub.DrillRequest{Seconds: int(c.For.Seconds()), By: c.By, DryRun: c.DryRun, DuringSales: c.DuringSales}, tell)
	})
	switch {
	case errors.Is(err, context.Canceled):
		return cli.CouldNot("the line is whole again", "hold drill: ended by hand")
	case err != nil:
		return err
	case !c.DryRun:
		return a.showPlayed(c.Format, report)
	case c.Format == "json":
		return writeJSON(a.stdout, report)
	}
	_, err = fmt.Fprintf(a.stdout, "\nIt may be held now: hub drill --for %s --by NAME\n", c.For)
	return err
}
