package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"storehub/hq"
	"storehub/internal/cli"
)

type policyCmd struct {
	Show policyShowCmd `cmd:"" help:"Show what was decided, and what hubs hold."`
	Set  policySetCmd  `cmd:"" help:"Decide, and push it to the hubs."`
}

type policySetCmd struct {
	whoFlag
	Store []string `required:"" placeholder:"ID" help:"The store; may be given several times."`
	File  string   `required:"" placeholder:"FILE" type:"path" help:"What is decided."`
	Whole bool     `help:"What the file leaves out is decided no more; otherwise it stays as it was."`
}

// Help shows a file.
func (policySetCmd) Help() string {
	return `Decides for shops, and pushes it to their hubs within seconds, or when their line is back. A hub lets it
go before its own hub.yaml, keeps it over restarts, and reports which version it holds. One that it cannot
take leaves the one before in force and is the finding policy_refused. Works while headquarters runs.

  workday: 12h                        # the shortest lease that is no finding
  opening_hours: [mon-sat 08:00-22:00]
  refund_limit: 1000                  # what a till refunds at once without a manager, in minor units
  refund_sum: 5000                    # and in 24 hours

Examples:

  hq policy set --store 0412 --file policy.yaml --by 'A. Meyer'
  hq policy show`
}

// Run decides for store after store.
func (c *policySetCmd) Run(a *app) error {
	const hint = "hq policy set --help"
	f, err := os.Open(c.File)
	if err != nil {
		return cli.Usage(hint, "read policy: %w", err)
	}
	defer f.Close()
	p, err := hq.ParsePolicy(f, c.File)
	if err != nil {
		return cli.Usage(hint, "%w", err)
	}
	return a.withStores(hint, func(s *hq.Server) error {
		for _, id := range c.Store {
			set, err := s.SetPolicy(c.acting(a.ctx), id, p, c.Whole)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(a.stdout, "Store %s has policy %d: %s.\n", id, set.Version, set); err != nil {
				return err
			}
		}
		return nil
	})
}

type policyShowCmd struct {
	Store  string `placeholder:"ID" help:"One store; all if left out."`
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help says what is shown.
func (policyShowCmd) Help() string {
	return `Each store's newest policy with who decided it and when, and the version that its hub said it holds.

Exit: 0 each hub holds the newest, 1 one does not or has not said so, 2 wrong usage, 3 could not run.

Example:

  hq policy show --store 0412`
}

// Run reads the database.
func (c *policyShowCmd) Run(a *app) error {
	var list []hq.PolicyState
	err := a.withStores("hq store list", func(s *hq.Server) (err error) {
		list, err = s.Policies(a.ctx, c.Store)
		return err
	})
	if err != nil {
		return err
	}
	if c.Format == "json" {
		err = writeJSON(a.stdout, list)
	} else {
		err = writePolicies(a.stdout, list)
	}
	if err == nil && slices.ContainsFunc(list, func(p hq.PolicyState) bool { return p.Held != p.Policy.Version }) {
		err = cli.SomethingWrong
	}
	return err
}

// writePolicies is the list for people.
func writePolicies(out io.Writer, list []hq.PolicyState) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "nothing was decided: hubs hold what their hub.yaml says")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STORE\tVERSION\tAT THE HUB\tWORKDAY\tREFUND LIMIT\tOPENING HOURS\tBY\tSINCE")
	for _, p := range list {
		at := "not told yet"
		switch {
		case p.Refused == p.Policy.Version:
			at = fmt.Sprintf("REFUSED, holds %d: %s", p.Held, p.Why)
		case p.Held == p.Policy.Version:
			at = "in force"
		case p.HeldAt != nil && p.Held > 0:
			at = fmt.Sprintf("holds %d", p.Held)
		case p.HeldAt != nil:
			at = "holds none"
		}
		limit := "-"
		if l := p.Policy.RefundLimit; l != nil {
			limit = strconv.FormatInt(*l, 10)
		}
		if l := p.Policy.RefundSum; l != nil {
			limit += ", " + strconv.FormatInt(*l, 10) + " a day"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Store, p.Policy.Version, at, cmp.Or(p.Policy.Workday, "-"), limit,
			cmp.Or(strings.Join(p.Policy.OpeningHours, ", "), "-"), p.Policy.By, p.Policy.At.UTC().Format("2006-01-02 15:04 MST"))
	}
	return t.Flush()
}
