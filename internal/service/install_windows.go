package service

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	kardianos "github.com/kardianos/service"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// install makes the service, or makes one that is there already (an installer's, an
// older version's) what the spec says.
func install(k kardianos.Service, s Spec) error {
	if _, err := k.Status(); errors.Is(err, kardianos.ErrNotInstalled) {
		if err := k.Install(); err != nil {
			return err
		}
	}
	m, err := mgr.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = m.Disconnect() }()
	service, err := m.OpenService(s.Name)
	if err != nil {
		return err
	}
	err = errors.Join(settle(service, s), service.Close(), source(s.Name))
	if err == nil {
		firewall(firewallRules(s))
	}
	return err
}

// uninstall removes the service and what was made for it.
func uninstall(k kardianos.Service, s Spec) error {
	err := k.Uninstall()
	if err == nil {
		firewall(firewallRules(s)[:1])
	}
	return err
}

// settle is what the library cannot tell the manager, or tells it only of a service
// that was not there.
func settle(service *mgr.Service, s Spec) error {
	command, err := windows.UTF16PtrFromString(windows.ComposeCommandLine(append([]string{s.Executable}, s.Arguments...)))
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	user, err := windows.UTF16PtrFromString(account(s.Name))
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	if err := windows.ChangeServiceConfig(service.Handle, windows.SERVICE_NO_CHANGE, windows.SERVICE_AUTO_START,
		windows.SERVICE_NO_CHANGE, command, nil, nil, nil, user, nil, nil); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	var actions []mgr.RecoveryAction
	for _, pause := range restartAfter {
		actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: pause})
	}
	if err := service.SetRecoveryActions(actions, uint32(forgiven.Seconds())); err != nil {
		return fmt.Errorf("set recovery actions: %w", err)
	}
	delayed := windows.SERVICE_DELAYED_AUTO_START_INFO{IsDelayedAutoStartUp: 1}
	patience := uint32(stopAtMost.Milliseconds()) // SERVICE_PRESHUTDOWN_INFO is this one number
	for _, more := range []struct {
		what string
		set  func() error
	}{
		// A program that ends with an error has failed too, not only one that crashed.
		{"set recovery after errors", func() error { return service.SetRecoveryActionsOnNonCrashFailures(true) }},
		{"set delayed start", func() error {
			return windows.ChangeServiceConfig2(service.Handle, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, (*byte)(unsafe.Pointer(&delayed)))
		}},
		{"set time before a shutdown", func() error {
			return windows.ChangeServiceConfig2(service.Handle, windows.SERVICE_CONFIG_PRESHUTDOWN_INFO, (*byte)(unsafe.Pointer(&patience)))
		}},
	} {
		switch err := more.set(); {
		case errors.Is(err, windows.ERROR_INVALID_LEVEL): // what else is Windows' manager has not all of it
			slog.Warn(more.what, "err", err)
		case err != nil:
			return fmt.Errorf("%s: %w", more.what, err)
		}
	}
	return nil
}

// source makes the service known to the event log.
func source(name string) error {
	err := eventlog.InstallAsEventCreate(name, eventlog.Error|eventlog.Warning|eventlog.Info)
	if err != nil && strings.Contains(err.Error(), "exists") { // the package has no better word for it
		return nil
	}
	return err
}

// firewall runs netsh. A machine whose firewall is another's or off has a service all
// the same.
func firewall(rules [][]string) {
	netsh := filepath.Join(os.Getenv("SystemRoot"), "System32", "netsh.exe")
	for _, rule := range rules {
		out, err := exec.Command(netsh, rule...).CombinedOutput()
		if err != nil && rule[2] != "delete" { // there was nothing to delete
			slog.Warn("tell Windows' firewall; let tills in by hand", "err", err, "netsh", strings.TrimSpace(string(out)))
		}
	}
}

// Protect gives folders to the service alone, beside the system and administrators;
// they are made if they are missing. What lies in them goes with them.
func Protect(s Spec, folders ...Folder) error {
	for _, f := range folders {
		if err := os.MkdirAll(f.Path, 0o700); err != nil {
			return fmt.Errorf("protect folder: %w", err)
		}
		sd, err := windows.SecurityDescriptorFromString(accessList(s.Name, f.Write))
		if err != nil {
			return fmt.Errorf("protect folder: %w", err)
		}
		owner, _, err := sd.Owner()
		if err != nil {
			return fmt.Errorf("protect folder: %w", err)
		}
		list, _, err := sd.DACL()
		if err != nil {
			return fmt.Errorf("protect folder: %w", err)
		}
		// The owner first: who owns a folder may open it to anyone again.
		for _, set := range []struct {
			what  windows.SECURITY_INFORMATION
			owner *windows.SID
			list  *windows.ACL
		}{
			{what: windows.OWNER_SECURITY_INFORMATION, owner: owner},
			{what: windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION, list: list},
		} {
			if err := windows.SetNamedSecurityInfo(f.Path, windows.SE_FILE_OBJECT, set.what, set.owner, nil, set.list, nil); err != nil {
				return fmt.Errorf("protect folder %s: %w", f.Path, err)
			}
		}
	}
	return nil
}
