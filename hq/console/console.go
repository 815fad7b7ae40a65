// Package console is headquarters for people at a screen: the fleet, a store, what waits
// for a person, checklists, enrolment, the audit log. It knows no more than the commands
// of hq do, and speaks through the same functions.
//
// Whoever is in sees all of headquarters; nobody comes in with a store's credential.
package console

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"storehub/hq"
	"storehub/internal/web"
)

// Base is where the console lives, beside what headquarters answers to hubs and tills.
const Base = "/console"

const (
	sessionIdle = 2 * time.Hour
	sessionLife = 12 * time.Hour // a working day
	viewerLife  = 90 * 24 * time.Hour
	// tellEvery: open pages look again that often; what a person does is told at once.
	tellEvery = 10 * time.Second
	// While somebody looks, the fleet is read in the background: nobody waits for it.
	lookedLately = time.Minute
	lookWithin   = 3 * tellEvery
)

//go:embed all:pages
var pages embed.FS

// Options are what a console needs.
type Options struct {
	Server    *hq.Server
	PublicURL string // where hubs reach headquarters, for the commands that pages show
	Log       *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Console is the pages of one headquarters. It is safe for concurrent use.
type Console struct {
	s         *hq.Server
	publicURL string
	log       *slog.Logger
	now       func() time.Time
	site      *web.Site
	sessions  *web.Sessions
	screens   *web.Sessions // of viewers: a screen on a wall is not signed in each morning
	news      *web.News
	fleet     *hq.FleetWatch
	looked    atomic.Int64 // when somebody last looked, in Unix seconds
	mux       *http.ServeMux
	closing   context.Context
	close     context.CancelFunc
}

// route is one line of the table of what the console answers.
type route struct {
	method, path string
	serve        func(c *Console, w http.ResponseWriter, r *http.Request, who web.Session) error
}

// routes is everything that needs a session. What is not GET is for operators alone.
var routes = []route{
	{http.MethodGet, "", (*Console).fleetPage},
	{http.MethodGet, "/stores/{store}", (*Console).storePage},
	{http.MethodPost, "/stores/{store}/reconcile", (*Console).reconcile},
	{http.MethodGet, "/findings", (*Console).findingsPage},
	{http.MethodGet, "/findings/{number}", (*Console).findingPage},
	{http.MethodPost, "/findings/{number}", (*Console).decide},
	{http.MethodGet, "/checklists", (*Console).checklistsPage},
	{http.MethodGet, "/enrol", (*Console).enrolPage},
	{http.MethodPost, "/enrol", (*Console).enrol},
	{http.MethodGet, "/audit", (*Console).auditPage},
	{http.MethodGet, "/people", (*Console).peoplePage},
	{http.MethodPost, "/people/revoke", (*Console).revoke},
	{http.MethodPost, "/views", (*Console).saveView},
	{http.MethodPost, "/views/delete", (*Console).deleteView},
	{http.MethodGet, "/news", (*Console).stream},
}

// New has nobody in. Close ends its streams.
func New(o Options) (*Console, error) {
	c := &Console{s: o.Server, publicURL: o.PublicURL, log: o.Log, now: o.Now, news: web.NewNews(), fleet: o.Server.WatchFleet(), mux: http.NewServeMux()}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.closing, c.close = context.WithCancel(context.Background())
	kept := web.SessionOptions{Cookie: "storehub_hq", Idle: sessionIdle, Life: sessionLife, Now: c.now, Store: sessions{c}, Secure: c.secure}
	c.sessions = web.NewSessions(kept)
	kept.Idle, kept.Life = viewerLife, viewerLife
	c.screens = web.NewSessions(kept)
	sub, err := fs.Sub(pages, "pages")
	if err != nil {
		return nil, err
	}
	if c.site, err = web.New(web.Options{Product: "Store Hub HQ", Base: Base, Pages: sub, Funcs: c.funcs(), Sessions: c.sessions, Now: c.now, Log: c.log, SignIn: c.signIn,
		Nav: []web.NavItem{{Path: Base, Name: "Fleet"}, {Path: Base + "/findings", Name: "Waiting"}, {Path: Base + "/checklists", Name: "Checklists"},
			{Path: Base + "/enrol", Name: "Enrol"}, {Path: Base + "/audit", Name: "Audit"}, {Path: Base + "/people", Name: "People"}}}); err != nil {
		return nil, err
	}
	for _, r := range routes {
		c.mux.Handle(r.method+" "+Base+r.path, c.site.Inside(c.inside(r)))
	}
	c.mux.Handle("GET "+Base+"/assets/", c.site.Assets())
	c.mux.Handle("GET "+Base+"/enter", c.site.Outside(c.enterPage))
	c.mux.Handle("POST "+Base+"/enter", c.site.Outside(c.enter))
	c.mux.Handle("POST "+Base+"/leave", c.site.Inside(c.leave))
	c.mux.Handle("GET "+Base+"/{$}", http.RedirectHandler(Base, http.StatusSeeOther))
	c.mux.Handle(Base+"/", c.site.Inside(func(w http.ResponseWriter, r *http.Request, _ web.Session) {
		c.wrong(w, r, http.StatusNotFound, "There is no such page", "")
	}))
	return c, nil
}

// Beside serves the console, and everything else by next.
func (c *Console) Beside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Base || strings.HasPrefix(r.URL.Path, Base+"/") {
			c.mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Run tells open pages to look again, until ctx ends; then their streams end.
func (c *Console) Run(ctx context.Context) {
	defer c.close()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if c.now().Unix()-c.looked.Load() < int64(lookedLately/time.Second) {
				if _, err := c.fleet.Look(ctx, 0); err != nil && ctx.Err() == nil {
					c.log.Warn("look at the fleet", "err", err)
				}
			}
			c.news.Tell()
		}
	}
}

