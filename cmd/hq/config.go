package main

import (
	"fmt"
	"io"

	"storehub/hq"
	"storehub/internal/cli"
)

type configCmd struct {
	Init  configInitCmd  `cmd:"" help:"Write the default file, every key explained."`
	Check configCheckCmd `cmd:"" help:"Say whether the file is right."`

	Diff  configDiffCmd  `cmd:"" help:"Compare what readers are told by Stripe's Configuration with what is wanted."`
	Apply configApplyCmd `cmd:"" help:"Have readers told what is wanted."`
}

type configInitCmd struct {
	Print bool `help:"Print it instead."`
}

// Help is an example.
func (configInitCmd) Help() string {
	return "An existing file is left alone.\n\nExamples:\n\n  hq config init\n  hq config init --print"
}

// Run writes or prints the default file.
func (c *configInitCmd) Run(a *app) error {
	if c.Print {
		_, err := io.WriteString(a.stdout, hq.DefaultConfigText)
		return err
	}
	file := a.configFile()
	if err := cli.MakeConfig(file, hq.DefaultConfigText); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%s written\nnext: put the Stripe key into the file it names, then `hq store add`\n", file)
	return err
}

type configCheckCmd struct{}

// Help is an example.
func (configCheckCmd) Help() string {
	return "Exit: 0 right, 2 wrong. Never prints a secret.\n\nExample:\n\n  hq config check --config ./hq.yaml"
}

// Run reads the file as `hq serve` would, and the files it names.
func (*configCheckCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	o, err := options(cfg, nil)
	if err != nil {
		return err
	}
	hooks := "events are asked for"
	if n := len(o.WebhookSecret); n > 0 {
		hooks = fmt.Sprintf("webhooks with %d secret(s)", n)
	}
	_, err = fmt.Fprintf(a.stdout, "%s is right: %s mode, listening on %s, %s\n", a.configFile(), o.Stripe.Mode(), cfg.Listen, hooks)
	return err
}
