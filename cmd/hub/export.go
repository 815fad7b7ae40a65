package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"storehub/hq"
	"storehub/hub"
	"storehub/internal/cli"
)

type queueExportCmd struct {
	To     string `required:"" placeholder:"age1…" help:"Who can open it: headquarters' age recipient."`
	Output string `placeholder:"FILE" help:"Write there instead of to standard output."`
}

// Help is how it goes on.
func (queueExportCmd) Help() string {
	return `For a shop whose line stays down, or whose hub is damaged: everything without an end is sealed
for one recipient (made with age-keygen), carried by hand, and taken in at headquarters with
"hq store import". What the hub delivers too, before or after, is done once: ids are the same.

The running hub is asked; when none runs, a copy of its disk is read, damaged or not.

Example:

  hub queue export --to age1… --output /media/stick/0412.age`
}

// Run seals what is open.
func (c *queueExportCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	var e hq.Export
	admin, notRunning := hub.DialAdmin(cfg.StateDir)
	switch {
	case notRunning == nil:
		e, err = admin.Export(a.ctx)
	case errors.Is(notRunning, hub.ErrNotRunning):
		if e, err = hub.ExportStored(cfg); errors.Is(err, fs.ErrNotExist) {
			err = notRunning // there is no queue either
		}
	default:
		err = notRunning
	}
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	if err := hq.Seal(&sealed, e, c.To); err != nil {
		return cli.Usage("make a key pair with age-keygen and give its public half", "%w", err)
	}
	if c.Output == "" {
		_, err := a.stdout.Write(sealed.Bytes())
		return err
	}
	if err := replaceFile(c.Output, sealed.Bytes(), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%d operations are sealed in %s\n", len(e.Operations), c.Output)
	return err
}
