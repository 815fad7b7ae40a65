package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hub"
	"storehub/internal/cli"
	"storehub/readers"
)

type readersTimelineCmd struct {
	Reader string        `arg:"" help:"Its serial number, or tmr_…"`
	Since  time.Duration `default:"24h" help:"How far back."`
	Format string        `enum:"text,json" default:"text" help:"text or json."`
}

// Help says what the picture means, and gives an example.
func (readersTimelineCmd) Help() string {
	return `Read from the hub's state directory, whether the hub runs or not.

In the picture # is online, - is offline or out of reach, . is not known.

Exit: 0 shown, 2 nothing is kept of such a reader, 3 could not read.

Example:

  hub readers timeline WSC513103004321 --since 48h`
}

// Run shows it.
func (c *readersTimelineCmd) Run(a *app) error {
	if c.Since <= 0 {
		return cli.Usage("hub readers timeline WSC513103004321 --since 48h", "read arguments: --since %s is not in the past", c.Since)
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	now := time.Now()
	tl, err := hub.ReadReaderTimeline(cfg.StateDir, c.Reader, now.Add(-c.Since), now)
	var refused *doors.Error
	switch {
	case errors.As(err, &refused) && refused.Code == doors.ErrNotFound.Code:
		return cli.Usage("hub readers list", "show timeline: nothing is kept of a reader %q", c.Reader)
	case err != nil:
		return err
	}
	if c.Format == "json" {
		return writeJSON(a.stdout, tl)
	}
	return writeTimeline(a.stdout, tl, now.Add(-c.Since), now)
}

// stripCells is how wide the picture is.
const stripCells = 72

// writeTimeline draws one line of picture, then says each span and each report.
func writeTimeline(w io.Writer, tl hub.ReaderTimeline, since, until time.Time) error {
	fmt.Fprintf(w, "%s  %s\n%s  %s\n\n", moment(since), strip(tl.Spans, since, until), strings.Repeat(" ", len(moment(since))), "# online   - offline or out of reach   . not known")
	var rows [][]string
	lines := tl.Lines
	reports := func(before time.Time) {
		for len(lines) > 0 && lines[0].At.Before(before) {
			if r := lines[0].Report; r != nil && !lines[0].At.Before(since) {
				rows = append(rows, []string{moment(lines[0].At), "", "told", reportWords(*r)})
			}
			lines = lines[1:]
		}
	}
	for _, s := range tl.Spans {
		reports(s.From)
		what := s.State
		if s.Why != "" {
			what += ", " + s.Why
		}
		rows = append(rows, []string{moment(s.From), s.To.Sub(s.From).Round(time.Second).String(), what, s.Reason})
	}
	reports(until)
	if err := table(w, []string{"FROM", "FOR", "STATE", "WHY"}, rows); err != nil {
		return err
	}
	if tl.Unread > 0 {
		fmt.Fprintf(w, "\n%d lines could not be made out.\n", tl.Unread)
	}
	return nil
}

// strip is the picture: each cell shows what most of its time was like.
func strip(spans []readers.Span, since, until time.Time) string {
	cell := until.Sub(since) / stripCells
	out := make([]byte, stripCells)
	for i := range out {
		from := since.Add(time.Duration(i) * cell)
		var up, down time.Duration
		for _, s := range spans {
			d := s.Within(from, from.Add(cell))
			switch s.State {
			case readers.StateOnline:
				up += d
			case readers.StateOffline, readers.StateUnreachable:
				down += d
			}
		}
		switch {
		case up == 0 && down == 0:
			out[i] = '.'
		case down > 0 && down >= up:
			out[i] = '-'
		default:
			out[i] = '#'
		}
	}
	return string(out)
}

// reportWords is a till's report as a sentence.
func reportWords(r readers.Report) string {
	var said []string
	add := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	switch r.Connected {
	case readers.Yes:
		add("connected")
	case readers.No:
		add("not connected")
	}
	if r.Code != "" {
		add("error %s", r.Code)
	}
	if r.Battery != nil {
		add("battery %.0f %%", *r.Battery*100)
	}
	if r.Charging == readers.Yes {
		add("charging")
	}
	if r.Update != nil {
		add("update %.0f %%", *r.Update*100)
	}
	if r.Software != "" {
		add("software %s", r.Software)
	}
	if r.SDK != "" {
		add("%s", r.SDK)
	}
	return printable(r.Till + ": " + strings.Join(said, ", "))
}
