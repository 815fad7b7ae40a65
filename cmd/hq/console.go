package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"storehub/hq"
	"storehub/hq/console"
	"storehub/internal/cli"
)

type consoleCmd struct {
	whoFlag
	ReadOnly bool   `help:"The link lets look, and not act: for a screen on a wall."`
	List     bool   `xor:"act" help:"Say who is signed in."`
	Revoke   string `xor:"act" placeholder:"NAME" help:"Sign a person out everywhere, and end the links that were made for them."`
	Format   string `enum:"text,json" default:"text" help:"text or json."`
}

// Help says who may come in.
func (consoleCmd) Help() string {
	return "The console is headquarters for people at a screen: all stores, what waits for a person, checklists, enrolment, the\n" +
		"audit log. Whoever is in sees all stores. A link works once, for ten minutes; the name you give stands in the audit log\n" +
		"beside all that its person does. It works beside a running headquarters.\n\n" +
		"Examples:\n\n  hq console --by 'A. Meyer'\n  hq console --by 'Wall, 2nd floor' --read-only\n  hq console --list\n  hq console --revoke 'A. Meyer'"
}

// Run works on the database itself.
func (c *consoleCmd) Run(a *app) error {
	switch {
	case c.List:
		return c.list(a)
	case c.Revoke != "":
		return c.revoke(a)
	case c.By == "":
		return cli.Usage("hq console --by NAME", "read arguments: missing flags: --by=NAME: for whom is the link?")
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	o := hq.Operator{Who: c.By, Role: hq.RoleOperator}
	if c.ReadOnly {
		o.Role = hq.RoleViewer
	}
	var code string
	var expires time.Time
	err = a.withStores("hq console --help", func(s *hq.Server) (err error) {
		code, expires, err = s.InviteOperator(whoFlag{}.acting(a.ctx), o)
		return err
	})
	if err != nil {
		return err
	}
	url := console.Link(reachedAt(cfg), code)
	if c.Format == "json" {
		return writeJSON(a.stdout, struct {
			URL       string    `json:"url"`
			Who       string    `json:"who"`
			Role      string    `json:"role"`
			ExpiresAt time.Time `json:"expires_at"`
		}{url, o.Who, o.Role, expires})
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n\nlets %s in once, until %s\n", url, o.Who, expires.Local().Format("2006-01-02 15:04"))
	return err
}

// reachedAt is where a browser finds headquarters.
func reachedAt(cfg hq.Config) string {
	scheme := "http://"
	if cfg.TLS.CertFile != "" {
		scheme = "https://"
	}
	return cmp.Or(cfg.PublicURL, scheme+cfg.Listen)
}

func (c *consoleCmd) list(a *app) error {
	var list []hq.ConsoleSession
	err := a.onLedger(func(s *hq.Server) (err error) {
		list, err = s.Sessions(a.ctx)
		return err
	})
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, list)
	}
	return writeSessions(a.stdout, list, time.Now())
}

func writeSessions(out io.Writer, list []hq.ConsoleSession, now time.Time) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WHO\tMAY\tSIGNED IN\tLAST SEEN")
	for _, s := range list {
		may := "look and act"
		if s.Role == hq.RoleViewer {
			may = "look"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Who, may, ago(&s.Began, now), ago(&s.Seen, now))
	}
	return t.Flush()
}

func (c *consoleCmd) revoke(a *app) error {
	var n int64
	err := a.withStores("hq console --list", func(s *hq.Server) (err error) {
		n, err = s.RevokeOperator(c.acting(a.ctx), c.Revoke)
		return err
	})
	if err == nil {
		_, err = fmt.Fprintf(a.stdout, "%s is signed out of %d browsers, and no link for them works.\n", c.Revoke, n)
	}
	return err
}
