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

// fleetChecklist is the checklists of stores, the worst first.
type fleetChecklist struct {
	Stores []storeChecklist `json:"stores"`
}

// storeChecklist is one store's. State is the worst of its items; unknown without a
// report.
type storeChecklist struct {
	Store      string          `json:"store"`
	Name       string          `json:"name,omitempty"`
	State      string          `json:"state"`
	ReportedAt *time.Time      `json:"reported_at"` // null: never
	Old        bool            `json:"old"`         // it is too old to say anything of now
	Items      []hq.ReportItem `json:"items"`
}

// itemStates is every state of an item, the worst first.
var itemStates = []string{"fail", "unknown", "attention", "signed_off", "pass", "not_applicable"}

// worst is the worst state of the items.
func worst(items []hq.ReportItem) string {
	for _, state := range itemStates {
		if slices.ContainsFunc(items, func(it hq.ReportItem) bool { return it.State == state }) {
			return state
		}
	}
	return "unknown" // no item, or only states that this version does not know
}

// checklists are the stores', the worst first: those with more failing items, then with
// more items that nobody can tell, then with more to do.
func checklists(stores []hq.StoreView) fleetChecklist {
	list := fleetChecklist{Stores: []storeChecklist{}}
	for _, st := range stores {
		c := storeChecklist{Store: st.ID, Name: st.Name, State: "unknown", ReportedAt: st.ReportedAt, Old: st.Verdict == hq.VerdictSilent, Items: []hq.ReportItem{}}
		if st.Report != nil {
			c.Items, c.State = st.Report.Checklist, worst(st.Report.Checklist)
		}
		list.Stores = append(list.Stores, c)
	}
	slices.SortStableFunc(list.Stores, func(a, b storeChecklist) int {
		for _, state := range itemStates[:3] {
			if d := b.count(state) - a.count(state); d != 0 {
				return d
			}
		}
		return 0
	})
	return list
}

// count is how many items are in a state; without a report all of them are unknown.
func (c storeChecklist) count(state string) (n int) {
	if len(c.Items) == 0 && state == "unknown" {
		return allItems
	}
	for _, it := range c.Items {
		if it.State == state {
			n++
		}
	}
	return n
}

// allItems is how many items Stripe's checklist has.
const allItems = 15

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
	list := checklists(stores)
	switch c.Format {
	case "json":
		err = writeJSON(a.stdout, list)
	case "html":
		err = writeChecklistPage(a.stdout, list, time.Now())
	default:
		err = writeChecklists(a.stdout, list, c.Store != "", time.Now())
	}
	if err == nil && slices.ContainsFunc(list.Stores, func(s storeChecklist) bool { return s.count("fail") > 0 }) {
		err = cli.SomethingWrong
	}
	return err
}

// told says how old the report is.
func (c storeChecklist) told(now time.Time) string {
	switch {
	case c.ReportedAt == nil:
		return "its hub has never reported"
	case c.Old:
		return "OLD: told " + ago(c.ReportedAt, now)
	}
	return "told " + ago(c.ReportedAt, now)
}

// Sum is the store's checklist in a line.
func (c storeChecklist) Sum() string {
	if len(c.Items) == 0 {
		return "nothing is known"
	}
	return fmt.Sprintf("%d of %d pass, are signed off or do not apply, %d fail, %d want attention, %d not known",
		c.count("pass")+c.count("signed_off")+c.count("not_applicable"), len(c.Items), c.count("fail"), c.count("attention"), c.count("unknown"))
}

// writeChecklists is the list for people: of one store every item, of many what is not
// done.
func writeChecklists(out io.Writer, list fleetChecklist, every bool, now time.Time) error {
	w := bufio.NewWriter(out)
	for i, st := range list.Stores {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "STORE %s  %s  (%s)\n", strings.TrimSpace(st.Store+" "+st.Name), st.Sum(), st.told(now))
		for _, it := range st.Items {
			if !every && slices.Contains(itemStates[3:], it.State) {
				continue
			}
			fmt.Fprintf(w, "%4d  %-14s %s\n", it.Number, strings.ReplaceAll(it.State, "_", " "), it.Title)
			for _, e := range it.Evidence {
				fmt.Fprintf(w, "      saw  %s\n", e)
			}
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
func writeChecklistPage(out io.Writer, list fleetChecklist, now time.Time) error {
	type row struct {
		storeChecklist
		Told string
	}
	var rows []row
	for _, st := range list.Stores {
		rows = append(rows, row{st, st.told(now)})
	}
	return checklistPage.Execute(out, rows)
}
