package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"storehub/doors"
	"storehub/hub"
)

// deedArgs say who does something about an operation, and why.
type deedArgs struct {
	ID     string `arg:"" help:"The operation's id (op_…)."`
	By     string `required:"" placeholder:"NAME" help:"Who does this."`
	Note   string `required:"" placeholder:"TEXT" help:"Why; kept with the operation."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

type queueRetryCmd struct{ deedArgs }

// Help is an example.
func (queueRetryCmd) Help() string {
	return `For an operation that is parked: headquarters took others and refused this one again and again,
so the hub stopped offering it, and what follows it under its ref. If it is refused again, it is
parked again.

Exit: 0 done, 1 no such operation, 2 it is not parked, 3 could not run.

Example:

  hub queue retry op_3fk2… --by 'J. Doe' --note 'headquarters was updated'`
}

// Run has it offered again.
func (c *queueRetryCmd) Run(a *app) error {
	return a.deed(c.deedArgs, "will be offered again", (*hub.Admin).Retry, hub.RetryStored)
}

type queueResolveCmd struct{ deedArgs }

// Help is an example.
func (queueResolveCmd) Help() string {
	return `Money that failed, or that was undone after it had succeeded, stays a finding until a person has
settled it: with the customer, in the Stripe Dashboard or in the books. This says who did and how.
It moves no money.

Exit: 0 done, 1 no such operation, 2 there is nothing to settle about it, 3 could not run.

Example:

  hub queue resolve op_3fk2… --by 'J. Doe' --note 'customer paid in cash'`
}

// Run settles it.
func (c *queueResolveCmd) Run(a *app) error {
	return a.deed(c.deedArgs, "is settled", (*hub.Admin).Resolve, hub.ResolveStored)
}

// deed is done by the running hub; when none runs, on the disk.
func (a *app) deed(d deedArgs, said string,
	ask func(*hub.Admin, context.Context, string, hub.Deed) (doors.Operation, error),
	stored func(context.Context, hub.Config, string, hub.Deed) (doors.Operation, error)) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	var o doors.Operation
	what := hub.Deed{By: d.By, Note: d.Note}
	admin, notRunning := hub.DialAdmin(c.StateDir)
	switch {
	case notRunning == nil:
		o, err = ask(admin, a.ctx, d.ID, what)
	case errors.Is(notRunning, hub.ErrNotRunning):
		if o, err = stored(a.ctx, c, d.ID, what); errors.Is(err, fs.ErrNotExist) {
			err = notRunning // there is no queue either
		}
	default:
		err = notRunning
	}
	if err != nil {
		return err
	}
	if d.Format == "json" {
		return writeJSON(a.stdout, o)
	}
	_, err = fmt.Fprintf(a.stdout, "%s (%s of %s) %s.\n", o.ID, o.Kind, printable(o.Ref), said)
	return err
}
