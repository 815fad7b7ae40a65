package sandbox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody is far more than any call needs.
const maxBody = 1 << 20

// call is one request on its way: what was asked, and what became of it.
type call struct {
	s          *Sandbox
	route      *route
	ids        []string // what stood in place of the route's stars
	form       *form
	expand     []string
	version    string // Stripe-Version that the answer is in
	key        string // Idempotency-Key
	requestID  string
	restricted bool

	err   *apiError // the first refused parameter
	begun bool      // parameters were good: from here on the answer is kept under the key
	fault string    // the trouble that befalls this request; "": none
}

// begin ends the reading of parameters and begins execution. A refusal before
// it is forgotten, one after it is kept under the idempotency key: that is
// Stripe's line, too.
func (c *call) begin() *apiError {
	if c.err != nil {
		return c.err
	}
	c.begun = true
	if c.fault == faultError {
		return failure()
	}
	return nil
}

// answer is what goes out: a status, a body, and headers that are not the same always.
type answer struct {
	status  int
	body    []byte
	headers map[string]string
}

// serve is the way of every request: trouble that strikes before Stripe looks
// at it, key, route, parameters, idempotency, effect, trouble after the effect.
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.closed:
		cut(w)
		return
	default:
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request too large or cut short", http.StatusRequestEntityTooLarge)
		return
	}
	if strings.HasPrefix(r.URL.Path, controlPath) {
		s.control(w, r, body)
		return
	}
	if s.mirror != nil {
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		s.mirror(again, body)
	}
	c := &call{s: s}
	a, hang := s.admit(c, r, body)
	if hang {
		s.hang(r, c)
		cut(w)
		return
	}
	if a == nil {
		cut(w)
		return
	}
	h := w.Header()
	for k, v := range a.headers {
		h.Set(k, v)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("Cache-Control", "no-cache, no-store")
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// admit does all of a request that needs the account's lock. No answer means
// that the connection is cut; hang, that it stays open and silent.
func (s *Sandbox) admit(c *call, r *http.Request, body []byte) (a *answer, hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	c.requestID = s.id("req_", 14)
	c.version = firstOf(r.Header.Get("Stripe-Version"), accountVersion)
	c.key = r.Header.Get("Idempotency-Key")
	c.fault = s.strike(r)
	switch c.fault {
	case faultLimit, faultLock:
		return c.refuse(limited(c.fault)), false
	case faultGateway:
		return c.gateway(), false
	case faultReset:
		return nil, false
	}
	if e := s.read(c, r, body); e != nil {
		return c.refuse(e), false
	}
	a, hang = s.underKey(c, r)
	if !hang {
		s.keeper.changed()
	}
	if c.fault == faultLost {
		return nil, false
	}
	return a, hang
}

// read checks what is checked before any execution: key, account, version, route and form.
func (s *Sandbox) read(c *call, r *http.Request, body []byte) *apiError {
	var e *apiError
	if c.restricted, e = s.authenticate(r); e != nil {
		return e
	}
	if e := s.checkAccount(r); e != nil {
		return e
	}
	if !validVersion(c.version) {
		return invalid("", "", "Invalid Stripe API version: "+c.version)
	}
	if c.route, c.ids = findRoute(r.Method, r.URL.Path); c.route == nil {
		return &apiError{
			Status: http.StatusNotFound, Type: invalidRequest,
			Message: "Unrecognized request URL (" + r.Method + ": " + r.URL.Path + ").",
		}
	}
	if c.restricted && !c.route.restricted {
		return &apiError{
			Status: http.StatusForbidden, Type: invalidRequest,
			Message: "The provided key does not have the required permissions for this endpoint on account '" + s.st.Account + "'.",
		}
	}
	if c.restricted && s.live && strings.HasPrefix(c.route.path, "/v1/test_helpers/") {
		return &apiError{Status: http.StatusForbidden, Type: invalidRequest, Message: "This API call can only be made with a test mode API key."}
	}
	if len(c.key) > 255 {
		return invalid("", "", "Idempotency keys hold up to 255 characters.")
	}
	if r.Method == http.MethodPost {
		kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		if kind = strings.TrimSpace(kind); len(body) > 0 && kind != "application/x-www-form-urlencoded" {
			return invalid("", "", "Invalid request: the body must be application/x-www-form-urlencoded, not "+strconv.Quote(kind))
		}
	}
	text := r.URL.RawQuery
	if len(body) > 0 {
		text = strings.Trim(text+"&"+string(body), "&")
	}
	var err error
	if c.form, err = parseForm(text); err != nil {
		return invalid("", "", "Invalid request: "+err.Error())
	}
	for _, name := range c.form.names() {
		if !c.route.takes(name) {
			return unknownParam(name)
		}
	}
	c.expand = c.texts("expand")
	c.checkExpand()
	return c.err
}

// execute runs the route and makes the answer of what it returns.
func (s *Sandbox) execute(c *call) *answer {
	v, e := c.route.run(s, c)
	if e == nil && c.fault == faultErrorAfter {
		e = failure()
	}
	if e == nil {
		var b []byte
		if b, e = c.render(v); e == nil {
			return c.ok(b)
		}
	}
	return c.refuse(e)
}

func (c *call) ok(body []byte) *answer {
	return &answer{status: http.StatusOK, body: body, headers: c.headers()}
}

func (c *call) headers() map[string]string {
	h := map[string]string{"Request-Id": c.requestID, "Stripe-Version": c.version}
	if c.key != "" {
		h["Idempotency-Key"] = c.key
	}
	return h
}

func (c *call) refuse(e *apiError) *answer {
	out := *e
	if out.Code != "" {
		out.DocURL = "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(out.Code, "_", "-")
	}
	out.RequestLogURL = "https://dashboard.stripe.com/test/logs/" + c.requestID
	a := &answer{status: e.Status, headers: c.headers()}
	a.body = encode(map[string]any{"error": out})
	if e.Retry != "" {
		a.headers["Stripe-Should-Retry"] = e.Retry
	}
	if e.Limited != "" {
		a.headers["Stripe-Rate-Limited-Reason"] = e.Limited
	}
	if e.Status == http.StatusUnauthorized {
		a.headers["WWW-Authenticate"] = `Basic realm="Stripe"`
	}
	return a
}

// encode writes JSON as Stripe does: indented, with < and & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic("sandbox: encode: " + err.Error()) // only types of this package come here
	}
	return b.Bytes()
}

// accountVersion is what calls without Stripe-Version and all events are in.
const accountVersion = "2026-08-26.dahlia"

// locationSince is the first version that tells location and reader of a card_present payment.
const locationSince = "2026-02-25"

func validVersion(v string) bool {
	day, _, _ := strings.Cut(v, ".")
	_, err := time.Parse(time.DateOnly, day)
	return err == nil
}

// isPreview says whether a version has what is not generally available.
func isPreview(version string) bool { return strings.HasSuffix(version, ".preview") }
