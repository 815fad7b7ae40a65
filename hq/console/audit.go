package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/hq"
	"storehub/internal/web"
)

const auditShown = 100

// auditData is a page of who did what, the newest first.
type auditData struct {
	Text, Store string
	Days        int
	Acts        []hq.Act
	Older       string
}

func (c *Console) auditPage(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	v := r.URL.Query()
	d := auditData{Text: strings.TrimSpace(v.Get("q")), Store: strings.TrimSpace(v.Get("store"))}
	d.Days, _ = strconv.Atoi(v.Get("days"))                // none: all
	before, _ := strconv.ParseInt(v.Get("before"), 10, 64) // none: the newest
	q := hq.AuditQuery{Text: d.Text, Store: d.Store, Before: max(before, 0), Last: auditShown + 1}
	if d.Days > 0 {
		q.Since = c.now().Add(-time.Duration(min(d.Days, 36500)) * 24 * time.Hour)
	}
	var err error
	if d.Acts, err = c.s.Audit(r.Context(), q); err != nil {
		return err
	}
	slices.Reverse(d.Acts)
	if len(d.Acts) > auditShown {
		d.Acts = d.Acts[:auditShown]
		next := url.Values{"before": {strconv.FormatInt(d.Acts[auditShown-1].ID, 10)}}
		for name, value := range map[string]string{"q": d.Text, "store": d.Store, "days": v.Get("days")} {
			if value != "" {
				next.Set(name, value)
			}
		}
		d.Older = Base + "/audit?" + next.Encode()
	}
	c.site.Show(w, r, http.StatusOK, "audit.html", c.page("Audit", "/audit", d))
	return nil
}

// peopleData is who is in.
type peopleData struct {
	Sessions []hq.ConsoleSession
	Act      bool
}

func (c *Console) peoplePage(w http.ResponseWriter, r *http.Request, who web.Session) error {
	list, err := c.s.Sessions(r.Context())
	if err != nil {
		return err
	}
	c.site.Show(w, r, http.StatusOK, "people.html", c.page("People", "/people", peopleData{list, who.Role == hq.RoleOperator}))
	return nil
}

// revoke ends a person's sessions and links; one's own too.
func (c *Console) revoke(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	if _, err := c.s.RevokeOperator(r.Context(), r.PostFormValue("who")); err != nil {
		c.wrong(w, r, http.StatusConflict, "Nobody was signed out", err.Error())
		return nil
	}
	web.Back(w, r, Base+"/people")
	return nil
}
