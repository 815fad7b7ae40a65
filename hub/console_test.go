package hub

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/doors/words"
	"storehub/internal/web"
	"storehub/netcheck"
	"storehub/offlinequeue"
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
	if p := visit(browser, "POST", s.addr.URL+"/console/leave"); p.status != http.StatusForbidden {
		t.Errorf("a form without the session's word was taken: %d", p.status)
	}
	word := csrfWord.FindStringSubmatch(page.body)
	if word == nil {
		t.Fatal("the page holds no form")
	}
	if resp, err := browser.PostForm(s.addr.URL+"/console/leave", url.Values{"csrf": {word[1]}}); err != nil || resp.Body.Close() != nil {
		t.Fatal(err)
	}
	if p := visit(browser, "GET", s.addr.URL+"/"); strings.Contains(p.body, "0412") {
		t.Error("still inside after leaving")
	}
}

// browser is somebody at the console.
type browser struct {
	t    *testing.T
	http *http.Client
	url  string
	csrf string
}

func (s *shop) browse(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, http: &http.Client{Jar: jar, Transport: &http.Transport{}}, url: s.addr.URL}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

var csrfWord = regexp.MustCompile(`name="csrf" value="([0-9a-f]{64})"`)

func (b *browser) do(req *http.Request) (status int, header http.Header, body string) {
	b.t.Helper()
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if m := csrfWord.FindSubmatch(raw); m != nil {
		b.csrf = string(m[1])
	}
	return resp.StatusCode, resp.Header, string(raw)
}

func (b *browser) get(path string) (status int, header http.Header, body string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), "GET", b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(req)
}

