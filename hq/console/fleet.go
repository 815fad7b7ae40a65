package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"storehub/hq"
	"storehub/internal/web"
)

// rowsShown bounds a page, however many stores there are.
const rowsShown = 100

// faultsShown is how many shared faults stand on top; the others have pages of findings.
const faultsShown = 4

// fleetData is the page of all stores.
type fleetData struct {
	Look    look
	Counts  []count // by verdict, of what the other filters leave
	All     int
	Map     picture
	Faults  []fault
	More    int // shared faults that are not shown
	Only    *fault
	Codes   []count
	Version []count
	Sorts   []string
	Page    part
	Views   []hq.SavedView
	Save    string // the query that a saved view keeps
	Act     bool
}

// count is how many stores have something.
type count struct {
	Name string
	N    int
	URL  string
	Here bool
}

// fault is one that stores share, and where they are.
type fault struct {
	hq.SharedFault
	URL string
}

// faultName names a shared fault in a URL: what it is and what its stores have in common.
func faultName(f hq.SharedFault) string {
	if f.By == "time" {
		return f.Code + "~" + f.By
	}
	return f.Code + "~" + f.By + "~" + f.Value
}

func (c *Console) fleetPage(w http.ResponseWriter, r *http.Request, who web.Session) error {
	seen, err := c.look(r.Context())
	if err != nil {
		return err
	}
	views, err := c.s.Views(r.Context())
	if err != nil {
		return err
	}
	l := lookOf(r.URL.Query())
	d := fleetData{Look: l, Sorts: sorts, Views: views, Save: l.From("").Query(), Act: who.Role == hq.RoleOperator}
	d.fill(seen)
	p := c.page("Fleet", "", d)
	p.At = seen.At
	c.site.Show(w, r, http.StatusOK, "fleet.html", p)
	return nil
}

// fill shows what the look leaves of the fleet.
func (d *fleetData) fill(seen hq.FleetView) {
	l := d.Look
	for i, f := range seen.Faults {
		one := fault{f, look{Fault: faultName(f), Sort: sorts[0]}.URL()}
		if faultName(f) == l.Fault {
			d.Only = &one
		}
		if i < faultsShown {
			d.Faults = append(d.Faults, one)
		}
	}
	d.More = max(0, len(seen.Faults)-faultsShown)
	var only *hq.SharedFault
	if d.Only != nil {
		only = &d.Only.SharedFault
	}
	byVerdict, codes, versions := map[string]int{}, map[string]int{}, map[string]int{}
	var rows []*hq.StoreView
	shown := make([]bool, len(seen.Stores))
	for i := range seen.Stores {
		v := &seen.Stores[i]
		if r := v.Report; r != nil {
			versions[r.Version]++
			for j, cause := range r.Causes {
				if !slices.ContainsFunc(r.Causes[:j], func(c hq.ReportCause) bool { return c.Code == cause.Code }) {
					codes[cause.Code]++
				}
			}
		}
		if !l.takes(v, only) {
			continue
		}
		byVerdict[v.Verdict]++
		d.All++
		if l.Verdict == "" || l.Verdict == v.Verdict {
			rows, shown[i] = append(rows, v), true
		}
	}
	for _, v := range verdicts {
		d.Counts = append(d.Counts, count{v, byVerdict[v], l.WithVerdict(v).URL(), l.Verdict == v})
	}
	d.Codes, d.Version = counts(codes), counts(versions)
	d.Map = draw(seen.Stores, shown)
	slices.SortFunc(rows, l.order)
	d.Page = cut(rows, l.After, rowsShown)
}

