package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"text/tabwriter"
	"time"

	"storehub/hq"
	"storehub/internal/cli"
)

// whoFlag is for commands by which a person changes something.
type whoFlag struct {
	By string `placeholder:"NAME" help:"Who does this, for the audit log; this machine's account if left out."`
}

// acting names the person for the audit log.
func (w whoFlag) acting(ctx context.Context) context.Context {
	who := w.By
	if who == "" {
		if u, err := user.Current(); err == nil {
			who = "account " + u.Username
		}
	}
	return hq.By(ctx, who)
}

type auditCmd struct {
	Store  string        `placeholder:"ID" help:"One store; all if left out."`
	Since  time.Duration `placeholder:"DURATION" help:"Not older than that, such as 24h."`
	Last   int           `default:"200" help:"The newest so many; 0: all."`
	Format string        `enum:"text,json,csv" default:"text" help:"text, json or csv."`
}

// Help says what is in it.
func (auditCmd) Help() string {
	return "Who did what at headquarters, and when: stores added, changed, moved, revoked and removed, hubs enrolled, exports taken\n" +
		"in, what was decided about money and why. It goes back for ever; what hubs and tills did is in the ledger.\n\n" +
		"Examples:\n\n  hq audit --since 24h\n  hq audit --store 0412 --last 0 --format csv > audit.csv"
}

// Run reads the log.
func (c *auditCmd) Run(a *app) error {
	if c.Last < 0 || c.Since < 0 {
		return cli.Usage("hq audit --help", "read arguments: --last and --since cannot be below 0")
	}
	q := hq.AuditQuery{Store: c.Store, Last: c.Last}
	if c.Since > 0 {
		q.Since = time.Now().Add(-c.Since)
	}
	var list []hq.Act
	err := a.onLedger(func(s *hq.Server) (err error) {
		list, err = s.Audit(a.ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	switch c.Format {
	case "json":
		return writeJSON(a.stdout, list)
	case "csv":
		return writeAuditCSV(a.stdout, list)
	default:
		return writeAudit(a.stdout, list)
	}
}

func writeAudit(out io.Writer, list []hq.Act) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WHEN\tWHO\tACT\tSTORE\tDETAIL")
	for _, a := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.At.UTC().Format("2006-01-02 15:04:05 MST"), a.By, a.Act, cmp.Or(a.Store, "-"), a.Detail)
	}
	return t.Flush()
}

// writeAuditCSV is one line per act for a spreadsheet.
func writeAuditCSV(out io.Writer, list []hq.Act) error {
	lines := [][]string{{"id", "at", "by", "act", "store", "detail"}}
	for _, a := range list {
		lines = append(lines, []string{strconv.FormatInt(a.ID, 10), a.At.UTC().Format(time.RFC3339), cell(a.By), a.Act, cell(a.Store), cell(a.Detail)})
	}
	return csv.NewWriter(out).WriteAll(lines)
}
