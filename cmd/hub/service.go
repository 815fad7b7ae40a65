package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"storehub/hub"
	"storehub/internal/cli"
	"storehub/internal/service"
)

type serviceCmd struct {
	Install   serviceInstallCmd   `cmd:"" help:"Make the hub a service that starts with the machine."`
	Uninstall serviceUninstallCmd `cmd:"" help:"Undo install. Data and configuration stay."`
	Start     serviceStartCmd     `cmd:"" help:"Start it."`
	Stop      serviceStopCmd      `cmd:"" help:"Stop it."`
	Restart   serviceRestartCmd   `cmd:"" help:"Stop and start it."`
	Status    serviceStatusCmd    `cmd:"" help:"Say how it fares."`
	Guard     serviceGuardCmd     `cmd:"" help:"Say whether a program may stop, upgrade or remove the hub now."`
}

type (
	serviceInstallCmd   struct{}
	serviceUninstallCmd struct{ guardFlags }
	serviceStartCmd     struct{}
	serviceStopCmd      struct{ flushFlag }
	serviceRestartCmd   struct{ flushFlag }
	serviceStatusCmd    struct {
		Format string `enum:"text,json" default:"text" help:"text or json."`
	}
)

// Help is an example.
func (serviceCmd) Help() string {
	return "systemd, Windows services or launchd, whichever this machine has.\n\nExample:\n\n  hub service install --config /etc/storehub/hub.yaml && hub service start"
}

// Help is the exit codes.
func (serviceStatusCmd) Help() string {
	return "Where there is no service manager, as in a container, the hub itself is asked.\n\n" +
		"Exit: 0 running, 1 not running, 3 could not tell.\n\nExample:\n\n  hub service status --format json"
}

// Help is an example.
func (serviceInstallCmd) Help() string {
	return "The configuration must be readable; it is the one the service runs with.\n\nExample:\n\n  hub service install --config /etc/storehub/hub.yaml"
}

// Help is what it looks at first.
func (serviceUninstallCmd) Help() string {
	return "Refuses while operations of tills wait on this disk alone; see `hub service guard --help`.\n\nExample:\n\n  hub service uninstall"
}

// Help is an example.
func (serviceStartCmd) Help() string { return "Example:\n\n  hub service start" }

// Help is what it looks at first.
func (serviceStopCmd) Help() string {
	return "Gives the queue time to empty first, and says what then still waits; it stays on the disk.\n\nExample:\n\n  hub service stop --flush 30s"
}

// Help is an example.
func (serviceRestartCmd) Help() string { return "Example:\n\n  hub service restart" }

// Run installs a service whose configuration is right.
func (serviceInstallCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	if err := a.protect(cfg); err != nil {
		return cli.CouldNot(needsRights, "%w", err)
	}
	return serviceDo(a, service.Install, "installed; next: hub service start")
}

// Run looks at the queue, stops the service, looks again, and uninstalls it.
func (c serviceUninstallCmd) Run(a *app) error {
	if err := a.guard(uninstalling, c.guardFlags); err != nil {
		return err
	}
	spec, err := hubService(a)
	if err != nil {
		return err
	}
	if state, err := service.Status(spec); err == nil && state == service.Running {
		if err := service.Stop(spec); err != nil {
			return cli.CouldNot(needsRights, "%w", err)
		}
		if err := a.guard(uninstalling, c.guardFlags); err != nil { // a till may have been quick
			return errors.Join(err, service.Start(spec))
		}
	}
	return serviceDo(a, service.Uninstall, "uninstalled; data and configuration stay")
}

// Run starts.
func (serviceStartCmd) Run(a *app) error { return serviceDo(a, service.Start, "started") }

// Run stops, once the queue had time to empty.
func (c serviceStopCmd) Run(a *app) error {
	if err := a.guard(stopping, guardFlags{flushFlag: c.flushFlag}); err != nil {
		return err
	}
	return serviceDo(a, service.Stop, "stopped")
}

// Run restarts, once the queue had time to empty.
func (c serviceRestartCmd) Run(a *app) error {
	if err := a.guard(stopping, guardFlags{flushFlag: c.flushFlag}); err != nil {
		return err
	}
	return serviceDo(a, service.Restart, "restarted")
}

// Run asks.
func (c serviceStatusCmd) Run(a *app) error {
	spec, err := hubService(a)
	if err != nil {
		return err
	}
	state, err := service.Status(spec)
	if err != nil {
		if state = a.withoutManager(); state == service.Unknown {
			return err
		}
	}
	if c.Format == "json" {
		err = writeJSON(a.stdout, map[string]string{"service": spec.Name, "state": string(state)})
	} else {
		_, err = fmt.Fprintf(a.stdout, "%s: %s\n", spec.Name, state)
	}
	if err == nil && state != service.Running {
		return cli.SomethingWrong
	}
	return err
}

// withoutManager asks the hub itself, as in a container, where no service manager can be
// asked.
func (a *app) withoutManager() service.State {
	cfg, err := a.loadOrDefault()
	if err != nil {
		return service.Unknown
	}
	admin, err := hub.DialAdmin(cfg.StateDir)
	if errors.Is(err, hub.ErrNotRunning) {
		return service.Stopped
	}
	if err == nil {
		_, err = admin.Held(a.ctx)
	}
	if err != nil {
		return service.Unknown
	}
	return service.Running
}

const needsRights = "this needs root, or an administrator, and a service manager"

func serviceDo(a *app, f func(service.Spec) error, done string) error {
	spec, err := hubService(a)
	if err != nil {
		return err
	}
	if err := f(spec); err != nil {
		return cli.CouldNot(needsRights, "%w", err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s\n", spec.Name, done)
	return err
}

func hubService(a *app) (service.Spec, error) {
	file, err := filepath.Abs(a.configFile())
	if err != nil {
		return service.Spec{}, err
	}
	return service.Hub("", file)
}
