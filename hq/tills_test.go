package hq_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

func hashOf(credential string) string {
	sum := sha256.Sum256([]byte(credential))
	return hex.EncodeToString(sum[:])
}

// pair registers tills as a hub would: "name scope credential".
func (s *shop) pair(tills ...string) {
	s.t.Helper()
	b := hq.TillBook{}
	for _, line := range tills {
		f := strings.Fields(line)
		b.Tills = append(b.Tills, hq.TillRecord{Name: f[0], Scope: doors.Scope(f[1]), Mode: doors.Test, Hash: hashOf(f[2])})
	}
	if err := s.client.Tills(s.t.Context(), b); err != nil {
		s.t.Fatal(err)
	}
}

// visit makes one request at the tills' doors.
func (s *shop) visit(method, path, credential, key, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.visitUnder(s.t.Context(), method, path, credential, key, body)
}

func (s *shop) visitUnder(ctx context.Context, method, path, credential, key, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	switch {
	case strings.HasPrefix(body, "{"):
		req.Header.Set("Content-Type", "application/json")
	case body != "":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, req)
	return w
}

func TestMoney_4_2_ATillGoesOnAtHeadquarters(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 pos shp_one")
	// An unmodified app, by its second address, from token to capture.
	if w := s.visit("POST", "/pos/shp_one/connection_token", "", "", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "pst_") {
		t.Fatalf("token: %d %s", w.Code, w.Body)
	}
	w := s.visit("POST", "//pos//shp_one/create_payment_intent", "", "", "amount=1000&currency=usd")
	var made struct{ Intent, Secret string }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || made.Intent == "" || made.Secret == "" {
		t.Fatalf("intent: %d %s", w.Code, w.Body)
	}
	s.pay(made.Intent)
	for range 2 {
		w = s.visit("POST", "/pos/shp_one/capture_payment_intent", "", "", "payment_intent_id="+made.Intent)
		if w.Code != 200 || !strings.Contains(w.Body.String(), made.Intent) {
			t.Fatalf("capture: %d %s", w.Code, w.Body)
		}
	}
	s.exactly(made.Intent, "captured", 1000)
}

