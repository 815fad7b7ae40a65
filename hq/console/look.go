package console

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"storehub/hq"
)

// look is which stores a person wants to see, in which order. It is the page's URL, so
// that it can be kept, sent and gone back to.
type look struct {
	Verdict, Code, Version, Text string
	Fault                        string // a shared fault's name, see faultName
	Sort                         string
	After                        string // the id of the last store of the page before
}

// The orders, the default first.
var sorts = []string{"worst", "store", "contact", "waiting", "checklist"}

func lookOf(q url.Values) look {
	l := look{Verdict: q.Get("verdict"), Code: q.Get("code"), Version: q.Get("version"), Text: strings.TrimSpace(q.Get("q")),
		Fault: q.Get("fault"), Sort: q.Get("sort"), After: q.Get("after")}
	if !slices.Contains(sorts, l.Sort) {
		l.Sort = sorts[0]
	}
	return l
}

// Query is the look as a URL's query; what is not said is left out.
func (l look) Query() string {
	q := url.Values{}
	for _, p := range [][2]string{{"verdict", l.Verdict}, {"code", l.Code}, {"version", l.Version}, {"q", l.Text}, {"fault", l.Fault}, {"sort", l.Sort}, {"after", l.After}} {
		if p[1] != "" && p != [2]string{"sort", sorts[0]} {
			q.Set(p[0], p[1])
		}
	}
	return q.Encode()
}

// URL is the page of the look.
func (l look) URL() string { return strings.TrimSuffix(Base+"?"+l.Query(), "?") }

// With are the looks that differ from this one in one thing. Each begins at its first page.

// WithVerdict shows stores of one verdict; "": of all.
func (l look) WithVerdict(v string) look { l.Verdict, l.After = v, ""; return l }

// From is the page after a store.
func (l look) From(store string) look { l.After = store; return l }

// Narrow reports whether it leaves stores out.
func (l look) Narrow() bool {
	l.Sort, l.After = "", ""
	return l != look{}
}

// takes reports whether the look shows the store, its verdict left aside.
func (l look) takes(v *hq.StoreView, fault *hq.SharedFault) bool {
	r := v.Report
	switch {
	case l.Code != "" && (r == nil || !slices.ContainsFunc(r.Causes, func(c hq.ReportCause) bool { return c.Code == l.Code })),
		l.Version != "" && (r == nil || r.Version != l.Version):
		return false
	case l.Fault != "":
		if fault == nil {
			return false
		}
		if _, in := slices.BinarySearch(fault.Stores, v.ID); !in {
			return false
		}
	}
	return l.Text == "" || says(v, strings.ToLower(l.Text))
}

// says reports whether a text, in lower case, stands in what people call the store.
func says(v *hq.StoreView, text string) bool {
	for _, s := range []string{v.ID, v.Name, v.Location, v.Account, v.Hub, v.TimeZone} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

// verdicts in the order of who wants a person most.
var verdicts = []string{"blocked", hq.VerdictSilent, "degraded", hq.VerdictUnknown, "ready"}

// order compares two stores.
func (l look) order(a, b *hq.StoreView) int {
	var d int
	switch l.Sort {
	case "contact": // who was not heard of for longest
		d = contact(a).Compare(contact(b))
	case "waiting":
		d = cmp.Compare(waiting(b), waiting(a))
	case "checklist":
		d = cmp.Compare(failing(b), failing(a))
	case "worst":
		d = cmp.Or(cmp.Compare(slices.Index(verdicts, a.Verdict), slices.Index(verdicts, b.Verdict)), since(b).Compare(since(a)))
	}
	return cmp.Or(d, cmp.Compare(a.ID, b.ID))
}

func contact(v *hq.StoreView) time.Time {
	if v.LastContact == nil {
		return time.Time{}
	}
	return *v.LastContact
}

func waiting(v *hq.StoreView) int {
	if v.Report == nil {
		return 0
	}
	return v.Report.Queue.Pending + v.Report.Queue.Accepted
}

func failing(v *hq.StoreView) (n int) {
	if v.Report == nil {
		return 0
	}
	for _, it := range v.Report.Checklist {
		if it.State == "fail" {
			n++
		}
	}
	return n
}

// since is when the principal cause began; zero: there is none, or nobody knows.
func since(v *hq.StoreView) time.Time {
	if v.Report == nil || len(v.Report.Causes) == 0 || v.Verdict == "ready" {
		return time.Time{}
	}
	return v.Report.Causes[0].Since
}

// part is a page of a list.
type part struct {
	Rows        []*hq.StoreView
	First, Last int // numbered from 1
	Of          int
	Before      string // the store after which the page before begins
	HasBefore   bool
	After       string // the page after begins after this store; "": this is the last
}

// cut is the page that begins after a store, wherever that stands now; where it is gone,
// the first.
func cut(rows []*hq.StoreView, after string, size int) part {
	from := 0
	if after != "" {
		from = slices.IndexFunc(rows, func(v *hq.StoreView) bool { return v.ID == after }) + 1
	}
	to := min(from+size, len(rows))
	p := part{Rows: rows[from:to], First: min(from+1, len(rows)), Last: to, Of: len(rows), HasBefore: from > 0}
	if from > size {
		p.Before = rows[from-size-1].ID
	}
	if to < len(rows) {
		p.After = rows[to-1].ID
	}
	return p
}
