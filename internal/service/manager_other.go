//go:build !windows

package service

import "context"

// underManager runs p under a service manager with a protocol of its own, if one has
// started this process. systemd and launchd send signals like a terminal.
func underManager(context.Context, string, Program) (managed bool, err error) { return false, nil }

// Protect gives folders to the service alone, where the system has access lists and
// services have accounts that are made with them. Elsewhere the modes of files do.
func Protect(Spec, ...Folder) error { return nil }
