package hub

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/web"
)

type checklistData struct {
	Items  []diagnostics.Item
	Done   int
	Failed int
	By     string
}

func (c *console) checklist(w http.ResponseWriter, r *http.Request, in web.Session) {
	c.showChecklist(w, r, in, nil)
}

func (c *console) showChecklist(w http.ResponseWriter, r *http.Request, in web.Session, words *web.Notice) {
	d := checklistData{Items: c.hub.checklist(r.Context(), r.URL.Query().Has("anew")), By: in.Who}
	for _, it := range d.Items {
		switch it.State {
		case diagnostics.ItemPass, diagnostics.ItemSignedOff, diagnostics.ItemNotApplicable:
			d.Done++
		case diagnostics.ItemFail:
			d.Failed++
		}
	}
	// It stands still: each look tests the road of a token.
	c.site.Show(w, r, http.StatusOK, "checklist.html", web.Page{Title: "Checklist", Here: "/console/checklist", Sub: c.sub(), Words: words, Data: d})
}

func (c *console) checklistPDF(w http.ResponseWriter, r *http.Request, _ web.Session) {
	var b bytes.Buffer
	if err := diagnostics.WriteChecklistPDF(&b, c.hub.cfg.Store, c.hub.now(), c.hub.checklist(r.Context(), false)); err != nil {
		doors.WriteError(w, doors.ErrInternal.With("write checklist: %v", err))
		return
	}
	download(w, "checklist-"+fileName(c.hub.cfg.Store)+".pdf", "application/pdf", b.Bytes())
}

// fileName is a store's id as part of a file's name.
func fileName(store string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
			return r
		}
		return '_'
	}, store)
}

// signOff keeps a person's word for what no machine can see.
func (c *console) signOff(w http.ResponseWriter, r *http.Request, in web.Session) {
	a := Attestation{Item: r.PostFormValue("item"), By: r.PostFormValue("by"), Note: r.PostFormValue("note")}
	var err error
	if day := r.PostFormValue("until"); day != "" {
		if a.Until, err = time.ParseInLocation(time.DateOnly, day, time.Local); err == nil {
			a.Until = a.Until.AddDate(0, 0, 1).Add(-time.Second) // its last day counts
		}
	}
	if err == nil {
		err = c.hub.marks.attest(a, c.hub.now())
	}
	if err != nil {
		c.showChecklist(w, r, in, wrong("Nothing was signed off", err))
		return
	}
	c.hub.log.Info("checklist item signed off", "item", a.Item, "by", a.By)
	web.Back(w, r, "/console/checklist#"+a.Item)
}

func itemTone(s diagnostics.ItemState) string {
	switch s {
	case diagnostics.ItemPass, diagnostics.ItemSignedOff:
		return web.Good
	case diagnostics.ItemFail:
		return web.Bad
	case diagnostics.ItemAttention:
		return web.Warn
	}
	return web.Off
}
