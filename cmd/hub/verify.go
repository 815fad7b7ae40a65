package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
)

type queueVerifyCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is what it proves.
func (queueVerifyCmd) Help() string {
	return `Reads every record of the journal, follows its chain, and holds the store against it. Then asks
headquarters for the signed head of the submit chain, a hash over the ids of all operations in the
order they were offered, and compares it with ours: the same number and head on both sides mean
that headquarters has every one of them. Otherwise the operations that one side lacks are named.

The running hub is asked; when none runs, a copy of its disk is looked at, damaged or not, and
nothing is changed there.

Exit: 0 nothing is missing, 1 something is missing or damaged, 3 could not run, or headquarters
did not say.

Example:

  hub queue verify --format json`
}

// Run prints the proof.
func (c *queueVerifyCmd) Run(a *app) error {
	v, err := a.verification()
	if err != nil {
		return err
	}
	if c.Format == "json" {
		err = writeJSON(a.stdout, struct {
			Verdict string `json:"verdict"`
			hub.Verification
		}{v.Verdict(), v})
	} else {
		err = writeText(a, v)
	}
	if err != nil {
		return err
	}
	switch v.Verdict() {
	case hub.VerifiedWrong:
		return cli.SomethingWrong
	case hub.VerifiedUnknown:
		return &cli.Failure{Code: cli.ExitCouldNot} // said already
	}
	return nil
}

// verification asks the running hub, or looks at the disk.
func (a *app) verification() (hub.Verification, error) {
	c, err := a.load()
	if err != nil {
		return hub.Verification{}, err
	}
	admin, notRunning := hub.DialAdmin(c.StateDir)
	switch {
	case notRunning == nil:
		return admin.Verify(a.ctx)
	case !errors.Is(notRunning, hub.ErrNotRunning):
		return hub.Verification{}, notRunning
	}
	v, err := hub.VerifyStored(a.ctx, c, buildinfo.Version(), hub.Fingerprint())
	if errors.Is(err, fs.ErrNotExist) {
		err = notRunning // there is no queue either
	}
	return v, err
}

func writeText(a *app, v hub.Verification) error {
	var b strings.Builder
	d, h := v.Disk, v.Headquarters
	fmt.Fprintf(&b, "journal       %d segments, records %d to %d\n", d.Segments, d.First, d.Last)
	fmt.Fprintf(&b, "chain         %s\n", d.Hash)
	fmt.Fprintf(&b, "store         %d operations, applied up to record %d\n", d.Operations, d.Applied)
	if d.Key != "" {
		fmt.Fprintf(&b, "encrypted     with key %s\n", d.Key)
	}
	for _, m := range d.Damage {
		what := m.Why
		if m.From > 0 {
			what = fmt.Sprintf("records %d to %d: %s", m.From, m.To, m.Why)
		}
		fmt.Fprintf(&b, "DAMAGE        %s: %s\n", m.Where, what)
	}
	for _, l := range d.Lost {
		fmt.Fprintf(&b, "LOST          %s\n", l)
	}
	fmt.Fprintf(&b, "\nhub           number %d  %s\n", h.Number, dash(h.Ours))
	if h.Word == nil {
		fmt.Fprintf(&b, "headquarters  not known: %s\n", printable(h.Why))
	} else {
		fmt.Fprintf(&b, "headquarters  number %d  %s\n", h.Word.Number, dash(h.Word.Head))
		fmt.Fprintf(&b, "              ledger %s, signed %s with key %s\n", printable(h.Word.Epoch), moment(h.Word.At), printable(h.Word.Key))
		if h.Why != "" {
			fmt.Fprintf(&b, "              %s\n", printable(h.Why))
		}
	}
	for _, g := range h.Gap {
		fmt.Fprintf(&b, "GAP           number %d: %s (%s) is missing at %s\n", g.Number, printable(g.ID), dash(string(g.State)), g.Missing)
	}
	if more := h.GapInAll - len(h.Gap); more > 0 {
		fmt.Fprintf(&b, "GAP           and %d more\n", more)
	}
	fmt.Fprintf(&b, "\n%s\n", map[string]string{
		hub.VerifiedWhole:   "Nothing is missing.",
		hub.VerifiedWrong:   "Something is missing or damaged.",
		hub.VerifiedUnknown: "This disk is whole. What headquarters has is not known.",
	}[v.Verdict()])
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}
