package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/stripeapi"
	"storehub/internal/cli"
)

type storeCmd struct {
	Add  storeAddCmd  `cmd:"" help:"Record a store and print the one-time code for its hub."`
	List storeListCmd `cmd:"" help:"List the stores."`
}

type storeAddCmd struct {
	ID       string `required:"" placeholder:"ID" help:"The store's id, yours to choose."`
	Location string `required:"" placeholder:"tml_…" help:"Its Terminal Location at Stripe."`
	Mode     string `enum:"live,test," default:"" help:"live or test; the key's, if left out."`
	Account  string `placeholder:"acct_…" help:"Connected account, if the store has its own."`
	Name     string `help:"What people call it."`
	TimeZone string `placeholder:"ZONE" help:"IANA name, such as Europe/Berlin."`
	DayEnds  string `placeholder:"HH:MM" help:"When the shop's day ends, 04:00 if left out."`
	Format   string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is an example.
func (storeAddCmd) Help() string {
	return "Works while headquarters runs. For a store that is recorded already it prints a new code, for a new machine.\n\n" +
		"Example:\n\n  hq store add --id 0412 --location tml_… --time-zone America/New_York"
}

// Run records the store on the database itself.
func (c *storeAddCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	mode := doors.Mode(c.Mode)
	if mode == "" {
		key, err := stripeapi.ReadKey(cfg.Stripe.APIKeyFile)
		if err != nil {
			return cli.Usage("give --mode, or mend stripe.api_key_file", "tell the store's mode: %w", err)
		}
		if mode, err = key.Mode(); err != nil {
			return err
		}
	}
	s, err := hq.NewServer(hq.Options{Database: cfg.Database})
	if err != nil {
		return err
	}
	code, expires, err := s.AddStore(a.ctx, hq.Store{ID: c.ID, Location: c.Location, Mode: mode, Account: c.Account,
		Name: c.Name, TimeZone: c.TimeZone, DayEnds: c.DayEnds})
	if err := errors.Join(err, s.Close()); err != nil {
		return cli.Usage("hq store add --help", "%w", err)
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, struct {
			Store     string    `json:"store"`
			Code      string    `json:"code"`
			ExpiresAt time.Time `json:"expires_at"`
		}{c.ID, code, expires})
	}
	url := cmp.Or(cfg.PublicURL, "URL")
	_, err = fmt.Fprintf(a.stdout, "%s\n\ngood once, until %s\nnext, on the store's machine: hub enroll --hq %s --code %s\n",
		code, expires.Local().Format("2006-01-02 15:04"), url, code)
	return err
}

type storeListCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help is an example.
func (storeListCmd) Help() string { return "Example:\n\n  hq store list --format json" }

// Run reads the database.
func (c *storeListCmd) Run(a *app) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	s, err := hq.NewServer(hq.Options{Database: cfg.Database})
	if err != nil {
		return err
	}
	list, err := s.Stores(a.ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, list)
	}
	t := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STORE\tLOCATION\tMODE\tTIME ZONE\tNAME")
	for _, st := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", st.ID, st.Location, st.Mode, st.TimeZone, cmp.Or(st.Name, "-"))
	}
	return t.Flush()
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
