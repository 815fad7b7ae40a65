package hub

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/netcheck"
)

func TestKnownDeadIsSaidAtOnce(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	f.cut()
	eventually(t, "the hub knows that headquarters is silent", func() bool { down, _ := s.hub.knownDown(); return down })

	began := time.Now()
	status, body := s.ask("POST", "/v1/connection_tokens", s.credential, "")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"hq_unreachable"`) || !strings.Contains(body, "Card payments are down:") {
		t.Errorf("token: %d %s", status, body)
	}
	status, body = s.ask("POST", "/pos/"+s.credential+"/connection_token", "", "")
	if status != http.StatusPaymentRequired || !strings.HasPrefix(body, "Card payments are down:") {
		t.Errorf("token at the compatibility door: %d %s", status, body)
	}
	status, body = s.ask("POST", "/pos/"+s.credential+"/capture_payment_intent", "", "payment_intent_id=pi_1", "Content-Type", "application/x-www-form-urlencoded")
	if status != http.StatusAccepted {
		t.Errorf("capture: %d %s", status, body)
	}
	if took := time.Since(began); took > 750*time.Millisecond { // three answers of 250 ms
		t.Errorf("three answers took %s while headquarters was known to be dead", took)
	}

	f.mend()
	eventually(t, "tokens come again", func() bool {
		status, _ := s.ask("POST", "/v1/connection_tokens", s.credential, "")
		return status == http.StatusOK
	})
}

func TestOneLostExchangeIsNoOutage(t *testing.T) {
	h := bare(t)
	h.link.note(errCut)
	if down, _ := h.knownDown(); down {
		t.Error("known down before any diagnosis agrees")
	}
	h.monitor.refresh()
	if down, _ := h.knownDown(); !down {
		t.Error("not known down although the diagnosis agrees")
	}
	h.link.mu.Lock()
	h.link.lastFail = time.Now().Add(-knownDeadFor - time.Second)
	h.link.mu.Unlock()
	if down, _ := h.knownDown(); down {
		t.Error("known down although nobody has tried for 10 s")
	}
	h.link.note(nil)
	if down, _ := h.knownDown(); down {
		t.Error("known down although headquarters answered")
	}
}

func TestRefusalsOfHeadquartersReachTheTillAsTheyAre(t *testing.T) {
	h := bare(t)
	refused := doors.ErrRateLimited.With("slow down")
	_, err := through(t.Context(), h, func(context.Context) (int, error) { return 0, refused })
	if !errors.Is(err, doors.ErrRateLimited) {
		t.Errorf("got %v", err)
	}
	if s := h.link.state(); !s.Failing.IsZero() {
		t.Error("an answer was taken for silence")
	}
	// The hub's credential is not the till's business: no 401.
	_, err = through(t.Context(), h, func(context.Context) (int, error) { return 0, doors.ErrCredential })
	if !errors.Is(err, doors.ErrHQUnreachable) {
		t.Errorf("the hub's refused credential reached the till as %v", err)
	}
}

func TestTheMessageNamesTheRootCause(t *testing.T) {
	h := bare(t)
	h.monitor.check = nil
	h.monitor.mu.Lock()
	h.monitor.report = diagnostics.Report{Causes: []diagnostics.Cause{{Code: "wan_down", Title: "The internet line is down", Operator: "The store's internet line is down.", Explains: []string{"hq_unreachable"}}}}
	h.monitor.mu.Unlock()
	var refusal *doors.Error
	if err := h.unreachable("x"); !errors.As(err, &refusal) || refusal.OperatorMessage != "Card payments are down: the store's internet line is down." {
		t.Errorf("got %v", refusal)
	}
}

// An embedded headquarters always answers; when it says that Stripe is silent and
// the store's line is cut, the next till is told at once and why.
func TestSilentStripeIsKnownToo(t *testing.T) {
	h := bare(t)
	f := h.parts.HQ.(*fakeHQ)
	f.refusal = doors.ErrStripeSilent
	till := doors.Till{Scope: doors.ScopePOS, Mode: doors.Test}
	if _, err := h.ConnectionToken(t.Context(), till); !errors.Is(err, doors.ErrStripeSilent) {
		t.Errorf("got %v", err)
	}
	if down, _ := h.knownDown(); down {
		t.Error("known down although nothing is wrong with the line")
	}
	h.monitor.mu.Lock()
	h.monitor.report = diagnostics.Report{Verdict: diagnostics.Blocked, Causes: []diagnostics.Cause{{Code: "wan_down", Severity: diagnostics.Critical, Title: "The line is cut"}}}
	h.monitor.mu.Unlock()
	if down, sentence := h.knownDown(); !down || sentence != "Card payments are down: the line is cut." {
		t.Errorf("%t %q", down, sentence)
	}
	f.refusal = nil
	h.link.stripe(nil)
	if down, _ := h.knownDown(); down {
		t.Error("known down although Stripe answered")
	}
}

func TestDownSentence(t *testing.T) {
	for title, want := range map[string]string{
		"The store's internet line is cut":  "Card payments are down: the store's internet line is cut.",
		"The store's internet line is cut.": "Card payments are down: the store's internet line is cut.",
		"DNS is down":                       "Card payments are down: DNS is down.",
		"Ärger":                             "Card payments are down: ärger.",
		"":                                  "Card payments are down: .",
	} {
		if got := downSentence(title); got != want {
			t.Errorf("%q: %q", title, got)
		}
	}
}

// A till gives up after 10 s; headquarters that accepts and then says nothing
// must cost it less than 8, and the network is looked at meanwhile.
func TestSilentHeadquartersIsNoTimeoutForTheTill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHQ()
		f.slow = make(chan struct{})
		var mu sync.Mutex // guards began and looks
		began := time.Now()
		var looks []time.Duration
		parts := testParts(f, &recorder{})
		parts.Check = func(context.Context, netcheck.Targets) netcheck.Report {
			mu.Lock()
			defer mu.Unlock()
			looks = append(looks, time.Since(began))
			return netcheck.Report{}
		}
		cfg := testConfig(t.TempDir())
		cfg.Checks.Every = time.Hour
		h, err := New(cfg, parts)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var looking sync.WaitGroup
		looking.Go(func() { h.monitor.looking(ctx) })
		defer looking.Wait()
		defer cancel()

		time.Sleep(time.Minute) // of the bubble: the look at the start is long over
		mu.Lock()
		began, looks = time.Now(), nil
		mu.Unlock()
		_, err = h.ConnectionToken(t.Context(), doors.Till{Scope: doors.ScopePOS, Mode: doors.Test})
		if took := time.Since(began); took > 8*time.Second || !errors.Is(err, doors.ErrHQUnreachable) {
			t.Errorf("after %s: %v", took, err)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if h.link.state().Failing.IsZero() {
			t.Error("the silence was not noted")
		}
		if len(looks) == 0 || looks[0] > 2*time.Second {
			t.Errorf("looked at the network after %v; a look takes 5 s, the till waits 8", looks)
		}
	})
}

func TestScopes(t *testing.T) {
	pos, manager, monitor := doors.Till{Scope: doors.ScopePOS, Mode: doors.Test}, doors.Till{Scope: doors.ScopeManager, Mode: doors.Test}, doors.Till{Scope: doors.ScopeMonitor, Mode: doors.Test}
	allowed := func(err error) bool { return err == nil }
	for _, tc := range []struct {
		what string
		got  bool
		want bool
	}{
		{"pos creates", allowed(mayCall(pos, doors.CreatePaymentIntent)), true},
		{"pos registers a reader", allowed(mayCall(pos, doors.RegisterReader)), false},
		{"manager registers a reader", allowed(mayCall(manager, doors.RegisterReader)), true},
		{"pos creates a location", allowed(mayCall(pos, doors.CreateLocation)), false},
		{"monitor refunds at a reader", allowed(mayCall(monitor, doors.RefundPayment)), false},
		{"monitor creates", allowed(mayCall(monitor, doors.CreatePaymentIntent)), false},
		{"monitor lists readers", allowed(mayCall(monitor, doors.ListReaders)), true},
		{"manager calls what there is not", allowed(mayCall(manager, "transfer")), false},
		{"test till presents a card", allowed(mayCall(pos, doors.PresentPaymentMethod)), true},
		{"live till presents a card", allowed(mayCall(doors.Till{Scope: doors.ScopeManager, Mode: doors.Live}, doors.PresentPaymentMethod)), false},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %t", tc.what, tc.got)
		}
	}
}

func TestReceiptIsForWhoeverTookThePayment(t *testing.T) {
	f := newFakeHQ()
	f.answers[doors.CreatePaymentIntent] = `{"id":"pi_1","client_secret":"x"}`
	f.answers[doors.RetrievePaymentIntent] = `{"id":"pi_1","latest_charge":{"id":"ch_1","amount":1250,"currency":"eur","payment_method_details":{"type":"card_present","card_present":{"brand":"visa","last4":"4242","read_method":"contactless_emv","receipt":{"application_preferred_name":"VISA"}}}}}`
	s := open(t, f, t.TempDir())
	taker, err := s.hub.Pair("taker", doors.ScopePOS, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.hub.Pair("other", doors.ScopePOS, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	s.ask("POST", "/pos/"+taker+"/create_payment_intent", "", "amount=1250", "Content-Type", "application/x-www-form-urlencoded")
	if status, body := s.ask("GET", "/v1/receipts/pi_1", taker, ""); status != http.StatusOK || !strings.Contains(body, `"application_preferred_name":"VISA"`) {
		t.Errorf("the taker: %d %s", status, body)
	}
	if status, body := s.ask("GET", "/v1/receipts/pi_1", other, ""); status != http.StatusNotFound {
		t.Errorf("another till: %d %s", status, body)
	}
	if status, _ := s.ask("GET", "/v1/receipts/pi_1", s.credential, ""); status != http.StatusOK {
		t.Errorf("a manager: %d", status)
	}
	f.set(func(f *fakeHQ) {
		f.answers[doors.RetrievePaymentIntent] = `{"id":"pi_1","latest_charge":null}`
	})
	if status, _ := s.ask("GET", "/v1/receipts/pi_1", s.credential, ""); status != http.StatusNotFound {
		t.Errorf("without a charge: %d", status)
	}
}

func TestOwnersForgetTheOldestFirst(t *testing.T) {
	var o owners
	o.remember("", "nobody")
	for i := range ownersKept + 10 {
		o.remember("pi_"+string(rune('a'+i%26))+strings.Repeat("x", i/26), "till")
	}
	if len(o.till) != ownersKept || len(o.order) != ownersKept {
		t.Errorf("%d kept, %d in order", len(o.till), len(o.order))
	}
	if o.of("pi_a") != "" {
		t.Error("the oldest is still known")
	}
}

// bare is a hub that was opened and does not run.
func bare(t *testing.T) *Hub {
	t.Helper()
	h, err := New(testConfig(t.TempDir()), testParts(newFakeHQ(), &recorder{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}
