package main

import (
	"fmt"
	"os"

	"storehub/hq"
	"storehub/internal/cli"
)

type storeImportCmd struct {
	whoFlag
	File     string `arg:"" help:"What hub queue export sealed."`
	Identity string `required:"" placeholder:"FILE" help:"The recipient's age identity (AGE-SECRET-KEY-…)."`
	Format   string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is what it promises.
func (storeImportCmd) Help() string {
	return `Records what a shop's hub could not send, as if it had. Each operation is done once, also when
it is imported twice or the hub delivers it too. Works while headquarters runs.

Example:

  hq store import --identity key.txt 0412.age`
}

// Run records the operations on the database itself.
func (c *storeImportCmd) Run(a *app) (err error) {
	sealed, err := os.Open(c.File)
	if err != nil {
		return cli.Usage("", "%w", err)
	}
	defer sealed.Close()
	identity, err := os.Open(c.Identity)
	if err != nil {
		return cli.Usage("", "%w", err)
	}
	defer identity.Close()
	e, err := hq.Unseal(sealed, identity)
	if err != nil {
		return cli.Usage("", "%w", err)
	}
	var n hq.Imported
	err = a.withStores("hq store list", func(s *hq.Server) (err error) {
		n, err = s.Import(c.acting(a.ctx), e)
		return err
	})
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, n)
	}
	_, err = fmt.Fprintf(a.stdout, "store %s: %d operations recorded, %d were known\n", e.Store, n.New, n.Known)
	return err
}
