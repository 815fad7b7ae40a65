package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"storehub/hq"
)

type storeListCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
	Worst  bool   `help:"Stores that want a person first, instead of by id."`
	Shared int    `placeholder:"N" help:"So many stores with one fault are told as one; fleet.shared_stores if left out."`
}

// Help is an example.
func (storeListCmd) Help() string {
	return "How each store does is its hub's last report: ready, degraded or blocked. A store is silent when that is more\n" +
		"than ten minutes old, and unknown when its hub never reported.\n\nExamples:\n\n  hq store list --worst\n  hq store list --format json"
}

// Run reads the database.
func (c *storeListCmd) Run(a *app) error {
	list, faults, err := a.fleet(c.Shared)
	if err != nil {
		return err
	}
	if c.Worst {
		hq.WorstFirst(list)
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, list)
	}
	return writeFleet(a.stdout, list, faults, time.Now())
}

// fleet reads how all stores do, beside a running headquarters.
func (a *app) fleet(atLeast int) (list []hq.StoreView, faults []hq.SharedFault, err error) {
	err = a.onLedger(func(s *hq.Server) (err error) {
		list, faults, err = s.Fleet(a.ctx, atLeast)
		return err
	})
	return list, faults, err
}

// writeFleet is the list for people.
func writeFleet(out io.Writer, list []hq.StoreView, faults []hq.SharedFault, now time.Time) error {
	w, drifts := bufio.NewWriter(out), false
	for _, f := range faults {
		fmt.Fprintf(w, "SHARED  %s\n        %s\n        %s\n\n", f, f.Title, strings.Join(f.Stores, ", "))
	}
	for _, st := range list {
		if c := st.Configuration; c != nil {
			for _, d := range c.Differences {
				fmt.Fprintf(w, "DRIFT   %s: %s\n", st.ID, d)
			}
			if c.Unknown != "" {
				fmt.Fprintf(w, "UNKNOWN %s: %s\n", st.ID, c.Unknown)
			}
			drifts = drifts || len(c.Differences) > 0 || c.Unknown != ""
		}
	}
	if drifts {
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STORE\tLOCATION\tACCOUNT\tMODE\tTIME ZONE\tHUB\tVERDICT\tCONTACT\tVERSION\tWAITING\tCHECKLIST\tCAUSES\tNAME")
	for _, st := range list {
		version, waiting, items, causes := "-", "-", "-", "-"
		if r := st.Report; r != nil {
			version = cmp.Or(r.Version, "-")
			if !r.Untold() {
				waiting, items = strconv.Itoa(r.Queue.Pending+r.Queue.Accepted), cmp.Or(hq.ChecklistSum(r.Checklist), "-")
			}
			var codes []string
			for _, c := range r.Causes {
				codes = append(codes, c.Code)
			}
			causes = cmp.Or(strings.Join(codes, " "), "-")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", st.ID, st.Location, cmp.Or(st.Account, "-"), st.Mode, st.TimeZone, st.Hub,
			st.Verdict, ago(st.LastContact, now), version, waiting, items, causes, cmp.Or(st.Name, "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return w.Flush()
}

// ago is how long since, in the largest unit that says enough.
func ago(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	switch d := now.Sub(*at); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		return fmt.Sprintf("%d days ago", d/(24*time.Hour))
	}
}
