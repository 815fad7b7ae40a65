package storesim

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/hq"
	"storehub/hub"
	"storehub/internal/rehearsal"
	"storehub/internal/sandbox"
	"storehub/internal/try"
	"storehub/netcheck"
)

var update = flag.Bool("update", false, "write the golden files anew")

// line is a shop's network as the lab once recorded it.
type line struct {
	mu  sync.Mutex
	now netcheck.Report
}

func (l *line) is(t *testing.T, morning string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "diagnostics", "testdata", morning+".facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := diagnostics.LoadFacts(f)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = *in.Net
}

func (l *line) check(context.Context, netcheck.Targets) netcheck.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// listed is a store whose checklist is looked at.
type listed struct {
	*Store
	t       *testing.T
	line    line
	noCopy  bool                        // headquarters starts without a key for copies
	onMoney func(*http.Request, []byte) // sees what reaches Stripe
}

func (s *listed) items() map[string]diagnostics.Item {
	s.t.Helper()
	list, err := s.admin().Checklist(s.t.Context())
	s.must("ask for the checklist", err)
	if len(list.Items) != 15 {
		s.t.Fatalf("%d items", len(list.Items))
	}
	m := map[string]diagnostics.Item{}
	for _, it := range list.Items {
		m[it.ID] = it
	}
	return m
}

// await waits until exactly these items are in these states, and all others pass or are
// signed off.
func (s *listed) await(what string, want map[string]diagnostics.ItemState) map[string]diagnostics.Item {
	s.t.Helper()
	var items map[string]diagnostics.Item
	wrong := func() (out []string) {
		items = s.items()
		for _, it := range items {
			state := it.State
			if state == diagnostics.ItemSignedOff {
				state = diagnostics.ItemPass
			}
			expected := diagnostics.ItemPass
			if w, ok := want[it.ID]; ok {
				expected = w
			}
			if state != expected {
				out = append(out, fmt.Sprintf("%s is %s %q, want %s", it.ID, it.State, it.Evidence, expected))
			}
		}
		return out
	}
	var last []string
	for end := time.Now().Add(patience / 2); ; time.Sleep(50 * time.Millisecond) { // polls what Stripe, headquarters and hub do in their own time
		if last = wrong(); len(last) == 0 {
			return items
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: %s", what, strings.Join(last, "\n"))
		}
		s.Pass(40 * time.Second) // evidence is looked for anew
	}
}

func (s *listed) rehearse() {
	s.t.Helper()
	_, err := s.admin().Rehearse(s.t.Context(), hub.RehearseRequest{}, nil)
	s.must("rehearse", err)
}

// readersAre tells readers' settings as an operator does in the Dashboard.
func (s *listed) readersAre(pairs ...string) {
	s.t.Helper()
	list := s.AtStripe(http.MethodGet, "/v1/terminal/configurations", url.Values{"is_account_default": {"true"}})
	id := list["data"].([]any)[0].(map[string]any)["id"].(string)
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	s.atStripe(s.sys.StripeKey, "2025-08-27.preview", http.MethodPost, "/v1/terminal/configurations/"+id, v) // the passcode is in previews alone
}

func (s *listed) report(reader, sdk string, status int) {
	s.t.Helper()
	a := s.Till().API(http.MethodPost, "/v1/readers/"+reader+"/reports", "", fmt.Sprintf(`{"connected":true,"sdk":%q}`, sdk))
	if a.Status != status {
		s.t.Fatalf("report of %s: %d %s", reader, a.Status, a.Body)
	}
}

func (s *listed) endpoint(pairs ...string) {
	s.t.Helper()
	list := s.AtStripe(http.MethodGet, "/v1/webhook_endpoints", nil)
	id := list["data"].([]any)[0].(map[string]any)["id"].(string)
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	s.AtStripe(http.MethodPost, "/v1/webhook_endpoints/"+id, v)
}

func (s *listed) reconcile() {
	s.t.Helper()
	_, err := s.sys.Headquarters().Reconcile(s.t.Context(), "0001", "")
	s.must("reconcile", err)
}

