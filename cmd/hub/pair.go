package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"rsc.io/qr"

	"storehub/doors"
	"storehub/hub"
	"storehub/internal/cli"
)

type pairCmd struct {
	Name           string `placeholder:"NAME" xor:"what" required:"" help:"The till's name; it outlives its credential."`
	Scope          string `enum:"pos,manager,monitor" default:"pos" help:"What the till may do: pos, manager or monitor."`
	Mode           string `enum:",live,test" default:"" placeholder:"MODE" help:"live or test; the store's own unless given."`
	CredentialFile string `placeholder:"FILE" help:"Write the credential there (mode 0600) and show nothing."`
	List           bool   `xor:"what" required:"" help:"List the tills."`
	Revoke         string `placeholder:"NAME" xor:"what" required:"" help:"End a till's credential. What it was promised is still done."`
	Format         string `enum:"text,json" default:"text" help:"text or json, for --list."`
}

// Help is examples.
func (pairCmd) Help() string {
	return `A known name gets a new credential; the old one ends. The credential is shown once, on
a terminal, as the address an unmodified app is pointed at.

Examples:

  hub pair --name lane-1
  hub pair --name lane-1 --credential-file lane-1.credential
  hub pair --list
  hub pair --revoke lane-1`
}

// Run pairs, lists or revokes.
func (c *pairCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	tills, err := openTills(a, cfg)
	if err != nil {
		return err
	}
	switch {
	case c.List:
		return c.list(a, tills)
	case c.Revoke != "":
		if err := tills.revoke(c.Revoke); err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "The till %s may not call any more.\n", printable(c.Revoke))
		return err
	}
	request := hub.PairRequest{Name: c.Name, Scope: doors.Scope(c.Scope), Mode: doors.Mode(c.Mode)}
	if c.CredentialFile != "" {
		return c.toFile(a, tills, request)
	}
	if !isTerminal(a.stdout) {
		return cli.Usage("write it to a file: --credential-file FILE", "pair till: a credential is shown on a terminal alone")
	}
	if !tills.running() {
		return cli.CouldNot("start the hub, or write the credential to a file: --credential-file FILE", "pair till: %w", hub.ErrNotRunning)
	}
	p, err := tills.pair(request)
	if err != nil {
		return err
	}
	return showPairing(a.stdout, p)
}

// toFile pairs for a scripted installation. That the file can be written is
// known before the till's old credential ends.
func (c *pairCmd) toFile(a *app, tills tillBook, request hub.PairRequest) error {
	f, err := beginFile(c.CredentialFile, 0o600)
	if err != nil {
		return err
	}
	p, err := tills.pair(request)
	if err != nil {
		f.abandon()
		return err
	}
	if err := f.commit([]byte(p.Credential + "\n")); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "The credential of till %s (scope %s) is in %s.\n", printable(p.Name), p.Scope, c.CredentialFile)
	return err
}

func (c *pairCmd) list(a *app, tills tillBook) error {
	list, err := tills.list()
	if err != nil {
		return err
	}
	if c.Format == "json" {
		if list == nil {
			list = []hub.TillInfo{}
		}
		return writeJSON(a.stdout, map[string]any{"tills": list})
	}
	var rows [][]string
	for _, t := range list {
		state := "paired"
		if !t.Revoked.IsZero() {
			state = "revoked " + moment(t.Revoked)
		}
		rows = append(rows, []string{t.Name, string(t.Scope), string(t.Mode), state, moment(t.Created), moment(t.LastUsed)})
	}
	return table(a.stdout, []string{"NAME", "SCOPE", "MODE", "STATE", "PAIRED", "LAST USED"}, rows)
}

// tillBook is the store's tills, kept by the running hub or, without one, in its
// directory.
type tillBook struct {
	app   *app
	admin *hub.Admin // nil: no hub is running
	file  *hub.Tills
	dir   string
}

func openTills(a *app, cfg hub.Config) (tillBook, error) {
	b := tillBook{app: a, dir: cfg.StateDir}
	var err error
	if b.admin, err = hub.DialAdmin(cfg.StateDir); err == nil {
		return b, nil
	}
	if !errors.Is(err, hub.ErrNotRunning) {
		return b, err
	}
	b.file, err = hub.OpenTills(cfg.StateDir)
	return b, err
}

func (b tillBook) running() bool { return b.admin != nil }

func (b tillBook) pair(r hub.PairRequest) (hub.Pairing, error) {
	if b.admin != nil {
		return b.admin.Pair(b.app.ctx, r)
	}
	credential, err := b.file.Pair(r.Name, r.Scope, r.Mode)
	if err != nil {
		return hub.Pairing{}, cli.Usage("", "%w", err)
	}
	return hub.Pairing{Name: r.Name, Scope: r.Scope, Credential: credential}, b.keep()
}

func (b tillBook) revoke(name string) error {
	if b.admin != nil {
		return b.admin.Revoke(b.app.ctx, name)
	}
	if err := b.file.Revoke(name); err != nil {
		return &cli.Failure{Code: cli.ExitWrong, Err: err, Hint: "hub pair --list"}
	}
	return b.keep()
}

func (b tillBook) list() ([]hub.TillInfo, error) {
	if b.admin != nil {
		return b.admin.Tills(b.app.ctx)
	}
	return b.file.List(), nil
}

// keep leaves the file with the hub's user.
func (b tillBook) keep() error { return keepOwner(filepath.Join(b.dir, "tills.json")) }

// showPairing shows the credential, once.
func showPairing(w io.Writer, p hub.Pairing) error {
	code, err := qr.Encode(p.POSURL, qr.L)
	if err != nil {
		return fmt.Errorf("draw QR code: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\nPoint the till %s at this address, which holds its credential. It is shown once.\n\n  %s\n\n",
		halfBlocks(code), printable(p.Name), p.POSURL)
	if err == nil && p.Code != "" {
		_, err = fmt.Fprintf(w, "An app that knows Store Hub takes this code instead, once, until %s:\n\n  %s\n\n", p.CodeExpires.Local().Format("15:04"), p.Code)
	}
	if err == nil && p.HQURL != "" {
		_, err = fmt.Fprintf(w, "Should this hub be dead, the till can go on at headquarters:\n\n  %s\n\n", p.HQURL)
	}
	if err == nil && p.CAFingerprint != "" {
		_, err = fmt.Fprintf(w, "The till must trust this hub's own CA (docs/operations.md says how). It is at\n\n  %s\n\nand its SHA-256 fingerprint is\n\n  %s\n\n", p.CAURL, p.CAFingerprint)
	}
	return err
}

// halfBlocks draws a QR code, two rows of modules a line, light on dark: readers
// of codes want the quiet zone and do not mind the colours as long as they differ.
func halfBlocks(code *qr.Code) string {
	const quiet = 2
	var b []rune
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			switch upper, lower := !code.Black(x, y), !code.Black(x, y+1); {
			case upper && lower:
				b = append(b, '█')
			case upper:
				b = append(b, '▀')
			case lower:
				b = append(b, '▄')
			default:
				b = append(b, ' ')
			}
		}
		b = append(b, '\n')
	}
	return string(b)
}
