package main

import "fmt"

type consoleCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is an example.
func (consoleCmd) Help() string {
	return "The link works once and for a few minutes; it signs a browser in.\n\nExample:\n\n  hub console"
}

// Run prints the link.
func (c *consoleCmd) Run(a *app) error {
	admin, err := a.dial()
	if err != nil {
		return err
	}
	link, err := admin.Console(a.ctx)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, link)
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n(once, until %s)\n", link.URL, moment(link.Expires))
	return err
}