// post sends a form with the word of the page that was seen last.
func (b *browser) post(path string, form url.Values) (status int, header http.Header, body string) {
	b.t.Helper()
	form.Set("csrf", b.csrf)
	req, err := http.NewRequestWithContext(b.t.Context(), "POST", b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

func (b *browser) enter(s *shop) {
	b.t.Helper()
	link := strings.TrimPrefix(s.hub.ConsoleLink(b.url), b.url)
	if status, _, body := b.get(link); status != http.StatusOK || b.csrf == "" {
		b.t.Fatalf("sign in: %d %.200s", status, body)
	}
}

func TestACredentialOpensTheConsoleUntilItIsRevoked(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	manager, err := s.hub.Pair("Office", doors.ScopeManager, "")
	if err != nil {
		t.Fatal(err)
	}
	monitor, err := s.hub.Pair("Screen", doors.ScopeMonitor, "")
	if err != nil {
		t.Fatal(err)
	}
	pos, err := s.hub.Pair("Lane 9", doors.ScopePOS, "")
	if err != nil {
		t.Fatal(err)
	}
	b := s.browse(t)
	for _, wrong := range []string{"", "shp_guess", pos} {
		if status, _, body := b.post("/console/signin", url.Values{"credential": {wrong}}); status != http.StatusForbidden || strings.Contains(body, "0412") {
			t.Errorf("%q opened the console: %d", wrong, status)
		}
	}
	if status, _, body := b.post("/console/signin", url.Values{"credential": {manager}}); status != http.StatusOK || !strings.Contains(body, "store 0412") {
		t.Fatalf("a manager's credential: %d %.200s", status, body)
	}
	if status, _, body := b.post("/console/tills/pair", url.Values{"name": {"Lane 5"}, "scope": {"pos"}}); status != http.StatusOK || !strings.Contains(body, "/pos/shp_") {
		t.Errorf("pair: %d %.200s", status, body)
	}
	if err := s.hub.revoke("Office"); err != nil {
		t.Fatal(err)
	}
	if status, _, body := b.get("/console/tills"); status != http.StatusUnauthorized || strings.Contains(body, "Lane 5") {
		t.Errorf("a revoked manager is in: %d", status)
	}

	look := s.browse(t)
	if status, _, body := look.post("/console/signin", url.Values{"credential": {monitor}}); status != http.StatusOK || !strings.Contains(body, "store 0412") {
		t.Fatalf("a monitor's credential: %d", status)
	}
	if status, _, _ := look.post("/console/tills/pair", url.Values{"name": {"Lane 6"}, "scope": {"pos"}}); status != http.StatusForbidden {
		t.Errorf("a monitor paired a till: %d", status)
	}
	for _, path := range []string{"/console/bundle.zip", "/console/queue.json"} {
		if status, _, _ := look.get(path); status != http.StatusForbidden {
			t.Errorf("a monitor has %s: %d", path, status)
		}
	}
}

func TestNothingOfTheConsoleIsShownToStrangers(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	b := s.browse(t)
	for _, path := range []string{"/console/network", "/console/readers", "/console/readers/x", "/console/queue", "/console/queue.json", "/console/queue/op_x", "/console/tills",
		"/console/checklist", "/console/checklist.pdf", "/console/logs", "/console/bundle.zip", "/console/live"} {
		if status, _, body := b.get(path); status != http.StatusUnauthorized || strings.Contains(body, "0412") {
			t.Errorf("%s: %d", path, status)
		}
	}
	for _, path := range []string{"/console/readers/register", "/console/readers/pin", "/console/queue/op_x/retry", "/console/tills/pair", "/console/tills/revoke", "/console/checklist/sign", "/console/leave"} {
		if status, _, _ := b.post(path, url.Values{}); status != http.StatusUnauthorized {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	// The staff's page is everyone's, and says no more than a till does.
	if status, _, body := b.get("/console/staff"); status != http.StatusOK || !strings.Contains(body, `id="sentence"`) || strings.Contains(body, "0412") || strings.Contains(body, "csrf") {
		t.Errorf("the staff's page: %d %.300s", status, body)
	}
	if status, _, _ := b.get("/console/components"); status != http.StatusNotFound {
		t.Errorf("the components' page is served: %d", status)
	}
}

func TestEveryPageIsWhole(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	b := s.browse(t)
	b.enter(s)
	for _, path := range []string{"/", "/console/network", "/console/readers", "/console/queue", "/console/queue?state=failed&q=pi_", "/console/tills", "/console/checklist", "/console/logs", "/console/staff?lang=de"} {
		status, header, body := b.get(path)
		if status != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(body), "</html>") || !strings.Contains(body, "<h1") {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
		if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %q", path, csp)
		}
	}
	status, header, body := b.get("/console/checklist.pdf")
	if status != http.StatusOK || header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(body, "%PDF") {
		t.Errorf("PDF: %d %v", status, header)
	}
}

func TestAPersonRetriesWhatIsHeldBackOnTheConsole(t *testing.T) {
	f := newFakeHQ()
	f.poison = "pi_bad"
	s := open(t, f, t.TempDir())
	b := s.browse(t)
	b.enter(s)
	bad := s.capture("pi_bad", "bad")
	for i := 0; ; i++ { // others show that it is not headquarters
		op, err := s.hub.queue.Get(bad.ID)
		if err != nil {
			t.Fatal(err)
		}
		if op.Parked != nil {
			break
		}
		good := s.capture(fmt.Sprint("pi_", i), fmt.Sprint("good", i))
		eventually(t, "what is good goes through", func() bool {
			op, err := s.hub.queue.Get(good.ID)
			return err == nil && op.State.Final()
		})
	}
	if _, _, body := b.get("/console/queue?state=parked"); !strings.Contains(body, "held back") || !strings.Contains(body, "/console/queue/"+bad.ID) {
		t.Error("the queue's page does not show what is held back")
	}
	at := "/console/queue/" + bad.ID
	b.get(at)
	if _, _, body := b.post(at+"/retry", url.Values{"by": {"Ada"}, "note": {""}}); !strings.Contains(body, "Nothing was changed") {
		t.Error("a retry without a reason was taken")
	}
	f.set(func(f *fakeHQ) { f.poison = "" })
	if status, _, body := b.post(at+"/retry", url.Values{"by": {"Ada"}, "note": {"mended"}}); status != http.StatusOK || !strings.Contains(body, "retry by Ada") {
		t.Errorf("retry: %d", status)
	}
	eventually(t, "it goes through", func() bool {
		op, err := s.hub.queue.Get(bad.ID)
		return err == nil && op.State == offlinequeue.Succeeded
	})
}

// Where the bank hints at a crime no screen in the shop may say so.
func TestTheConsoleMasksWhatTheBankHintsAt(t *testing.T) {
	f := newFakeHQ()
	f.fail["pi_1"] = "stolen_card"
	s := open(t, f, t.TempDir())
	b := s.browse(t)
	b.enter(s)
	op := s.capture("pi_1", "k1")
	eventually(t, "it fails", func() bool { return s.hub.status().Queue.Unresolved == 1 })
	s.hub.monitor.refresh()
	if _, _, body := b.get("/"); !strings.Contains(body, op.ID) {
		t.Error("today's page does not name what failed")
	}
	for _, path := range []string{"/", "/console/network", "/console/queue", "/console/queue/" + op.ID} {
		if _, _, body := b.get(path); strings.Contains(body, "stolen_card") || strings.Contains(body, "stolen card") {
			t.Errorf("%s says that the card is stolen", path)
		}
	}
	if _, _, body := b.get("/console/queue?q=stolen"); strings.Contains(body, op.ID) {
		t.Error("a search tells what is masked")
	}
}

func TestASignOffOnTheConsoleNamesAPerson(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	b := s.browse(t)
	b.enter(s)
	if status, _, body := b.post("/console/checklist/sign", url.Values{"item": {"sdk"}, "by": {"Ada"}, "note": {"all lanes on 5.2"}}); status != http.StatusOK || !strings.Contains(body, "signed off") {
		t.Errorf("sign off: %d", status)
	}
	if _, _, body := b.post("/console/checklist/sign", url.Values{"item": {"sdk"}, "by": {""}, "note": {"x"}}); !strings.Contains(body, "Nothing was signed off") {
		t.Error("a sign-off of nobody was taken")
	}
}

func TestMoneyInWords(t *testing.T) {
	n := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		amount   *int64
		currency string
		want     string
	}{
		{n(1250), "eur", "12.50 EUR"}, {n(5), "usd", "0.05 USD"}, {n(123456789), "eur", "1,234,567.89 EUR"},
		{n(-100000), "eur", "-1,000.00 EUR"}, {n(1500), "jpy", "1,500 JPY"}, {nil, "eur", "all of it"},
	} {
		if got := moneyWords(c.amount, c.currency); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestTheWayIsBrokenWhereTheCauseIs(t *testing.T) {
	critical := func(code string) []diagnostics.Cause {
		return []diagnostics.Cause{{Code: code, Severity: diagnostics.Critical}}
	}
	for code, want := range map[string]string{
		"link_down": "Router", "wan_down": "Internet", "firewall_blocks_stripe": "Stripe", "hq_credential_refused": "Headquarters",
	} {
		link := "online"
		if code != "firewall_blocks_stripe" {
			link = "offline"
		}
		var broken []string
		for _, h := range wayOf(critical(code), nil, link) {
			if h.Broken {
				broken = append(broken, h.To)
			}
		}
		if len(broken) != 1 || broken[0] != want {
			t.Errorf("%s: broken towards %v, want %s", code, broken, want)
		}
	}
	// What a probe has seen is known; what nobody looked at is not called well.
	way := wayOf(nil, []netcheck.Result{{Name: "gateway", Status: netcheck.Pass}}, "online")
	if way[hopLAN].Tone != web.Good || way[hopLine].Tone != web.Off || way[hopHQ].Tone != web.Good {
		t.Errorf("%+v", way)
	}
}

func TestTheStaffsPageHasEveryLanguage(t *testing.T) {
	for _, l := range words.Languages() {
		if w := staffWords[l]; w.Title == "" || w.SinceWord == "" || w.Button == "" || w.Language == "" {
			t.Errorf("%s: %+v", l, w)
		}
	}
	if len(staffWords) != len(words.Languages()) {
		t.Errorf("%d languages, want %d", len(staffWords), len(words.Languages()))
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
