package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/web"
)

const findingsShown = 50

// findingsData is what waits for a person.
type findingsData struct {
	Store, Code string
	Kinds       []count
	All         int
	Rows        []hq.Finding
	Next        string // URL of the page after; "": this is the last
}

func (c *Console) findingsPage(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	q := r.URL.Query()
	d := findingsData{Store: strings.TrimSpace(q.Get("store")), Code: q.Get("code")}
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64) // none: the first page
	open, err := c.s.Findings(r.Context(), d.Store)
	if err != nil {
		return err
	}
	kinds := map[string]int{}
	link := func(code string, after int64) string {
		v := url.Values{}
		if d.Store != "" {
			v.Set("store", d.Store)
		}
		if code != "" {
			v.Set("code", code)
		}
		if after > 0 {
			v.Set("after", strconv.FormatInt(after, 10))
		}
		return strings.TrimSuffix(Base+"/findings?"+v.Encode(), "?")
	}
	for _, f := range open {
		kinds[f.Code]++
		if d.Code != "" && f.Code != d.Code || f.ID <= after {
			continue
		}
		if len(d.Rows) == findingsShown {
			d.Next = link(d.Code, d.Rows[findingsShown-1].ID)
			continue
		}
		d.Rows = append(d.Rows, f)
	}
	d.All = len(open)
	d.Kinds = append(d.Kinds, count{"all", len(open), link("", 0), d.Code == ""})
	for _, k := range counts(kinds) {
		d.Kinds = append(d.Kinds, count{k.Name, k.N, link(k.Name, 0), k.Name == d.Code})
	}
	c.site.Show(w, r, http.StatusOK, "findings.html", c.page("Waiting for a person", "/findings", d))
	return nil
}

// findingData is one of them, to be decided.
type findingData struct {
	hq.Finding
	Note, Why string // typed, and why it was not taken
	Act       bool
}

// Goes is what comes of confirming.
func (d findingData) Goes() string {
	if does := d.Does(); does != "" {
		return does
	}
	return "let go on what waits"
}

func (c *Console) findingPage(w http.ResponseWriter, r *http.Request, who web.Session) error {
	d, err := c.finding(r, who)
	if err != nil {
		return err
	}
	c.site.Show(w, r, http.StatusOK, "finding.html", c.page("Decide", "/findings", d))
	return nil
}

func (c *Console) finding(r *http.Request, who web.Session) (d findingData, err error) {
	number, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil {
		return d, hq.ErrDecided
	}
	d.Act = who.Role == hq.RoleOperator
	d.Finding, err = c.s.Finding(r.Context(), number)
	return d, err
}

// decide takes a decision: by whom it is, the session says; why, the form must.
func (c *Console) decide(w http.ResponseWriter, r *http.Request, who web.Session) error {
	d, err := c.finding(r, who)
	if err != nil {
		return err
	}
	d.Note = strings.TrimSpace(r.PostFormValue("note"))
	verdict := r.PostFormValue("verdict")
	switch {
	case d.Note == "":
		d.Why = "Say why: the note is kept for ever beside your name."
	case verdict != "confirm" && verdict != "dismiss":
		d.Why = "Choose whether to confirm or to dismiss."
	case r.PostFormValue("does") != string(d.Proposal):
		// What was read is what is done: a proposal may have changed since.
		d.Why = "What confirming does has changed while you read. Look again."
	}
	if d.Why != "" {
		c.site.Show(w, r, http.StatusUnprocessableEntity, "finding.html", c.page("Decide", "/findings", d))
		return nil
	}
	if err := c.s.Decide(r.Context(), hq.Decision{Finding: d.ID, Confirm: verdict == "confirm", By: who.Who, Note: d.Note}); err != nil {
		return err
	}
	web.Back(w, r, Base+"/findings?store="+url.QueryEscape(d.Store))
	return nil
}

// dayData is a store's day, compared three ways.
type dayData struct {
	hq.Reconciliation
	Received string
}

// reconcile compares a store's day, as `hq reconcile` does.
func (c *Console) reconcile(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	id, day := r.PathValue("store"), strings.TrimSpace(r.PostFormValue("day"))
	if _, err := c.s.View(r.Context(), id); err != nil {
		return err
	}
	if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
		c.wrong(w, r, http.StatusUnprocessableEntity, "The day could not be read", "Write it as 2026-11-25.")
		return nil
	}
	got, err := c.s.Reconcile(r.Context(), id, day)
	if err != nil {
		c.log.Warn("reconcile from the console", "err", err)
		c.wrong(w, r, http.StatusBadGateway, "The day could not be compared", err.Error())
		return nil
	}
	d := dayData{Reconciliation: got}
	var sums []string
	for _, currency := range slices.Sorted(maps.Keys(got.Received)) {
		sums = append(sums, doors.Format(got.Received[currency], currency))
	}
	d.Received = strings.Join(sums, ", ")
	c.site.Show(w, r, http.StatusOK, "day.html", web.Page{Title: "Store " + id + ", " + got.Day, Here: Base + "/findings", Data: d})
	return nil
}

// amount is what is at stake in a case.
func amount(c hq.Case) string {
	if c.Amount == 0 || c.Currency == "" {
		return ""
	}
	return doors.Format(c.Amount, c.Currency)
}