// dayIsCompared waits until headquarters, which looks for days that are over when it
// starts, has compared the last one: what it is about then ends at no later hour.
func (s *listed) dayIsCompared() {
	s.t.Helper()
	// Its days end at four; headquarters lets two hours go by.
	over := s.Stripe().Now().Add(-(24 + 4 + 2) * time.Hour).UTC().Format(time.DateOnly)
	s.Until("the day that is over is compared", func() bool {
		s.Pass(40 * time.Second) // evidence is looked for anew
		evidence := s.items()["reconcile"].Evidence
		return len(evidence) > 0 && strings.HasPrefix(evidence[0], over+" was compared")
	})
}

func (s *listed) rebootHQ() {
	s.t.Helper()
	s.StopHQ()
	s.BootHQ()
}

// answering is a reader that takes a connection.
func answering(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	return here, there.Close()
}

// openListed is a fresh store on a healthy line.
func openListed(t *testing.T) *listed {
	s := &listed{t: t}
	s.line.is(t, "healthy")
	s.Store = Open(t, Mirror(func(r *http.Request, b []byte) {
		mock.Mirror(r, b)
		if see := s.onMoney; see != nil {
			see(r, b)
		}
	}), func(o *try.Options) {
		o.HQ = func(o *hq.Options) {
			if s.noCopy {
				o.PersonalKeys = nil
			}
		}
		o.Hub = func(c *hub.Config, p *hub.Parts) {
			c.Checks.Every, c.Checks.Integration, c.OpeningHours = 50*time.Millisecond, "sdk-native", []string{"mon-sun 08:00-20:00"}
			p.Check, p.Dial = s.line.check, answering
		}
	})
	return s
}

// furnish does all that a shop does before it opens.
func (s *listed) furnish() {
	s.t.Helper()
	for i, id := range s.sys.Readers()[1:] {
		s.Stripe().SetReader(id, s.real(i, ""))
	}
	report, err := s.admin().Drill(s.t.Context(), hub.DrillRequest{Seconds: 5, By: "kim"}, func(rehearsal.Result) {})
	s.must("hold a drill", err)
	wantWhole(s.t, report)
	s.rehearse()
	s.readersAre("reader_security[admin_menu_passcode]", "48215", "reboot_window[start_hour]", "2", "reboot_window[end_hour]", "5", "offline[enabled]", "false")
	s.reconcile()
	pos := s.Till()
	if a := pos.API(http.MethodGet, "/v1/readers", "", ""); a.Status != http.StatusOK {
		s.t.Fatalf("list readers: %d %s", a.Status, a.Body)
	}
	s.report(s.sys.Readers()[1], "terminal-android 5.2.1", http.StatusOK)
}

// real is a reader on a LAN.
func (s *listed) real(lane int, software string) sandbox.ReaderState {
	return sandbox.ReaderState{Device: "stripe_s700", Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + lane)}), Software: software}
}

// broken is one thing that goes wrong in a store.
type broken struct {
	says        string // what
	item        string // the one that turns
	to          diagnostics.ItemState
	plant, mend func(*listed)
}

// label gives a reader another name.
func label(lane int, name string) func(*listed) {
	return func(s *listed) {
		s.AtStripe(http.MethodPost, "/v1/terminal/readers/"+s.sys.Readers()[lane], form("label", name))
	}
}

func settings(pairs ...string) func(*listed) { return func(s *listed) { s.readersAre(pairs...) } }

func morning(name string) func(*listed) { return func(s *listed) { s.line.is(s.t, name) } }

// rehearsing plays while something is wrong at Stripe.
func rehearsing(f sandbox.Fault) func(*listed) {
	return func(s *listed) {
		s.Stripe().Inject(f)
		s.rehearse()
		s.Stripe().Clear()
	}
}

func rehearsed(s *listed) { s.rehearse() }

// uncaptured leaves an authorisation lying.
func uncaptured(since time.Duration) (plant, mend func(*listed)) {
	var pi string
	return func(s *listed) {
			pi = s.Till().Authorise(2700)
			s.Until("headquarters knows of the authorisation", func() bool {
				s.Pass(40 * time.Second)
				return strings.Contains(strings.Join(s.items()["capture"].Evidence, ""), "not captured")
			})
			s.Pass(since)
		}, func(s *listed) {
			if code := s.Till().Capture(pi); code != http.StatusOK && code != http.StatusAccepted {
				s.t.Fatalf("capture: %d", code)
			}
			s.reconcile()
			decideAll(s)
		}
}

