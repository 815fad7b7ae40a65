package diagnostics

import (
	"cmp"
	"fmt"
	"io"
)

// WriteChecklistText writes the items for a terminal.
func WriteChecklistText(w io.Writer, items []Item, o TextOptions) error {
	p := page{width: max(cmp.Or(o.Width, 80), 40), color: o.Color}
	for _, it := range items {
		p.line(fmt.Sprintf("%2d  %s  %s", it.Number, p.paint(itemColor(it.State), fmt.Sprintf("%-14s", it.State)), clean(it.Title)))
		for _, s := range it.Evidence {
			p.field("saw", s)
		}
		for _, s := range it.Remedy {
			p.field("do", s)
		}
		p.field("when", it.When())
	}
	p.line("")
	p.line(summary(items))
	_, err := io.WriteString(w, p.String())
	return err
}

// When says whose it is, when it last passed, and until when that will do.
func (it Item) When() string {
	says := it.Owner
	if !it.LastPass.IsZero() {
		says += "; last passed " + stamp(it.LastPass)
	}
	if !it.NextDue.IsZero() {
		says += "; due again " + stamp(it.NextDue)
	}
	return says
}

func summary(items []Item) string {
	count := map[ItemState]int{}
	for _, it := range items {
		count[it.State]++
	}
	return fmt.Sprintf("%d of %d pass or are signed off, %d fail, %d want attention, %d not known.",
		count[ItemPass]+count[ItemSignedOff]+count[ItemNotApplicable], len(items), count[ItemFail], count[ItemAttention], count[ItemUnknown])
}

// WriteChecklistHTML writes the items as one page that needs nothing else.
func WriteChecklistHTML(w io.Writer, items []Item) error { return checklistPage.Execute(w, items) }

func itemColor(s ItemState) string {
	switch s {
	case ItemPass, ItemSignedOff:
		return "32"
	case ItemFail:
		return "31"
	case ItemNotApplicable:
		return "2"
	}
	return "33"
}
