//go:build !windows

package service

import "context"

// managed reports whether a service manager with a protocol of its own has
// started this process. systemd and launchd send signals like a terminal.
func managed() bool { return false }

func runManaged(context.Context, string, Program) error { panic("no service manager here") }
