package service

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	kardianos "github.com/kardianos/service"
)

// Spec is a service of this machine.
type Spec struct {
	Name        string   // storehub
	DisplayName string   // for Windows' list of services
	Description string   // a sentence
	Executable  string   // whole path
	Arguments   []string // of the executable
	Unit        string   // the systemd unit, whole; used where systemd is
}

// State is how an installed service fares.
type State string

// The states of a service.
const (
	Running      State = "running"
	Stopped      State = "stopped"
	NotInstalled State = "not installed"
	Unknown      State = "unknown"
)

// Install makes the service known to the system, to be started at boot. It does
// not start it. On Windows a service that is there already becomes what the spec says.
func Install(s Spec) error {
	return do("install", s, func(k kardianos.Service) error { return install(k, s) })
}

// Uninstall is the inverse of Install. Data and configuration stay.
func Uninstall(s Spec) error {
	return do("uninstall", s, func(k kardianos.Service) error { return uninstall(k, s) })
}

// Start starts an installed service.
func Start(s Spec) error { return do("start", s, kardianos.Service.Start) }

// Stop stops a running service.
func Stop(s Spec) error { return do("stop", s, kardianos.Service.Stop) }

// Restart stops and starts a service.
func Restart(s Spec) error { return do("restart", s, kardianos.Service.Restart) }

// Status asks the system how the service fares.
func Status(s Spec) (State, error) {
	k, err := s.kardianos()
	if err != nil {
		return Unknown, fmt.Errorf("ask for service %s: %w", s.Name, err)
	}
	st, err := k.Status()
	switch {
	case errors.Is(err, kardianos.ErrNotInstalled):
		return NotInstalled, nil
	case err != nil:
		return Unknown, fmt.Errorf("ask for service %s: %w", s.Name, err)
	case st == kardianos.StatusRunning:
		return Running, nil
	case st == kardianos.StatusStopped:
		return Stopped, nil
	}
	return Unknown, nil
}

func do(verb string, s Spec, f func(kardianos.Service) error) error {
	k, err := s.kardianos()
	if err == nil {
		err = f(k)
	}
	if err != nil {
		return fmt.Errorf("%s service %s: %w", verb, s.Name, err)
	}
	return nil
}

// kardianos is the service in the library's terms.
func (s Spec) kardianos() (kardianos.Service, error) {
	c, err := s.config(runtime.GOOS)
	if err != nil {
		return nil, err
	}
	return kardianos.New(idle{}, c)
}

func (s Spec) config(goos string) (*kardianos.Config, error) {
	if s.Name == "" || strings.ContainsAny(s.Name, " /\\") {
		return nil, fmt.Errorf("name %q is no name for a service", s.Name)
	}
	c := &kardianos.Config{
		Name: s.Name, DisplayName: s.DisplayName, Description: s.Description,
		Executable: s.Executable, Arguments: s.Arguments,
		Option: kardianos.KeyValue{},
	}
	switch goos {
	case "windows":
		// A first failure is that of the unit; settle says the rest, and that the start
		// is delayed: the library removes a service whose manager does not know that.
		c.UserName = account(s.Name)
		c.Option["OnFailure"] = "restart"
		c.Option["OnFailureDelayDuration"] = restartAfter[0].String()
		c.Option["OnFailureResetPeriod"] = int(forgiven.Seconds())
		c.Option["StartType"] = "automatic"
		c.Option["DelayedAutoStart"] = false
	case "darwin":
		c.Option["RunAtLoad"] = true
	default:
		// The library takes the text for a template.
		if strings.Contains(s.Unit, "{{") {
			return nil, fmt.Errorf("the path of program or configuration holds %q", "{{")
		}
		c.Option["SystemdScript"] = s.Unit
	}
	return c, nil
}

// idle is the library's view of a program that is only installed, not run.
type idle struct{}

// Start does nothing.
func (idle) Start(kardianos.Service) error { return nil }

// Stop does nothing.
func (idle) Stop(kardianos.Service) error { return nil }