// decideAll has a person look through what waits for one.
func decideAll(s *listed) {
	s.t.Helper()
	list, err := s.sys.Headquarters().Findings(s.t.Context(), "0001")
	s.must("list findings", err)
	for _, f := range list {
		s.must("decide", s.sys.Headquarters().Decide(s.t.Context(), hq.Decision{Finding: f.ID, By: "kim", Note: "seen"}))
	}
}

func breaks() []broken {
	const (
		fail      = diagnostics.ItemFail
		attention = diagnostics.ItemAttention
	)
	strayPlant, strayMend := uncaptured(3 * time.Hour)
	latePlant, lateMend := uncaptured(40 * time.Hour)
	return []broken{
		{"Stripe gives out no token", "connection_token", fail,
			func(s *listed) {
				s.Stripe().Inject(sandbox.Fault{Method: http.MethodPost, Path: "/v1/terminal/connection_tokens", Kind: "500"})
			},
			func(s *listed) { s.Stripe().Clear() }},
		{"a secret key stands in a reader's label", "connection_token", fail, label(1, "sk_test_"+strings.Repeat("a", 12)), label(1, "Lane 2")},
		{"a box reads along (as the lab recorded it)", "network", fail, morning("tls_intercepted"), morning("healthy")},
		{"a rehearsal gets no token", "end_to_end", fail,
			rehearsing(sandbox.Fault{Method: http.MethodPost, Path: "/v1/terminal/connection_tokens$", Kind: "429"}), rehearsed},
		{"an authorisation lies for three hours", "capture", attention, strayPlant, strayMend},
		{"an authorisation lies for forty hours", "capture", fail, latePlant, lateMend},
		{"a rehearsal cannot have a PIN refused", "errors", fail,
			func(s *listed) {
				// The reader's menu is open while the scene of the PIN plays.
				s.onMoney = func(_ *http.Request, body []byte) {
					for amount, busy := range map[string]bool{"amount=2202&": true, "amount=2300&": false} {
						if strings.Contains(string(body), amount) {
							s.Stripe().SetReader(s.sys.Readers()[0], sandbox.ReaderState{Busy: busy})
						}
					}
				}
				s.rehearse()
				s.onMoney = nil
			}, rehearsed},
		{"headquarters has lost the key of its copies", "receipts", attention,
			func(s *listed) { s.noCopy = true; s.rebootHQ() }, func(s *listed) { s.noCopy = false; s.rebootHQ() }},
		{"no day is compared for three days", "reconcile", fail,
			func(s *listed) { s.dayIsCompared(); s.Pass(72 * time.Hour) }, (*listed).reconcile},
		{"the webhook endpoint is disabled", "webhooks", fail, func(s *listed) { s.endpoint("disabled", "true") }, func(s *listed) { s.endpoint("disabled", "false") }},
		{"the endpoint does not send refunds", "webhooks", fail,
			func(s *listed) {
				s.endpoint("enabled_events[]", "payment_intent.succeeded", "enabled_events[]", "payment_intent.payment_failed")
			},
			func(s *listed) { s.endpoint("enabled_events[]", "*") }},
		{"events do not come through", "webhooks", fail,
			func(s *listed) {
				s.Stripe().SetWebhookFaults(sandbox.WebhookFaults{Lose: true})
				s.rehearse()
				s.Pass(20 * time.Minute)
			},
			func(s *listed) { s.Stripe().SetWebhookFaults(sandbox.WebhookFaults{}); s.rehearse() }},
		{"a reader runs old software", "reader_updates", attention,
			func(s *listed) { s.Stripe().SetReader(s.sys.Readers()[1], s.real(0, "2.39.3.0")) },
			func(s *listed) { s.Stripe().SetReader(s.sys.Readers()[1], s.real(0, "")) }},
		{"readers update while the shop is open", "reader_updates", attention,
			settings("reboot_window[start_hour]", "12", "reboot_window[end_hour]", "15"), settings("reboot_window[start_hour]", "2", "reboot_window[end_hour]", "5")},
		{"the key may not register readers", "registration", fail,
			rehearsing(sandbox.Fault{Method: http.MethodPost, Path: "/v1/terminal/readers$", Kind: "429"}), rehearsed},
		{"a till uses a reader of another Location", "locations", fail,
			func(s *listed) { s.report("simulated-wpe-of-elsewhere", "terminal-android 5.2.1", http.StatusNotFound) },
			func(s *listed) { s.report(s.sys.Readers()[1], "terminal-android 5.2.1", http.StatusOK) }},
		{"two readers have one label", "discovery", fail, label(1, "Lane 1"), label(1, "Lane 2")},
		{"a till's SDK gets no patches", "sdk", fail,
			func(s *listed) { s.report(s.sys.Readers()[1], "terminal-android 3.9.1", http.StatusOK) },
			func(s *listed) { s.report(s.sys.Readers()[1], "terminal-android 5.2.1", http.StatusOK) }},
		{"the passcode is a sequence", "passcode", fail, settings("reader_security[admin_menu_passcode]", "12345"), settings("reader_security[admin_menu_passcode]", "48215")},
		{"the passcode is the usual one", "passcode", fail, settings("reader_security[admin_menu_passcode]", "07139"), settings("reader_security[admin_menu_passcode]", "48215")},
		{"offline mode is on and has no limit", "outages", attention, settings("offline[enabled]", "true"), settings("offline[enabled]", "false")},
	}
}

