package diagnostics

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// ChecklistHistory is how the items of a checklist stood in the past: how they stood at
// first, and each change since then.
type ChecklistHistory struct {
	Begins  time.Time            `json:"begins"`
	First   map[string]ItemState `json:"first"`
	Changes []ItemChange         `json:"changes"`
}

// ItemChange is an item that has come to another state.
type ItemChange struct {
	At       time.Time `json:"at"`
	Item     string    `json:"item"`
	To       ItemState `json:"to"`
	Evidence []string  `json:"evidence"`
}

const (
	// historyKept is a year and a month; historyMost bounds a checklist that flaps.
	historyKept = 400 * 24 * time.Hour
	historyMost = 5000
)

// Record takes in how the items stand and reports whether that is news.
func (h *ChecklistHistory) Record(at time.Time, items []Item) (news bool) {
	at = at.UTC().Truncate(time.Second)
	if h.First == nil {
		h.Begins, h.First = at, map[string]ItemState{}
		for _, it := range items {
			h.First[it.ID] = it.State
		}
		return true
	}
	now := h.at(at)
	for _, it := range items {
		if now[it.ID] != it.State {
			h.Changes = append(h.Changes, ItemChange{at, it.ID, it.State, it.Evidence})
			news = true
		}
	}
	for len(h.Changes) > historyMost || len(h.Changes) > 0 && at.Sub(h.Changes[0].At) > historyKept {
		c := h.Changes[0]
		h.Begins, h.First[c.Item], h.Changes = c.At, c.To, h.Changes[1:]
	}
	return news
}

// at is how the items stood then.
func (h *ChecklistHistory) at(t time.Time) map[string]ItemState {
	m := maps.Clone(h.First)
	for _, c := range h.Changes {
		if !c.At.After(t) {
			m[c.Item] = c.To
		}
	}
	return m
}

// ChecklistDiff is what became of a checklist in a time.
type ChecklistDiff struct {
	From   time.Time     `json:"from"`
	To     time.Time     `json:"to"`
	Begins time.Time     `json:"begins"` // of the history: what was before is not known
	Items  []ItemHistory `json:"items"`  // those that changed, in Stripe's order
}

// ItemHistory is one item in that time. Was and Is may be the same where it came back.
type ItemHistory struct {
	Number  int          `json:"number"`
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Was     ItemState    `json:"was"`
	Is      ItemState    `json:"is"`
	Changes []ItemChange `json:"changes"`
}

// Between says what changed after from and not after to.
func (h *ChecklistHistory) Between(from, to time.Time) ChecklistDiff {
	d := ChecklistDiff{From: from.UTC().Truncate(time.Second), To: to.UTC().Truncate(time.Second), Begins: h.Begins, Items: []ItemHistory{}}
	was, is := h.at(from), h.at(to)
	for i, t := range theItems {
		it := ItemHistory{Number: i + 1, ID: t.id, Title: t.title, Was: was[t.id], Is: is[t.id]}
		for _, c := range h.Changes {
			if c.Item == t.id && c.At.After(from) && !c.At.After(to) {
				it.Changes = append(it.Changes, c)
			}
		}
		if len(it.Changes) > 0 {
			d.Items = append(d.Items, it)
		}
	}
	return d
}

// WriteChecklistDiffText writes the difference for a terminal.
func WriteChecklistDiffText(w io.Writer, d ChecklistDiff, o TextOptions) error {
	p := page{width: max(cmp.Or(o.Width, 80), 40), color: o.Color}
	word := func(s ItemState) string { return p.paint(itemColor(s), strings.ReplaceAll(string(s), "_", " ")) }
	p.line("From " + stamp(d.From) + " to " + stamp(d.To))
	if d.Begins.After(d.From) {
		p.line("What was before " + stamp(d.Begins) + " is not known.")
	}
	better, worse := 0, 0
	for _, it := range d.Items {
		p.line("")
		p.line(fmt.Sprintf("%2d  %s -> %s  %s", it.Number, word(it.Was), word(it.Is), clean(it.Title)))
		for _, c := range it.Changes {
			p.field("", stamp(c.At)+" "+strings.ReplaceAll(string(c.To), "_", " ")+": "+strings.Join(c.Evidence, "; "))
		}
		switch good := []ItemState{ItemPass, ItemSignedOff, ItemNotApplicable}; {
		case slices.Contains(good, it.Is) && !slices.Contains(good, it.Was):
			better++
		case !slices.Contains(good, it.Is) && slices.Contains(good, it.Was):
			worse++
		}
	}
	p.line("")
	p.line(fmt.Sprintf("%d of %d have changed: %d are done that were not, %d are not that were.", len(d.Items), len(theItems), better, worse))
	_, err := io.WriteString(w, p.String())
	return err
}