// look is the fleet, as pages show it: they say of when it is.
func (c *Console) look(ctx context.Context) (hq.FleetView, error) {
	c.looked.Store(c.now().Unix())
	return c.fleet.Look(ctx, lookWithin)
}

// inside asks whether the session may, names its person for the audit log, and says what
// went wrong.
func (c *Console) inside(route route) func(http.ResponseWriter, *http.Request, web.Session) {
	return func(w http.ResponseWriter, r *http.Request, who web.Session) {
		if route.method != http.MethodGet {
			if who.Role != hq.RoleOperator {
				c.wrong(w, r, http.StatusForbidden, "You may look, and not act", "Your link was made with --read-only. Ask whoever runs headquarters for another.")
				return
			}
			r = r.WithContext(hq.By(r.Context(), who.Who))
			defer c.news.Tell()
		}
		switch err := route.serve(c, w, r, who); {
		case err == nil, r.Context().Err() != nil:
		case errors.Is(err, hq.ErrNoStore):
			c.wrong(w, r, http.StatusNotFound, "There is no such store", "It was never recorded, or it was taken out of service.")
		case errors.Is(err, hq.ErrDecided):
			status := http.StatusGone
			if r.Header.Get("X-Live") != "" {
				status = http.StatusOK // a page that was open shows it from now on
			}
			c.wrong(w, r, status, "This waits no more", "Somebody has decided it, or it settled by itself. The audit log says who and why.")
		default:
			c.log.Error("show page of the console", "path", r.URL.Path, "err", err)
			c.wrong(w, r, http.StatusInternalServerError, "This page could not be made", "Headquarters' log says why.")
		}
	}
}

// wrong is a page that says what is not as it should be.
func (c *Console) wrong(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	c.site.Show(w, r, status, "wrong.html", web.Page{Title: title, Data: web.Notice{Tone: web.Warn, Title: title, Text: text}})
}

// page is what every page begins with; one that lives looks again when there is news.
func (c *Console) page(title, here string, data any) web.Page {
	return web.Page{Title: title, Here: Base + here, Live: c.news.Stream(Base + "/news"), Data: data}
}

func (c *Console) stream(w http.ResponseWriter, r *http.Request, _ web.Session) error {
	c.news.Serve(c.closing, w, r, func() bool { _, ok := c.site.Session(r); return ok })
	return nil
}

// signIn is what whoever is not in sees.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	c.site.Show(w, r, http.StatusUnauthorized, "signin.html", web.Page{Title: "Sign in", Bare: true, Data: signIn{}})
}

type signIn struct {
	Code  string
	Wrong bool
}

// enterPage does not use the link up: programs that look at links for people would.
func (c *Console) enterPage(w http.ResponseWriter, r *http.Request) {
	c.site.Show(w, r, http.StatusOK, "signin.html", web.Page{Title: "Sign in", Bare: true, Data: signIn{Code: r.URL.Query().Get("code")}})
}

func (c *Console) enter(w http.ResponseWriter, r *http.Request) {
	o, err := c.s.AdmitOperator(r.Context(), r.PostFormValue("code"))
	if errors.Is(err, hq.ErrLink) {
		c.site.Show(w, r, http.StatusForbidden, "signin.html", web.Page{Title: "Sign in", Bare: true, Data: signIn{Wrong: true}})
		return
	}
	if err == nil {
		begin := c.sessions
		if o.Role == hq.RoleViewer {
			begin = c.screens
		}
		err = begin.Begin(w, r, web.Session{Who: o.Who, Role: o.Role})
	}
	if err != nil {
		c.log.Error("sign in to the console", "err", err)
		c.wrong(w, r, http.StatusInternalServerError, "You could not be signed in", "Headquarters' log says why. The link is used up if it was right: make another.")
		return
	}
	web.Back(w, r, Base)
}

func (c *Console) leave(w http.ResponseWriter, r *http.Request, _ web.Session) {
	if err := c.sessions.End(w, r); err != nil {
		c.log.Error("sign out of the console", "err", err)
	}
	web.Back(w, r, Base)
}

// secure: behind a proxy that speaks TLS for headquarters, cookies are for TLS alone.
func (c *Console) secure(r *http.Request) bool {
	u, err := url.Parse(c.publicURL)
	return r.TLS != nil || err == nil && u.Scheme == "https" && u.Host == r.Host
}

// Link is the address of a one-time link, by where headquarters is reached.
func Link(headquarters, code string) string {
	return strings.TrimSuffix(headquarters, "/") + Base + "/enter?code=" + url.QueryEscape(code)
}
