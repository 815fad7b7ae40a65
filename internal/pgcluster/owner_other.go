//go:build !linux

package pgcluster

import "os/exec"

type owner struct{}

func (c *Cluster) yield() error { return nil }

func (c *Cluster) bind(*exec.Cmd) {}
