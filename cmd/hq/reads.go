package main

import (
	"fmt"
	"text/tabwriter"

	"storehub/hq"
	"storehub/internal/cli"
)

type readsCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

// Help says what the figures are.
func (readsCmd) Help() string {
	return "Stripe allots an account 500 reads for each payment over 30 days, and 10,000 at least. Headquarters counts all of its own; " +
		"as they are used up it polls readers and events more rarely. What money needs is read always. Exit code 1: an account is over its budget.\n\n" +
		"Example:\n\n  hq reads --format json"
}

// Run reads what all replicas wrote down.
func (c *readsCmd) Run(a *app) error {
	var budgets []hq.ReadBudget
	err := a.onLedger(func(s *hq.Server) (err error) {
		budgets, err = s.ReadBudgets(a.ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.write(a, budgets); err != nil {
		return err
	}
	for _, b := range budgets {
		if b.Used > 1 {
			return cli.SomethingWrong
		}
	}
	return nil
}

func (c *readsCmd) write(a *app, budgets []hq.ReadBudget) error {
	if c.Format == "json" {
		return writeJSON(a.stdout, map[string]any{"accounts": budgets})
	}
	if len(budgets) == 0 {
		_, err := fmt.Fprintln(a.stdout, "nothing has been read at Stripe yet")
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODE\tACCOUNT\tREADS IN 30 DAYS\tBUDGET\tUSED\tPAYMENTS\tPOLLS")
	for _, b := range budgets {
		account, polls := b.Account, "at full pace"
		if account == "" {
			account = "the key's own"
		}
		if b.Slowed > 1 {
			polls = fmt.Sprintf("%.1f times slower", b.Slowed)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.0f %%\t%d\t%s\n", b.Mode, account, b.Reads, b.Budget, 100*b.Used, b.Payments, polls)
	}
	return w.Flush()
}
