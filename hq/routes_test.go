package hq_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// ask makes one request to headquarters' handler.
func (s *shop) ask(method, path, credential, kind, body string) (int, string, string) {
	s.t.Helper()
	req := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, req)
	var refused struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &refused)
	return w.Code, refused.Error.Code, w.Body.String()
}

// contents is all that headquarters keeps, to see that nothing was added.
func (s *shop) contents() string {
	s.t.Helper()
	_, _, body := s.ask("GET", "/metrics", "", "", "")
	var kept []string
	for line := range strings.Lines(body) {
		for _, prefix := range []string{"storehub_hq_operations", "storehub_hq_stores", "storehub_hq_findings"} {
			if strings.HasPrefix(line, prefix) {
				kept = append(kept, line)
			}
		}
	}
	if len(kept) < 10 {
		s.t.Fatalf("metrics tell too little: %s", kept)
	}
	return strings.Join(kept, "")
}

func TestBadInputAtEveryRouteIsRefusedAndLeavesNothing(t *testing.T) {
	s := newShop(t)
	mine := s.client.Credential()
	const js = "application/json"
	till := `"till":{"name":"t","scope":"manager","mode":"test"}`
	oneOp := func(fields string) string {
		return `{"epoch":"","head":"","operations":[{"number":1,"id":"op_1","kind":"heartbeat","ref":"","till":"t","mode":"test","created_at":"2026-01-01T00:00:00Z","age_ms":0` + fields + `}]}`
	}
	before := s.contents()
	books := len(s.box.Books())
	for name, c := range map[string]struct {
		method, path, credential, kind, body string
		status                               int
		code                                 string
	}{
		"unknown path":            {"GET", "/store/v1/nothing", mine, "", "", 404, "not_found"},
		"root":                    {"GET", "/", "", "", "", 404, "not_found"},
		"doubled slash":           {"POST", "/store//v1/operations", mine, js, oneOp(""), 307, ""},
		"enrol: method":           {"GET", "/store/v1/enrol", "", "", "", 405, "method_not_allowed"},
		"enrol: type":             {"POST", "/store/v1/enrol", "", "text/plain", `{}`, 415, "unsupported_media_type"},
		"enrol: empty":            {"POST", "/store/v1/enrol", "", js, ``, 400, "bad_request"},
		"enrol: no code":          {"POST", "/store/v1/enrol", "", js, `{"fingerprint":"f"}`, 400, "missing_field"},
		"enrol: no fingerprint":   {"POST", "/store/v1/enrol", "", js, `{"code":"ABCD"}`, 400, "missing_field"},
		"enrol: unknown code":     {"POST", "/store/v1/enrol", "", js, `{"code":"ABCD","fingerprint":"f"}`, 403, "enrolment_code_refused"},
		"enrol: unknown field":    {"POST", "/store/v1/enrol", "", js, `{"code":"ABCD","fingerprint":"f","store":"0412"}`, 400, "unknown_field"},
		"enrol: long":             {"POST", "/store/v1/enrol", "", js, `{"code":"` + strings.Repeat("A", 200) + `","fingerprint":"f"}`, 422, "invalid_field"},
		"store: no credential":    {"GET", "/store/v1/store", "", "", "", 401, "credential_refused"},
		"store: wrong credential": {"GET", "/store/v1/store", "shc_x", "", "", 401, "credential_refused"},
		"store: huge credential":  {"GET", "/store/v1/store", strings.Repeat("x", 5000), "", "", 401, "credential_refused"},
		"store: method":           {"DELETE", "/store/v1/store", mine, "", "", 405, "method_not_allowed"},
		"token: no credential":    {"POST", "/store/v1/connection_tokens", "", js, `{` + till + `}`, 401, "credential_refused"},
		"token: method":           {"GET", "/store/v1/connection_tokens", mine, "", "", 405, "method_not_allowed"},
		"token: location":         {"POST", "/store/v1/connection_tokens", mine, js, `{` + till + `,"location":"tml_other"}`, 400, "unknown_field"},
		"token: no scope":         {"POST", "/store/v1/connection_tokens", mine, js, `{"till":{"name":"t","mode":"test"}}`, 422, "invalid_field"},
		"token: monitor":          {"POST", "/store/v1/connection_tokens", mine, js, `{"till":{"name":"t","scope":"monitor","mode":"test"}}`, 403, "forbidden"},
		"token: live till":        {"POST", "/store/v1/connection_tokens", mine, js, `{"till":{"name":"t","scope":"pos","mode":"live"}}`, 409, "mode_mismatch"},
		"token: not UTF-8":        {"POST", "/store/v1/connection_tokens", mine, js, "{\"till\":{\"name\":\"\xff\"}}", 400, "bad_request"},
		"token: too large":        {"POST", "/store/v1/connection_tokens", mine, js, `{"till":{"name":"` + strings.Repeat("x", 65<<10) + `"}}`, 413, "body_too_large"},
		"call: unknown":           {"POST", "/store/v1/stripe/delete_everything", mine, js, `{` + till + `,"params":{}}`, 404, "not_found"},
		"call: no credential":     {"POST", "/store/v1/stripe/list_readers", "", js, `{` + till + `,"params":{}}`, 401, "credential_refused"},
		"call: method":            {"GET", "/store/v1/stripe/list_readers", mine, "", "", 405, "method_not_allowed"},
		"call: type of params":    {"POST", "/store/v1/stripe/list_readers", mine, js, `{` + till + `,"params":{"a":1}}`, 422, "invalid_field"},
		"resolve: no credential":  {"POST", "/store/v1/resolutions", "", js, `{"resolutions":[]}`, 401, "credential_refused"},
		"resolve: unknown field":  {"POST", "/store/v1/resolutions", mine, js, `{"resolutions":[{"id":"op_1","by":"x","note":"x","at":"2026-01-01T00:00:00Z","state":"succeeded"}]}`, 400, "unknown_field"},
		"resolve: no name":        {"POST", "/store/v1/resolutions", mine, js, `{"resolutions":[{"id":"op_1","by":" ","note":"x","at":"2026-01-01T00:00:00Z"}]}`, 400, "missing_field"},
		"report: no credential":   {"PUT", "/store/v1/report", "", js, `{}`, 401, "credential_refused"},
		"report: new, no verdict": {"PUT", "/store/v1/report", mine, js, `{"Verdict":"ready","store":"0413"}`, 422, "invalid_field"},
		"report: new, bad type":   {"PUT", "/store/v1/report", mine, js, `{"verdict":"ready","mood":1,"queue":{"pending":"2"}}`, 422, "invalid_field"},
		"report: no verdict":      {"PUT", "/store/v1/report", mine, js, `{"causes":[]}`, 422, "invalid_field"},
		"report: too large":       {"PUT", "/store/v1/report", mine, js, `{"version":"` + strings.Repeat("x", 65<<10) + `"}`, 413, "body_too_large"},
		"submit: no credential":   {"POST", "/store/v1/operations", "", js, oneOp(""), 401, "credential_refused"},
		"submit: method":          {"PUT", "/store/v1/operations", mine, js, oneOp(""), 405, "method_not_allowed"},
		"submit: unknown field":   {"POST", "/store/v1/operations", mine, js, oneOp(`,"account":"acct_1"`), 400, "unknown_field"},
		"submit: not UTF-8":       {"POST", "/store/v1/operations", mine, js, oneOp(",\"currency\":\"\xff\""), 400, "bad_request"},
		"submit: float amount":    {"POST", "/store/v1/operations", mine, js, oneOp(`,"amount":1.5`), 422, "invalid_field"},
		"submit: huge":            {"POST", "/store/v1/operations", mine, js, strings.Repeat(" ", 2<<20), 413, "body_too_large"},
		"submit: text after":      {"POST", "/store/v1/operations", mine, js, oneOp("") + "{}", 400, "bad_request"},
		"submit: number zero":     {"POST", "/store/v1/operations", mine, js, strings.Replace(oneOp(""), `"number":1`, `"number":0`, 1), 422, "invalid_field"},
		"submit: id with a space": {"POST", "/store/v1/operations", mine, js, strings.Replace(oneOp(""), `op_1`, `op 1`, 1), 422, "invalid_field"},
		"submit: no id":           {"POST", "/store/v1/operations", mine, js, strings.Replace(oneOp(""), `op_1`, ``, 1), 422, "invalid_field"},
		"submit: bad head":        {"POST", "/store/v1/operations", mine, js, strings.Replace(oneOp(""), `"head":""`, `"head":"zz"`, 1), 422, "invalid_field"},
		"submit: long till":       {"POST", "/store/v1/operations", mine, js, strings.Replace(oneOp(""), `"till":"t"`, `"till":"`+strings.Repeat("t", 1100)+`"`, 1), 422, "invalid_field"},
		"feed: no credential":     {"GET", "/store/v1/feed?after=0", "", "", "", 401, "credential_refused"},
		"feed: no after":          {"GET", "/store/v1/feed", mine, "", "", 422, "invalid_field"},
		"feed: negative":          {"GET", "/store/v1/feed?after=-1", mine, "", "", 422, "invalid_field"},
		"feed: wait":              {"GET", "/store/v1/feed?after=0&wait=soon", mine, "", "", 422, "invalid_field"},
		"feed: unknown parameter": {"GET", "/store/v1/feed?after=0&store=0413", mine, "", "", 400, "unknown_field"},
		"feed: bad escape":        {"GET", "/store/v1/feed?after=%zz", mine, "", "", 400, "bad_request"},
		"feed: method":            {"POST", "/store/v1/feed?after=0", mine, js, "{}", 405, "method_not_allowed"},
		"chain: no credential":    {"GET", "/store/v1/chain", "", "", "", 401, "credential_refused"},
		"chain: nonce":            {"GET", "/store/v1/chain?nonce=a%0Ab", mine, "", "", 422, "invalid_field"},
		"chain: after":            {"GET", "/store/v1/chain?after=x", mine, "", "", 422, "invalid_field"},
		"chain: other parameter":  {"GET", "/store/v1/chain?wait=1", mine, "", "", 400, "unknown_field"},
		"readers: no credential":  {"GET", "/store/v1/readers", "", "", "", 401, "credential_refused"},
		"readers: method":         {"POST", "/store/v1/readers", mine, js, "{}", 405, "method_not_allowed"},
		"webhook: method":         {"GET", "/stripe/webhook", "", "", "", 405, "method_not_allowed"},
		"webhook: unsigned":       {"POST", "/stripe/webhook", "", js, `{}`, 400, "bad_request"},
		"webhook: huge":           {"POST", "/stripe/webhook", "", js, strings.Repeat(" ", 2<<20), 413, "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			status, code, body := s.ask(c.method, c.path, c.credential, c.kind, c.body)
			if status != c.status || code != c.code {
				t.Errorf("%d %q %s; want %d %q", status, code, body, c.status, c.code)
			}
		})
	}
	if after := s.contents(); after != before || len(s.box.Books()) != books {
		t.Errorf("something was stored:\n%s\nwas\n%s", after, before)
	}
}

