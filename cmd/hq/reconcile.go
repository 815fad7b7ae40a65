package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/cli"
)

type reconcileCmd struct {
	Store   string `placeholder:"ID" help:"One store; all if left out."`
	Day     string `placeholder:"YYYY-MM-DD" help:"The store's day, by its own clocks; the latest that is over if left out."`
	Format  string `enum:"text,json,csv" default:"text" help:"text, json or csv."`
	Confirm int64  `placeholder:"N" xor:"decision" help:"Let number N go on, or carry out what it proposes."`
	Dismiss int64  `placeholder:"N" xor:"decision" help:"Number N was looked at: end what waits, do nothing."`
	By      string `placeholder:"NAME" help:"Who decides."`
	Note    string `placeholder:"TEXT" help:"Why."`
}

// Help is what it does.
func (reconcileCmd) Help() string {
	return "Compares a day three ways: the orders that tills recorded, the operations that hubs handed over, and\n" +
		"Stripe. Headquarters does so by itself for each store when its day is over. What is found has a number\n" +
		"and stays until a person confirms or dismisses it. Exit code 1: something was found.\n\n" +
		"Examples:\n\n  hq reconcile --store 0412 --day 2026-11-25\n  hq reconcile --format csv > cases.csv\n" +
		"  hq reconcile --confirm 17 --by 'A. Meyer' --note 'charged twice, customer called'"
}

// Run compares, or decides.
func (c *reconcileCmd) Run(a *app) error {
	if c.Confirm != 0 || c.Dismiss != 0 {
		return c.decide(a)
	}
	var list []hq.Reconciliation
	err := a.withStripe(func(s *hq.Server) (err error) {
		list, err = c.compare(a, s)
		return err
	})
	if err != nil {
		return err
	}
	switch c.Format {
	case "json":
		err = writeJSON(a.stdout, list)
	case "csv":
		err = writeCases(a.stdout, list)
	default:
		err = writeReconciliations(a.stdout, list)
	}
	if err == nil && slices.ContainsFunc(list, func(r hq.Reconciliation) bool { return len(r.Cases)+len(r.Waiting) > 0 }) {
		err = cli.SomethingWrong
	}
	return err
}

func (c *reconcileCmd) compare(a *app, s *hq.Server) ([]hq.Reconciliation, error) {
	ids := []string{c.Store}
	if c.Store == "" {
		stores, err := s.Stores(a.ctx)
		if err != nil {
			return nil, err
		}
		ids = ids[:0]
		for _, st := range stores {
			ids = append(ids, st.ID)
		}
	}
	list := []hq.Reconciliation{}
	for _, id := range ids {
		r, err := s.Reconcile(a.ctx, id, c.Day)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (c *reconcileCmd) decide(a *app) error {
	d := hq.Decision{Finding: max(c.Confirm, c.Dismiss), Confirm: c.Confirm != 0, By: c.By, Note: c.Note}
	err := a.withStores("hq reconcile --confirm N --by NAME --note TEXT", func(s *hq.Server) error { return s.Decide(a.ctx, d) })
	if err != nil {
		return err
	}
	word := "dismissed"
	if d.Confirm {
		word = "confirmed; what follows from it is done by the running headquarters"
	}
	_, err = fmt.Fprintf(a.stdout, "%d is %s.\n", d.Finding, word)
	return err
}

// writeReconciliations is the report for people.
func writeReconciliations(out io.Writer, list []hq.Reconciliation) error {
	w := bufio.NewWriter(out)
	for i, r := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		var received []string
		for _, currency := range slices.Sorted(maps.Keys(r.Received)) {
			received = append(received, doors.Format(r.Received[currency], currency))
		}
		if received == nil {
			received = []string{"nothing"}
		}
		orders := strconv.Itoa(r.Orders)
		if r.Orders == 0 {
			orders = "not recorded"
		}
		fmt.Fprintf(w, "STORE %s  %s  (%s to %s)\n", r.Store, r.Day, r.From.Format("2006-01-02 15:04"), r.To.Format("2006-01-02 15:04 MST"))
		fmt.Fprintf(w, "orders %s · operations %d · payments %d · received %s\n", orders, r.Operations, r.Payments, strings.Join(received, ", "))
		if r.Decided > 0 {
			fmt.Fprintf(w, "decided before: %d\n", r.Decided)
		}
		for _, c := range r.Cases {
			fmt.Fprintf(w, "\n%4d  %s  %s", c.Finding, c.Kind, c.Ref)
			if c.Order != "" && c.Order != c.Ref {
				fmt.Fprintf(w, "  order %s", c.Order)
			}
			if c.Amount > 0 && c.Currency != "" {
				fmt.Fprintf(w, "  %s", doors.Format(c.Amount, c.Currency))
			}
			fmt.Fprintf(w, "\n      %s\n", c.Note)
			if c.Deadline != nil {
				fmt.Fprintf(w, "      until %s\n", c.Deadline.UTC().Format("2006-01-02 15:04 MST"))
			}
			if len(c.Proposal) > 0 {
				fmt.Fprintf(w, "      hq reconcile --confirm %d --by NAME --note TEXT\n", c.Finding)
			}
		}
		if len(r.Waiting) > 0 {
			fmt.Fprintf(w, "\nwaiting for a person:\n")
		}
		for _, f := range r.Waiting {
			fmt.Fprintf(w, "%4d  %s  since %s\n      %s\n", f.ID, f.Code, f.At.UTC().Format("2006-01-02 15:04 MST"), f.Note)
		}
		if len(r.Cases)+len(r.Waiting) == 0 {
			fmt.Fprintln(w, "nothing to look at")
		}
	}
	return w.Flush()
}

// writeCases is one line per case for a spreadsheet.
func writeCases(out io.Writer, list []hq.Reconciliation) error {
	w := csv.NewWriter(out)
	lines := [][]string{{"store", "day", "number", "kind", "ref", "order", "amount", "currency", "deadline", "note"}}
	for _, r := range list {
		for _, c := range r.Cases {
			deadline := ""
			if c.Deadline != nil {
				deadline = c.Deadline.UTC().Format(time.RFC3339)
			}
			lines = append(lines, []string{cell(r.Store), r.Day, strconv.FormatInt(c.Finding, 10), c.Kind, cell(c.Ref), cell(c.Order),
				strconv.FormatInt(c.Amount, 10), c.Currency, deadline, cell(c.Note)})
		}
	}
	return w.WriteAll(lines)
}

// cell keeps a spreadsheet from taking a till's text for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
