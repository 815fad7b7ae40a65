package hub

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/web"
)

const (
	inviteLife   = 5 * time.Minute // from `hub console` to the browser
	sessionLife  = 12 * time.Hour  // a working day
	sessionIdle  = 2 * time.Hour   // without an open page
	sessionsKept = 64              // more people than ever look at one shop
	cookieName   = "storehub_console"

	// roleManager may act, roleMonitor only looks.
	roleManager = string(doors.ScopeManager)
	roleMonitor = string(doors.ScopeMonitor)
)

//go:embed console/*.html
var consoleFiles embed.FS

// console is the hub's pages for people in the shop. Whoever owns the machine makes a
// one-time link; a manager's credential lets in too.
type console struct {
	hub      *Hub
	site     *web.Site
	sessions *web.Sessions
	news     *web.News
	waiting  waiting
	servers  *servers
}

func newConsole(h *Hub) (*console, error) {
	c := &console{hub: h, news: web.NewNews()}
	file := filepath.Join(h.cfg.StateDir, "sessions.json")
	saved, err := os.ReadFile(file)
	if err != nil && !notExist(err) {
		h.log.Warn("nobody is signed in any more", "err", err)
	}
	c.sessions = web.NewSessions(web.SessionOptions{
		Cookie: cookieName, Idle: sessionIdle, Life: sessionLife, Most: sessionsKept, Now: h.now,
		Store: web.NewKept(saved, sessionsKept, h.now, func(b []byte) error { return writeFile(file, b) }),
		// A credential that was revoked ends what it opened.
		Valid: func(s web.Session) bool { return s.Key == "" || h.tills.holds(s.Who, s.Key) },
	})
	pages, err := fs.Sub(consoleFiles, "console")
	if err != nil {
		return nil, err
	}
	c.site, err = web.New(web.Options{
		Product: "Store Hub", Base: "/console", Pages: pages, Funcs: consoleFuncs, Sessions: c.sessions, Now: h.now, Log: h.log,
		SignIn: func(w http.ResponseWriter, r *http.Request) { c.signIn(w, r, "") },
		Nav: []web.NavItem{
			{Path: "/", Name: "Today"}, {Path: "/console/network", Name: "Network"}, {Path: "/console/readers", Name: "Readers"},
			{Path: "/console/queue", Name: "Queue"}, {Path: "/console/tills", Name: "Tills"}, {Path: "/console/checklist", Name: "Checklist"},
			{Path: "/console/logs", Name: "Logs and bundle"}, {Path: "/console/staff", Name: "Staff's page"},
		},
	})
	return c, err
}

// invite makes a one-time way in for whoever owns the machine.
func (c *console) invite(life time.Duration) (code string, expires time.Time) {
	return c.sessions.Invite(web.Session{Who: "console", Role: roleManager}, life)
}

