package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/readers"
)

// Checklist is Stripe's deployment checklist as it is answered and encoded.
type Checklist struct {
	Items []diagnostics.Item `json:"items"`
}

// tokenTestFor: a person who reloads the page does not cost two tokens each time.
const tokenTestFor = time.Minute

// tokenTester remembers the last test of the road of a token.
type tokenTester struct {
	mu   sync.Mutex
	last *diagnostics.TokenTest
}

// lastTest is nil if there was none since the start.
func (t *tokenTester) lastTest() *diagnostics.TokenTest {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// Checklist implements [doors.Backend].
func (h *Hub) Checklist(ctx context.Context, _ doors.Till) (any, error) {
	return Checklist{h.checklist(ctx, false)}, nil
}

// checklist tests what can be tested, anew where a person asks for it.
func (h *Hub) checklist(ctx context.Context, anew bool) []diagnostics.Item {
	var token *diagnostics.TokenTest
	var both sync.WaitGroup
	both.Go(func() { token = h.testToken(ctx, anew) })
	both.Go(func() { h.askEvidence(ctx) })
	both.Wait()
	if anew {
		h.fleet.look() // what is asked next sees the list as it is
	}
	items := diagnostics.Checklist(h.checklistInput(token))
	h.marks.passed(items)
	h.keepChecklist(token, items)
	return items
}

func (h *Hub) checklistInput(token *diagnostics.TokenTest) diagnostics.ChecklistInput {
	report := h.monitor.current()
	in := diagnostics.ChecklistInput{
		At: h.now(), Integration: h.cfg.Checks.Integration, Report: &report,
		Token: token, KeyWarnings: h.keyWarnings(), Limits: h.cfg.OfflineLimits,
	}
	if h.fleet.listed.Load() {
		in.Readers = nonNil(h.fleet.registry.Snapshot())
	}
	if s := h.store.Load(); s != nil {
		in.Location, in.Offline = s.Location, s.Offline
		in.Strangers = h.fleet.strange.sentences(s.Location, in.At)
	}
	if w := h.updateWindow(); w.Told || w.WhileOpen != readers.Unknown {
		in.Window, in.WindowOpen = w.Hours, w.WhileOpen
	}
	in.HQ, in.HQSilent = h.told.facts(in.At)
	h.marks.fill(&in)
	return in
}

func (h *Hub) keyWarnings() []string {
	if !h.cfg.HQ.Embedded {
		return nil
	}
	return append([]string{"the Stripe key lies on this machine, because headquarters runs in the hub",
		"queue and ledger share one disk; queue.mirror does not cover the ledger (hq.db): back it up"}, h.parts.KeyWarnings...)
}

// testToken walks the road of a token: without a credential, and twice with
// one. The secrets are compared and dropped. What was tested a moment ago is tested
// again only anew.
func (h *Hub) testToken(ctx context.Context, anew bool) *diagnostics.TokenTest {
	h.tokenTest.mu.Lock()
	defer h.tokenTest.mu.Unlock()
	s := h.store.Load()
	if s == nil {
		return nil // never reached headquarters: there is nothing to test yet
	}
	if last := h.tokenTest.last; last != nil && !anew && h.now().Sub(last.At) < tokenTestFor {
		return last
	}
	t := &diagnostics.TokenTest{At: h.now(), RefusesNobody: h.letsAnyoneIn(ctx)}
	t.Served, t.Leaks = h.servedKeys(ctx)
	till := doors.Till{Name: hubTill, Scope: doors.ScopePOS, Mode: s.Mode}
	var secrets [2]string
	t.LocationScoped = true
	for i := range secrets {
		raw, err := h.ConnectionToken(ctx, till)
		if err != nil {
			t.Error = err.Error()
			break
		}
		var token struct{ Secret, Location string }
		if json.Unmarshal(raw, &token) != nil || token.Secret == "" {
			t.Error = "the answer holds no secret"
			break
		}
		secrets[i] = token.Secret
		t.LocationScoped = t.LocationScoped && token.Location == s.Location && s.Location != ""
	}
	t.Distinct = t.Error == "" && secrets[0] != secrets[1]
	h.tokenTest.last = t
	return t
}

// letsAnyoneIn asks the hub's own doors for a token without a credential.
func (h *Hub) letsAnyoneIn(ctx context.Context) bool {
	handler := doors.Handler(h, doors.Options{Log: h.log})
	for _, path := range []string{"/connection_token", "/v1/connection_tokens", "/pos/shp_nobody/connection_token"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+path, http.NoBody)
		if err != nil {
			return true
		}
		w := answered{header: http.Header{}}
		handler.ServeHTTP(&w, r)
		if w.status != http.StatusUnauthorized {
			return true
		}
	}
	return false
}

// answered is an answer that stays in this process.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answered) Header() http.Header { return a.header }

func (a *answered) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answered) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}
