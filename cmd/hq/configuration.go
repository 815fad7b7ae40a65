package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"storehub/hq"
	"storehub/internal/cli"
)

// wantedFlags say whose readers are to be told what.
type wantedFlags struct {
	Store []string `required:"" placeholder:"ID" help:"The store; may be given several times."`
	File  string   `required:"" placeholder:"FILE" type:"path" help:"What is wanted of its readers."`
}

// wanted reads the file.
func (w wantedFlags) wanted() (hq.Wanted, error) {
	f, err := os.Open(w.File)
	if err != nil {
		return hq.Wanted{}, cli.Usage("hq config diff --help", "read what is wanted: %w", err)
	}
	defer f.Close()
	v, err := hq.ParseWanted(f, w.File)
	if err != nil {
		return v, cli.Usage("hq config diff --help shows such a file", "%w", err)
	}
	return v, nil
}

type configDiffCmd struct {
	wantedFlags
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help shows a file.
func (configDiffCmd) Help() string {
	return `Compares what Stripe's Configuration tells the readers of a store's Location with what is wanted,
and changes nothing. What the file leaves out is not compared. Secrets are files beside it and are
never shown.

  update_window:        # when readers may restart and update, in the Location's own hours
    start_hour: 2
    end_hour: 5
  offline: on
  passcode_file: passcode      # 5 digits, not the one readers come with, no sequence
  wifi:
    type: personal_psk         # or enterprise_eap_peap, enterprise_eap_tls
    ssid: Shop
    password_file: wifi-password

Exit: 0 nothing differs, 1 something does, 2 wrong usage, 3 could not tell.

Example:

  hq config diff --store 0412 --file readers.yaml`
}

// Run compares.
func (c *configDiffCmd) Run(a *app) error {
	list, err := c.each(a, func(s *hq.Server, id string, w hq.Wanted) (hq.ConfigurationDiff, error) {
		return s.CompareConfiguration(a.ctx, id, w)
	})
	if err != nil {
		return err
	}
	if c.Format == "json" {
		err = writeJSON(a.stdout, list)
	} else {
		err = writeDiffs(a.stdout, list)
	}
	for _, d := range list {
		if err == nil && len(d.Differences) > 0 {
			err = cli.SomethingWrong
		}
	}
	return err
}

type configApplyCmd struct {
	whoFlag
	wantedFlags
	Shared bool `help:"Change a Configuration that other Locations have too."`
}

// Help says what it does.
func (configApplyCmd) Help() string {
	return `Shows what differs, as hq config diff does, then has Stripe's Configuration tell the readers what is
wanted, and reads that it does. A Location without a Configuration of its own is given one. Readers
take it over within ten minutes. Who did it is in hq audit; from then on headquarters compares each
day, and a Configuration that differs is a finding.

Example:

  hq config apply --store 0412 --file readers.yaml --by 'A. Meyer'`
}

// Run applies, store after store, and stops at the first that it cannot.
func (c *configApplyCmd) Run(a *app) error {
	_, err := c.each(a, func(s *hq.Server, id string, w hq.Wanted) (hq.ConfigurationDiff, error) {
		d, err := s.CompareConfiguration(a.ctx, id, w)
		if err != nil {
			return d, err
		}
		if err := writeDiffs(a.stdout, []hq.ConfigurationDiff{d}); err != nil {
			return d, err
		}
		if d, err = s.ApplyConfiguration(c.acting(a.ctx), id, w, c.Shared); err != nil {
			return d, err
		}
		_, err = fmt.Fprintf(a.stdout, "Store %s: applied.\n", id)
		return d, err
	})
	return err
}

// each does one thing to each store.
func (w wantedFlags) each(a *app, do func(*hq.Server, string, hq.Wanted) (hq.ConfigurationDiff, error)) ([]hq.ConfigurationDiff, error) {
	wanted, err := w.wanted()
	if err != nil {
		return nil, err
	}
	list := []hq.ConfigurationDiff{}
	err = a.withStripe(func(s *hq.Server) error {
		for _, id := range w.Store {
			d, err := do(s, id, wanted)
			switch {
			case errors.Is(err, hq.ErrShared):
				return cli.Usage("to change them all: hq config apply --shared", "%w", err)
			case err != nil:
				return cli.CouldNot("", "%w", err)
			}
			list = append(list, d)
		}
		return nil
	})
	return list, err
}

// writeDiffs is the list for people.
func writeDiffs(out io.Writer, list []hq.ConfigurationDiff) error {
	w := bufio.NewWriter(out)
	for i, d := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "STORE %s  %s  %s\n", d.Store, d.Location, cmp.Or(d.Configuration, "the account's default"))
		if len(d.SharedWith) > 0 {
			fmt.Fprintf(w, "shared with %s\n", strings.Join(d.SharedWith, ", "))
		}
		if len(d.Differences) == 0 {
			fmt.Fprintln(w, "as wanted")
			continue
		}
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "PART\tAT STRIPE\tWANTED")
		for _, diff := range d.Differences {
			fmt.Fprintf(t, "%s\t%s\t%s\n", diff.Part, diff.Is, diff.Wanted)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return w.Flush()
}
