package doors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The credentials of the shop in these tests.
const (
	posCredential     = "cred-pos-5e7f"
	managerCredential = "cred-manager-91aa"
	monitorCredential = "cred-monitor-77c0"
	liveCredential    = "cred-live-manager-02bd"
)

// shop is a backend that is a value: it remembers what it was asked and answers
// from its fields.
type shop struct {
	mu      sync.Mutex
	asked   []string             // in words, one line per call that would have an effect
	ops     map[string]Operation // by till and key
	keys    []string             // in the order of Put
	now     time.Time
	outcome func(Operation) Operation // what Await finds; nil: nothing before ctx ends
	silent  error                     // what every call to headquarters and Stripe ends with
	putErr  error
	list    []Operation
	readers func() any
	events  func(ctx context.Context, after uint64, resume bool, send func(Event) error) error
}

func newShop() *shop {
	return &shop{ops: map[string]Operation{}, now: time.Date(2026, 11, 23, 9, 12, 7, 0, time.UTC)}
}

func (s *shop) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
}

// effects is everything the backend was asked to do so far.
func (s *shop) effects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *shop) Till(_ context.Context, credential string) (Till, error) {
	switch credential {
	case posCredential:
		return Till{Name: "till-1", Scope: ScopePOS, Mode: Test}, nil
	case managerCredential:
		return Till{Name: "office", Scope: ScopeManager, Mode: Test}, nil
	case monitorCredential:
		return Till{Name: "screen", Scope: ScopeMonitor, Mode: Test}, nil
	case liveCredential:
		return Till{Name: "till-live", Scope: ScopeManager, Mode: Live}, nil
	}
	return Till{}, ErrUnauthorized
}

func (s *shop) Trade(_ context.Context, code string) (any, error) {
	if code != "K7QM-2XPD" {
		return nil, ErrPairingCode
	}
	return map[string]string{"name": "till-2", "credential": "cred-new-11d0"}, s.silent
}

func (s *shop) ConnectionToken(context.Context, Till) (json.RawMessage, error) {
	s.note("token")
	return json.RawMessage(`{"object":"terminal.connection_token", "secret":"pst_test_1"}`), s.silent
}

func (s *shop) Stripe(_ context.Context, _ Till, c Call, key string, params url.Values) (json.RawMessage, error) {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(params)) {
		words = append(words, k+"="+strings.Join(params[k], ","))
	}
	s.note("stripe %s key=%q %s", c, key, strings.Join(words, " "))
	if s.silent != nil {
		return nil, s.silent
	}
	switch c {
	case CreatePaymentIntent, UpdatePaymentIntent, RetrievePaymentIntent:
		return json.RawMessage(`{"id":"` + cmp.Or(params.Get("payment_intent"), "pi_1") + `", "client_secret":"pi_1_secret_x", "new_field": 1.0}`), nil
	case CreateSetupIntent:
		return json.RawMessage(`{"id":"seti_1","client_secret":"seti_1_secret_x"}`), nil
	case ListReaders, ListLocations:
		return json.RawMessage(`[{"id":"x_1", "display_name":"Store 0412", "unknown_to_us":{"a":1.0}}]`), nil
	}
	return json.RawMessage(`{"id":"x_1",  "display_name":"Store 0412", "unknown_to_us":{"a":1.0}}`), nil
}

