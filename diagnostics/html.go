package diagnostics

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var reportHTML string

//go:embed history.html
var historyHTML string

//go:embed checklist.html
var checklistHTML string

var pages = template.Must(template.New("report").Funcs(template.FuncMap{
	"word":    func(v Verdict) string { return verdictWords[v] },
	"percent": func(f float64) int { return int(f*100 + 0.5) },
	"utc":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"seconds": func(ms int64) float64 { return float64(ms) / 1000 },
}).Parse(reportHTML))

var checklistPage = template.Must(template.Must(pages.Clone()).New("checklist").Parse(checklistHTML))

var historyPage = template.Must(template.Must(pages.Clone()).New("history").Parse(historyHTML))

// pastPage is a history in words.
type pastPage struct {
	History
	clock
	Word, Period, Shares string
	Gaps                 []string
}

// Times are the stretches in which a cause stood.
func (p pastPage) Times(c Past) []string { return p.spans(c.Spans) }

// WriteHistoryHTML writes the history as one page that needs nothing else, with
// times in zone, which it names.
func WriteHistoryHTML(w io.Writer, h History, zone *time.Location) error {
	p := pastPage{History: h, clock: clock{cmp.Or(zone, time.UTC), h.To}, Word: pastWords[h.Verdict]}
	p.Period, p.Shares = p.period(h), p.shares(h)
	for _, g := range h.Unwatched {
		p.Gaps = append(p.Gaps, p.between(g.From, g.To))
	}
	return historyPage.Execute(w, p)
}

// WriteHTML writes the report as one page that needs nothing else: no script, no
// font, no picture.
func WriteHTML(w io.Writer, r Report) error { return pages.Execute(w, r) }