func TestMoney_4_2_OperationIDsAreTheSameByEitherRoad(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 pos shp_one")
	pi, later := s.authorised("1000"), s.authorised("2000")
	id := doors.OperationID("0412", doors.Test, "lane-1", "sale-7")
	body := `{"kind":"capture","ref":"` + pi + `","amount":1000,"currency":"usd"}`
	w := s.visit("POST", "/v1/operations", "shp_one", "sale-7", body)
	if w.Code != 202 || !strings.Contains(w.Body.String(), `"`+id+`"`) {
		t.Fatalf("%d %s; want 202 and %s", w.Code, w.Body, id)
	}
	waitFor(t, "its end", func() bool {
		return strings.Contains(s.visit("GET", "/v1/operations/"+id, "shp_one", "", "").Body.String(), `"succeeded"`)
	})
	// The hub lives again and offers what the till had told it too.
	same := op(doors.Capture, id, pi, 1000)
	same.Till = "lane-1"
	s.submit(same)
	s.want(id, doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
	// And the other way round: the hub had handed it over before it died.
	second := op(doors.Capture, doors.OperationID("0412", doors.Test, "lane-1", "sale-8"), later, 2000)
	second.Till = "lane-1"
	s.submit(second)
	for range 2 {
		if w := s.visit("POST", "/v1/operations", "shp_one", "sale-8", strings.NewReplacer(pi, later, "1000", "2000").Replace(body)); w.Code != 202 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	s.want(second.ID, doors.Succeeded, "")
	s.exactly(later, "captured", 2000)
	if w := s.visit("POST", "/v1/operations", "shp_one", "sale-7", strings.Replace(body, "1000", "900", 1)); w.Code != 409 {
		t.Errorf("another body under the key: %d %s", w.Code, w.Body)
	}
}

func TestMoney_4_2_OnlyTillsThatTheHubNamesMayCome(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 pos shp_one", "office manager shp_two", "wall monitor shp_three")
	pi := s.captured("op_a", "1000", 1000)
	refund := `{"kind":"refund","ref":"` + pi + `","amount":100,"currency":"usd"}`
	for name, c := range map[string]struct {
		credential, path, key, body string
		want                        int
	}{
		"nobody":            {"", "/v1/operations", "k", refund, 401},
		"unknown":           {"shp_four", "/v1/operations", "k", refund, 401},
		"pos may not":       {"shp_one", "/v1/operations", "k", refund, 403},
		"monitor may not":   {"shp_three", "/v1/operations", "k", refund, 403},
		"the hub's own key": {s.client.Credential(), "/v1/operations", "k", refund, 401},
		"manager":           {"shp_two", "/v1/operations", "k", refund, 202},
	} {
		if w := s.visit("POST", c.path, c.credential, c.key, c.body); w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
		}
	}
	for path, want := range map[string]int{"/v1/status": 200, "/v1/readers": 200, "/v1/operations": 200, "/v1/diagnosis": 404, "/v1/checklist": 404,
		"/v1/receipts/" + pi: 200, "/v1/nothing": 404} {
		if w := s.visit("GET", path, "shp_two", "", ""); w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
	if w := s.visit("GET", "/v1/receipts/"+pi, "shp_one", "", ""); w.Code != 404 {
		t.Errorf("another till's receipt: %d", w.Code)
	}
	if w := s.visit("GET", "/v1/operations", "shp_one", "", ""); strings.Contains(w.Body.String(), "op_a") {
		t.Errorf("another till's operations: %s", w.Body)
	}
	s.pair("office manager shp_two") // lane-1 was revoked
	if w := s.visit("POST", "/pos/shp_one/connection_token", "", "", ""); w.Code != 401 {
		t.Errorf("a revoked till: %d %s", w.Code, w.Body)
	}
}

func TestMoney_4_2_ATillBookIsTakenOverWholeOrNotAtAll(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 pos shp_one")
	broke := s.breakAt("tills:keep", 1)
	if err := s.client.Tills(t.Context(), hq.TillBook{}); err == nil || !broke() {
		t.Fatal("taken over although the disk broke")
	}
	for name, till := range map[string]hq.TillRecord{
		"no name": {Scope: doors.ScopePOS, Mode: doors.Test, Hash: hashOf("x")}, "clear": {Name: "a", Scope: doors.ScopePOS, Mode: doors.Test, Hash: "shp_x"},
		"scope": {Name: "a", Scope: "root", Mode: doors.Test, Hash: hashOf("x")}, "mode": {Name: "a", Scope: doors.ScopePOS, Hash: hashOf("x")},
	} {
		if err := s.client.Tills(t.Context(), hq.TillBook{Tills: []hq.TillRecord{till}}); !isRefusal(err, "invalid_field") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w := s.visit("GET", "/v1/status", "shp_one", "", ""); w.Code != 200 {
		t.Errorf("the till was lost: %d %s", w.Code, w.Body)
	}
}

// TestMoney_4_2_EventsAtHeadquarters: a till that waits hears of its own
// operations and of no others.
func TestMoney_4_2_EventsAtHeadquarters(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 pos shp_one", "lane-2 pos shp_two")
	front := httptest.NewServer(s.server.Handler())
	defer front.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lines := listen(ctx, t, front.URL+"/pos/shp_one/v1/events")
	await := func(part string) (seen []string) {
		for {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatalf("the stream ended before %q", part)
				}
				if seen = append(seen, line); strings.Contains(line, part) {
					return seen
				}
			case <-ctx.Done():
				t.Fatalf("no %q", part)
			}
		}
	}
	await("events.open")
	put := func(till, key, pi string) {
		if w := s.visit("POST", "/v1/operations", till, key, `{"kind":"capture","ref":"`+pi+`"}`); w.Code != 202 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	other := s.authorised("2000")
	put("shp_two", "k2", other)
	waitFor(t, "the other till's capture", func() bool { n, _ := s.effects(other, "captured"); return n == 1 })
	put("shp_one", "k1", s.authorised("1000"))
	for _, line := range await(doors.OperationID("0412", doors.Test, "lane-1", "k1")) {
		if strings.Contains(line, doors.OperationID("0412", doors.Test, "lane-2", "k2")) {
			t.Errorf("heard of another till's operation: %s", line)
		}
	}
}

// listen yields the lines of a stream of events until ctx ends.
func listen(ctx context.Context, t *testing.T, url string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	resp, err := transport.RoundTrip(req) //nolint:bodyclose // closed when the test ends
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("listen: %v, %v", resp, err)
	}
	lines := make(chan string, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
			lines <- sc.Text()
		}
	}()
	t.Cleanup(func() {
		resp.Body.Close()
		transport.CloseIdleConnections()
		<-done
	})
	return lines
}

