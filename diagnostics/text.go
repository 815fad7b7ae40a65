package diagnostics

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"storehub/netcheck"
)

// TextOptions say what the terminal is like.
type TextOptions struct {
	Width int // 0: 80
	Color bool
	Zone  *time.Location // for times of the past; nil: UTC
}

// verdictWords is what people read first.
var verdictWords = map[Verdict]string{Ready: "READY", Degraded: "DEGRADED", Blocked: "PAYMENTS BLOCKED"}

// WriteText writes the report for a terminal. What came from outside cannot move
// the cursor.
func WriteText(w io.Writer, r Report, o TextOptions) error {
	p := newPage(o)
	word := cmp.Or(verdictWords[r.Verdict], string(r.Verdict))
	var about []string
	if r.Store != "" {
		about = append(about, "store "+clean(r.Store))
	}
	if r.HubVersion != "" {
		about = append(about, "hub "+clean(r.HubVersion))
	}
	about = append(about, fmt.Sprintf("checked %s UTC in %.1fs", r.StartedAt.UTC().Format("15:04:05"), float64(r.TookMS)/1000))
	p.head(p.paint(verdictColor(r.Verdict), word), word, about)
	for i, c := range r.Causes {
		p.line("")
		p.title(i+1, c)
		p.when(c, r.StartedAt, o)
		p.words(c)
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

func newPage(o TextOptions) page {
	return page{width: max(cmp.Or(o.Width, 80), 40), color: o.Color}
}

// head is the verdict and whose it is; where both do not fit on one line, each
// has its own.
func (p *page) head(painted, word string, about []string) {
	line := strings.Join(about, " · ")
	if utf8.RuneCountInString(word)+3+utf8.RuneCountInString(line) <= p.width {
		p.line(painted + "   " + line)
		return
	}
	p.line(painted)
	for _, l := range wrapBy(about, " · ", p.width) {
		p.line(l)
	}
}

// title is what is wrong, with the code at the right edge where it fits.
func (p *page) title(n int, c Cause) {
	lines := wrap(clean(c.Title), p.width-3)
	head := fmt.Sprintf("%-3d%s", n, lines[0])
	gap := p.width - utf8.RuneCountInString(head) - utf8.RuneCountInString(c.Code)
	code := p.paint("2", c.Code)
	if gap >= 2 && len(lines) == 1 {
		p.line(p.paint("1", head) + strings.Repeat(" ", gap) + code)
		return
	}
	p.line(p.paint("1", head))
	for _, l := range lines[1:] {
		p.line("   " + p.paint("1", l))
	}
	p.line("   " + code)
}

// when says since when, where that is not just now.
func (p *page) when(c Cause, started time.Time, o TextOptions) {
	k := clock{cmp.Or(o.Zone, time.UTC), started}
	var parts []string
	if f := c.Flapping; f != nil {
		now := "there now"
		if !f.Present {
			now = "last seen " + k.short(f.LastSeen)
		}
		parts = append(parts, fmt.Sprintf("comes and goes: %d times since %s %s, %s", f.Times, k.short(f.Since), k.zoneName(), now))
	} else if !c.Since.IsZero() && started.Sub(c.Since) >= time.Minute {
		parts = append(parts, fmt.Sprintf("since %s %s (%s)", k.short(c.Since), k.zoneName(), lasted(started.Sub(c.Since))))
	}
	if c.LastDay != nil && c.LastDay.Times > 1 {
		parts = append(parts, fmt.Sprintf("%d times in the last day, %s in all", c.LastDay.Times, lasted(time.Duration(c.LastDay.Seconds)*time.Second)))
	}
	if len(parts) > 0 {
		p.field("when", strings.Join(parts, "; "))
	}
}

// words are proof and remedy.
func (p *page) words(c Cause) {
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

// para hangs under its head, or stands below it where that leaves no room.
func (p *page) para(head, s string) {
	if p.width-utf8.RuneCountInString(head) < 24 {
		p.line(head)
		head = "     "
	}
	for i, l := range wrap(clean(s), p.width-utf8.RuneCountInString(head)) {
		if i > 0 {
			head = strings.Repeat(" ", utf8.RuneCountInString(head))
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
	p.para("", fmt.Sprintf("%d of %d probes passed.", count[netcheck.Pass], len(r.Probes)))
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

// wrapBy joins what belongs together by sep, and breaks between.
func wrapBy(parts []string, sep string, width int) []string {
	var out []string
	line := ""
	for _, part := range parts {
		switch {
		case line == "":
			line = part
		case utf8.RuneCountInString(line+sep+part) > width:
			out = append(out, wrap(line, width)...)
			line = part
		default:
			line += sep + part
		}
	}
	return append(out, wrap(line, width)...)
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
