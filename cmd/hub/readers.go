package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"storehub/doors"
	"storehub/hub"
	"storehub/internal/cli"
	"storehub/readers"
)

type readersCmd struct {
	List     readersListCmd     `cmd:"" help:"List the store's readers."`
	Show     readersShowCmd     `cmd:"" help:"Show all that is known of a reader."`
	Watch    readersWatchCmd    `cmd:"" help:"Say what changes, until interrupted."`
	Timeline readersTimelineCmd `cmd:"" help:"Show how a reader stood, up to two weeks back."`
	Register readersRegisterCmd `cmd:"" help:"Make a reader one of this store's."`
	Pin      readersPinCmd      `cmd:"" help:"Say at which till a reader stands."`
}

type readersListCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is an example.
func (readersListCmd) Help() string {
	return `OFFLINE says whether the reader would take a payment without a line if that died now;
` + "`hub readers show`" + ` says why not, or what is not known.

Example:

  hub readers list --format json`
}

// Run lists them.
func (c *readersListCmd) Run(a *app) error {
	admin, err := a.dial()
	if err != nil {
		return err
	}
	list, err := admin.Readers(a.ctx)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, list)
	}
	var rows [][]string
	for _, r := range list.Readers {
		rows = append(rows, []string{r.Label, strings.Join(r.Lanes, ", "), r.Serial, r.DeviceType, r.State, address(r.Reader), moment(r.LastSeen), r.Offline.Ready.String(), r.Reason})
	}
	if err := table(a.stdout, []string{"LABEL", "TILL", "SERIAL", "TYPE", "STATE", "ADDRESS", "LAST SEEN", "OFFLINE", "WHY"}, rows); err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, windowWords(list.UpdateWindow))
	return err
}

// windowWords warn of an update window in which the shop is open; else they are none.
func windowWords(w hub.UpdateWindow) string {
	if w.WhileOpen != readers.Yes {
		return ""
	}
	return fmt.Sprintf("\nReaders restart and update from %s (%s), while the shop is open: set another reboot window in the location's configuration at Stripe.\n",
		strings.Replace(w.Hours, "-", " to ", 1), printable(w.Zone))
}

// address is where the reader is, if anybody knows.
func address(r readers.Reader) string {
	if !r.Addr.IsValid() {
		return ""
	}
	return r.Addr.String()
}

type readersWatchCmd struct {
	Every time.Duration `default:"2s" help:"How often the hub is asked."`
}

// Help is an example.
func (readersWatchCmd) Help() string { return "Example:\n\n  hub readers watch" }

// Run prints a line for every change.
func (c *readersWatchCmd) Run(a *app) error {
	if c.Every < 100*time.Millisecond {
		return cli.Usage("hub readers watch --every 2s", "read arguments: --every %s is less than 100ms", c.Every)
	}
	admin, err := a.dial()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(a.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var before []hub.TillReader
	for {
		got, err := admin.Readers(ctx)
		list := got.Readers
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, line := range changes(before, list) {
			fmt.Fprintf(a.stdout, "%s  %s\n", moment(time.Now()), line)
		}
		before = list
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Every):
		}
	}
}

// changes are lines about what differs between two looks.
func changes(before, after []hub.TillReader) []string {
	known := map[string]hub.TillReader{}
	for _, r := range before {
		known[r.Serial+r.ID] = r
	}
	var lines []string
	say := func(r hub.TillReader, format string, args ...any) {
		name := r.Label
		if name == "" {
			name = r.Serial
		}
		lines = append(lines, printable(name+": "+fmt.Sprintf(format, args...)))
	}
	for _, r := range after {
		old, ok := known[r.Serial+r.ID]
		delete(known, r.Serial+r.ID)
		switch {
		case !ok:
			say(r, "%s at %s (%s)", r.State, address(r.Reader), r.Reason)
			continue
		case old.State != r.State || old.Reason != r.Reason:
			say(r, "%s (%s)", r.State, r.Reason)
		}
		if old.Addr != r.Addr {
			say(r, "moved from %s to %s", address(old.Reader), address(r.Reader))
		}
	}
	for _, r := range before {
		if _, left := known[r.Serial+r.ID]; left {
			say(r, "gone")
		}
	}
	return lines
}

type readersPinCmd struct {
	Reader string `arg:"" optional:"" help:"Its serial number, or tmr_…; none: the till has no reader of its own."`
	Till   string `required:"" placeholder:"NAME" help:"The till, as it was paired."`
}

// Help says what it is for, and gives an example.
func (readersPinCmd) Help() string {
	return `Tills see it in the list of readers, as lanes and yours, and may connect to theirs by
themselves. Nothing is refused because of it.

Example:

  hub readers pin WSC513103004321 --till lane-1`
}

// Run pins it.
func (c *readersPinCmd) Run(a *app) error {
	admin, err := a.dial()
	if err != nil {
		return err
	}
	r, err := admin.Pin(a.ctx, hub.PinRequest{Till: c.Till, Reader: c.Reader})
	if refusal, ok := errors.AsType[*doors.Error](err); ok && refusal.Status < 500 {
		return cli.Wrong("hub readers list, hub pair --list", "pin reader: %w", err)
	}
	switch {
	case err != nil:
		return fmt.Errorf("pin reader: %w", err)
	case c.Reader == "":
		_, err = fmt.Fprintf(a.stdout, "The till %s has no reader of its own.\n", printable(c.Till))
	default:
		_, err = fmt.Fprintf(a.stdout, "The till %s uses the reader %s (%s).\n", printable(c.Till), printable(r.Label), printable(r.Serial))
	}
	return err
}

type readersRegisterCmd struct {
	Code     string `arg:"" help:"The code that the reader shows (Settings, Generate pairing code)."`
	Label    string `help:"What staff call it."`
	Replaces string `placeholder:"READER" help:"It takes over the label and the tills of this one: a serial number, or tmr_…"`
	Format   string `enum:"text,json" default:"text" help:"text or json (Stripe's object)."`
}

// Help says what else there is to do, and gives examples.
func (readersRegisterCmd) Help() string {
	return `The code works once and for about a minute. The reader becomes one of this store's
location; one that comes from another shop needs nothing but a new code here, and is
that shop's no more.

A broken reader's label and tills go to the one that replaces it. It stays registered
at Stripe until somebody deletes it (Dashboard, Terminal, Readers): leave it on first
until the payments that it took without a line are forwarded.

Examples:

  hub readers register quick-brown-fox --label 'Lane 4'
  hub readers register quick-brown-fox --replaces WSC513103004321`
}

// Run registers it through headquarters.
func (c *readersRegisterCmd) Run(a *app) error {
	if wrong := hub.NotACode(c.Code); wrong != "" {
		return cli.Usage("on the reader: Settings, Generate pairing code", "register reader: %s", wrong)
	}
	admin, err := a.dial()
	if err != nil {
		return err
	}
	raw, err := admin.Register(a.ctx, hub.RegisterRequest{Code: c.Code, Label: c.Label, Replaces: c.Replaces})
	if wrong, do := hub.RegistrationWords(err); do != "" {
		if wrong == "" {
			return cli.Wrong(do, "register reader: %w", err)
		}
		return cli.Wrong(do, "register reader: %s (%w)", wrong, err)
	}
	if err != nil {
		return fmt.Errorf("register reader: %w", err)
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, raw)
	}
	var r struct {
		ID     string `json:"id"`
		Serial string `json:"serial_number"`
		Label  string `json:"label"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read Stripe's answer: %w", err)
	}
	return table(a.stdout, []string{"LABEL", "SERIAL", "ID"}, [][]string{{r.Label, r.Serial, r.ID}})
}
