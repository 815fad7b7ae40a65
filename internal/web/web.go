// Package web is what the hub's console and headquarters' have in common: the frame of
// a page and its components, one style sheet, sessions, and news to pages that are open.
//
// Pages are rendered here, on the server, and work without a script; where there is one,
// a page that hears news asks for itself again and changes what differs. Nothing comes
// from another host, nothing is inline, and what is not allowed is forbidden (CSP).
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed templates
var templates embed.FS

// Options are what one console brings.
type Options struct {
	Product  string // in the page's head: "Store Hub"
	Base     string // where the console lives, such as /console: its assets are at Base/assets/
	Pages    fs.FS  // *.html at its top: each defines "content"; _*.html define what they share
	Funcs    template.FuncMap
	Nav      []NavItem
	Sessions *Sessions
	Now      func() time.Time // nil: [time.Now]
	Log      *slog.Logger     // nil: nobody hears
	// SignIn answers whoever has no session: with a page (status 401) that says how to get one.
	SignIn func(w http.ResponseWriter, r *http.Request)
}

// NavItem is one way through the console.
type NavItem struct{ Path, Name string }

// Site is one console. It is safe for concurrent use.
type Site struct {
	o      Options
	pages  map[string]*template.Template
	assets *assets
	origin *http.CrossOriginProtection
}

// Page is one answer: what the frame shows, and the content's own data.
type Page struct {
	Title string
	Here  string    // the path of the nav item it belongs to
	Sub   string    // beside the product: "store 0412 · test mode"
	Live  string    // the stream of news (see [News]); "": the page stands still
	At    time.Time // when what it shows was gathered; zero: now
	Lang  string    // "": en
	Bare  bool      // no navigation: signing in, the staff's page, paper
	Words *Notice   // what came of what was just done
	Data  any       // the content's own
	// Connect are origins beside its own that the page's script may ask, such as
	// https://192.168.1.5:4443. Nobody else's words may be in it.
	Connect []string

	session Session
}

// frame is what templates see.
type frame struct {
	Page
	Site    *Site
	Product string
	Nav     []NavItem
	CSRF    string // "" without a session
	Who     string
}

// New parses the pages. It fails where one of them is not a template.
func New(o Options) (*Site, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Site{o: o, pages: map[string]*template.Template{}, assets: newAssets(path.Join(o.Base, "assets")), origin: http.NewCrossOriginProtection()}
	base, err := template.New("").Funcs(s.funcs()).Funcs(o.Funcs).ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("read components: %w", err)
	}
	if shared, err := fs.Glob(o.Pages, "_*.html"); err == nil && len(shared) > 0 {
		if _, err := base.ParseFS(o.Pages, shared...); err != nil {
			return nil, fmt.Errorf("read components: %w", err)
		}
	}
	for _, from := range []fs.FS{mustSub(templates, "templates/pages"), o.Pages} {
		names, err := fs.Glob(from, "*.html")
		if err != nil {
			return nil, fmt.Errorf("list pages: %w", err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, "_") {
				continue
			}
			t, err := template.Must(base.Clone()).ParseFS(from, name)
			if err != nil {
				return nil, fmt.Errorf("read page: %w", err)
			}
			s.pages[name] = t
		}
	}
	return s, nil
}

func mustSub(f fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(f, dir)
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// Show answers with a page: name is its file, such as "today.html". Nothing is sent
// before the whole page is there, so that a template that fails is an error and not
// half a page.
func (s *Site) Show(w http.ResponseWriter, r *http.Request, status int, name string, p Page) {
	t, ok := s.pages[name]
	if !ok {
		s.o.Log.Error("show page: there is none of that name", "page", name)
		http.Error(w, "this page is missing", http.StatusInternalServerError)
		return
	}
	f := frame{Page: p, Site: s, Product: s.o.Product, Nav: s.o.Nav}
	if f.At.IsZero() {
		f.At = s.o.Now()
	}
	if in, ok := s.Session(r); ok {
		f.session, f.CSRF, f.Who = in, in.CSRF(), in.Who
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame", f); err != nil {
		s.o.Log.Error("show page", "page", name, "err", err)
		Secure(w.Header())
		http.Error(w, "this page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	Secure(w.Header())
	if len(p.Connect) > 0 {
		w.Header().Set("Content-Security-Policy", strings.Replace(policy, "connect-src 'self'", "connect-src 'self' "+strings.Join(p.Connect, " "), 1))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	writeCompressed(w, r, status, b.Bytes())
}

// policy: scripts, styles and pictures of our own, nothing inline, nothing of anyone
// else; forms and streams go to where the page came from; nobody frames it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secure sets what every answer of a console carries. A page is nobody's to keep.
func Secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

// Asset is where a file of static/ is served, its hash in the name.
func (s *Site) Asset(name string) string { return s.assets.url(name) }

// Assets serves Base/assets/.
func (s *Site) Assets() http.Handler { return s.assets }
