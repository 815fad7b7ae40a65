package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"storehub/doors"
	"storehub/hub"
)

type queueCmd struct {
	List    queueListCmd    `cmd:"" help:"List operations, newest first."`
	Show    queueShowCmd    `cmd:"" help:"Show one operation whole."`
	Verify  queueVerifyCmd  `cmd:"" help:"Prove that nothing was lost, here and at headquarters."`
	Export  queueExportCmd  `cmd:"" help:"Seal what is open, to carry it to headquarters by hand."`
	Import  queueImportCmd  `cmd:"" help:"Take in what another hub of this store sealed."`
	Retry   queueRetryCmd   `cmd:"" help:"Have a parked operation offered to headquarters again."`
	Resolve queueResolveCmd `cmd:"" help:"Settle that money failed or was undone."`
}

type queueListCmd struct {
	State  string `enum:",pending,accepted,succeeded,failed" default:"" placeholder:"STATE" help:"Only pending, accepted, succeeded or failed ones."`
	Limit  int    `default:"100" help:"At most so many."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is an example.
func (queueListCmd) Help() string {
	return "pending: on this disk; accepted: at headquarters; then succeeded or failed. A parked one is refused by headquarters, " +
		"which takes others: it and its ref wait for `hub queue retry`.\n\nExample:\n\n  hub queue list --state pending"
}

// Run lists what the running hub holds.
func (c *queueListCmd) Run(a *app) error {
	list, err := a.operations(func(o doors.Operation) bool { return c.State == "" || string(o.State) == c.State }, c.Limit,
		func(admin *hub.Admin) ([]doors.Operation, error) {
			return admin.Operations(a.ctx, doors.State(c.State), c.Limit)
		})
	if err != nil {
		return err
	}
	if c.Format == "json" {
		if list == nil {
			list = []doors.Operation{}
		}
		return writeJSON(a.stdout, map[string]any{"operations": list})
	}
	var rows [][]string
	for _, o := range list {
		state, reason := string(o.State), o.Reason
		if o.Parked != nil {
			state, reason = state+", parked", o.Parked.Reason
		}
		rows = append(rows, []string{o.ID, string(o.Kind), o.Ref, amount(o), o.Till, state, reason, moment(o.CreatedAt)})
	}
	return table(a.stdout, []string{"ID", "KIND", "REF", "AMOUNT", "TILL", "STATE", "REASON", "SINCE"}, rows)
}

type queueShowCmd struct {
	ID     string `arg:"" help:"The operation's id (op_…)."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is an example.
func (queueShowCmd) Help() string { return "Example:\n\n  hub queue show op_3fk2…" }

// Run shows one operation.
func (c *queueShowCmd) Run(a *app) error {
	found, err := a.operations(func(o doors.Operation) bool { return o.ID == c.ID }, 1, func(admin *hub.Admin) ([]doors.Operation, error) {
		o, err := admin.Operation(a.ctx, c.ID)
		return []doors.Operation{o}, err
	})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return doors.ErrNotFound.With("no operation %s on this disk", c.ID)
	}
	o := found[0]
	if c.Format == "json" {
		return writeJSON(a.stdout, o)
	}
	rows := [][]string{
		{"kind", string(o.Kind)}, {"ref", o.Ref}, {"amount", amount(o)}, {"till", o.Till}, {"mode", string(o.Mode)},
		{"created", moment(o.CreatedAt)}, {"state", string(o.State)}, {"reason", o.Reason}, {"message", o.Message},
	}
	if o.Deadline != nil {
		rows = append(rows, []string{"deadline", moment(*o.Deadline)})
	}
	if o.Unknown != nil {
		rows = append(rows, []string{"unknown", fmt.Sprintf("%s; next look %s", o.Unknown.Reason, moment(o.Unknown.NextLook))})
	}
	if o.Parked != nil {
		rows = append(rows, []string{"parked", fmt.Sprintf("since %s: %s: %s", moment(o.Parked.Since), o.Parked.Reason, o.Parked.Message)})
	}
	for _, n := range o.Notes {
		rows = append(rows, []string{n.Deed, fmt.Sprintf("%s by %s: %s", moment(n.At), n.By, n.Text)})
	}
	for _, extra := range []struct {
		name string
		raw  []byte
	}{{"data", o.Data}, {"result", o.Result}, {"reversal", o.Reversal}} {
		if len(extra.raw) > 0 {
			rows = append(rows, []string{extra.name, string(extra.raw)})
		}
	}
	return table(a.stdout, []string{"id", o.ID}, rows)
}

// operations asks the running hub; when none runs, it reads the disk.
func (a *app) operations(wanted func(doors.Operation) bool, limit int, ask func(*hub.Admin) ([]doors.Operation, error)) ([]doors.Operation, error) {
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	admin, notRunning := hub.DialAdmin(c.StateDir)
	if !errors.Is(notRunning, hub.ErrNotRunning) {
		if notRunning != nil {
			return nil, notRunning
		}
		return ask(admin)
	}
	var list []doors.Operation
	for o, err := range hub.ReadQueue(c) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, notRunning // there is no queue either
		case err != nil:
			return nil, err
		case len(list) == limit:
			return list, nil
		case wanted(o):
			list = append(list, o)
		}
	}
	return list, nil
}

// amount is in the currency's own digits; no amount means all of it.
func amount(o doors.Operation) string {
	switch {
	case !o.Kind.Money() || o.Kind == doors.Cancel:
		return ""
	case o.Amount == nil:
		return "all"
	case o.Currency == "":
		return strconv.FormatInt(*o.Amount, 10) + " minor units"
	}
	return doors.Format(*o.Amount, o.Currency)
}
