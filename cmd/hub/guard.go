package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"storehub/hub"
	"storehub/internal/cli"
)

// What is about to be done to the hub.
const (
	stopping     = "stop" // also for an upgrade: the disk stays as it is
	uninstalling = "uninstall"
)

// flushFlag is how long the queue may take to empty.
type flushFlag struct {
	Flush time.Duration `default:"10s" placeholder:"10s" help:"How long the running hub may take to hand over what waits."`
}

// guardFlags are those of whatever removes a hub.
type guardFlags struct {
	flushFlag
	DespiteMoney string `placeholder:"NAME" help:"Go on although operations wait on this disk alone; who answers for them."`
}

type serviceGuardCmd struct {
	For string `arg:"" enum:"stop,upgrade,uninstall" help:"What is about to be done: stop, upgrade or uninstall."`
	guardFlags
}

// Help is what it asks and who asks it.
func (serviceGuardCmd) Help() string {
	return `Packages and scripts ask this before they touch a hub. The running hub gets time to hand over to
headquarters what tills were promised; what still waits then is on this disk alone.

stop and upgrade keep the disk: what waits is told, and goes on when the hub runs again. uninstall
is refused while anything waits, and when it cannot be told whether anything does: bring the line
up, or carry it with "hub queue export", or name who answers for it with --despite-money, or in a
file despite-money beside the configuration, which package managers find too. When uninstall may
go on and the hub has stopped, the state directory says so; only then a purge wipes it.

Exit: 0 go on, 1 operations wait, 2 wrong configuration, 3 could not tell.

Example:

  hub service guard uninstall`
}

// Run asks.
func (c serviceGuardCmd) Run(a *app) error {
	act := c.For
	if act == "upgrade" {
		act = stopping
	}
	return a.guard(act, c.guardFlags)
}

// guard lets an act go on, or refuses it.
func (a *app) guard(act string, flags guardFlags) error {
	cfg, err := a.loadOrDefault()
	if err != nil {
		return err
	}
	held, running, err := a.flush(cfg, flags.Flush)
	if err != nil && act == stopping {
		// A hub that cannot say what it holds is stopped all the same: its disk stays.
		fmt.Fprintf(a.stderr, "hub: could not tell what waits on this disk: %v\n", err)
		return nil
	}
	for _, d := range held.Damaged {
		fmt.Fprintf(a.stderr, "damaged: %s\n", d)
	}
	waits := held.String()
	if act == stopping {
		if waits != "" {
			fmt.Fprintf(a.stderr, "%s; this goes on when the hub runs again\n", waits)
		}
		return nil
	}
	by, e := a.despite(flags.DespiteMoney)
	if e != nil {
		return e
	}
	var why string
	switch {
	case by != "" && err != nil:
		why = fmt.Sprintf("by %s, although it could not be told what waits: %v", by, err)
	case by != "" && waits != "":
		why = fmt.Sprintf("by %s, although %s", by, waits)
	case err != nil:
		return cli.CouldNot("`hub queue verify` says what is wrong with the disk; --despite-money NAME goes on all the same",
			"%s: look at what waits: %w", act, err)
	case waits != "":
		return cli.Wrong("bring up the line and try again, or carry them: `hub queue export --to age1… --output FILE`; "+
			"then --despite-money NAME, or that name in "+a.despiteFile(), "%s: %s", act, waits)
	}
	if why != "" {
		fmt.Fprintln(a.stderr, why)
	}
	if running {
		return nil
	}
	return hub.Release(cfg.StateDir, cmp.Or(why, "nothing waits"))
}

// flush waits until the running hub has handed everything over, or the time is up,
// and says what this disk alone still holds.
func (a *app) flush(cfg hub.Config, within time.Duration) (held hub.Held, running bool, err error) {
	admin, err := hub.DialAdmin(cfg.StateDir)
	if errors.Is(err, hub.ErrNotRunning) {
		held, err = hub.HeldStored(cfg)
		return held, false, err
	}
	if err != nil {
		return held, true, err
	}
	end := time.After(within)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for said := false; ; {
		if held, err = admin.Held(a.ctx); err != nil || held.Pending == 0 {
			return held, true, err
		}
		if !said && within > 0 {
			said = true
			fmt.Fprintf(a.stderr, "%s; waiting %s for headquarters to take it\n", held, within)
		}
		select {
		case <-end:
			return held, true, nil
		case <-a.ctx.Done():
			return held, true, a.ctx.Err()
		case <-tick.C:
		}
	}
}

// loadOrDefault reads the configuration; a package's own may be gone already.
func (a *app) loadOrDefault() (hub.Config, error) {
	if _, err := os.Stat(a.configFile()); errors.Is(err, fs.ErrNotExist) {
		return hub.DefaultConfig(), nil
	}
	return a.load()
}

func (a *app) despiteFile() string {
	return filepath.Join(filepath.Dir(a.configFile()), "despite-money")
}

// despite is who answers for what waits; "": nobody.
func (a *app) despite(flag string) (string, error) {
	if by := strings.TrimSpace(flag); by != "" {
		return by, nil
	}
	b, err := os.ReadFile(a.despiteFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read who answers for what waits: %w", err)
	}
	by, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if by == "" {
		return "", cli.Usage("write the name of who answers for what waits into it", "read who answers for what waits: %s is empty", a.despiteFile())
	}
	return by, nil
}