// passing is what differs from run to run in evidence.
var passing = regexp.MustCompile(`\d{4}-\d\d-\d\d(T[\d:]+Z)?|simulated-[a-z0-9]+-[0-9a-z-]+|tml_\w+|\d+ (of \d+ )?(events|probes)`)

// A fresh system's checklist says of each item what is so. Then everything is done, and
// broken, one thing at a time: exactly its item turns, and turns back. What was seen is
// the table of docs/checklist.md.
func TestStory_ChecklistTurns(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("| # | item | fresh `hub try` | because |\n|---|---|---|---|\n")
	plain := &listed{Store: open(t), t: t}
	began := time.Now()
	fresh := plain.items()
	t.Logf("a fresh store's checklist took %s", time.Since(began))
	ordered := slices.SortedFunc(func(yield func(diagnostics.Item) bool) {
		for _, it := range fresh {
			if !yield(it) {
				return
			}
		}
	}, func(a, b diagnostics.Item) int { return a.Number - b.Number })
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(passing.ReplaceAllString(c, "…"), "|", "\\|")
		}
		doc.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	for _, it := range ordered {
		if len(it.Evidence) == 0 || it.State != diagnostics.ItemPass && len(it.Remedy) == 0 || it.Tested == "" || it.Owner == "" {
			t.Errorf("%s does not explain itself: %+v", it.ID, it)
		}
		row(fmt.Sprint(it.Number), "`"+it.ID+"`", strings.ReplaceAll(string(it.State), "_", " "), strings.Join(it.Evidence, "; "))
	}
	s := openListed(t)
	s.furnish()
	whole := s.await("everything is done", nil)
	doc.WriteString("\n| planted | item that turns | to | evidence |\n|---|---|---|---|\n")
	covered := map[string]bool{}
	for _, b := range breaks() {
		began := time.Now()
		b.plant(s)
		turned := s.await(b.says, map[string]diagnostics.ItemState{b.item: b.to})[b.item]
		news := slices.DeleteFunc(slices.Clone(turned.Evidence), func(e string) bool { return slices.Contains(whole[b.item].Evidence, e) })
		if len(news) == 0 {
			t.Errorf("%s: no evidence in %q", b.says, turned.Evidence)
			continue
		}
		row(b.says, "`"+b.item+"`", string(turned.State), news[0])
		b.mend(s)
		s.await(b.says+", mended", nil)
		t.Logf("%s: %s", b.says, time.Since(began))
		covered[b.item] = true
	}
	history, err := s.admin().ChecklistSince(t.Context(), began)
	s.must("ask what has changed", err)
	if len(history.Items) != 15 {
		t.Errorf("the history tells of %d items that turned: %+v", len(history.Items), history)
	}
	if len(covered) != 15 {
		t.Errorf("only %d items were broken", len(covered))
	}
	golden(t, doc.String())
}

// golden compares the tables with those in docs/checklist.md.
func golden(t *testing.T, tables string) {
	t.Helper()
	const begin, end = "<!-- tables: written by TestStory_ChecklistTurns -update -->\n", "<!-- end of tables -->"
	file := filepath.Join("..", "..", "docs", "checklist.md")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), begin)
	have, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the tables", file)
	}
	if have == tables {
		return
	}
	if !*update {
		t.Errorf("%s differs; -update writes it:\n%s", file, tables)
		return
	}
	if err := os.WriteFile(file, []byte(before+begin+tables+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
