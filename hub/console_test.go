package hub

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
)

func TestTheConsoleOpensOnceForWhoOwnsTheMachine(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	status, body := s.ask("GET", "/", "", "")
	if status != http.StatusOK || !strings.Contains(body, "hub console") || strings.Contains(body, "0412") {
		t.Errorf("a stranger sees %d %s", status, body)
	}
	link := s.hub.ConsoleLink(s.addr.URL)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: &http.Transport{}}
	defer browser.CloseIdleConnections()
	type seen struct {
		status int
		path   string
		header http.Header
		url    *url.URL
		body   string
	}
	visit := func(c *http.Client, method, url string) seen {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return seen{resp.StatusCode, resp.Request.URL.Path, resp.Header, resp.Request.URL, string(b)}
	}
	page := visit(browser, "GET", link)
	if page.status != http.StatusOK || page.path != "/" || !strings.Contains(page.body, "store 0412 · test mode") {
		t.Errorf("the owner sees %d %s", page.status, page.body)
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("CSP: %q", csp)
	}
	if cookies := jar.Cookies(page.url); len(cookies) != 1 || strings.Contains(link, cookies[0].Value) {
		t.Errorf("cookies: %v", cookies)
	}
	if p := visit(&http.Client{Transport: browser.Transport}, "GET", link); p.status != http.StatusForbidden {
		t.Errorf("the link opened twice: %d", p.status)
	}
	if p := visit(browser, "GET", s.addr.URL+"/console/style.css"); p.status != http.StatusOK {
		t.Errorf("style sheet: %d", p.status)
	}
	if p := visit(browser, "POST", s.addr.URL+"/console/leave"); strings.Contains(p.body, "0412") {
		t.Error("still inside after leaving")
	}
	if p := visit(browser, "GET", s.addr.URL+"/"); strings.Contains(p.body, "0412") {
		t.Error("still inside after leaving")
	}
}

func TestInvitesAndSessionsEnd(t *testing.T) {
	c := newConsole()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	code, _ := c.invite(now, inviteLife)
	if _, ok := c.enter(code, now.Add(inviteLife+time.Second)); ok {
		t.Error("an old link opened")
	}
	code, _ = c.invite(now, inviteLife)
	session, ok := c.enter(code, now)
	if !ok {
		t.Fatal("a fresh link did not open")
	}
	r := &http.Request{Header: http.Header{"Cookie": {cookieName + "=" + session}}}
	if !c.inside(r, now.Add(sessionLife-time.Second)) || c.inside(r, now.Add(sessionLife)) {
		t.Error("a session does not last exactly a working day")
	}
	for i := range 3 * sessionsKept {
		code, _ := c.invite(now.Add(time.Duration(i)*time.Second), inviteLife)
		c.enter(code, now.Add(time.Duration(i)*time.Second))
	}
	if len(c.sessions) > sessionsKept || len(c.invites) > sessionsKept {
		t.Errorf("%d sessions, %d invites", len(c.sessions), len(c.invites))
	}
}

func TestThePageOfABadDay(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 12, 7, 0, time.Local)
	p := page{Inside: true, At: at, Status: Status{
		Store: "0412", Mode: "live", Version: "1.2.3", OperatorMessage: "Card payments are down: the store's internet line is cut.",
		Connectivity: Connectivity{State: "offline", Since: at.Add(-time.Hour)},
		Causes: []diagnostics.Cause{{Code: "wan_down", Severity: diagnostics.Critical, Title: "The store's internet line is cut",
			Evidence: []string{"192.168.1.1 answers", "nothing beyond it does <script>"}, Remedy: []string{"Call the provider."}}},
		Queue: QueueStatus{Pending: 3, OldestPending: at.Add(-time.Hour), NextDeadline: at.Add(46 * time.Hour)},
	}}
	var b strings.Builder
	if err := consolePage.Execute(&b, p); err != nil {
		t.Fatal(err)
	}
	golden(t, "console_bad_day.golden", b.String())
	if strings.Contains(b.String(), "<script>") {
		t.Error("evidence is not escaped")
	}
}

func TestHealthNeedsNoCredential(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	f.cut() // a hub without headquarters is ready all the same: it keeps promises
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/openapi.json": `"openapi"`, "/metrics": "storehub_build_info"} {
		if status, body := s.ask("GET", path, "", ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.80s", path, status, body)
		}
		if status, _ := s.ask("POST", path, "", ""); status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	s.hub.stopping.Store(true)
	if status, _ := s.ask("GET", "/readyz", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("readyz while stopping: %d", status)
	}
}

func TestNothingIsEverRedirected(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, path := range []string{"//connection_token", "/pos/%s//connection_token", "/healthz/", "//", "/v1//status", "/pos/%s/../healthz", "/console/"} {
		if strings.Contains(path, "%s") {
			path = fmt.Sprintf(path, s.credential)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.addr.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode/100 == 3 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestForeignHostsAreRefusedOnLoopback(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.addr.URL+"/pos/"+s.credential+"/connection_token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example.com"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a re-pointed name got %s", resp.Status)
	}
}
