package diagnostics

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// spansShown is how many stretches of time a cause is told with.
const spansShown = 6

var pastWords = map[Verdict]string{Ready: "READY", Degraded: "DEGRADED", Blocked: "PAYMENTS WERE BLOCKED", Unwatched: "NOT KNOWN"}

// WriteHistoryText writes what was wrong for a terminal, with times in the zone
// of the options, which it names.
func WriteHistoryText(w io.Writer, h History, o TextOptions) error {
	p := newPage(o)
	c := clock{cmp.Or(o.Zone, time.UTC), h.To}
	about := []string{c.period(h)}
	if h.Store != "" {
		about = append([]string{"store " + clean(h.Store)}, about...)
	}
	p.head(p.paint(verdictColor(h.Verdict), pastWords[h.Verdict]), pastWords[h.Verdict], about)
	for i, past := range h.Causes {
		p.line("")
		p.title(i+1, past.Cause)
		for _, line := range c.spans(past.Spans) {
			p.field("when", line)
		}
		if f := past.Flapping; f != nil {
			p.field("when", fmt.Sprintf("came and went: %d times since %s", f.Times, c.short(f.Since)))
		}
		p.words(past.Cause)
		if len(past.Explains) > 0 {
			p.field("also", strings.Join(past.Explains, ", ")+" only looked wrong")
		}
	}
	if len(h.Causes) == 0 {
		p.line("")
		if h.Verdict == Unwatched {
			p.para("", "Nobody watched: the hub did not run, or keeps no history of that time.")
		} else {
			p.para("", "Nothing was wrong.")
		}
	}
	if !h.SeenAt.IsZero() || h.From.Before(h.To) || len(h.Damaged) > 0 {
		p.line("")
	}
	if !h.SeenAt.IsZero() {
		p.para("", "The hub judged so at "+c.exact(h.SeenAt)+".")
	}
	if h.From.Before(h.To) {
		p.para("", c.shares(h)+".")
	}
	for _, g := range h.Unwatched {
		p.para("Not watched: ", c.between(g.From, g.To))
	}
	for _, d := range h.Damaged {
		p.para("Damaged: ", d)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// clock tells times in one zone. A day is named where it is not that of ref.
type clock struct {
	zone *time.Location
	ref  time.Time
}

func (c clock) short(t time.Time) string {
	t = t.In(c.zone)
	if sameDay(t, c.ref.In(c.zone)) {
		return t.Format("15:04")
	}
	return t.Format("Mon 2 Jan 15:04")
}

func (c clock) exact(t time.Time) string {
	t = t.In(c.zone)
	if sameDay(t, c.ref.In(c.zone)) {
		return t.Format("15:04:05")
	}
	return t.Format("Mon 2 Jan 15:04:05")
}

func sameDay(a, b time.Time) bool { return a.YearDay() == b.YearDay() && a.Year() == b.Year() }

// zoneName is "CET (UTC+01:00)": an abbreviation alone means several things.
func (c clock) zoneName() string {
	t := c.ref.In(c.zone)
	name, offset := t.Zone()
	if offset == 0 && name == "UTC" {
		return name
	}
	if name == "" || strings.ContainsAny(name[:1], "+-") {
		return "UTC" + t.Format("-07:00")
	}
	return name + " (UTC" + t.Format("-07:00") + ")"
}

// period names the time asked for, with its day and zone.
func (c clock) period(h History) string {
	day := c.ref.In(c.zone).Format("Mon 2 Jan 2006")
	if h.From.Equal(h.To) {
		return "at " + h.To.In(c.zone).Format("15:04:05") + " on " + day + ", " + c.zoneName()
	}
	return c.short(h.From) + " to " + c.short(h.To) + " on " + day + ", " + c.zoneName()
}

func (c clock) between(from, to time.Time) string {
	return fmt.Sprintf("%s to %s (%s)", c.short(from), c.short(to), lasted(to.Sub(from)))
}

// spans are the latest stretches in words.
func (c clock) spans(list []Span) []string {
	var out []string
	if n := len(list) - spansShown; n > 0 {
		out = append(out, fmt.Sprintf("%d times; the last %d:", len(list), spansShown))
		list = list[n:]
	}
	for _, s := range list {
		switch {
		case s.Stands:
			out = append(out, "since "+c.short(s.From)+", and it stands")
		case s.GoneBy.IsZero():
			out = append(out, c.short(s.From)+", last seen "+c.short(s.LastSeen)+"; its end was not watched")
		default:
			out = append(out, c.between(s.From, s.GoneBy))
		}
	}
	return out
}

// shares is how long each verdict stood.
func (c clock) shares(h History) string {
	var out []string
	for _, v := range []Verdict{Blocked, Degraded, Ready, Unwatched} {
		if s := h.Seconds[v]; s > 0 {
			word := string(v)
			if v == Unwatched {
				word = "not known"
			}
			out = append(out, word+" "+lasted(time.Duration(s)*time.Second))
		}
	}
	return strings.Join(out, ", ")
}

// lasted is a duration as people say it.
func lasted(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d.Round(24*time.Hour)/(24*time.Hour))
}
