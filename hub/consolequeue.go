package hub

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"storehub/doors"
	"storehub/internal/web"
	"storehub/offlinequeue"
)

// The queue's views: a state, or one of these.
const (
	viewOpen   = "open"   // without an outcome
	viewParked = "parked" // held back until a person retries them
)

const (
	queueShown   = 200    // rows of a page
	queueLooked  = 20_000 // operations that are looked through for them
	queueExports = "storehub-queue.json"
)

type queueData struct {
	View, Search string
	Views        [][2]string
	Status       QueueStatus
	Operations   []doors.Operation
	More         bool // there are more than are shown
	Looked       bool // not all were looked through
	Error        string
}

func (c *console) queue(w http.ResponseWriter, r *http.Request, _ web.Session) {
	live := c.news.Stream("/console/live")
	q := r.URL.Query()
	d := queueData{View: q.Get("state"), Search: strings.TrimSpace(q.Get("q")), Status: queueStatus(c.hub.queue.Stats()),
		Views: [][2]string{{"", "all"}, {viewOpen, "open"}, {string(doors.Pending), "pending"}, {string(doors.Accepted), "accepted"},
			{viewParked, "held back"}, {string(doors.Failed), "failed"}, {string(doors.Succeeded), "succeeded"}}}
	states, ok := map[string][]offlinequeue.State{
		"": nil, viewOpen: {offlinequeue.Pending, offlinequeue.Accepted}, viewParked: {offlinequeue.Pending},
		string(doors.Pending): {offlinequeue.Pending}, string(doors.Accepted): {offlinequeue.Accepted},
		string(doors.Failed): {offlinequeue.Failed}, string(doors.Succeeded): {offlinequeue.Succeeded},
	}[d.View]
	if !ok {
		d.View = ""
	}
	looked := 0
	for op, err := range c.hub.queue.All(states...) {
		if err != nil {
			d.Error = err.Error()
			break
		}
		if looked++; looked > queueLooked {
			d.Looked = true
			break
		}
		if doors.Kind(op.Kind) == doors.Heartbeat || d.View == viewParked && op.Parked == nil {
			continue
		}
		shown := forPeople(op)
		if !matches(shown, d.Search) {
			continue
		}
		if len(d.Operations) == queueShown {
			d.More = true
			break
		}
		d.Operations = append(d.Operations, shown)
	}
	c.show(w, r, "queue.html", web.Page{Title: "Queue", Here: "/console/queue", Live: live, Data: d})
}

// forPeople leaves out what is personal, and what a screen in the shop must not say.
func forPeople(op offlinequeue.Op) doors.Operation {
	return doors.ForPeople((*personal)(nil).show(op))
}

// matches says whether an operation is what somebody looks for.
func matches(op doors.Operation, search string) bool {
	if search == "" {
		return true
	}
	search = strings.ToLower(search)
	for _, text := range []string{op.ID, op.Ref, op.Till, string(op.Kind), op.Reason, op.Message} {
		if strings.Contains(strings.ToLower(text), search) {
			return true
		}
	}
	return strings.Contains(strings.ToLower(string(op.Data)), search)
}

type operationData struct {
	doors.Operation
	Data, Result, Reversal string
	Attempts               int
	MayRetry, MaySettle    bool
	By, Note               string
}

func (c *console) operation(w http.ResponseWriter, r *http.Request, in web.Session) {
	c.showOperation(w, r, in, nil)
}

func (c *console) showOperation(w http.ResponseWriter, r *http.Request, in web.Session, words *web.Notice) {
	live := c.news.Stream("/console/live")
	op, err := c.hub.queue.Get(r.PathValue("id"))
	if err != nil {
		c.site.Show(w, r, http.StatusNotFound, "nothing.html", web.Page{Title: "Not here", Here: "/console/queue",
			Data: "No operation " + r.PathValue("id") + " is on this disk. Operations with an outcome are kept for a while and then forgotten."})
		return
	}
	d := operationData{Operation: forPeople(op), Attempts: op.Attempts, MayRetry: op.Parked != nil, MaySettle: op.Unresolved(), By: in.Who}
	d.Data, d.Result, d.Reversal = indented(d.Operation.Data), indented(d.Operation.Result), indented(d.Operation.Reversal)
	if words != nil {
		d.By, d.Note = r.PostFormValue("by"), r.PostFormValue("note")
	}
	c.show(w, r, "operation.html", web.Page{Title: op.Kind + " " + op.Ref, Here: "/console/queue", Live: live, Words: words, Data: d})
}

func indented(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(raw)
	}
	return string(b)
}

// deed is what a person does about an operation.
func (c *console) deed(w http.ResponseWriter, r *http.Request, in web.Session) {
	var do func(context.Context, string, offlinequeue.Note) (offlinequeue.Op, error)
	switch r.PathValue("deed") {
	case "retry":
		do = c.hub.queue.Retry
	case "resolve":
		do = c.hub.queue.Resolve
	default:
		http.NotFound(w, r)
		return
	}
	d := Deed{By: r.PostFormValue("by"), Note: r.PostFormValue("note")}
	if _, err := c.hub.doDeed(r.Context(), r.PathValue("id"), d, do); err != nil {
		c.showOperation(w, r, in, wrong("Nothing was changed", err))
		return
	}
	web.Back(w, r, "/console/queue/"+r.PathValue("id"))
}

// exportQueue is `hub queue export`: what is open, for another machine's hub.
func (c *console) exportQueue(w http.ResponseWriter, r *http.Request, in web.Session) {
	if in.Role != roleManager {
		doors.WriteError(w, doors.ErrForbidden.With("a monitor's credential only looks"))
		return
	}
	out, err := export(c.hub.queue, c.hub.personal, c.hub.cfg.Store, c.hub.now())
	if err != nil {
		doors.WriteError(w, doors.ErrInternal.With("%v", err))
		return
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		doors.WriteError(w, doors.ErrInternal.With("%v", err))
		return
	}
	download(w, queueExports, "application/json", b)
}

// download hands out a file.
func download(w http.ResponseWriter, name, kind string, b []byte) {
	web.Secure(w.Header())
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = w.Write(b) // the browser went away: nothing to tell it
}

func stateTone(s doors.State) string {
	switch s {
	case doors.Succeeded:
		return web.Good
	case doors.Failed:
		return web.Bad
	}
	return web.Info
}
