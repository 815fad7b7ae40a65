package main

import (
	"errors"
	"fmt"
	"os"

	"storehub/internal/cli"
	"storehub/internal/yamlfile"
)

// enrolFileKeys are those of a file that enrols a machine without a person: what a
// rollout by script puts on each shop's machine, and what the packages look for.
var enrolFileKeys = yamlfile.Keys[enrollCmd]{
	"hq":      yamlfile.Text(func(c *enrollCmd, s string) error { c.HQ = s; return nil }),
	"code":    yamlfile.Text(func(c *enrollCmd, s string) error { c.Code = s; return nil }),
	"ca_file": yamlfile.Path(func(c *enrollCmd) *string { return &c.CAFile }),
	"replace": yamlfile.Choice(func(c *enrollCmd, s string) { c.Replace = s == "yes" }, "yes", "no"),
}

// readFrom fills in what the file says; what the command line says goes first.
func (c *enrollCmd) readFrom() error {
	f, err := os.Open(c.From)
	if err != nil {
		return cli.Usage("", "read enrolment: %w", err)
	}
	defer f.Close()
	var said enrollCmd
	if err := enrolFileKeys.Read(f, c.From, &said, func(enrollCmd) (string, error) { return "", nil }); err != nil {
		return cli.Usage("its keys are hq, code, ca_file and replace", "%w", err)
	}
	for _, v := range []struct{ mine, said *string }{{&c.HQ, &said.HQ}, {&c.Code, &said.Code}, {&c.CAFile, &said.CAFile}} {
		if *v.mine == "" {
			*v.mine = *v.said
		}
	}
	c.Replace = c.Replace || said.Replace
	return nil
}

// used removes the file whose code has been traded: it is good for nothing any more.
func (c *enrollCmd) used() error {
	if c.From == "" {
		return nil
	}
	if err := os.Remove(c.From); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove enrolment file, whose code is used: %w", err)
	}
	return nil
}
