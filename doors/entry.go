package doors

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// surface is which contract a client speaks; it decides how a refusal looks.
type surface int

const (
	compat       surface = iota // Stripe's example backend: plain text
	serverDriven                // Stripe's server-driven sample: {"error":{"message"}}
	own                         // /v1
)

// enter takes the credential out of the request, so that nothing behind can log
// it, and tells the surface. A credential in the path wins over a header: the app
// that was given the path may send a header that is meant for someone else.
func enter(w http.ResponseWriter, r *http.Request) *ask {
	credential, clean := credentialAndPath(r)
	if clean != "/" {
		clean = strings.TrimSuffix(clean, "/")
	}

	safe := *r
	safe.URL = &url.URL{Path: clean, RawQuery: r.URL.RawQuery}
	safe.RequestURI = clean
	safe.Header = r.Header.Clone()
	safe.Header.Del("Authorization")
	safe.Header.Del("Referer")

	s := compat
	switch {
	case clean == "/v1" || strings.HasPrefix(clean, "/v1/"):
		s = own
	case strings.HasPrefix(clean, "/server-driven/"):
		s = serverDriven
	}
	return &ask{Request: &safe, w: w, surface: s, credential: credential}
}

// Credential is the till's credential in a request, wherever it stands; "": none.
func Credential(r *http.Request) string {
	credential, _ := credentialAndPath(r)
	return credential
}

// credentialAndPath also gives the cleaned path without the credential.
func credentialAndPath(r *http.Request) (credential, clean string) {
	clean = cleanPath(r.URL.Path)
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		credential = strings.TrimSpace(token)
	}
	if rest, found := strings.CutPrefix(clean, "/pos/"); found {
		var tail string
		credential, tail, _ = strings.Cut(rest, "/")
		clean = "/" + tail
	}
	return credential, clean
}

// CheckOrigin refuses what is no web origin as a browser writes it.
func CheckOrigin(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%q is not an origin such as https://pos.example.com (no path, no *)", s)
	}
	if strings.ContainsAny(u.Host, "*") {
		return fmt.Errorf("%q: origins are named one by one", s)
	}
	return nil
}

// cleanPath collapses doubled slashes and dots, and keeps a final slash.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// Collapse cleans the path before next sees it. It stands in front of a
// [http.ServeMux], which answers a path with doubled slashes by a redirect that
// tills do not follow.
func Collapse(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clean := cleanPath(r.URL.Path)
		if clean == r.URL.Path {
			next.ServeHTTP(w, r)
			return
		}
		r2 := *r
		u := *r.URL
		u.Path, u.RawPath = clean, ""
		r2.URL = &u
		next.ServeHTTP(w, &r2)
	})
}

// Redact takes the credential out of a path that is to be logged.
func Redact(p string) string {
	clean := cleanPath(p)
	rest, found := strings.CutPrefix(clean, "/pos/")
	if !found {
		return clean
	}
	_, tail, _ := strings.Cut(rest, "/")
	return "/pos/…/" + tail
}

// admit refuses foreign hosts and foreign web pages before anything happens, and
// marks every answer, also a refusal, so that an allowed page can read it.
func (d *door) admit(q *ask) error {
	h := q.w.Header()
	h.Add("Vary", "Origin")
	host := hostOnly(q.Host)
	if d.o.Hosts != nil && !d.o.Hosts(host) {
		return ErrHost
	}
	origin := q.Header.Get("Origin")
	if origin == "" {
		return nil // no browser page: native apps send none
	}
	if !d.allowed(origin, q.Host) {
		return ErrOrigin
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", CodeHeader+", Retry-After")
	return nil
}

func (d *door) allowed(origin, host string) bool {
	if slices.Contains(d.origins, strings.ToLower(origin)) {
		return true
	}
	// A page that this server gave out itself. Without a check of Host that would
	// be every page that points its own name here.
	u, err := url.Parse(origin)
	return d.o.Hosts != nil && err == nil && u.Host != "" && u.Host == host
}

func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// preflight answers a browser that asks before it sends, without a credential:
// browsers send none with the question.
func (d *door) preflight(q *ask) (answer, error) {
	methods := methodsAt(q.URL.Path)
	if len(methods) == 0 {
		return answer{}, ErrNotFound.With("no such route")
	}
	h := q.w.Header()
	h.Set("Allow", strings.Join(methods, ", "))
	if q.Header.Get("Access-Control-Request-Method") == "" || q.Header.Get("Origin") == "" {
		return answer{status: http.StatusNoContent}, nil
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Idempotency-Key, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600") // 10 min: a changed allow-list is felt soon
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	// A public page that calls a private address: browsers ask under either name.
	for _, network := range []string{"Private-Network", "Local-Network"} {
		if q.Header.Get("Access-Control-Request-"+network) == "true" {
			h.Set("Access-Control-Allow-"+network, "true")
		}
	}
	return answer{status: http.StatusNoContent}, nil
}
