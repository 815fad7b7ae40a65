//go:build !windows

package service

import kardianos "github.com/kardianos/service"

func install(k kardianos.Service, _ Spec) error { return k.Install() }

func uninstall(k kardianos.Service, _ Spec) error { return k.Uninstall() }
