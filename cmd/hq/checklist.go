package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"storehub/hq"
	"storehub/internal/cli"
)

type checklistCmd struct {
	Store  string `placeholder:"ID" help:"One store, every item; all stores, what is not done, if left out."`
	Format string `enum:"text,json,html" default:"text" help:"text, json or html."`
}

// Help is what it says.
func (checklistCmd) Help() string {
	return `Stripe's deployment checklist of every store as its hub last told it, the worst first. What
an old report says is said to be old; a store that never reported is unknown.

Exit: 0 no item of any store fails, 1 at least one does, 2 wrong usage, 3 could not run.

Examples:

  hq checklist
  hq checklist --store 0412
  hq checklist --format html > checklists.html`
}

// Run reads what hubs last told.
func (c *checklistCmd) Run(a *app) error {
	stores, _, err := a.fleet(0)
	if err != nil {
		return err
	}
	if c.Store != "" {
		stores = slices.DeleteFunc(stores, func(st hq.StoreView) bool { return st.ID != c.Store })
		if len(stores) == 0 {
			return cli.Usage("hq store list", "read arguments: --store %q: there is no such store", c.Store)
		}
	}
	list := hq.Checklists(stores)
	switch c.Format {
	case "json":
		err = writeJSON(a.stdout, list)
	case "html":
		err = writeChecklistPage(a.stdout, list, time.Now())
	default:
		err = writeChecklists(a.stdout, list, c.Store != "", time.Now())
	}
	if err == nil && slices.ContainsFunc(list.Stores, func(s hq.StoreChecklist) bool { return s.Count("fail") > 0 }) {
		err = cli.SomethingWrong
	}
	return err
}

// told says how old the report is.
func told(c hq.StoreChecklist, now time.Time) string {
	switch {
	case c.ReportedAt == nil:
		return "its hub has never reported"
	case c.Old:
		return "OLD: told " + ago(c.ReportedAt, now)
	}
	return "told " + ago(c.ReportedAt, now)
}

// writeChecklists is the list for people: of one store every item, of many what is not
// done.
func writeChecklists(out io.Writer, list hq.FleetChecklist, every bool, now time.Time) error {
	w := bufio.NewWriter(out)
	for i, st := range list.Stores {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "STORE %s  %s  (%s)\n", strings.TrimSpace(st.Store+" "+st.Name), st.Sum(), told(st, now))
		for _, it := range st.Items {
			if !every && it.Done() {
				continue
			}
			fmt.Fprintf(w, "%4d  %-14s %s\n", it.Number, strings.ReplaceAll(it.State, "_", " "), it.Title)
			for _, e := range it.Evidence {
				fmt.Fprintf(w, "      saw  %s\n", e)
			}
			fmt.Fprintf(w, "      owner %s, next due %s\n", it.Whose(), it.Due())
		}
	}
	if len(list.Stores) == 0 {
		fmt.Fprintln(w, "no store is recorded")
	}
	return w.Flush()
}

//go:embed checklist.html
var checklistText string

var checklistPage = template.Must(template.New("checklist").Funcs(template.FuncMap{
	"words": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
}).Parse(checklistText))

// writeChecklistPage is every item of all stores as one page that needs nothing else.
func writeChecklistPage(out io.Writer, list hq.FleetChecklist, now time.Time) error {
	type row struct {
		hq.StoreChecklist
		Told string
	}
	var rows []row
	for _, st := range list.Stores {
		rows = append(rows, row{st, told(st, now)})
	}
	return checklistPage.Execute(out, rows)
}
