package hub

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"sync"
	"time"
)

const (
	inviteLife   = 5 * time.Minute // from `hub console` to the browser
	sessionLife  = 12 * time.Hour  // a working day
	sessionsKept = 32              // more people than ever look at one shop
	cookieName   = "storehub_console"
)

//go:embed console/page.html console/style.css
var consoleFiles embed.FS

var consolePage = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") },
}).ParseFS(consoleFiles, "console/page.html"))

// console is the hub's page for people in the shop, first cut: one look, no
// buttons. Whoever owns the machine makes a one-time link; that makes a session.
type console struct {
	mu       sync.Mutex
	invites  map[string]time.Time // code -> expiry
	sessions map[string]time.Time
}

func newConsole() *console {
	return &console{invites: map[string]time.Time{}, sessions: map[string]time.Time{}}
}

// invite makes a code that opens the console once.
func (c *console) invite(now time.Time, life time.Duration) (code string, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	code, expires = randomWord(), now.Add(life)
	admit(c.invites, code, expires, now)
	return code, expires
}

// enter trades a code for a session.
func (c *console) enter(code string, now time.Time) (session string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	expires, known := c.invites[code]
	delete(c.invites, code)
	if !known || now.After(expires) {
		return "", false
	}
	session = randomWord()
	admit(c.sessions, session, now.Add(sessionLife), now)
	return session, true
}

func (c *console) inside(r *http.Request, now time.Time) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	expires, ok := c.sessions[cookie.Value]
	return ok && now.Before(expires)
}

func (c *console) leave(r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.sessions, cookie.Value)
	}
}

// admit adds a word, drops what has expired, and the one that ends first when
// there are too many.
func admit(m map[string]time.Time, word string, expires, now time.Time) {
	m[word] = expires
	first := ""
	for w, t := range m {
		if now.After(t) {
			delete(m, w)
		} else if first == "" || t.Before(m[first]) {
			first = w
		}
	}
	if len(m) > sessionsKept {
		delete(m, first)
	}
}

// randomWord is 160 bits: it cannot be guessed, so that a map lookup tells nothing.
func randomWord() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (h *Hub) consoleRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", h.consoleIndex)
	mux.HandleFunc("GET /console/enter", h.consoleEnter)
	mux.HandleFunc("POST /console/leave", h.consoleLeave)
	mux.HandleFunc("GET /console/style.css", func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		http.ServeFileFS(w, r, consoleFiles, "console/style.css")
	})
}

// secure: the page runs no script and is framed by nobody.
func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

type page struct {
	Inside bool
	Wrong  bool // the link did not open anything
	At     time.Time
	Status Status
}

func (h *Hub) consoleIndex(w http.ResponseWriter, r *http.Request) {
	p := page{At: h.now()}
	if h.console.inside(r, h.now()) {
		p.Inside, p.Status = true, h.status()
	}
	h.showPage(w, http.StatusOK, p)
}

func (h *Hub) showPage(w http.ResponseWriter, status int, p page) {
	secure(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := consolePage.Execute(w, p); err != nil {
		h.log.Debug("show console", "err", err)
	}
}

// consoleEnter: a link works once, so that one in a browser's history is worth nothing.
func (h *Hub) consoleEnter(w http.ResponseWriter, r *http.Request) {
	session, ok := h.console.enter(r.URL.Query().Get("code"), h.now())
	if !ok {
		h.showPage(w, http.StatusForbidden, page{Wrong: true, At: h.now()})
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: session, Path: "/", HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife.Seconds()),
	})
	secure(w)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (h *Hub) consoleLeave(w http.ResponseWriter, r *http.Request) {
	h.console.leave(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
	secure(w)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
