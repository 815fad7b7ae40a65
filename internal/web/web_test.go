package web

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// shop is a console of one page, with a clock of its own.
type shop struct {
	*Site
	sessions *Sessions
	now      time.Time
	valid    bool
	done     int // forms that were taken
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), valid: true}
	s.sessions = NewSessions(SessionOptions{
		Cookie: "c", Idle: time.Hour, Life: 12 * time.Hour, Most: 4,
		Now: func() time.Time { return s.now }, Valid: func(Session) bool { return s.valid },
	})
	var err error
	s.Site, err = New(Options{
		Product: "Store Hub", Base: "/console", Sessions: s.sessions, Now: func() time.Time { return s.now },
		Nav:    []NavItem{{"/", "Today"}, {"/other", "Other"}},
		Pages:  fstest.MapFS{"one.html": {Data: []byte(`{{define "content"}}<h1>{{.Data}}</h1>{{end}}`)}},
		SignIn: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sign in", http.StatusUnauthorized) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// in signs somebody in and returns the cookie.
func (s *shop) in(t *testing.T) *http.Cookie {
	t.Helper()
	code, _ := s.sessions.Invite(Session{Who: "Ada"}, time.Minute)
	w := httptest.NewRecorder()
	if ok, err := s.sessions.Enter(w, request("GET", "/", nil), code); !ok || err != nil {
		t.Fatalf("a fresh link: %t %v", ok, err)
	}
	return w.Result().Cookies()[0]
}

func request(method, path string, cookie *http.Cookie) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	return r
}

func TestALinkOpensOnceAndNotForLong(t *testing.T) {
	s := newShop(t)
	code, expires := s.sessions.Invite(Session{Who: "Ada"}, time.Minute)
	enter := func(code string) bool {
		ok, err := s.sessions.Enter(httptest.NewRecorder(), request("GET", "/", nil), code)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if enter("") || enter("guess") {
		t.Error("a code that nobody made opened")
	}
	if !enter(code) || enter(code) {
		t.Error("a link does not open exactly once")
	}
	code, _ = s.sessions.Invite(Session{Who: "Ada"}, time.Minute)
	s.now = expires
	if enter(code) {
		t.Error("a link opened when its time was over")
	}
	for range 20 {
		s.sessions.Invite(Session{}, time.Minute)
	}
	if n := len(s.sessions.links); n > 4 {
		t.Errorf("%d links are kept", n)
	}
}

func TestWhatOpensIsKeptAsAHash(t *testing.T) {
	s := newShop(t)
	code, _ := s.sessions.Invite(Session{Who: "Ada"}, time.Minute)
	cookie := s.in(t)
	for h := range s.sessions.links {
		if strings.Contains(h, code) {
			t.Error("a link is kept as it is")
		}
	}
	for h, k := range s.sessions.store.(*memory).in {
		if strings.Contains(h, cookie.Value) || k.session.word != "" {
			t.Error("a session is kept as its cookie is")
		}
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie: %+v", cookie)
	}
}

func TestASessionEnds(t *testing.T) {
	s := newShop(t)
	begun := s.now
	cookie := s.in(t)
	inside := func() bool { _, ok := s.sessions.Of(request("GET", "/", cookie)); return ok }
	for s.now = begun; s.now.Before(begun.Add(12 * time.Hour)); s.now = s.now.Add(50 * time.Minute) {
		if !inside() {
			t.Fatalf("out after %s of use", s.now.Sub(begun))
		}
	}
	s.now = begun.Add(12 * time.Hour)
	if inside() {
		t.Error("in after its whole life, because it was used")
	}

	begun, cookie = s.now, s.in(t)
	s.now = begun.Add(time.Hour)
	if inside() {
		t.Error("in though nobody used it for an hour")
	}

	cookie = s.in(t)
	s.valid = false
	if inside() {
		t.Error("in though its owner was revoked")
	}
	s.valid = true
	if inside() {
		t.Error("a session came back from the dead")
	}

	cookie = s.in(t)
	if err := s.sessions.End(httptest.NewRecorder(), request("POST", "/", cookie)); err != nil || inside() {
		t.Errorf("in after signing out (%v)", err)
	}

	cookie = s.in(t)
	w := httptest.NewRecorder()
	if err := s.sessions.Begin(w, request("POST", "/", cookie), Session{Who: "Grace"}); err != nil || inside() {
		t.Errorf("the browser's earlier session goes on beside the new one (%v)", err)
	}
	for range 20 {
		s.in(t)
	}
	if n := len(s.sessions.store.(*memory).in); n > 4 {
		t.Errorf("%d sessions are kept", n)
	}
}

func TestSessionsOutliveTheProcess(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var disk []byte
	start := func() *Sessions {
		return NewSessions(SessionOptions{Cookie: "c", Idle: time.Hour, Life: 12 * time.Hour, Most: 4, Now: func() time.Time { return now },
			Store: NewKept(disk, 4, func() time.Time { return now }, func(b []byte) error { disk = b; return nil })})
	}
	w := httptest.NewRecorder()
	if err := start().Begin(w, request("GET", "/", nil), Session{Who: "Ada", Role: "manager"}); err != nil {
		t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	if strings.Contains(string(disk), cookie.Value) {
		t.Error("a session is kept as its cookie is")
	}
	later := start()
	if in, ok := later.Of(request("GET", "/", cookie)); !ok || in.Who != "Ada" || in.Role != "manager" || in.CSRF() == "" {
		t.Errorf("after a restart: %+v %t", in, ok)
	}
	if err := later.End(httptest.NewRecorder(), request("POST", "/", cookie)); err != nil {
		t.Fatal(err)
	}
	if _, ok := start().Of(request("GET", "/", cookie)); ok {
		t.Error("a session that was ended came back with the process")
	}
	disk = []byte("{torn")
	if _, ok := start().Of(request("GET", "/", cookie)); ok {
		t.Error("a torn file lets somebody in")
	}
}

func TestAFormOfAnotherPageDoesNothing(t *testing.T) {
	s := newShop(t)
	door := s.Inside(func(w http.ResponseWriter, r *http.Request, in Session) {
		if r.Method == http.MethodPost {
			s.done++
		}
		s.Show(w, r, http.StatusOK, "one.html", Page{Data: in.Who})
	})
	cookie, other := s.in(t), s.in(t)
	word := func(c *http.Cookie) string { in, _ := s.sessions.Of(request("GET", "/", c)); return in.CSRF() }
	post := func(cookie *http.Cookie, form url.Values, headers ...string) int {
		r := httptest.NewRequest("POST", "http://shop.example/", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if cookie != nil {
			r.AddCookie(cookie)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		return w.Code
	}
	good := url.Values{"csrf": {word(cookie)}}
	for name, got := range map[string]int{
		"no word":                   post(cookie, nil),
		"another session's word":    post(cookie, url.Values{"csrf": {word(other)}}),
		"another site, by browser":  post(cookie, good, "Sec-Fetch-Site", "cross-site"),
		"another site, by origin":   post(cookie, good, "Origin", "http://evil.example"),
		"a word in the wrong place": post(cookie, nil, "Cookie", "csrf="+word(cookie)),
	} {
		if got != http.StatusForbidden && got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := post(nil, good); got != http.StatusUnauthorized {
		t.Errorf("nobody: %d", got)
	}
	if s.done != 0 {
		t.Fatalf("%d forms were taken", s.done)
	}
	if got := post(cookie, good, "Sec-Fetch-Site", "same-origin", "Origin", "http://shop.example"); got != http.StatusOK || s.done != 1 {
		t.Errorf("our own form: %d, %d taken", got, s.done)
	}
	if got := post(cookie, nil, "X-CSRF-Token", word(cookie)); got != http.StatusOK || s.done != 2 {
		t.Errorf("our own script: %d, %d taken", got, s.done)
	}
}

func TestAPageAllowsNothingInlineAndNobodyElse(t *testing.T) {
	s := newShop(t)
	for name, show := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, r *http.Request) {
			s.Show(w, r, http.StatusOK, "one.html", Page{Title: "<script>", Data: "<script>alert(1)</script>", Live: "/console/live"})
		},
		"components": s.Gallery(),
		"a refusal":  s.refuse,
	} {
		w := httptest.NewRecorder()
		show(w, request("GET", "/", s.in(t)))
		csp := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", name, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "http") {
			t.Errorf("%s: policy %q", name, csp)
		}
		if w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, w.Header())
		}
		body := w.Body.String()
		for _, inline := range []string{`<script>`, `<style`, ` style=`, `javascript:`, ` on[a-z]+=`, `(src|href)="(https?:)?//`} {
			if found := regexp.MustCompile(inline).FindString(body); found != "" {
				t.Errorf("%s holds %q", name, found)
			}
		}
	}
}

func TestAnAssetIsAskedForOnce(t *testing.T) {
	s := newShop(t)
	total := 0
	for _, name := range []string{"style.css", "console.js", "htmx.min.js", "mark.svg"} {
		r := request("GET", s.Asset(name), nil)
		r.Header.Set("Accept-Encoding", "br, gzip")
		w := httptest.NewRecorder()
		s.Assets().ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		total += w.Body.Len()
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		small, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		plain := httptest.NewRecorder()
		s.Assets().ServeHTTP(plain, request("GET", s.Asset(name), nil))
		if plain.Body.String() != string(small) {
			t.Errorf("%s is another when it is compressed", name)
		}
		again := request("GET", s.Asset(name), nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		w = httptest.NewRecorder()
		s.Assets().ServeHTTP(w, again)
		if w.Code != http.StatusNotModified || w.Body.Len() != 0 {
			t.Errorf("%s again: %d, %d bytes", name, w.Code, w.Body.Len())
		}
	}
	if total > 40<<10 {
		t.Errorf("the assets are %d bytes, compressed", total)
	}
	w := httptest.NewRecorder()
	if s.Assets().ServeHTTP(w, request("GET", "/console/assets/../web.go", nil)); w.Code != http.StatusNotFound {
		t.Errorf("a path out of the assets: %d", w.Code)
	}
}

// TestLibrariesAreThoseThatAreNamed holds what is vendored to what static/README.md says.
func TestLibrariesAreThoseThatAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
	} {
		b, err := static.ReadFile("static/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s has the hash %x", name, sum)
		}
	}
}

func TestNewsIsToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		news := NewNews()
		stale, fresh := news.Stream("/live"), ""
		news.Tell()
		fresh = news.Stream("/live")
		listen := func(url string, still func() bool) (said func() string, stop func()) {
			w := &stream{header: http.Header{}}
			r := httptest.NewRequest("GET", url, nil)
			done := make(chan struct{})
			ctx, cancel := contextOf(t)
			go func() { defer close(done); news.Serve(ctx, w, r, still) }()
			synctest.Wait()
			return func() string { synctest.Wait(); return w.String() }, func() { cancel(); <-done }
		}
		always := func() bool { return true }
		said, stop := listen(stale, always)
		if n := strings.Count(said(), "event: change"); n != 1 {
			t.Errorf("a page from before the news hears of it %d times", n)
		}
		stop()

		said, stop = listen(fresh, always)
		if s := said(); strings.Contains(s, "change") || !strings.Contains(s, "event: beat") {
			t.Errorf("a fresh page hears %q", s)
		}
		for range 100 {
			news.Tell()
			time.Sleep(20 * time.Millisecond)
		}
		if n := strings.Count(said(), "event: change"); n < 2 || n > 3 {
			t.Errorf("in two seconds of news a page hears of it %d times", n)
		}
		time.Sleep(20 * time.Second)
		if n := strings.Count(said(), "event: beat"); n != 5 {
			t.Errorf("%d beats in 22 s", n)
		}
		stop()

		var inside atomic.Bool
		inside.Store(true)
		said, stop = listen(fresh, inside.Load)
		inside.Store(false)
		time.Sleep(6 * time.Second)
		before := said()
		news.Tell()
		if said() != before {
			t.Error("whoever was put out goes on listening")
		}
		stop()
	})
}

func TestALineOfTime(t *testing.T) {
	from := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	line := Timeline{"Lane 1", from, from.Add(10 * time.Hour), []Span{
		{from.Add(-time.Hour), from.Add(time.Hour), Good, "online"}, // begins before the line
		{from.Add(5 * time.Hour), from.Add(5 * time.Hour), Bad, "offline"},
		{from.Add(9 * time.Hour), from.Add(20 * time.Hour), Bad, "offline"},
	}}
	bars := line.Bars()
	if len(bars) != 2 || bars[0].X != "0.0" || bars[0].W != "100.0" || bars[1].X != "900.0" || bars[1].W != "100.0" {
		t.Errorf("%+v", bars)
	}
	if said := line.Said(); !strings.HasPrefix(said, "online, ") || !strings.Contains(said, "; offline, ") {
		t.Errorf("in words: %q", said)
	}
}

// stream is a browser that hears while the server goes on speaking.
type stream struct {
	header http.Header
	mu     sync.Mutex
	said   strings.Builder
}

func (s *stream) Header() http.Header { return s.header }
func (s *stream) WriteHeader(int)     {}
func (s *stream) Flush()              {}
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(b)
}
func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}
