package web

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// Tones are the colours of a component, by what they mean. Each says it in words too.
const (
	Good = "good"
	Warn = "warn"
	Bad  = "bad"
	Info = "info"
	Off  = "off" // nothing known, or not in use
)

// Badge is a state in a word.
type Badge struct{ Tone, Text string }

// Notice is something to read: a title, and what it means.
type Notice struct{ Tone, Title, Text string }

// Tile is one figure, and where it leads.
type Tile struct{ Tone, Name, Figure, Text, Link string }

// Span is how something stood for a while.
type Span struct {
	From, To time.Time
	Tone     string
	Text     string
}

// Timeline is spans as bars.
type Timeline struct {
	Name     string
	From, To time.Time
	Spans    []Span
}

// Bar is a span on a line a thousand wide.
type Bar struct {
	X, W, Tone, Text string
}

// Bars are the spans that lie in the line.
func (t Timeline) Bars() (bars []Bar) {
	all := t.To.Sub(t.From)
	if all <= 0 {
		return nil
	}
	at := func(x time.Time) float64 {
		return 1000 * min(1, max(0, float64(x.Sub(t.From))/float64(all)))
	}
	for _, s := range t.Spans {
		if x, end := at(s.From), at(s.To); end > x {
			bars = append(bars, Bar{strconv.FormatFloat(x, 'f', 1, 64), strconv.FormatFloat(end-x, 'f', 1, 64), s.Tone,
				s.Text + ", " + clock(s.From) + " to " + clock(s.To)})
		}
	}
	return bars
}

// Edge is an end of the line in words: the hour, or the day where it is days long.
func (t Timeline) Edge(at time.Time) string {
	if t.To.Sub(t.From) > 25*time.Hour {
		return at.Local().Format("2 Jan")
	}
	return at.Local().Format("15:04")
}

// Said is the line in words, for whoever does not see it.
func (t Timeline) Said() string {
	var words []string
	for _, b := range t.Bars() {
		words = append(words, b.Text)
	}
	switch n := len(words); {
	case n == 0:
		return "nothing is known"
	case n > 12:
		return fmt.Sprintf("%d spans, the last: %s", n, words[n-1])
	}
	return strings.Join(words, "; ")
}

// Old is data that is not of now.
type Old struct {
	What string
	At   time.Time
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2 Jan 15:04:05")
}

// funcs make components of what a page knows.
func (s *Site) funcs() template.FuncMap {
	return template.FuncMap{
		"badge":  func(tone, text string) Badge { return Badge{tone, text} },
		"notice": func(tone, title, text string) Notice { return Notice{tone, title, text} },
		"tile":   func(tone, name, figure, text, link string) Tile { return Tile{tone, name, figure, text, link} },
		"timeline": func(name string, from, to time.Time, spans []Span) Timeline {
			return Timeline{name, from, to, spans}
		},
		"old":   func(what string, at time.Time) Old { return Old{what, at} },
		"clock": clock,
	}
}