// A till refunds up to the store's limit, by an operation and at a reader; the rest is
// a manager's.
func TestMoney_1_5_ATillRefundsUpToTheStoresLimit(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 pos shp_one", "office manager shp_two")
	pi := s.authorised("5000")
	s.submit(op(doors.Capture, "op_1", pi, 5000))
	s.want("op_1", doors.Succeeded, "")
	refund := func(credential, key, amount string) int {
		t.Helper()
		body := `{"kind":"refund","ref":"` + pi + `"` + amount + `}`
		return s.visit("POST", "/v1/operations", credential, key, body).Code
	}
	atReader := func(amount string) error {
		params := url.Values{"reader": {s.reader}, "payment_intent": {pi}, "amount": {amount}}
		_, err := s.client.Stripe(t.Context(), doors.Till{Name: "lane-1", Scope: doors.ScopePOS, Mode: doors.Test}, doors.RefundPayment, "r"+amount, params)
		return err
	}
	if got := refund("shp_one", "k0", `,"amount":100,"currency":"usd"`); got != http.StatusForbidden {
		t.Errorf("without a limit: %d", got)
	}
	limit := int64(1000)
	s.configure(hq.Change{RefundLimit: &limit})
	for _, c := range []struct {
		credential, key, amount string
		want                    int
	}{
		{"shp_one", "k1", `,"amount":1001,"currency":"usd"`, http.StatusForbidden},
		{"shp_one", "k2", ``, http.StatusForbidden},
		{"shp_one", "k3", `,"amount":1000,"currency":"usd"`, http.StatusAccepted},
		{"shp_two", "k4", `,"amount":1500,"currency":"usd"`, http.StatusAccepted},
	} {
		if got := refund(c.credential, c.key, c.amount); got != c.want && (c.want != http.StatusAccepted || got != http.StatusOK) {
			t.Errorf("%s refunds %s: %d, want %d", c.credential, c.amount, got, c.want)
		}
	}
	if err := atReader("1001"); !isRefusal(err, "forbidden") {
		t.Errorf("above the limit at a reader: %v", err)
	}
	if err := atReader("1000"); isRefusal(err, "forbidden") {
		t.Errorf("within the limit at a reader: %v", err)
	}
	waitFor(t, "the refunds", func() bool {
		_, n := s.effects(pi, "refunded")
		return n >= 2500
	})
	if st, err := s.client.Store(t.Context()); err != nil || st.RefundLimit != 1000 {
		t.Errorf("the hub is told %+v, %v", st, err)
	}
	wrong := int64(-1)
	if err := s.server.ConfigureStore(t.Context(), "0412", hq.Change{RefundLimit: &wrong}); err == nil {
		t.Error("a limit below nothing is taken")
	}
}

// A till's refunds of 24 hours are added up, by operations and at readers, whichever
// road they come; what Stripe refused does not count, and what is repeated is the same.
func TestMoney_1_5_ATillsRefundsAreAddedUp(t *testing.T) {
	s := newShop(t)
	s.pair("lane-1 pos shp_one", "office manager shp_two")
	if _, err := s.server.SetPolicy(t.Context(), "0412", hq.ShopPolicy{RefundLimit: p(int64(600)), RefundSum: p(int64(1000))}, false); err != nil {
		t.Fatal(err)
	}
	pi := s.captured("op_1", "5000", 5000)
	byHub := op(doors.Refund, "op_2", pi, 400) // promised by the hub: it is done, and counts
	byHub.Till = "lane-1"
	s.submit(byHub)
	s.want("op_2", doors.Succeeded, "")
	refund := func(credential, key, amount string) bool {
		t.Helper()
		w := s.visit("POST", "/v1/operations", credential, key, `{"kind":"refund","ref":"`+pi+`","amount":`+amount+`,"currency":"usd"}`)
		if w.Code == http.StatusForbidden {
			return false
		}
		if w.Code != http.StatusAccepted && w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return true
	}
	atReader := func(key, reader, amount string) error {
		params := url.Values{"reader": {reader}, "payment_intent": {pi}, "amount": {amount}}
		_, err := s.client.Stripe(t.Context(), doors.Till{Name: "lane-1", Scope: doors.ScopePOS, Mode: doors.Test}, doors.RefundPayment, key, params)
		return err
	}
	if refund("shp_one", "k1", "601") || !refund("shp_one", "k1", "350") || refund("shp_one", "k2", "251") {
		t.Error("operations are added up wrongly")
	}
	if err := atReader("r1", s.reader, "251"); !isRefusal(err, "forbidden") {
		t.Errorf("above the sum at a reader: %v", err)
	}
	if err := atReader("r2", s.reader, "200"); isRefusal(err, "forbidden") {
		t.Errorf("within the sum at a reader: %v", err)
	}
	if refund("shp_one", "k3", "51") || !refund("shp_one", "k1", "350") || !refund("shp_two", "k4", "800") {
		t.Error("a reader's refund does not count, or a repeated one does")
	}
	s.shift.Add(int64(25 * time.Hour))
	if !refund("shp_one", "k5", "51") {
		t.Error("a day later: refused")
	}
}