func TestAStoreSeesOnlyItsOwn(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0413", Location: s.place(), Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 2"})
	if err != nil {
		t.Fatal(err)
	}
	other := *s
	other.client = &hq.Client{URL: s.client.URL, HTTP: s.client.HTTP, Credential: func() string { return e.Credential }}
	other.epoch, other.head, other.number, other.seq, other.items = "", "", 0, 0, nil
	f, err := other.client.Feed(t.Context(), "", 0, 0)
	if err != nil || len(f.Items) != 0 {
		t.Errorf("the other store's feed: %+v, %v", f, err)
	}
	// The same id is another operation there, and the payment is not its own.
	other.submit(op(doors.Refund, "op_1", pi, 1000))
	other.want("op_1", doors.Failed, "payment_not_yours")
	if n, _ := s.effects(pi, "refunded"); n != 0 {
		t.Error("another store refunded the payment")
	}
}

func TestACodeIsGoodOnceAndForADay(t *testing.T) {
	s := newShop(t)
	ctx := t.Context()
	store := hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test}
	first, expires, err := s.server.AddStore(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Until(expires); d < 23*time.Hour || d > 25*time.Hour {
		t.Errorf("the code expires in %s", d)
	}
	old := s.client.Credential()
	e, err := s.client.Enrol(ctx, hq.EnrolRequest{Code: strings.ToLower(" " + first), Fingerprint: "machine 1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Enrol(ctx, hq.EnrolRequest{Code: first, Fingerprint: "f"}); !isRefusal(err, "enrolment_code_refused") {
		t.Errorf("second use: %v", err)
	}
	if status, code, _ := s.ask("GET", "/store/v1/store", old, "", ""); code != "credential_refused" {
		t.Errorf("the replaced credential: %d %q", status, code)
	}
	s.client.Credential = func() string { return e.Credential }
	if st, err := s.client.Store(ctx); err != nil || st.ID != "0412" || st.TimeZone != "America/Los_Angeles" || st.DayEnds != "04:00" {
		t.Errorf("store %+v, %v", st, err)
	}
	second, _, err := s.server.AddStore(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	s.shift.Store(int64(25 * time.Hour))
	if _, err := s.client.Enrol(ctx, hq.EnrolRequest{Code: second, Fingerprint: "f"}); !isRefusal(err, "enrolment_code_refused") {
		t.Errorf("expired: %v", err)
	}
}

func TestSecretsAreNotOnDiskInTheClear(t *testing.T) {
	s := newShop(t)
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.client.ConnectionToken(t.Context(), s.till)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.call(doors.CreatePaymentIntent, "", map[string][]string{"amount": {"1000"}, "currency": {"usd"}})
	if err != nil {
		t.Fatal(err)
	}
	var token struct{ Secret string }
	if err := json.Unmarshal(raw, &token); err != nil {
		t.Fatal(err)
	}
	disk := s.server.Everything(t)
	if cluster == nil { // what was overwritten lies about in the file
		s.down()
		disk = fileOrNothing(t, s.file()) + fileOrNothing(t, s.file()+"-wal")
	}
	for name, secret := range map[string]string{"code": code, "code without hyphens": strings.ReplaceAll(code, "-", ""),
		"credential": s.client.Credential(), "token": token.Secret, "client secret": v["client_secret"].(string)} {
		if secret == "" || strings.Contains(disk, secret) {
			t.Errorf("the %s is on disk, or empty", name)
		}
	}
	if !strings.Contains(disk, v["id"].(string)) {
		t.Error("the intent's id is not on disk: this test looks in the wrong place")
	}
}

func TestBadStoresAreRefused(t *testing.T) {
	s := newShop(t)
	for name, st := range map[string]hq.Store{
		"no id":          {Location: "tml_1", Mode: doors.Test},
		"path as id":     {ID: "../x", Location: "tml_1", Mode: doors.Test},
		"no location":    {ID: "1", Mode: doors.Test},
		"reader":         {ID: "1", Location: "tmr_1", Mode: doors.Test},
		"mode":           {ID: "1", Location: "tml_1", Mode: "rehearsal"},
		"account":        {ID: "1", Location: "tml_1", Mode: doors.Test, Account: "x"},
		"time zone":      {ID: "1", Location: "tml_1", Mode: doors.Test, TimeZone: "Mars/Olympus"},
		"local zone":     {ID: "1", Location: "tml_1", Mode: doors.Test, TimeZone: "Local"},
		"day ends":       {ID: "1", Location: "tml_1", Mode: doors.Test, DayEnds: "25:00"},
		"other location": {ID: "0412", Location: "tml_1", Mode: doors.Test},
		"other mode":     {ID: "0412", Location: s.loc, Mode: doors.Live},
	} {
		if _, _, err := s.server.AddStore(t.Context(), st); err == nil || !strings.HasPrefix(err.Error(), "add store: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := s.server.Stores(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("stores %+v, %v", list, err)
	}
}

func TestHealthReadinessAndMetricsNeedNoCredential(t *testing.T) {
	s := newShop(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status, _, body := s.ask("GET", path, "", "", ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	o := hq.Options{Log: quiet()}
	giveDatabase(t, &o)
	idle, err := hq.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	w := httptest.NewRecorder()
	idle.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("ready although nobody works the ledger: %d", w.Code)
	}
}

// TestSilenceIsNotANo: what stands between hub and headquarters must not be
// taken for headquarters.
func TestSilenceIsNotANo(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"a proxy's page": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Forbidden</h1>", http.StatusForbidden)
		},
		"a portal's redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://portal.invalid/login", http.StatusFound)
		},
		"another JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"message":"no"}`)
		},
		"a broken 500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a page for 200": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>welcome</html>")
		},
		"a cut answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			front := httptest.NewServer(serve)
			defer front.Close()
			c := &hq.Client{URL: front.URL, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
			var refused *doors.Error
			if _, err := c.Submit(t.Context(), hq.Submission{}); err == nil || asRefusal(err, &refused) {
				t.Errorf("submit: %v; want silence", err)
			}
			if _, err := c.ConnectionToken(t.Context(), doors.Till{}); err == nil || asRefusal(err, &refused) {
				t.Errorf("token: %v; want silence", err)
			}
		})
	}
}