func (s *shop) Put(_ context.Context, t Till, key string, op Operation) (Operation, error) {
	amount := "full"
	if op.Amount != nil {
		amount = fmt.Sprint(*op.Amount)
	}
	s.note("put %s %s %s %s%s data=%s key=%s", t.Name, op.Kind, op.Ref, amount, op.Currency, op.Data, key)
	if s.putErr != nil {
		return Operation{}, s.putErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, there := s.ops[t.Name+" "+key]; there {
		if BodyHash(old) != BodyHash(op) {
			return Operation{}, ErrKeyReused
		}
		return old, nil
	}
	op.ID, op.Till, op.Mode, op.State = OperationID("0412", t.Mode, t.Name, key), t.Name, t.Mode, Pending
	op.CreatedAt = s.now
	s.ops[t.Name+" "+key] = op
	s.keys = append(s.keys, key)
	return op, nil
}

func (s *shop) Await(ctx context.Context, t Till, id string) (Operation, error) {
	op, err := s.Operation(ctx, t, id)
	if s.outcome == nil || err != nil {
		<-ctx.Done()
		return op, nil
	}
	op = s.outcome(op)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, old := range s.ops {
		if old.ID == id {
			s.ops[key] = op
		}
	}
	return op, nil
}

func (s *shop) Operation(_ context.Context, _ Till, id string) (Operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range s.ops {
		if op.ID == id {
			return op, nil
		}
	}
	return Operation{}, ErrNotFound
}

func (s *shop) Operations(_ context.Context, _ Till, state State, limit int) ([]Operation, error) {
	var list []Operation
	for _, op := range s.list {
		if (state == "" || op.State == state) && len(list) < limit {
			list = append(list, op)
		}
	}
	return list, s.silent
}

func (s *shop) Readers(context.Context, Till) (any, error) {
	if s.readers != nil {
		return s.readers(), s.silent
	}
	return []map[string]string{{"serial": "WSC513000001"}}, s.silent
}

func (s *shop) Status(context.Context, Till) (any, error) {
	return map[string]any{"can_take_payments": true}, s.silent
}

func (s *shop) Diagnosis(context.Context, Till) (any, error) {
	return map[string]any{"verdict": "ready"}, s.silent
}

func (s *shop) Checklist(context.Context, Till) (any, error) {
	return map[string]any{"items": []int{}}, s.silent
}

func (s *shop) Receipt(_ context.Context, _ Till, ref string) (any, error) {
	return map[string]string{"payment_intent": ref}, s.silent
}

func (s *shop) ReportReader(_ context.Context, t Till, reader string, r ReaderReport) (any, error) {
	s.note("report %s of %s %s", reader, t.Name, encodeJSON(r))
	return map[string]string{"id": reader}, s.silent
}

func (s *shop) ReaderTimeline(_ context.Context, _ Till, reader string, since time.Time) (any, error) {
	return map[string]any{"reader": reader, "since": since}, s.silent
}

func (s *shop) Events(ctx context.Context, _ Till, after uint64, resume bool, send func(Event) error) error {
	if s.events == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.events(ctx, after, resume, send)
}

var errSilence = errors.New("dial tcp 192.0.2.1:443: i/o timeout")

// call makes one request with a body and headers given as "Name: value".
func call(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://hub.local", strings.NewReader(body))
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err)
	}
	u.Scheme, u.Host = r.URL.Scheme, ""
	r.URL = u
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const (
	asPOS     = "Authorization: Bearer " + posCredential
	asManager = "Authorization: Bearer " + managerCredential
	asMonitor = "Authorization: Bearer " + monitorCredential
	asLive    = "Authorization: Bearer " + liveCredential
	jsonBody  = "Content-Type: application/json"
	formBody  = "Content-Type: application/x-www-form-urlencoded"
	withKey   = "Idempotency-Key: key-1"
)

// golden compares a whole text with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}

func succeeded(op Operation) Operation {
	op.State, op.Result = Succeeded, json.RawMessage(`{"amount_received":1250,"currency":"usd"}`)
	return op
}

func failedWith(reason string) func(Operation) Operation {
	return func(op Operation) Operation {
		op.State, op.Reason, op.Message = Failed, reason, "Stripe's own sentence"
		return op
	}
}

// failing is a shop where every operation has ended failed by the time it is stored.
type failing struct{ *shop }

func (f failing) Put(ctx context.Context, t Till, key string, op Operation) (Operation, error) {
	op, err := f.shop.Put(ctx, t, key, op)
	return failedWith("mode_mismatch")(op), err
}
