package diagnostics

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"storehub/netcheck"
)

// TextOptions say what the terminal is like.
type TextOptions struct {
	Width int // 0: 80
	Color bool
}

// verdictWords is what people read first.
var verdictWords = map[Verdict]string{Ready: "READY", Degraded: "DEGRADED", Blocked: "PAYMENTS BLOCKED"}

// WriteText writes the report for a terminal. What came from outside cannot move
// the cursor.
func WriteText(w io.Writer, r Report, o TextOptions) error {
	p := page{width: cmp.Or(o.Width, 80), color: o.Color}
	p.width = max(p.width, 40)
	head := p.paint(verdictColor(r.Verdict), cmp.Or(verdictWords[r.Verdict], string(r.Verdict)))
	var about []string
	if r.Store != "" {
		about = append(about, "store "+clean(r.Store))
	}
	if r.HubVersion != "" {
		about = append(about, "hub "+clean(r.HubVersion))
	}
	about = append(about, fmt.Sprintf("checked %s UTC in %.1fs", r.StartedAt.UTC().Format("15:04:05"), float64(r.TookMS)/1000))
	p.line(head + "   " + strings.Join(about, " · "))
	for i, c := range r.Causes {
		p.line("")
		p.cause(i+1, c)
		p.symptoms(r, c.Code)
	}
	if len(r.Causes) == 0 {
		p.line("")
		p.line("Nothing is wrong.")
	}
	p.rest(r)
	_, err := io.WriteString(w, p.String())
	return err
}

type page struct {
	strings.Builder
	width int
	color bool
}

func (p *page) line(s string) { p.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *page) cause(n int, c Cause) {
	title := fmt.Sprintf("%-3d%s", n, clean(c.Title))
	gap := p.width - utf8.RuneCountInString(title) - utf8.RuneCountInString(c.Code)
	code := p.paint("2", c.Code)
	if gap < 2 {
		p.line(p.paint("1", title))
		p.line("   " + code)
	} else {
		p.line(p.paint("1", title) + strings.Repeat(" ", gap) + code)
	}
	for _, s := range c.Evidence {
		p.field("saw", s)
	}
	for _, s := range c.RuledOut {
		p.field("not", s)
	}
	for _, s := range c.Remedy {
		p.field("do", s)
	}
	p.field("sure", fmt.Sprintf("%.0f %%, %s", 100*c.Confidence, c.Severity))
	p.field("more", c.Doc)
}

// field is a word and a text that hangs under itself.
func (p *page) field(word, s string) {
	const indent = 10
	for i, l := range wrap(clean(s), p.width-indent) {
		if i == 0 {
			p.line(fmt.Sprintf("   %-6s %s", word, l))
		} else {
			p.line(strings.Repeat(" ", indent) + l)
		}
	}
}

func (p *page) symptoms(r Report, code string) {
	var list []string
	for _, s := range r.Symptoms {
		if s.Because != code {
			continue
		}
		text := s.Code
		if len(s.Targets) > 0 {
			text += " (" + strings.Join(s.Targets, ", ") + ")"
		}
		list = append(list, text)
	}
	if len(list) > 0 {
		p.line("")
		p.para("   Will go away with it: ", strings.Join(list, "; "))
	}
}

func (p *page) para(head, s string) {
	for i, l := range wrap(clean(s), p.width-len(head)) {
		if i > 0 {
			head = strings.Repeat(" ", len(head))
		}
		p.line(head + l)
	}
}

// rest is what was sound, and what could not be told.
func (p *page) rest(r Report) {
	count := map[netcheck.Status]int{}
	var because []string
	for _, q := range r.Probes {
		count[q.Status]++
		if q.Status == netcheck.Skip && !slices.Contains(because, q.Because) {
			because = append(because, q.Because)
		}
	}
	if len(r.Probes) == 0 {
		return
	}
	p.line("")
	p.line(fmt.Sprintf("%d of %d probes passed.", count[netcheck.Pass], len(r.Probes)))
	if n := len(because); n == 1 {
		p.para("Not asked: ", fmt.Sprintf("%d, since %s failed", count[netcheck.Skip], because[0]))
	} else if n > 1 {
		p.para("Not asked: ", fmt.Sprintf("%d, since %s and %d more failed", count[netcheck.Skip], because[0], n-1))
	}
	for _, q := range r.Probes {
		if q.Status == netcheck.Unknown {
			p.para("Not known: ", q.Name+": "+q.Detail)
		}
	}
}

func (p *page) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func verdictColor(v Verdict) string {
	switch v {
	case Ready:
		return "1;32"
	case Degraded:
		return "1;33"
	}
	return "1;31"
}

// clean makes one harmless line of what may come from outside.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
}

// wrap breaks at spaces; a word longer than a line stays whole, so that it can
// be copied.
func wrap(s string, width int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			out = append(out, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(out, line)
}
