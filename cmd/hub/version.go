package main

import (
	"fmt"
	"runtime"

	"storehub/internal/buildinfo"
	"storehub/offlinequeue"
)

type versionCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is the example.
func (versionCmd) Help() string { return "Example:\n\n  hub version --format json" }

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	if c.Format == "json" {
		return writeJSON(a.stdout, map[string]any{
			"version": buildinfo.Version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
			"queue_format": offlinequeue.Format,
		})
	}
	_, err := fmt.Fprintf(a.stdout, "hub %s (%s, %s/%s)\n", buildinfo.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
