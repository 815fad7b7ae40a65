package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"storehub/hq"
	"storehub/internal/web"
)

// matrixRows bounds the matrix: each row has a cell for each item.
const matrixRows = 50

// matrixData is stores by items.
type matrixData struct {
	Text, State string
	Item        int
	Items       []itemSum
	Rows        []matrixRow
	First, Last int
	Of          int
	Next        string
	States      []string
}

// itemSum is one item over all stores.
type itemSum struct {
	Number               int
	Title                string
	Fail, Attention, Old int
	URL                  string // the stores where it fails
}

type matrixRow struct {
	hq.StoreChecklist
	Cells []hq.ReportItem // by the matrix's columns
}

// Due says which item of the store is due next, and when.
func (r matrixRow) Due() string {
	var next *hq.ReportItem
	told := false
	for i := range r.Items {
		it := &r.Items[i]
		told = told || it.Owner != ""
		if !it.NextDue.IsZero() && (next == nil || it.NextDue.Before(next.NextDue)) {
			next = it
		}
	}
	switch {
	case next != nil:
		return fmt.Sprintf("%s (%d)", next.Due(), next.Number)
	case told:
		return "none"
	}
	return "not told"
}

func (c *Console) checklistsPage(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	seen, err := c.look(r.Context())
	if err != nil {
		return err
	}
	q := r.URL.Query()
	d := matrixData{Text: strings.TrimSpace(q.Get("q")), State: q.Get("state"), States: []string{"fail", "attention", "unknown", "signed_off", "pass", "not_applicable"}}
	d.Item, _ = strconv.Atoi(q.Get("item")) // none: any
	d.fill(seen, q.Get("after"))
	p := c.page("Checklists", "/checklists", d)
	p.At = seen.At
	c.site.Show(w, r, http.StatusOK, "checklists.html", p)
	return nil
}

func (d *matrixData) link(item int, state, after string) string {
	v := url.Values{}
	for _, p := range [][2]string{{"q", d.Text}, {"state", state}, {"after", after}} {
		if p[1] != "" {
			v.Set(p[0], p[1])
		}
	}
	if item > 0 {
		v.Set("item", strconv.Itoa(item))
	}
	return strings.TrimSuffix(Base+"/checklists?"+v.Encode(), "?")
}

func (d *matrixData) fill(seen hq.FleetView, after string) {
	var stores []hq.StoreView
	columns := map[int]*itemSum{}
	for _, v := range seen.Stores {
		if d.Text != "" && !says(&v, strings.ToLower(d.Text)) {
			continue
		}
		stores = append(stores, v)
		if v.Report == nil {
			continue
		}
		for _, it := range v.Report.Checklist {
			sum := columns[it.Number]
			if sum == nil {
				sum = &itemSum{Number: it.Number, Title: it.Title, URL: d.link(it.Number, "fail", "")}
				columns[it.Number] = sum
			}
			switch it.State {
			case "fail":
				sum.Fail++
			case "attention":
				sum.Attention++
			}
		}
	}
	for _, sum := range columns {
		d.Items = append(d.Items, *sum)
	}
	slices.SortFunc(d.Items, func(a, b itemSum) int { return a.Number - b.Number })
	list := slices.DeleteFunc(hq.Checklists(stores).Stores, func(s hq.StoreChecklist) bool { return !d.takes(s) })
	from := 0
	if after != "" {
		from = slices.IndexFunc(list, func(s hq.StoreChecklist) bool { return s.Store == after }) + 1
	}
	to := min(from+matrixRows, len(list))
	d.Of, d.First, d.Last = len(list), min(from+1, len(list)), to
	if to < len(list) {
		d.Next = d.link(d.Item, d.State, list[to-1].Store)
	}
	for _, s := range list[from:to] {
		row := matrixRow{StoreChecklist: s}
		for _, col := range d.Items {
			i := slices.IndexFunc(s.Items, func(it hq.ReportItem) bool { return it.Number == col.Number })
			if i < 0 {
				row.Cells = append(row.Cells, hq.ReportItem{Number: col.Number, Title: col.Title, State: "unknown"})
				continue
			}
			row.Cells = append(row.Cells, s.Items[i])
		}
		d.Rows = append(d.Rows, row)
	}
}

// takes reports whether the store has the item in the state that is asked for.
func (d *matrixData) takes(s hq.StoreChecklist) bool {
	if d.State == "" {
		return true
	}
	if len(s.Items) == 0 {
		return d.State == "unknown"
	}
	return slices.ContainsFunc(s.Items, func(it hq.ReportItem) bool {
		return it.State == d.State && (d.Item == 0 || it.Number == d.Item)
	})
}

// mark is an item's state as a sign, a colour and a word.
type mark struct{ Sign, Tone, Word string }

func itemSign(state string) mark {
	switch state {
	case "pass":
		return mark{"✓", web.Good, "passes"}
	case "fail":
		return mark{"✕", web.Bad, "fails"}
	case "attention":
		return mark{"!", web.Warn, "wants attention"}
	case "signed_off":
		return mark{"✎", web.Good, "is signed off"}
	case "not_applicable":
		return mark{"–", web.Off, "does not apply"}
	}
	return mark{"?", web.Off, "is not known"}
}
