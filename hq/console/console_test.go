package console

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/stripeapi"
	"storehub/internal/sandbox"
	"storehub/internal/web"
)

// browser is somebody's, with the cookie it was given.
type browser struct {
	t      testing.TB
	h      http.Handler
	cookie *http.Cookie
	csrf   string
}

// enter signs somebody in by a link.
func enter(t testing.TB, c *Console, s *hq.Server, who, role string) *browser {
	t.Helper()
	code, _, err := s.InviteOperator(t.Context(), hq.Operator{Who: who, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, h: c.Beside(s.Handler())}
	w := b.post("/console/enter", url.Values{"code": {code}})
	if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 1 {
		t.Fatalf("enter: %d %s", w.Code, w.Body)
	}
	b.cookie = w.Result().Cookies()[0]
	return b
}

func (b *browser) ask(r *http.Request) *httptest.ResponseRecorder {
	b.t.Helper()
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	return w
}

var csrfField = regexp.MustCompile(`data-csrf="([0-9a-f]{64})"`)

func (b *browser) get(path string) string {
	b.t.Helper()
	w := b.ask(httptest.NewRequest("GET", path, nil))
	if w.Code != http.StatusOK {
		b.t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	if m := csrfField.FindStringSubmatch(w.Body.String()); m != nil {
		b.csrf = m[1]
	}
	return w.Body.String()
}

func (b *browser) post(path string, form url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.ask(r)
}

// act posts a form with the session's word, from a page.
func (b *browser) act(path string, form url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	b.get("/console/people")
	form.Set("csrf", b.csrf)
	return b.post(path, form)
}

// path fills a route's wildcards.
func (r route) filled() string {
	return Base + strings.NewReplacer("{store}", "00007", "{number}", "1").Replace(r.path)
}

// TestNothingOpensWithoutASession asks at every route: as nobody, as a store's hub, as a
// till, as somebody else's page, and as a viewer where something would change.
func TestNothingOpensWithoutASession(t *testing.T) {
	c, s := headquarters(t, 20)
	nobody := &browser{t: t, h: c.Beside(s.Handler())}
	operator, viewer := enter(t, c, s, "Ada", hq.RoleOperator), enter(t, c, s, "Wall", hq.RoleViewer)
	viewer.get("/console")
	operator.get("/console")
	code, _, err := s.AddStore(t.Context(), hq.Store{ID: "0412", Location: "tml_1", Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	transport := hq.NewLocal(s)
	hub := &hq.Client{URL: "http://hq", HTTP: &http.Client{Transport: transport}}
	e, err := hub.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Findings(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range routes {
		path := route.filled()
		for name, header := range map[string]http.Header{
			"nobody":                     {},
			"a store's credential":       {"Authorization": {"Bearer " + e.Credential}},
			"it as a cookie":             {"Cookie": {"storehub_hq=" + e.Credential}},
			"another console's cookie":   {"Cookie": {"storehub_console=" + operator.cookie.Value}},
			"a till's path credential":   {"Authorization": {"Bearer shp_1"}},
			"a made up session":          {"Cookie": {"storehub_hq=" + strings.Repeat("0", 40)}},
			"the hash that is kept here": {"Cookie": {"storehub_hq=" + operator.csrf}},
		} {
			r := httptest.NewRequest(route.method, path, nil)
			r.Header = header
			if w := nobody.ask(r); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "High Street") {
				t.Errorf("%s %s as %s: %d", route.method, path, name, w.Code)
			}
		}
		if route.method == http.MethodGet {
			continue
		}
		form := func(word string) url.Values {
			return url.Values{"csrf": {word}, "note": {"n"}, "verdict": {"confirm"}, "id": {"x"}, "who": {"Ada"}, "name": {"n"}}
		}
		if w := operator.post(path, form("")); w.Code != http.StatusForbidden {
			t.Errorf("%s without the session's word: %d", path, w.Code)
		}
		if w := operator.post(path, form(viewer.csrf)); w.Code != http.StatusForbidden {
			t.Errorf("%s with another session's word: %d", path, w.Code)
		}
		if w := viewer.post(path, form(viewer.csrf)); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "You may look") {
			t.Errorf("%s as a viewer: %d", path, w.Code)
		}
		r := httptest.NewRequest("POST", path, strings.NewReader(form(operator.csrf).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if w := operator.ask(r); w.Code != http.StatusForbidden {
			t.Errorf("%s from another site: %d", path, w.Code)
		}
	}
	if after, err := s.Findings(t.Context(), ""); err != nil || len(after) != len(before) {
		t.Errorf("%d findings became %d, %v", len(before), len(after), err)
	}
}

func TestRevokingAPersonEndsTheirSessions(t *testing.T) {
	c, s := headquarters(t, 5)
	ada, grace := enter(t, c, s, "Ada", hq.RoleOperator), enter(t, c, s, "Grace", hq.RoleOperator)
	if w := ada.act("/console/people/revoke", url.Values{"who": {"Grace"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("revoke: %d %s", w.Code, w.Body)
	}
	if w := grace.ask(httptest.NewRequest("GET", "/console", nil)); w.Code != http.StatusUnauthorized {
		t.Errorf("Grace after that: %d", w.Code)
	}
	ada.get("/console")
	ada.act("/console/leave", url.Values{})
	if w := ada.ask(httptest.NewRequest("GET", "/console", nil)); w.Code != http.StatusUnauthorized {
		t.Errorf("Ada after signing out: %d", w.Code)
	}
}

// TestADecisionHasANameAndAReason is money.md's rule: who, why, once.
func TestADecisionHasANameAndAReason(t *testing.T) {
	c, s := headquarters(t, 20)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	open, err := s.Findings(t.Context(), "00007")
	if err != nil || open[0].Code != "twin_charge" {
		t.Fatal(open, err)
	}
	page := ada.get("/console/findings/1")
	for _, want := range []string{"Confirm: refund 12.50 EUR of pi_twin, order 4711", "as Ada", "order 4711 was paid twice"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	does := string(open[0].Proposal)
	for name, form := range map[string]url.Values{
		"no note":          {"verdict": {"confirm"}, "does": {does}, "note": {" "}},
		"no verdict":       {"note": {"charged twice"}, "does": {does}},
		"another proposal": {"verdict": {"confirm"}, "note": {"charged twice"}, "does": {strings.Replace(does, "1250", "125", 1)}},
	} {
		if w := ada.act("/console/findings/1", form); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Not decided") {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	right := url.Values{"verdict": {"confirm"}, "note": {"charged twice, customer called"}, "does": {does}, "by": {"Grace"}}
	if w := ada.act("/console/findings/1", right); w.Code != http.StatusSeeOther {
		t.Fatalf("decide: %d %s", w.Code, w.Body)
	}
	if w := ada.act("/console/findings/1", right); w.Code != http.StatusGone {
		t.Errorf("the second time: %d", w.Code)
	}
	again := httptest.NewRequest("GET", "/console/findings/1", nil)
	again.Header.Set("X-Live", "1")
	if w := ada.ask(again); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "waits no more") {
		t.Errorf("a page that is open is told %d %s", w.Code, w.Body)
	}
	ops, err := s.Operations(t.Context(), "00007", 0, 1)
	if err != nil || len(ops) != 1 || ops[0].Kind != doors.Refund || *ops[0].Amount != 1250 || ops[0].Till != "headquarters" {
		t.Errorf("carried out: %+v, %v", ops, err)
	}
	acts, err := s.Audit(t.Context(), hq.AuditQuery{Last: 1})
	if err != nil || acts[0].By != "Ada" || acts[0].Act != "finding.confirmed" || !strings.Contains(acts[0].Detail, "charged twice, customer called") {
		t.Errorf("the audit log: %+v, %v", acts, err)
	}
	if got := ada.get("/console/audit?q=CUSTOMER+called"); !strings.Contains(got, "finding.confirmed") || strings.Contains(got, "console.enter") {
		t.Error("the search does not find the act alone")
	}
}

func TestACodeIsShownOnce(t *testing.T) {
	c, s := headquarters(t, 5)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	code := regexp.MustCompile(`[0-9A-Z]{4}(-[0-9A-Z]{4}){3}`)
	w := ada.act("/console/enrol", url.Values{"id": {"0900"}, "location": {"tml_900"}, "mode": {"test"}, "time_zone": {"Europe/Berlin"}})
	made := code.FindString(w.Body.String())
	if w.Code != http.StatusOK || made == "" || !strings.Contains(w.Body.String(), "hub enroll --hq https://hq.example.com --code "+made) {
		t.Fatalf("enrol: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/console/enrol", "/console/enrol?store=0900", "/console/stores/0900", "/console/audit"} {
		if strings.Contains(ada.get(path), made) {
			t.Errorf("%s shows the code again", path)
		}
	}
	if w := ada.act("/console/enrol", url.Values{"id": {"0900"}, "location": {"tml_900"}, "mode": {"test"}}); w.Code != http.StatusConflict {
		t.Errorf("the same store by mistake: %d", w.Code)
	}
	if w := ada.act("/console/enrol", url.Values{"id": {"00001"}, "known": {"1"}}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "--replace") {
		t.Errorf("another code: %d", w.Code)
	}
	if w := ada.act("/console/enrol", url.Values{"id": {"0901"}, "location": {"tmr_1"}, "mode": {"test"}}); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "location") {
		t.Errorf("a reader as Location: %d", w.Code)
	}
	acts, err := s.Audit(t.Context(), hq.AuditQuery{Store: "0900"})
	if err != nil || len(acts) != 1 || acts[0].By != "Ada" {
		t.Errorf("the audit log: %+v, %v", acts, err)
	}
}

func TestAViewIsKeptAsALinkAndNothingElse(t *testing.T) {
	c, s := headquarters(t, 20)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	if w := ada.act("/console/views", url.Values{"name": {"names <b>down</b>"}, "query": {`verdict=blocked&after=00001&evil="onload=x`}}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/console?verdict=blocked" {
		t.Fatalf("save: %d %s", w.Code, w.Header())
	}
	if page := ada.get("/console"); !strings.Contains(page, `href="/console?verdict=blocked"`) || !strings.Contains(page, "names &lt;b&gt;down") || strings.Contains(page, "onload") {
		t.Error("the view is not there, or more of it is")
	}
	ada.act("/console/views/delete", url.Values{"name": {"names <b>down</b>"}})
	if strings.Contains(ada.get("/console"), "down&lt;") {
		t.Error("the view is there after it was deleted")
	}
}

var storeLink = regexp.MustCompile(`href="/console/stores/(\d+)"`)

func shownStores(page string) (list []string) {
	for _, m := range storeLink.FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

// TestEveryStoreStandsOnOnePage walks through all pages of a look, whatever its order.
func TestEveryStoreStandsOnOnePage(t *testing.T) {
	c, s := headquarters(t, 430)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	next := regexp.MustCompile(`href="([^"]+)" rel="next"`)
	for _, sort := range sorts {
		var all []string
		pages := 0
		for path := "/console?sort=" + sort; path != "" && pages < 10; pages++ {
			page := ada.get(path)
			shown := shownStores(page)
			if len(shown) > rowsShown {
				t.Errorf("%d stores on a page", len(shown))
			}
			all, path = append(all, shown...), ""
			if m := next.FindStringSubmatch(page); m != nil {
				path = strings.ReplaceAll(m[1], "&amp;", "&")
			}
		}
		slices.Sort(all)
		if len(slices.Compact(all)) != 430 || pages != 5 {
			t.Errorf("by %s: %d stores on %d pages", sort, len(all), pages)
		}
	}
	for query, want := range map[string]func(n int) bool{
		"verdict=blocked":                                  func(n int) bool { return n%83 == 7 && n%131 != 11 && n%211 != 9 },
		"code=reader_offline":                              func(n int) bool { return n%57 == 5 && n%83 != 7 && n%41 != 3 && n%211 != 9 },
		"version=1.3.2&q=airport":                          func(n int) bool { return n%9 == 0 && n%5 == 3 && n%211 != 9 },
		"verdict=unknown":                                  func(n int) bool { return n%211 == 9 },
		"verdict=silent":                                   func(n int) bool { return n%131 == 11 && n%211 != 9 },
		"verdict=blocked&q=no+such+word":                   func(int) bool { return false },
		"fault=dns_down~resolver~198.51.100.53&sort=store": func(n int) bool { return n%83 == 7 && n%131 != 11 && n%211 != 9 },
		"fault=dns_down~resolver~1.1.1.1":                  func(int) bool { return false },
	} {
		got := shownStores(ada.get("/console?" + query))
		slices.Sort(got)
		var should []string
		for n := range 430 {
			if want(n) {
				should = append(should, id(n))
			}
		}
		if !slices.Equal(got, should) {
			t.Errorf("%s shows %v, want %v", query, got, should)
		}
	}
}

func id(n int) string {
	s := "0000" + number(n)
	return s[len(s)-5:]
}

// TestTenThousandStoresAreBounded holds what a browser is given, whatever the fleet's size.
func TestTenThousandStoresAreBounded(t *testing.T) {
	c, s := headquarters(t, 10_000)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	began := time.Now()
	ada.get("/console")
	t.Logf("the first look of all: %s", time.Since(began).Round(time.Millisecond))
	tags := regexp.MustCompile(`<[a-z]`)
	for _, path := range []string{"/console", "/console?verdict=ready&sort=store&after=05000", "/console?code=dns_down&sort=waiting", "/console?q=station&sort=contact", "/console/checklists", "/console/checklists?state=fail", "/console/stores/00007", "/console/findings", "/console/audit"} {
		began := time.Now()
		page := ada.get(path)
		took := time.Since(began)
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := ada.ask(r)
		small := w.Body.Len()
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(z)
		if err != nil || len(whole) == 0 {
			t.Fatal(len(whole), err)
		}
		nodes := len(tags.FindAllString(page, -1))
		t.Logf("%-48s %6s  %7d bytes, %6d compressed, %4d elements", path, took.Round(100*time.Microsecond), len(page), small, nodes)
		if nodes > 3500 || small > 60_000 {
			t.Errorf("%s: %d elements, %d bytes compressed", path, nodes, small)
		}
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	c, s := headquarters(t, 5)
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	for path, want := range map[string]int{"/console/stores/nope": 404, "/console/findings/99": 410, "/console/findings/x": 410, "/console/nothing": 404, "/console/": 303, "/": 404, "/healthz": 200, "/console/enrol?store=nope": 404} {
		if w := ada.ask(httptest.NewRequest("GET", path, nil)); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	none := &browser{t: t, h: c.Beside(s.Handler())}
	if w := none.post("/console/enter", url.Values{"code": {"guess"}}); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "does not open") {
		t.Errorf("a guess: %d", w.Code)
	}
	code, _, err := s.InviteOperator(t.Context(), hq.Operator{Who: "Ada", Role: hq.RoleOperator})
	if err != nil {
		t.Fatal(err)
	}
	link := Link("https://hq.example.com/", code)
	for range 2 { // whoever looks at links for people uses none up
		if page := none.get(strings.TrimPrefix(link, "https://hq.example.com")); !strings.Contains(page, code) {
			t.Error("the page has no button")
		}
	}
	r := httptest.NewRequest("POST", "https://hq.example.com/console/enter", strings.NewReader("code="+code))
	r.TLS = nil // a proxy in front speaks it
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if w := none.ask(r); w.Code != http.StatusSeeOther || !w.Result().Cookies()[0].Secure {
		t.Errorf("behind a proxy: %d %v", w.Code, w.Result().Cookies())
	}
}

// TestADayIsComparedFromTheStoresPage: an empty day at Stripe's sandbox, and what a page
// says of one with cases.
func TestADayIsComparedFromTheStoresPage(t *testing.T) {
	box, err := sandbox.New(sandbox.Options{Seed: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(box.Handler())
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		front.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	api, err := stripeapi.New(stripeapi.Options{Key: stripeapi.Key(box.RestrictedKey()), BaseURL: front.URL, HTTP: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := hq.NewServer(hq.Options{Database: "sqlite:" + t.TempDir() + "/hq.db", Stripe: api, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.AddStore(t.Context(), hq.Store{ID: "0412", Location: "tml_1", Mode: doors.Test}); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Server: s})
	if err != nil {
		t.Fatal(err)
	}
	ada := enter(t, c, s, "Ada", hq.RoleOperator)
	day := time.Now().AddDate(0, 0, -2).Format(time.DateOnly)
	if w := ada.act("/console/stores/0412/reconcile", url.Values{"day": {day}}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Tills, hub and Stripe agree") || !strings.Contains(w.Body.String(), day) {
		t.Errorf("an empty day: %d %s", w.Code, w.Body)
	}
	for d, want := range map[string]int{"yesterday": 422, "2999-01-01": 502} {
		if w := ada.act("/console/stores/0412/reconcile", url.Values{"day": {d}}); w.Code != want {
			t.Errorf("%s: %d, want %d", d, w.Code, want)
		}
	}
	if w := ada.act("/console/stores/nope/reconcile", url.Values{}); w.Code != http.StatusNotFound {
		t.Errorf("no such store: %d", w.Code)
	}
	w := httptest.NewRecorder()
	until := time.Now()
	c.site.Show(w, httptest.NewRequest("GET", "/", nil), http.StatusOK, "day.html", web.Page{Data: dayData{Received: "12.50 EUR", Reconciliation: hq.Reconciliation{Store: "0412", Day: day, Orders: 3, Waiting: []hq.Finding{{ID: 9}},
		Cases: []hq.Case{{Kind: "about_to_lapse", Ref: "pi_1", Order: "4711", Amount: 1250, Currency: "eur", Note: "nobody captured it", Deadline: &until, Finding: 7}}}}})
	for _, want := range []string{`href="/console/findings/7"`, "about to lapse", "12.50 EUR", "4711", "1 other findings", ">3<"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page of a day does not say %q: %s", want, w.Body)
		}
	}
}
