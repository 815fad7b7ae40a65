package main

import (
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
)

// manCmd is for the packages, which ship the page.
type manCmd struct{}

// Run writes the manual page.
func (manCmd) Run(a *app) error { return cli.Man(a.stdout, a.model, buildinfo.Version()) }
