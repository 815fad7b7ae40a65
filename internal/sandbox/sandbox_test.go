package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is a sandbox with a server, a location and a reader, and a client's hands.
type shop struct {
	*Sandbox
	t        *testing.T
	srv      *httptest.Server
	key      string
	version  string
	location string
	reader   string
}

func open(t *testing.T, o Options) *shop {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = 1
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	sh := &shop{Sandbox: s, t: t, srv: httptest.NewServer(s.Handler()), key: s.SecretKey()}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		sh.srv.Client().CloseIdleConnections()
		sh.srv.Close()
	})
	return sh
}

func newShop(t *testing.T) *shop {
	t.Helper()
	sh := open(t, Options{})
	sh.furnish()
	return sh
}

// furnish registers a location and a reader.
func (sh *shop) furnish() {
	sh.t.Helper()
	sh.location = sh.ok("POST", "/v1/terminal/locations", "display_name=Shop&address[line1]=1 Way&address[city]=Town&address[state]=CA&address[postal_code]=94102&address[country]=US").str("id")
	sh.reader = sh.ok("POST", "/v1/terminal/readers", "registration_code=simulated-wpe&label=Till 1&location="+sh.location).str("id")
}

// response is an answer, decoded.
type response struct {
	t      *testing.T
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// at walks to a value: "error.code", "data.0.id".
func (r *response) at(path string) any {
	var v any = r.body
	for step := range strings.SplitSeq(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			v = node[step]
		case []any:
			i := int(step[0] - '0')
			if len(step) != 1 || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	return v
}

func (r *response) str(path string) string {
	s, _ := r.at(path).(string)
	return s
}

func (r *response) num(path string) int64 {
	r.t.Helper()
	n, ok := r.at(path).(float64)
	if !ok {
		r.t.Errorf("%s is not a number in %s", path, r.raw)
	}
	return int64(n)
}

// do sends a request. A key is given as a header line "Idempotency-Key: k".
func (sh *shop) do(method, path, form string, headers ...string) (*response, error) {
	sh.t.Helper()
	values := strings.NewReplacer(" ", "+", "[", "%5B", "]", "%5D").Replace(form)
	target, body := path, io.Reader(http.NoBody)
	if sh.srv != nil {
		target = sh.srv.URL + path
	}
	if method == "POST" {
		body = strings.NewReader(values)
	} else if values != "" {
		target += "?" + values
	}
	req, err := http.NewRequestWithContext(sh.t.Context(), method, target, body)
	if err != nil {
		sh.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+sh.key)
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if sh.version != "" {
		req.Header.Set("Stripe-Version", sh.version)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	var resp *http.Response
	if sh.srv == nil { // inside a synctest bubble, where no socket is
		rec := httptest.NewRecorder()
		sh.Handler().ServeHTTP(rec, req)
		resp = rec.Result()
	} else if resp, err = sh.srv.Client().Do(req); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	r := &response{t: sh.t, status: resp.StatusCode, header: resp.Header, raw: string(b)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && !strings.HasPrefix(strings.TrimSpace(r.raw), "[") {
		if err := json.Unmarshal(b, &r.body); err != nil {
			sh.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
	return r, nil
}

// send is do that must bring an answer.
func (sh *shop) send(method, path, form string, headers ...string) *response {
	sh.t.Helper()
	r, err := sh.do(method, path, form, headers...)
	if err != nil {
		sh.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// ok is send that must succeed.
func (sh *shop) ok(method, path, form string, headers ...string) *response {
	sh.t.Helper()
	r := sh.send(method, path, form, headers...)
	if r.status != http.StatusOK {
		sh.t.Fatalf("%s %s %s: %d %s", method, path, form, r.status, r.raw)
	}
	return r
}

// no is send that must be refused with a status and a code.
func (sh *shop) no(status int, code, method, path, form string, headers ...string) *response {
	sh.t.Helper()
	r := sh.send(method, path, form, headers...)
	if r.status != status || r.str("error.code") != code {
		sh.t.Errorf("%s %s %s: got %d %q, want %d %q: %s", method, path, form, r.status, r.str("error.code"), status, code, r.raw)
	}
	return r
}

// intent makes one that is captured by hand.
func (sh *shop) intent(amount, more string) string {
	sh.t.Helper()
	return sh.ok("POST", "/v1/payment_intents", "amount="+amount+"&currency=usd&payment_method_types[]=card_present&capture_method=manual"+more).str("id")
}

// pay brings an intent before the reader and presents a card.
func (sh *shop) pay(intent, card string) *response {
	sh.t.Helper()
	sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/process_payment_intent", "payment_intent="+intent)
	form := ""
	if card != "" {
		form = "type=card_present&card_present[number]=" + card
	}
	return sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", form)
}

// authorised makes an intent that waits for capture.
func (sh *shop) authorised(amount string) string {
	sh.t.Helper()
	pi := sh.intent(amount, "")
	sh.pay(pi, "")
	return pi
}

func (sh *shop) status(intent string) string {
	sh.t.Helper()
	return sh.ok("GET", "/v1/payment_intents/"+intent, "").str("status")
}

// effects is what the books say of an intent: "authorised 2500, captured 2500".
func (sh *shop) effects(intent string) string {
	var out []string
	for _, e := range sh.Books() {
		if e.Intent == intent {
			n, _ := json.Marshal(e.Amount)
			out = append(out, e.Effect+" "+string(n))
		}
	}
	return strings.Join(out, ", ")
}

func TestAPaymentGoesFromCreationToCapture(t *testing.T) {
	sh := newShop(t)
	pi := sh.intent("2500", "&metadata[order]=17")
	if got := sh.status(pi); got != "requires_payment_method" {
		t.Errorf("after create: %s", got)
	}
	rd := sh.ok("POST", "/v1/terminal/readers/"+sh.reader+"/process_payment_intent", "payment_intent="+pi)
	if rd.str("action.status") != "in_progress" || rd.str("action.process_payment_intent.payment_intent") != pi {
		t.Errorf("after process: %s", rd.raw)
	}
	rd = sh.ok("POST", "/v1/test_helpers/terminal/readers/"+sh.reader+"/present_payment_method", "")
	if rd.str("action.status") != "succeeded" {
		t.Errorf("after present: %s", rd.raw)
	}
	got := sh.ok("GET", "/v1/payment_intents/"+pi, "expand[]=latest_charge")
	if got.str("status") != "requires_capture" || got.num("amount_capturable") != 2500 || got.num("amount_received") != 0 {
		t.Errorf("after present: %s", got.raw)
	}
	const card = "latest_charge.payment_method_details.card_present."
	if got.str(card+"location") != sh.location || got.str(card+"reader") != sh.reader || got.str(card+"receipt.dedicated_file_name") == "" {
		t.Errorf("the charge does not say where it was made: %s", got.raw)
	}
	left := time.Until(time.Unix(got.num(card+"capture_before"), 0))
	if left < 47*time.Hour || left > 48*time.Hour {
		t.Errorf("capture_before is %s away", left)
	}
	got = sh.ok("POST", "/v1/payment_intents/"+pi+"/capture", "", "Idempotency-Key: op_1")
	if got.str("status") != "succeeded" || got.num("amount_received") != 2500 || got.num("amount_capturable") != 0 {
		t.Errorf("after capture: %s", got.raw)
	}
	if got := sh.effects(pi); got != "authorised 2500, captured 2500" {
		t.Errorf("books: %s", got)
	}
	if last := sh.Books()[1]; last.Key != "op_1" {
		t.Errorf("the capture came under key %q", last.Key)
	}
}
