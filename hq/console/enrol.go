package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/web"
)

// enrolData is the form for a code, and the code: it is shown by the answer to the form
// alone, and kept nowhere as it is.
type enrolData struct {
	Form    hq.Store
	Known   bool   // the store is recorded: its hub gets another code
	Hub     string // how the store stands with its hub
	Why     string // why there is no code
	Code    string
	Expires time.Time
	URL     string // for the command on the store's machine
	Act     bool
}

func (c *Console) enrolPage(w http.ResponseWriter, r *http.Request, who web.Session) error {
	d := enrolData{Form: hq.Store{ID: strings.TrimSpace(r.URL.Query().Get("store"))}, Act: who.Role == hq.RoleOperator}
	if d.Form.ID != "" {
		have, err := c.s.View(r.Context(), d.Form.ID)
		if err != nil {
			return err
		}
		d.Form, d.Hub, d.Known = have.Store, have.Hub, true
	}
	c.site.Show(w, r, http.StatusOK, "enrol.html", web.Page{Title: "Enrol", Here: Base + "/enrol", Data: d})
	return nil
}

// enrol records a store and makes the one-time code for its hub, or another code for a
// store that is recorded.
func (c *Console) enrol(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	field := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	d := enrolData{Act: true, URL: cmp.Or(c.publicURL, "URL"), Form: hq.Store{ID: field("id"), Location: field("location"), Account: field("account"), Mode: doors.Mode(field("mode")),
		Name: field("name"), TimeZone: field("time_zone"), DayEnds: field("day_ends")}}
	known, err := c.recorded(r.Context(), d.Form.ID)
	if err != nil {
		return err
	}
	status := http.StatusOK
	switch {
	case field("known") != "" && known == nil:
		return hq.ErrNoStore
	case known != nil && field("known") == "":
		d.Known, d.Form, d.Hub = true, known.Store, known.Hub
		d.Why, status = "Store "+known.ID+" is recorded already. Make another code only for a new machine, or where the first code was lost.", http.StatusConflict
	default:
		if known != nil {
			d.Known, d.Form, d.Hub = true, known.Store, known.Hub
		}
		if d.Code, d.Expires, err = c.s.AddStore(r.Context(), d.Form); err != nil {
			d.Why, status = err.Error(), http.StatusUnprocessableEntity
		}
		c.fleet.Forget()
	}
	c.site.Show(w, r, status, "enrol.html", web.Page{Title: "Enrol", Here: Base + "/enrol", Data: d})
	return nil
}

// recorded is the store of that id; nil: there is none.
func (c *Console) recorded(ctx context.Context, id string) (*hq.StoreView, error) {
	if id == "" {
		return nil, nil
	}
	v, err := c.s.View(ctx, id)
	if errors.Is(err, hq.ErrNoStore) {
		return nil, nil
	}
	return &v, err
}

// Command is what to type on the store's machine.
func (d enrolData) Command() string {
	s := "hub enroll --hq " + d.URL + " --code " + d.Code
	if d.Hub != "none" && d.Hub != "" {
		s += " --replace"
	}
	return s
}
