package storesim

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hub"
	"storehub/internal/rehearsal"
	"storehub/internal/sandbox"
	"storehub/internal/try"
)

// wire is what headquarters asked of Stripe, by the mode of the key it used.
type wire struct {
	mu    sync.Mutex
	asked map[string][]string // test, live: method, path and body
}

func (w *wire) see(r *http.Request, body []byte) {
	mode := "live"
	if strings.Contains(r.Header.Get("Authorization"), "rk_test_") {
		mode = "test"
	} else if !strings.Contains(r.Header.Get("Authorization"), "rk_live_") {
		return // the account's owner, or a customer
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[mode] = append(w.asked[mode], r.Method+" "+r.URL.String()+" "+string(body))
}

// mentions are the requests of a mode in which one of those stands.
func (w *wire) mentions(mode string, which ...string) (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.asked[mode] {
		if slices.ContainsFunc(which, func(s string) bool { return strings.Contains(line, s) }) {
			list = append(list, line)
		}
	}
	return list
}

// openLive is a store of live mode, which may have somewhere to rehearse.
func openLive(t *testing.T, rehearses bool) (*Store, *wire) {
	w := &wire{asked: map[string][]string{}}
	s := Open(t, func(o *try.Options) { o.Live, o.Rehearses = true, rehearses }, Mirror(func(r *http.Request, b []byte) {
		mock.Mirror(r, b)
		w.see(r, b)
	}))
	return s, w
}

// figures are the samples of a metrics page by their name and labels.
func (s *Store) figures(page string) map[string]string {
	s.t.Helper()
	resp, err := http.Get(page)
	s.must("read metrics", err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	s.must("read metrics", err)
	list := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			list[name] = value
		}
	}
	return list
}

// ledger counts rows of headquarters' tables by their store.
func (s *Store) ledger(table string) map[string]int {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(s.sys.ConfigFile), "hq.db")+"?_pragma=busy_timeout(10000)")
	s.must("open database", err)
	defer db.Close()
	rows, err := db.Query(`SELECT store, count(*) FROM ` + table + ` GROUP BY store`)
	s.must("count "+table, err)
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var store string
		var n int
		s.must("count "+table, rows.Scan(&store, &n))
		counts[store] = n
	}
	s.must("count "+table, rows.Err())
	return counts
}

