package hub

import (
	"net/http"
	"slices"
	"time"

	"storehub/doors"
	"storehub/internal/web"
	"storehub/netcheck"
	"storehub/readers"
)

// readerView is a reader with its day.
type readerView struct {
	TillReader
	Day web.Timeline
}

type readersData struct {
	List   []readerView
	Window UpdateWindow
	Tills  []TillInfo
	From   time.Time
}

type readerData struct {
	readerView
	Days  []web.Timeline
	Lines []readers.Line
	Tills []TillInfo
}

func (c *console) readers(w http.ResponseWriter, r *http.Request, _ web.Session) {
	c.showReaders(w, r, nil)
}

func (c *console) showReaders(w http.ResponseWriter, r *http.Request, words *web.Notice) {
	live := c.news.Stream("/console/live")
	list, now := c.hub.readerList(admin), c.hub.now()
	d := readersData{Window: list.UpdateWindow, Tills: c.paired(), From: midnight(now)}
	for _, x := range list.Readers {
		d.List = append(d.List, readerView{x, c.readerDay(x.Reader, midnight(now), now)})
	}
	c.show(w, r, "readers.html", web.Page{Title: "Readers", Here: "/console/readers", Live: live, Words: words, Data: d})
}

func (c *console) reader(w http.ResponseWriter, r *http.Request, _ web.Session) {
	live := c.news.Stream("/console/live")
	name, now := r.PathValue("serial"), c.hub.now()
	list := c.hub.readerList(admin).Readers
	i := slices.IndexFunc(list, func(x TillReader) bool { return x.Serial == name || x.ID == name })
	if i < 0 {
		c.showReaders(w, r, wrong("No such reader", doors.ErrNotFound.With("no reader %s here", name)))
		return
	}
	d := readerData{readerView: readerView{TillReader: list[i]}, Tills: c.paired()}
	for day := range 7 {
		from := midnight(now).AddDate(0, 0, -day)
		to := from.AddDate(0, 0, 1)
		if day == 0 {
			to = now
		}
		if line := c.readerDay(list[i].Reader, from, to); len(line.Bars()) > 0 {
			d.Days = append(d.Days, line)
		}
	}
	if past, err := ReadReaderTimeline(c.hub.cfg.StateDir, name, now.Add(-24*time.Hour), now); err == nil {
		slices.Reverse(past.Lines)
		d.Lines = past.Lines[:min(len(past.Lines), 200)]
	}
	c.show(w, r, "reader.html", web.Page{Title: readerLabel(list[i].Reader), Here: "/console/readers", Live: live, Data: d})
}

// readerDay is how a reader stood between two times.
func (c *console) readerDay(x readers.Reader, from, to time.Time) web.Timeline {
	t := web.Timeline{Name: readerLabel(x) + ", " + from.Local().Format("Mon 2 Jan"), From: from, To: to}
	past, err := ReadReaderTimeline(c.hub.cfg.StateDir, x.Serial, from, to)
	if err != nil {
		return t
	}
	for _, s := range past.Spans {
		text := s.State
		if s.Why != "" {
			text += " (" + s.Why + ")"
		}
		t.Spans = append(t.Spans, web.Span{From: s.From, To: s.To, Tone: readerTone(s.State), Text: text})
	}
	return t
}

// midnight is when the shop's day began.
func midnight(now time.Time) time.Time {
	y, m, d := now.Local().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.Local)
}

// paired are the tills that may call.
func (c *console) paired() []TillInfo {
	return slices.DeleteFunc(c.hub.tills.List(), func(t TillInfo) bool { return !t.Revoked.IsZero() })
}

func (c *console) registerReader(w http.ResponseWriter, r *http.Request, in web.Session) {
	p := RegisterRequest{Code: r.PostFormValue("code"), Label: r.PostFormValue("label"), Replaces: r.PostFormValue("replaces")}
	if why := NotACode(p.Code); why != "" {
		c.showReaders(w, r, &web.Notice{Tone: web.Bad, Title: "The reader was not registered", Text: why})
		return
	}
	if _, err := c.hub.register(r.Context(), p); err != nil {
		words := wrong("The reader was not registered", err)
		if what, do := RegistrationWords(err); what != "" {
			words.Text = what + ". " + do
		}
		c.showReaders(w, r, words)
		return
	}
	c.hub.log.Info("reader registered", "label", p.Label, "by", in.Who)
	c.hub.fleet.look()
	web.Back(w, r, "/console/readers")
}

func (c *console) pinReader(w http.ResponseWriter, r *http.Request, _ web.Session) {
	if _, err := c.hub.pinReader(PinRequest{Till: r.PostFormValue("till"), Reader: r.PostFormValue("reader")}); err != nil {
		c.showReaders(w, r, wrong("The reader was not pinned", err))
		return
	}
	web.Back(w, r, "/console/readers")
}

// probeTone is an answer's colour.
func probeTone(s netcheck.Status) string {
	switch s {
	case netcheck.Pass:
		return web.Good
	case netcheck.Warn:
		return web.Warn
	case netcheck.Fail:
		return web.Bad
	}
	return web.Off
}
