package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"storehub/hq"
	"storehub/hub"
	"storehub/internal/cli"
)

type queueImportCmd struct {
	File     string `arg:"" help:"What hub queue export sealed."`
	Identity string `required:"" placeholder:"FILE" help:"The recipient's age identity (AGE-SECRET-KEY-…)."`
	Format   string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is what it promises.
func (queueImportCmd) Help() string {
	return `For a hub that replaces another: takes in what the other one promised and could not deliver, as if
it had been promised here. Operations keep their names, so each is done once, also when it is
imported twice, here and at headquarters, or when the other hub comes back and delivers it too.

The running hub is asked; when none runs, its disk is written, also before its first start.

Exit: 0 all of it is on this hub's disk, 1 some operations were refused and are named, 2 wrong file,
identity or store, 3 could not run: what was taken in before stays, import it again.

Example:

  age-keygen -o key.txt                                          # on this machine
  hub queue export --to age1… --output 0412.age                  # from the other one's disk
  hub queue import --identity key.txt 0412.age`
}

// Run takes it in.
func (c *queueImportCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	e, err := unseal(c.File, c.Identity)
	if err != nil {
		return err
	}
	var n hub.Imported
	admin, notRunning := hub.DialAdmin(cfg.StateDir)
	switch {
	case notRunning == nil:
		n, err = admin.Import(a.ctx, e)
	case errors.Is(notRunning, hub.ErrNotRunning):
		if n, err = hub.ImportStored(a.ctx, cfg, e); errors.Is(err, fs.ErrNotExist) {
			err = notRunning // there is no state directory either
		}
	default:
		err = notRunning
	}
	if err != nil {
		return err
	}
	if c.Format == "json" {
		err = writeJSON(a.stdout, n)
	} else {
		for _, r := range n.Refused {
			if _, err := fmt.Fprintf(a.stdout, "REFUSED  %s: %s: %s\n", printable(r.ID), r.Code, printable(r.Message)); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(a.stdout, "store %s: %d operations taken in, %d were known\n", n.Store, n.New, n.Known)
	}
	if err == nil && len(n.Refused) > 0 {
		err = cli.SomethingWrong
	}
	return err
}

// unseal opens an export with an identity of its recipient.
func unseal(file, identity string) (hq.Export, error) {
	sealed, err := os.Open(file)
	if err != nil {
		return hq.Export{}, cli.Usage("", "%w", err)
	}
	defer sealed.Close()
	key, err := os.Open(identity)
	if err != nil {
		return hq.Export{}, cli.Usage("", "%w", err)
	}
	defer key.Close()
	e, err := hq.Unseal(sealed, key)
	if err != nil {
		return e, cli.Usage("it is opened with the identity whose recipient was given to `hub queue export --to`", "%w", err)
	}
	return e, nil
}
