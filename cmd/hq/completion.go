package main

import "storehub/internal/cli"

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is how to use it.
func (completionCmd) Help() string {
	return `Examples:

  hq completion bash > /etc/bash_completion.d/hq
  hq completion zsh > "${fpath[1]}/_hq"
  hq completion fish > ~/.config/fish/completions/hq.fish`
}

// Run writes the script.
func (c *completionCmd) Run(a *app) error { return cli.Complete(a.stdout, a.model, c.Shell) }