// handler serves / and /console/. It never redirects an unclean path.
func (c *console) handler(s *servers) http.Handler {
	c.servers = s
	mux := http.NewServeMux()
	look := func(pattern string, f func(w http.ResponseWriter, r *http.Request, in web.Session)) {
		mux.Handle("GET "+pattern, c.site.Inside(f))
	}
	act := func(pattern string, f func(w http.ResponseWriter, r *http.Request, in web.Session)) {
		mux.Handle("POST "+pattern, c.site.Inside(func(w http.ResponseWriter, r *http.Request, in web.Session) {
			if in.Role != roleManager {
				doors.WriteError(w, doors.ErrForbidden.With("a monitor's credential only looks"))
				return
			}
			f(w, r, in)
		}))
	}
	look("/{$}", c.today)
	look("/console/network", c.network)
	act("/console/network/vantage", c.lookFrom)
	act("/console/network/vantage/closed", c.lookedNot)
	mux.Handle("GET /console/vantage", c.site.Outside(c.vantage))
	mux.Handle("POST /console/vantage", c.site.Outside(c.vantageSaw))
	look("/console/readers", c.readers)
	look("/console/readers/{serial}", c.reader)
	act("/console/readers/register", c.registerReader)
	act("/console/readers/pin", c.pinReader)
	look("/console/queue", c.queue)
	look("/console/queue.json", c.exportQueue)
	look("/console/queue/{id}", c.operation)
	act("/console/queue/{id}/{deed}", c.deed)
	look("/console/tills", c.tills)
	act("/console/tills/pair", c.pairTill)
	act("/console/tills/revoke", c.revokeTill)
	look("/console/checklist", c.checklist)
	look("/console/checklist.pdf", c.checklistPDF)
	act("/console/checklist/sign", c.signOff)
	look("/console/logs", c.logs)
	look("/console/bundle.zip", c.bundle)
	look("/console/live", c.live)
	mux.Handle("GET /console/staff", c.site.Outside(c.staff))
	mux.Handle("GET /console/staff/live", c.site.Outside(func(w http.ResponseWriter, r *http.Request) {
		c.news.Serve(r.Context(), w, r, func() bool { return !c.hub.stopping.Load() })
	}))
	mux.Handle("GET /console/enter", c.site.Outside(c.enter))
	mux.Handle("POST /console/signin", c.site.Outside(c.credential))
	mux.Handle("POST /console/leave", c.site.Inside(func(w http.ResponseWriter, r *http.Request, _ web.Session) {
		if err := c.sessions.End(w, r); err != nil {
			c.hub.log.Warn("end session", "err", err)
		}
		web.Back(w, r, "/")
	}))
	mux.Handle("GET /console/assets/", c.site.Assets())
	if c.hub.parts.Components {
		look("/console/components", func(w http.ResponseWriter, r *http.Request, _ web.Session) { c.site.Gallery()(w, r) })
	}
	known := s.hosts()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A name that somebody re-pointed to this machine is not the console's.
		if known != nil && !known(hostOf(r.Host)) {
			doors.WriteError(w, doors.ErrForbidden.With("the host %q is not this hub's", r.Host))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isConsole says whether a path is one of the console's. A path that is not clean is
// nobody's: a ServeMux would redirect it.
func isConsole(p string) bool {
	return p == "/" || strings.HasPrefix(p, "/console/") && path.Clean(p) == p
}

// show answers with a page that hears of news.
func (c *console) show(w http.ResponseWriter, r *http.Request, name string, p web.Page) {
	if p.Live == "" {
		p.Live = c.news.Stream("/console/live")
	}
	if r.Method != http.MethodGet {
		p.Live = "" // what it says of a form that was refused stays
	}
	p.Sub = c.sub()
	c.site.Show(w, r, http.StatusOK, name, p)
}

// sub names the store.
func (c *console) sub() string {
	if s := c.hub.store.Load(); s != nil && s.Mode == doors.Test {
		return "store " + c.hub.cfg.Store + " · test mode"
	}
	return "store " + c.hub.cfg.Store
}

// hostOf is a Host header without its port.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// live is the stream of every page.
func (c *console) live(w http.ResponseWriter, r *http.Request, _ web.Session) {
	c.news.Serve(r.Context(), w, r, func() bool {
		_, in := c.sessions.Of(r)
		return in && !c.hub.stopping.Load()
	})
}

// tell passes news on to open pages until ctx ends.
func (c *console) tell(ctx context.Context) error {
	for {
		_, _, _, wake, closed := c.hub.events.after(0)
		if closed {
			return nil
		}
		select {
		case <-wake:
			c.news.Tell()
		case <-ctx.Done():
			return nil
		}
	}
}

// signIn says how to come in, to whoever is not.
func (c *console) signIn(w http.ResponseWriter, r *http.Request, wrong string) {
	status := http.StatusOK // a person who comes by
	switch {
	case wrong != "":
		status = http.StatusForbidden
	case r.URL.Path != "/" || r.Header.Get("X-Live") != "":
		status = http.StatusUnauthorized
	}
	c.site.Show(w, r, status, "signin.html", web.Page{Title: "Sign in", Bare: true, Data: wrong})
}

// enter: a link works once, so that one in a browser's history is worth nothing.
func (c *console) enter(w http.ResponseWriter, r *http.Request) {
	ok, err := c.sessions.Enter(w, r, r.URL.Query().Get("code"))
	if err != nil {
		c.hub.log.Warn("let somebody in", "err", err)
	}
	if !ok || err != nil {
		c.signIn(w, r, "This link was used already, or is too old.")
		return
	}
	web.Back(w, r, "/")
}

// credential lets a manager or a monitor in who has a till's credential.
func (c *console) credential(w http.ResponseWriter, r *http.Request) {
	given := strings.TrimSpace(r.PostFormValue("credential"))
	t, ok := c.hub.tills.lookup(given)
	if !ok || t.Scope == doors.ScopePOS {
		pause(r.Context(), strangersWait) // whoever guesses has one try a second
		c.signIn(w, r, "This is no manager's credential.")
		return
	}
	role := roleManager
	if t.Scope == doors.ScopeMonitor {
		role = roleMonitor
	}
	if err := c.sessions.Begin(w, r, web.Session{Who: t.Name, Role: role, Key: hashCredential(given)}); err != nil {
		c.signIn(w, r, "Nobody could be let in just now; the log says why.")
		return
	}
	web.Back(w, r, "/")
}

// wrong is what a deed that was refused says to the person.
func wrong(title string, err error) *web.Notice {
	if err == nil {
		return nil
	}
	var refusal *doors.Error
	text := err.Error()
	if errors.As(err, &refusal) {
		text = refusal.Message
	}
	return &web.Notice{Tone: web.Bad, Title: title, Text: text}
}

// tone is a severity's colour.
func tone(s diagnostics.Severity) string {
	switch s {
	case diagnostics.Critical:
		return web.Bad
	case diagnostics.Warning:
		return web.Warn
	}
	return web.Info
}
