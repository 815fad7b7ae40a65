package main

import "storehub/internal/cli"

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is how to use it.
func (completionCmd) Help() string {
	return `Examples:

  hub completion bash > /etc/bash_completion.d/hub
  hub completion zsh > "${fpath[1]}/_hub"
  hub completion fish > ~/.config/fish/completions/hub.fish`
}

// Run writes the script.
func (c *completionCmd) Run(a *app) error { return cli.Complete(a.stdout, a.model, c.Shell) }
