package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/stripeapi"
	"storehub/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is our own headquarters with Stripe behind it and, before it, hands that
// make it answer wrongly.
type stage struct {
	store  hq.Store
	server *hq.Server
	target Target
}

func newStage(t *testing.T, before func(http.Handler) http.Handler) *stage {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	box, err := sandbox.New(sandbox.Options{Log: quiet, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	stripe := httptest.NewServer(box.Handler())
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	location := place(t, client, stripe.URL, box.SecretKey())
	api, err := stripeapi.New(stripeapi.Options{Key: stripeapi.Key(box.RestrictedKey()), BaseURL: stripe.URL, HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	server, err := hq.NewServer(hq.Options{Database: "sqlite:" + filepath.Join(t.TempDir(), "hq.db"), Stripe: api,
		WebhookSecret: []string{box.WebhookSecret()}, Log: quiet, Version: "test", Poll: 50 * time.Millisecond, ReadBudget: 1 << 40, RefundGap: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	web := httptest.NewServer(before(server.Handler()))
	store := hq.Store{ID: "9001", Location: location, Mode: doors.Test, TimeZone: "America/Los_Angeles"}
	code, _, err := server.AddStore(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		web.Close()
		stop()
		for _, err := range []error{<-done, server.Close(), box.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		transport.CloseIdleConnections()
		stripe.Close()
	})
	return &stage{store, server, Target{URL: web.URL, HTTP: web.Client(), Code: code, Currency: "usd", Patience: time.Minute, Version: "test"}}
}

func place(t *testing.T, client *http.Client, stripe, key string) string {
	t.Helper()
	form := url.Values{"display_name": {"Shop"}, "address[line1]": {"1 Street"}, "address[city]": {"San Francisco"},
		"address[state]": {"CA"}, "address[postal_code]": {"94110"}, "address[country]": {"US"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, stripe+"/v1/terminal/locations", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var v struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || v.ID == "" {
		t.Fatal(err, v)
	}
	return v.ID
}

func asItIs(h http.Handler) http.Handler { return h }

// Our own headquarters does what the wire demands, and again for the same hub with a
// new code.
func TestOurHeadquartersConforms(t *testing.T) {
	s := newStage(t, asItIs)
	for run := range 2 {
		told := 0
		report, err := Run(t.Context(), s.target, func(Result) { told++ })
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range report.Results {
			if r.State != Pass {
				t.Errorf("run %d: %s is %s: %s", run, r.Name, r.State, r.Detail)
			}
		}
		if !report.Conforms() || report.Store != "9001" || told != len(checks) || len(report.Results) != len(checks) {
			t.Errorf("run %d: store %q, %d results, %d told, of %d", run, report.Store, len(report.Results), told, len(checks))
		}
		served, err := (&session{t: s.target}).send(t.Context(), http.MethodGet, "/openapi.json", "", "")
		if err != nil || !bytes.Equal(served.body, hq.OpenAPI) {
			t.Errorf("the description of the wire is not served: %d, %v", served.status, err)
		}
		if s.target.Code, _, err = s.server.AddStore(t.Context(), s.store); err != nil {
			t.Fatal(err)
		}
	}
}

// hand changes one exchange: what is asked before it is served, what is answered after.
type hand struct {
	ask    func(r *http.Request, body string) string
	answer func(r *http.Request, asked string, a *answered)
}

type answered struct {
	status int
	header http.Header
	body   string
}

func (h hand) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		body := string(b)
		if h.ask != nil {
			body = h.ask(r, body)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		a := &answered{rec.Code, rec.Header(), rec.Body.String()}
		if h.answer != nil {
			h.answer(r, string(b), a)
		}
		for k, v := range a.header {
			if k != "Content-Length" {
				w.Header()[k] = v
			}
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	})
}

// on answers otherwise at a path, where what was asked contains a text.
func on(path, asked string, change func(a *answered)) hand {
	return hand{answer: func(r *http.Request, body string, a *answered) {
		if strings.HasPrefix(r.URL.Path, path) && strings.Contains(r.URL.RawQuery+body, asked) {
			change(a)
		}
	}}
}

func replace(old, with string) func(*answered) {
	return func(a *answered) { a.body = strings.ReplaceAll(a.body, old, with) }
}

func done(body string) func(*answered) {
	return func(a *answered) { a.status, a.body = http.StatusOK, body }
}

// line changes lines of the feed about one operation.
func line(id, old, with string) hand {
	return on("/store/v1/feed", "", func(a *answered) {
		var f map[string]json.RawMessage
		var items []json.RawMessage
		if json.Unmarshal([]byte(a.body), &f) != nil || json.Unmarshal(f["items"], &items) != nil {
			return
		}
		for i, it := range items {
			var of struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(it, &of) == nil && strings.HasSuffix(of.ID, "-"+id) {
				items[i] = json.RawMessage(strings.ReplaceAll(string(it), old, with))
			}
		}
		f["items"], _ = json.Marshal(items)
		b, _ := json.Marshal(f)
		a.body = string(b)
	})
}

// replay answers the second request like the first, where both were done.
func replay(path string) hand {
	var mu sync.Mutex
	var first string
	return hand{answer: func(r *http.Request, _ string, a *answered) {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(r.URL.Path, path) {
			return
		}
		if first == "" && a.status == http.StatusOK {
			first = a.body
		} else if first != "" {
			a.status, a.body = http.StatusOK, first
		}
	}}
}

// twice tells an operation's end in two lines of the feed, and numbers all that
// follows accordingly.
func twice(id string) hand {
	var mu sync.Mutex
	cut := int64(-1)
	return hand{
		ask: func(r *http.Request, body string) string {
			mu.Lock()
			defer mu.Unlock()
			q := r.URL.Query()
			if after, err := strconv.ParseInt(q.Get("after"), 10, 64); err == nil && cut >= 0 && after > cut && r.URL.Path == "/store/v1/feed" {
				q.Set("after", strconv.FormatInt(after-1, 10))
				r.URL.RawQuery = q.Encode()
			}
			return body
		},
		answer: func(r *http.Request, _ string, a *answered) {
			mu.Lock()
			defer mu.Unlock()
			var f hq.Feed
			if r.URL.Path != "/store/v1/feed" || json.Unmarshal([]byte(a.body), &f) != nil {
				return
			}
			var items []hq.Item
			for _, it := range f.Items {
				if cut >= 0 && int64(it.Seq) > cut {
					it.Seq++
				}
				items = append(items, it)
				if cut < 0 && strings.HasSuffix(it.ID, "-"+id) {
					cut = int64(it.Seq)
					it.Seq++
					items = append(items, it)
				}
			}
			f.Items = items
			b, _ := json.Marshal(f)
			a.body = string(b)
		},
	}
}

// repeated changes the answer to a submission that comes again.
func repeated(change func(*answered)) hand {
	var mu sync.Mutex
	seen := map[string]bool{}
	return hand{answer: func(r *http.Request, body string, a *answered) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/store/v1/operations" || a.status != http.StatusAccepted {
			return
		}
		if seen[body] {
			change(a)
		}
		seen[body] = true
	}}
}

// wrongs holds for each check a headquarters that fails it, and is right in all else
// that the check needs.
var wrongs = map[string]func() hand{
	"unknown_credential": func() hand { return on("/store/v1/store", "", func(a *answered) { a.status = 403 }) },
	"missing_credential": func() hand {
		return hand{answer: func(r *http.Request, _ string, a *answered) {
			if r.URL.Path == "/store/v1/readers" && r.Header.Get("Authorization") == "" {
				done(`{"at":"2026-01-01T00:00:00Z","readers":[]}`)(a)
			}
		}}
	},
	"unknown_path": func() hand {
		return on("/store/v1/nothing", "", func(a *answered) { a.body = "404 page not found\n" })
	},
	"wrong_method": func() hand { return on("/store/v1/store", "", func(a *answered) { a.header.Del("Allow") }) },
	"unknown_code": func() hand {
		return on("/store/v1/enrol", "NOT-A-CODE", replace("enrolment_code_refused", "forbidden"))
	},
	"enrol":        func() hand { return on("/store/v1/enrol", "", replace("shc_", `short","was":"`)) },
	"code_once":    func() hand { return replay("/store/v1/enrol") },
	"store_record": func() hand { return on("/store/v1/store", "", replace("America/Los_Angeles", "Mars/Olympus")) },
	"broken_body":  func() hand { return on("/store/v1/operations", `{"epoch":`, done("{}")) },
	"token":        func() hand { return replay("/store/v1/connection_tokens") },
	"token_location": func() hand {
		return on("/store/v1/connection_tokens", "tml_other", done(`{"object":"terminal.connection_token","secret":"pst"}`))
	},
	"token_scope": func() hand {
		return on("/store/v1/connection_tokens", "monitor", done(`{"object":"terminal.connection_token","secret":"pst"}`))
	},
	"token_mode": func() hand {
		return on("/store/v1/connection_tokens", `"live"`, func(a *answered) { a.status = http.StatusForbidden })
	},
	"submit": func() hand {
		return on("/store/v1/operations", "", replace(`"accepted_through":2`, `"accepted_through":1`))
	},
	"submit_again": func() hand { return repeated(replace(`"accepted_through":3`, `"accepted_through":0`)) },
	"stale_epoch": func() hand {
		return hand{ask: func(_ *http.Request, body string) string {
			return strings.ReplaceAll(body, `"epoch":"an epoch of the past"`, `"epoch":""`)
		}}
	},
	"outcome":      func() hand { return line("beat", `"succeeded"`, `"failed"`) },
	"outcome_once": func() hand { return twice("again") },
	"no_is_outcome": func() hand {
		return on("/store/v1/operations", "levitation", func(a *answered) {
			a.status, a.body = http.StatusUnprocessableEntity, `{"error":{"code":"invalid_field","message":"kind"}}`
		})
	},
	"wrong_mode": func() hand { return line("live", "mode_mismatch", "other") },
	"reused_id":  func() hand { return line("order", "idempotency_key_reused", "other") },
	"feed_again": func() hand {
		return hand{ask: func(r *http.Request, body string) string {
			if q := r.URL.Query(); r.URL.Path == "/store/v1/feed" && q.Get("epoch") != "" && q.Get("wait") == "0" {
				q.Set("after", "1")
				r.URL.RawQuery = q.Encode()
			}
			return body
		}}
	},
	"feed_epoch": func() hand {
		return hand{answer: func(r *http.Request, _ string, a *answered) {
			if epoch := r.URL.Query().Get("epoch"); strings.HasPrefix(epoch, "an epoch") {
				done(`{"epoch":"` + epoch + `","accepted_through":0,"head":"","items":[]}`)(a)
			}
		}}
	},
	"feed_waits": func() hand {
		return hand{ask: func(r *http.Request, body string) string {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "wait=2", "wait=0", 1)
			return body
		}}
	},
	"feed_wakes":   func() hand { return on("/store/v1/feed", "wait=30", replace(`"items":[{`, `"items":[],"other":[{`)) },
	"chain_signed": func() hand { return on("/store/v1/chain", "", replace(`"signature":"`, `"signature":"00`)) },
	"chain_links":  func() hand { return on("/store/v1/chain", "", replace(`"links":[`, `"links":[],"other":[`)) },
	"readers":      func() hand { return on("/store/v1/readers", "", replace(`"at":`, `"when":`)) },
	"tills": func() hand {
		return on("/store/v1/tills", "", func(a *answered) { a.status, a.body = http.StatusNotFound, "not found" })
	},
	"report": func() hand { return on("/store/v1/report", "", replace(`"at":`, `"when":`)) },
	"create": func() hand { return on("/store/v1/stripe/create_payment_intent", "", replace("800", "801")) },
	"create_diverted": func() hand {
		return on("/store/v1/stripe/create_payment_intent", "transfer_data", done(`{"object":"payment_intent","id":"pi_1","amount":900}`))
	},
	"capture_early":   func() hand { return line("early", "awaiting_authorisation", "other") },
	"cancel":          func() hand { return line("cancel", `"succeeded"`, `"failed"`) },
	"refund_nothing":  func() hand { return line("nothing", "not_captured", "other") },
	"simulated_card":  func() hand { return on("/store/v1/stripe/register_reader", "", replace("tmr_", "x_")) },
	"capture":         func() hand { return line("capture-1", `"succeeded"`, `"failed"`) },
	"capture_done":    func() hand { return line("capture-2", `"succeeded"`, `"failed"`) },
	"capture_differs": func() hand { return line("capture-3", `"failed"`, `"succeeded"`) },
	"refund":          func() hand { return line("refund-1", `"succeeded"`, `"failed"`) },
	"refund_twin":     func() hand { return line("refund-2", "twin_refund", "other") },
	"copied_hub": func() hand {
		return hand{ask: func(r *http.Request, body string) string {
			r.Header.Del("Storehub-Machine")
			return body
		}}
	},
}

// Each check fails at a headquarters that does otherwise: none passes whatever is answered.
func TestEachCheckCanFail(t *testing.T) {
	for _, c := range checks {
		wrong, ok := wrongs[c.name]
		if !ok {
			t.Errorf("no headquarters fails %s", c.name)
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			target := newStage(t, wrong().before).target
			target.only = c.name
			report, err := Run(t.Context(), target, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				if want := map[bool]State{true: Fail, false: Pass}[r.Name == c.name]; r.State != want {
					t.Errorf("%s is %s, want %s: %s", r.Name, r.State, want, r.Detail)
				}
			}
			if report.Conforms() {
				t.Error("the report says that it conforms")
			}
		})
	}
	if len(wrongs) != len(checks) {
		t.Errorf("%d wrong headquarters for %d checks", len(wrongs), len(checks))
	}
}

// A headquarters that breaks does not fail the check: nobody knows. What needs it is
// skipped.
func TestBrokenIsNotNo(t *testing.T) {
	target := newStage(t, on("/store/v1/connection_tokens", "", func(a *answered) { a.status, a.body = 502, "bad gateway" }).before).target
	target.only = "token_scope"
	report, err := Run(t.Context(), target, nil)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]State{}
	for _, r := range report.Results {
		states[r.Name] = r.State
	}
	if states["token"] != Unknown || states["token_scope"] != Skip || states["enrol"] != Pass {
		t.Errorf("got %v", states)
	}
}

// Nothing is tried with a store where money is real.
func TestLiveStoreIsLeftAlone(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]bool{}
	h := hand{answer: func(r *http.Request, _ string, a *answered) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path] = true
		if r.URL.Path == "/store/v1/enrol" {
			replace(`"mode":"test"`, `"mode":"live"`)(a)
		}
	}}
	if _, err := Run(t.Context(), newStage(t, h.before).target, nil); !errors.Is(err, ErrLive) {
		t.Fatalf("got %v, want %v", err, ErrLive)
	}
	for _, path := range []string{"/store/v1/stripe/create_payment_intent", "/store/v1/stripe/register_reader"} {
		if asked[path] {
			t.Errorf("%s was asked", path)
		}
	}
}

func TestUnreachableCouldNotBeAsked(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close()
	report, err := Run(t.Context(), Target{URL: web.URL, Currency: "usd"}, nil)
	if err == nil || len(report.Results) != 0 || report.Conforms() {
		t.Fatalf("got %+v, %v", report, err)
	}
}
