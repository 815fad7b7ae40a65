package hub

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rsc.io/qr"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/web"
)

// tillView is a till with what its app does wrong.
type tillView struct {
	TillInfo
	Habits []diagnostics.Cause
	Reader string
}

type tillsData struct {
	Tills []tillView
}

// pairedData is shown once.
type pairedData struct {
	Pairing
	QR   string // the path of its dark modules
	Size int
}

func (c *console) tills(w http.ResponseWriter, r *http.Request, _ web.Session) {
	c.showTills(w, r, nil)
}

func (c *console) showTills(w http.ResponseWriter, r *http.Request, words *web.Notice) {
	live := c.news.Stream("/console/live")
	labels := map[string]string{} // of readers, by the till they stand at
	for _, x := range c.hub.readerList(admin).Readers {
		for _, lane := range x.Lanes {
			labels[lane] = readerLabel(x.Reader)
		}
	}
	report := c.hub.monitor.current()
	var d tillsData
	for _, t := range c.hub.tills.List() {
		d.Tills = append(d.Tills, tillView{t, habitsOf(t.Name, c.hub.habits.findings(c.hub.now()), report.Causes), labels[t.Name]})
	}
	// Those that may call come first.
	slices.SortStableFunc(d.Tills, func(a, b tillView) int { return cmp.Compare(ended(a.TillInfo), ended(b.TillInfo)) })
	c.show(w, r, "tills.html", web.Page{Title: "Tills", Here: "/console/tills", Live: live, Words: words, Data: d})
}

func ended(t TillInfo) int {
	if t.Revoked.IsZero() {
		return 0
	}
	return 1
}

// habitsOf are what one till's app does wrong, in the words of the diagnosis.
func habitsOf(till string, found []diagnostics.Known, causes []diagnostics.Cause) (list []diagnostics.Cause) {
	for _, k := range found {
		if !slices.Contains(k.Targets, till) {
			continue
		}
		h := diagnostics.Cause{Code: k.Code, Severity: diagnostics.Warning, Title: strings.ReplaceAll(k.Code, "_", " "), Since: k.Since, Evidence: k.Evidence}
		for _, cause := range causes {
			if cause.Code == k.Code {
				h.Title, h.Severity, h.Remedy = cause.Title, cause.Severity, cause.Remedy
			}
		}
		list = append(list, h)
	}
	return list
}

// pairTill shows a till's credential once: as a code to photograph, as an address, and as
// a short code to type.
func (c *console) pairTill(w http.ResponseWriter, r *http.Request, in web.Session) {
	p := PairRequest{Name: strings.TrimSpace(r.PostFormValue("name")), Scope: doors.Scope(r.PostFormValue("scope"))}
	made, err := c.servers.pair(p)
	if err != nil {
		c.showTills(w, r, wrong("The till was not paired", err))
		return
	}
	code, err := qr.Encode(made.POSURL, qr.L)
	if err != nil {
		c.showTills(w, r, wrong("The till is paired, but its code could not be drawn; pair it again", err))
		return
	}
	c.hub.log.Info("till paired on the console", "till", p.Name, "by", in.Who)
	c.news.Tell()
	c.site.Show(w, r, http.StatusOK, "paired.html", web.Page{Title: "Till " + made.Name, Here: "/console/tills", Sub: c.sub(),
		Data: pairedData{made, qrPath(code), code.Size + 8}})
}

// qrPath draws the dark modules of a code with a quiet zone of four.
func qrPath(code *qr.Code) string {
	var b strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+4, y+4, run, run)
				x += run
			}
		}
	}
	return b.String()
}

func (c *console) revokeTill(w http.ResponseWriter, r *http.Request, in web.Session) {
	name := r.PostFormValue("name")
	if err := c.hub.revoke(name); err != nil {
		c.showTills(w, r, wrong("The till was not revoked", err))
		return
	}
	c.hub.log.Info("till revoked on the console", "till", name, "by", in.Who)
	c.news.Tell()
	web.Back(w, r, "/console/tills")
}