// booked are the payments in a mode's books.
func booked(mode *sandbox.Sandbox) []string {
	seen := map[string]bool{}
	for _, e := range mode.Books() {
		seen[e.Intent] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// A live store sells while a rehearsal runs, on one hub, one headquarters and one
// account at Stripe. Each sale and each scene is done once, and neither meets the other:
// not at Stripe, not in headquarters' ledger, not in the shop's lists and figures.
func TestMoney_1_4_ALiveStoreRehearsesWhileItSells(t *testing.T) {
	s, w := openLive(t, true)
	pos, sold, refunded := s.Till(), map[string]int64{}, 0
	sell := func() {
		amount := 5000 + 20*int64(len(sold)) // no ending that declines
		pi := pos.Authorise(amount)
		if status := pos.Capture(pi); status != http.StatusOK && status != http.StatusAccepted {
			t.Errorf("capture of %s: %d", pi, status)
		}
		sold[pi] = amount
		if len(sold)%3 == 0 {
			a := pos.API(http.MethodPost, "/v1/operations", "back-"+pi, fmt.Sprintf(`{"kind":"refund","ref":%q,"amount":%d,"currency":"usd"}`, pi, amount))
			if a.Status != http.StatusAccepted {
				t.Errorf("refund of %s: %d %s", pi, a.Status, a.Body)
			}
			refunded++
		}
	}
	for range 3 {
		sell()
	}

	type played struct {
		report rehearsal.Report
		err    error
	}
	ended := make(chan played, 1)
	go func() {
		report, err := s.admin().Rehearse(context.WithoutCancel(t.Context()), hub.RehearseRequest{}, nil)
		ended <- played{report, err}
	}()
	var p played
	beside := 0
	for running := true; running; {
		select {
		case p = <-ended:
			running = false
		default:
			sell()
			beside++
		}
	}
	s.must("rehearse", p.err)
	wantWhole(t, p.report)
	t.Logf("%d sales and %d refunds, %d sales while the rehearsal ran; %d scenes", len(sold), refunded, beside, len(p.report.Results))
	if beside < 5 {
		t.Errorf("only %d sales were made beside the rehearsal", beside)
	}
	for pi, amount := range sold {
		pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
		s.WantCapturedOnce(pi, amount)
	}
	s.Until("every refund is made", func() bool {
		n := 0
		for _, e := range s.Stripe().Books() {
			if e.Effect == sandbox.EffectRefunded {
				n++
			}
		}
		return n >= refunded
	})

	// At Stripe: the live books hold the sales, test mode's the scenes.
	sales := slices.Sorted(maps.Keys(sold))
	if got := booked(s.Stripe()); !slices.Equal(got, sales) {
		t.Errorf("the live books are of %v, sold was %v", got, sales)
	}
	scenes := booked(s.sys.TestMode)
	if n := s.wantNothingLeftIn(s.sys.TestMode); n < 15 || len(scenes) < 5 {
		t.Errorf("only %d payments were tried, %d were authorised", n, len(scenes))
	}
	if got := w.mentions("live", append(scenes, "rehearsal", s.sys.TestLocation(), "test_helpers")...); got != nil {
		t.Errorf("the live key was used for a rehearsal: %q", got)
	}
	if got := w.mentions("test", append(sales, s.sys.Location())...); got != nil {
		t.Errorf("the test key was used for a sale: %q", got)
	}

	// At headquarters: two stores' rows.
	ops, intents := s.ledger("operations WHERE kind <> 'heartbeat'"), s.ledger("intents")
	if ops["0001"] != len(sold)+refunded || intents["0001"] != len(sold) {
		t.Errorf("the live store has %d operations and %d payments, want %d and %d", ops["0001"], intents["0001"], len(sold)+refunded, len(sold))
	}
	if len(ops) != 2 || len(intents) != 2 || ops["0001~rehearsal"] < 15 || intents["0001~rehearsal"] < 15 {
		t.Errorf("by store there are %v operations and %v payments", ops, intents)
	}
	server := s.sys.Headquarters()
	fleet, _, err := server.Fleet(t.Context(), 0)
	s.must("look at the fleet", err)
	if len(fleet) != 1 || fleet[0].ID != "0001" || fleet[0].TestLocation != s.sys.TestLocation() {
		t.Errorf("the fleet is %+v", fleet)
	}
	findings, err := server.Findings(t.Context(), "")
	s.must("list findings", err)
	if len(findings) != 0 {
		t.Errorf("found: %+v", findings)
	}
	day, err := server.Reconcile(t.Context(), "0001", s.Stripe().Now().Add(-4*time.Hour).UTC().Format(time.DateOnly))
	s.must("reconcile", err)
	if day.Payments != len(sold) || day.Operations != len(sold)+refunded || len(day.Cases) != 0 {
		t.Errorf("the day has %d payments, %d operations and the cases %+v", day.Payments, day.Operations, day.Cases)
	}

	// In the shop: lists, receipts, figures, and the evidence.
	var listed struct{ Operations []doors.Operation }
	s.must("list operations", pos.API(http.MethodGet, "/v1/operations?limit=1000", "", "").JSON(&listed))
	for _, op := range listed.Operations {
		if _, ours := sold[op.Ref]; !ours || op.Mode != doors.Live {
			t.Errorf("the shop's list has %+v", op)
		}
	}
	for _, pi := range scenes[:3] {
		if a := pos.API(http.MethodGet, "/v1/receipts/"+pi, "", ""); a.Status == http.StatusOK {
			t.Errorf("the live store gives a receipt for %s", pi)
		}
	}
	hubs, hqs := s.figures(s.sys.MetricsURL), s.figures(s.sys.HQURL+"/metrics")
	for name, want := range map[string]int{`{kind="capture",state="succeeded"}`: len(sold), `{kind="refund",state="succeeded"}`: refunded,
		`{kind="cancel",state="succeeded"}`: 0, `{kind="receipt",state="succeeded"}`: 0} {
		if got := hubs["storehub_queue_operations"+name]; got != fmt.Sprint(want) {
			t.Errorf("the hub counts %s %s, want %d", got, name, want)
		}
		if got := hqs["storehub_hq_operations"+name]; got != fmt.Sprint(want) {
			t.Errorf("headquarters counts %s %s, want %d", got, name, want)
		}
	}
	if got := hqs["storehub_hq_stores"]; got != "1" {
		t.Errorf("headquarters counts %s stores", got)
	}
	list, err := s.admin().Checklist(t.Context())
	s.must("ask for the checklist", err)
	for _, it := range list.Items {
		if it.ID == "end_to_end" && it.State != diagnostics.ItemPass {
			t.Errorf("%s is %s: %q", it.ID, it.State, it.Evidence)
		}
	}
}

// The hub dies in the middle of a live store's rehearsal. The next one cleans up.
func TestMoney_1_4_ALiveStoresRehearsalIsCleanedUp(t *testing.T) {
	s, w := openLive(t, true)
	reached := make(chan struct{}, 64)
	ended := make(chan error, 1)
	go func() {
		_, err := s.admin().Rehearse(context.WithoutCancel(t.Context()), hub.RehearseRequest{}, func(rehearsal.Result) { reached <- struct{}{} })
		ended <- err
	}()
	for range 4 {
		<-reached
	}
	s.PowerCut()
	if err := <-ended; err == nil {
		t.Error("the rehearsal went on without power")
	}
	s.Boot()
	report, err := s.admin().Rehearse(t.Context(), hub.RehearseRequest{}, nil)
	s.must("rehearse", err)
	wantWhole(t, report)
	s.wantNothingLeftIn(s.sys.TestMode)
	if got := booked(s.Stripe()); got != nil {
		t.Errorf("the live books are of %v", got)
	}
	if got := w.mentions("live", "/v1/payment_intents", "/v1/refunds"); got != nil {
		t.Errorf("the live key was used: %q", got)
	}
}

// A live store that has nowhere to rehearse is told what is missing and who adds it.
// Nothing is asked of Stripe.
func TestMoney_1_4_WithoutATestLocationNothingIsRehearsed(t *testing.T) {
	s, w := openLive(t, false)
	_, err := s.admin().Rehearse(t.Context(), hub.RehearseRequest{}, nil)
	if err == nil || !strings.Contains(err.Error(), "hq store configure --id 0001 --test-location") {
		t.Errorf("got %v", err)
	}
	if got := w.mentions("test", "/"); got != nil {
		t.Errorf("the test key was used: %q", got)
	}
}
