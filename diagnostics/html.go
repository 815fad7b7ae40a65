package diagnostics

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var reportHTML string

//go:embed checklist.html
var checklistHTML string

var pages = template.Must(template.New("report").Funcs(template.FuncMap{
	"word":    func(v Verdict) string { return verdictWords[v] },
	"percent": func(f float64) int { return int(f*100 + 0.5) },
	"utc":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"seconds": func(ms int64) float64 { return float64(ms) / 1000 },
}).Parse(reportHTML))

var checklistPage = template.Must(template.Must(pages.Clone()).New("checklist").Parse(checklistHTML))

// WriteHTML writes the report as one page that needs nothing else: no script, no
// font, no picture.
func WriteHTML(w io.Writer, r Report) error { return pages.Execute(w, r) }