// counts are the commonest first.
func counts(of map[string]int) (list []count) {
	for name, n := range of {
		if name != "" {
			list = append(list, count{Name: name, N: n})
		}
	}
	slices.SortFunc(list, func(a, b count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	return list
}

// picture is every store as a cell, by id from left to right and row by row: one shape for
// each verdict, so that it tells them apart without colours, and five paths in all, however
// many stores there are.
type picture struct {
	Width, Height int
	Paths         []shape
	Said          string
}

type shape struct{ Verdict, D string }

const (
	cell    = 6 // with its gap
	mapWide = 200
	mapLess = 60 // so wide is the picture of few stores
)

func draw(stores []hq.StoreView, shown []bool) picture {
	wide := min(mapWide, max(mapLess, len(stores)))
	p := picture{Width: wide * cell, Height: max(1, (len(stores)+wide-1)/wide) * cell}
	paths, pens, n := map[string]*strings.Builder{}, map[string][2]int{}, map[string]int{}
	for i := range stores {
		v := stores[i].Verdict
		n[v]++
		if !shown[i] {
			v = "" // what the look leaves out stays as ground
		}
		if paths[v] == nil {
			paths[v] = &strings.Builder{}
		}
		// Relative moves: neighbours are the same text, which packs to nothing.
		sh := cells[v]
		x, y := i%wide*cell, i/wide*cell
		pen := pens[v]
		paths[v].WriteString("m" + strconv.Itoa(x+sh.x-pen[0]) + " " + strconv.Itoa(y+sh.y-pen[1]) + sh.d)
		pens[v] = [2]int{x + sh.endX, y + sh.endY}
	}
	var said []string
	for _, v := range append(slices.Clone(verdicts), "") {
		if b := paths[v]; b != nil {
			p.Paths = append(p.Paths, shape{cmp.Or(v, "aside"), b.String()})
		}
		if v != "" {
			said = append(said, number(n[v])+" "+v)
		}
	}
	p.Said = number(len(stores)) + " stores by id: " + strings.Join(said, ", ")
	return p
}

// cellShape is drawn from a point of its cell, and ends at another.
type cellShape struct {
	x, y       int
	d          string
	endX, endY int
}

// cells are the shapes: blocked is full, silent a frame, degraded a half, unknown a cross,
// ready a small square, what is left out a dot.
var cells = map[string]cellShape{
	"blocked":         {0, 0, "h5v5h-5z", 0, 0},
	hq.VerdictSilent:  {0, 0, "h5v5h-5zm1 1v3h3v-3z", 1, 1},
	"degraded":        {0, 0, "v5h5z", 0, 0},
	hq.VerdictUnknown: {2, 0, "h1v2h2v1h-2v2h-1v-2h-2v-1h2z", 2, 0},
	"ready":           {1, 1, "h3v3h-3z", 1, 1},
	"":                {2, 2, "h1v1h-1z", 2, 2},
}

// glyph is a verdict's shape alone.
func glyph(verdict string) string {
	sh := cells[verdict]
	return "m" + strconv.Itoa(sh.x) + " " + strconv.Itoa(sh.y) + sh.d
}

// tones of verdicts; each has a sign as well.
var tones = map[string]string{"blocked": web.Bad, hq.VerdictSilent: web.Warn, "degraded": web.Warn, hq.VerdictUnknown: web.Off, "ready": web.Good}

func verdictBadge(v string) web.Badge { return web.Badge{Tone: cmp.Or(tones[v], web.Off), Text: v} }

// number writes thousands apart.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (c *Console) saveView(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	// Only what a look is made of is kept: the query becomes a link.
	query := r.PostFormValue("query")
	q, err := url.ParseQuery(query)
	if err != nil {
		c.wrong(w, r, http.StatusBadRequest, "The view was not kept", "Its address could not be read.")
		return nil
	}
	l := lookOf(q).From("")
	if err := c.s.SaveView(r.Context(), r.PostFormValue("name"), l.Query()); err != nil {
		c.wrong(w, r, http.StatusUnprocessableEntity, "The view was not kept", fmt.Sprint(err))
		return nil
	}
	web.Back(w, r, l.URL())
	return nil
}

func (c *Console) deleteView(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	if err := c.s.DeleteView(r.Context(), r.PostFormValue("name")); err != nil {
		return err
	}
	web.Back(w, r, Base)
	return nil
}
