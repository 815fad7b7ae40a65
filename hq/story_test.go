package hq_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/stripeapi"
	"storehub/internal/sandbox"
	"storehub/internal/sandbox/stripemock"
)

// mock knows every legal call to Stripe; nil while fuzzing, where no story runs.
var mock *stripemock.Mock

// TestMain holds every request that reaches the sandbox against Stripe's own
// description of its API.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "replica" {
		os.Exit(serveReplica(os.Args[2]))
	}
	flag.Parse()
	goleak.VerifyTestMain(mirrored{m})
}

type mirrored struct{ *testing.M }

func (m mirrored) Run() int {
	if flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.list").Value.String() != "" {
		hq.TestDatabase = giveDatabase
		return m.M.Run()
	}
	var err error
	if mock, err = stripemock.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := onEngines(m.M.Run)
	if mock.Requests() > 0 || flag.Lookup("test.run").Value.String() == "" {
		for _, refusal := range mock.Check() {
			fmt.Fprintln(os.Stderr, "not legal at Stripe:", refusal)
			code = 1
		}
	}
	mock.Close()
	return code
}

// shop is headquarters with one store, against a sandbox of Stripe, with a hand
// on what can break.
type shop struct {
	t      *testing.T
	box    *sandbox.Sandbox
	boxURL string
	reads  *atomic.Int64 // that headquarters made at Stripe
	server *hq.Server
	client *hq.Client
	till   doors.Till
	loc    string
	reader string
	opts   hq.Options
	fault  *atomic.Pointer[func(string) error]
	shift  *atomic.Int64 // headquarters' clock runs ahead by this

	epoch  string // as the hub knows them
	head   string
	number uint64
	seq    uint64
	items  []hq.Item

	stop context.CancelFunc
	done chan error
	once *sync.Once
}

// unrationed: a test lives faster than Stripe's allocation of reads is meant for.
const unrationed = 1 << 40

// newShop is a running headquarters with an enrolled store.
func newShop(t *testing.T, change ...func(*hq.Options)) *shop {
	t.Helper()
	reads := &atomic.Int64{}
	box, err := sandbox.New(sandbox.Options{Log: quiet(), Seed: 1, Mirror: func(r *http.Request, body []byte) {
		if r.Method == http.MethodGet && !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer sk_") {
			reads.Add(1)
		}
		mock.Mirror(r, body)
	}})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(box.Handler())
	s := &shop{t: t, box: box, boxURL: front.URL, reads: reads,
		fault: &atomic.Pointer[func(string) error]{}, shift: &atomic.Int64{},
		till: doors.Till{Name: "till 1", Scope: doors.ScopeManager, Mode: doors.Test}}
	s.loc = s.stripe("POST", "/v1/terminal/locations", "display_name=Shop&address[line1]=1+Street&address[city]=San+Francisco&address[state]=CA&address[postal_code]=94110&address[country]=US")["id"].(string)
	s.reader = s.stripe("POST", "/v1/terminal/readers", "registration_code=simulated-wpe&label=1&location="+s.loc)["id"].(string)
	transport := &http.Transport{}
	api, err := stripeapi.New(stripeapi.Options{Key: stripeapi.Key(box.RestrictedKey()), BaseURL: front.URL, HTTP: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	s.opts = hq.Options{Stripe: api, WebhookSecret: []string{box.WebhookSecret()}, Log: quiet(), Version: "test",
		Poll: 50 * time.Millisecond, ReadBudget: unrationed, RefundGap: 100 * time.Millisecond,
		Now: func() time.Time { return time.Now().Add(time.Duration(s.shift.Load())) },
		Fault: func(step string) error {
			if f := s.fault.Load(); f != nil {
				return (*f)(step)
			}
			return nil
		}}
	giveDatabase(t, &s.opts)
	for _, c := range change {
		c(&s.opts)
	}
	t.Cleanup(func() {
		s.down()
		transport.CloseIdleConnections()
		front.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	s.up()
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test, TimeZone: "America/Los_Angeles"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 1", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.client.Credential = func() string { return e.Credential }
	return s
}

// place is another Location of the account.
func (s *shop) place() string {
	s.t.Helper()
	return s.stripe("POST", "/v1/terminal/locations", "display_name=Other&address[line1]=2+Street&address[city]=San+Francisco&address[state]=CA&address[postal_code]=94110&address[country]=US")["id"].(string)
}

// up starts headquarters on its database.
func (s *shop) up() {
	s.t.Helper()
	server, err := hq.NewServer(s.opts)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.server, s.stop, s.done, s.once = server, cancel, make(chan error, 1), &sync.Once{}
	go func() { s.done <- server.Run(ctx) }()
	client := &hq.Client{URL: "http://hq", HTTP: &http.Client{Transport: hq.NewLocal(server)}, Version: "test"}
	if s.client != nil {
		client.Credential = s.client.Credential
	}
	s.client = client
}

// down stops headquarters; the database stays.
func (s *shop) down() {
	s.once.Do(func() {
		s.stop()
		if err := <-s.done; err != nil {
			s.t.Errorf("run: %v", err)
		}
		if err := s.server.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	})
}

// breakAt fails the named step the next n times; the returned function tells
// whether it happened.
func (s *shop) breakAt(step string, n int32) (broke func() bool) {
	left := n
	var mu sync.Mutex
	f := func(at string) error {
		mu.Lock()
		defer mu.Unlock()
		if at == step && left > 0 {
			left--
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	s.fault.Store(&f)
	return func() bool { mu.Lock(); defer mu.Unlock(); return left < n }
}

// stripe asks the sandbox with the full key, as a person at the Dashboard would.
func (s *shop) stripe(method, path, form string) map[string]any {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.boxURL+path, strings.NewReader(form))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.box.SecretKey())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	var v map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %d %v", method, path, resp.StatusCode, v)
	}
	return v
}

// call passes a call on as the till.
func (s *shop) call(c doors.Call, key string, params url.Values) (map[string]any, error) {
	raw, err := s.client.Stripe(s.t.Context(), s.till, c, key, params)
	if err != nil {
		return nil, err
	}
	var v map[string]any
	return v, json.Unmarshal(raw, &v)
}

// created is an intent that nobody has paid yet.
func (s *shop) created(amount string) string {
	s.t.Helper()
	v, err := s.call(doors.CreatePaymentIntent, "", url.Values{"amount": {amount}, "currency": {"usd"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return v["id"].(string)
}

// pay has a customer present a test card for the intent.
func (s *shop) pay(intent string) {
	s.t.Helper()
	s.stripe("POST", "/v1/terminal/readers/"+s.reader+"/process_payment_intent", "payment_intent="+intent)
	s.stripe("POST", "/v1/test_helpers/terminal/readers/"+s.reader+"/present_payment_method", "")
}

// authorised is an intent that waits to be captured.
func (s *shop) authorised(amount string) string {
	s.t.Helper()
	id := s.created(amount)
	s.pay(id)
	return id
}

// op is an operation as a hub would offer it.
func op(kind doors.Kind, id, ref string, amount int64) hq.Submitted {
	o := hq.Submitted{ID: id, Kind: kind, Ref: ref, Till: "till 1", Mode: doors.Test, CreatedAt: time.Unix(1_790_000_000, 0).UTC()}
	if amount > 0 {
		o.Amount = &amount
		o.Currency = "usd"
	}
	return o
}

// submit offers operations the way a hub does, until headquarters' chain is ours.
func (s *shop) submit(ops ...hq.Submitted) hq.Receipt {
	s.t.Helper()
	sub := hq.Submission{Epoch: s.epoch, Head: s.head}
	for _, o := range ops {
		s.number++
		o.Number = s.number
		s.head = hq.Chain(s.head, o.ID)
		sub.Operations = append(sub.Operations, o)
	}
	rc, err := s.client.Submit(s.t.Context(), sub)
	if err != nil {
		s.t.Fatal(err)
	}
	s.epoch = rc.Epoch
	if rc.AcceptedThrough != s.number || rc.Head != s.head {
		s.t.Fatalf("receipt %+v, want through %d, head %s", rc, s.number, s.head)
	}
	return rc
}

// until reads the feed until a line fits, and returns it.
func (s *shop) until(what string, fits func(hq.Item) bool) hq.Item {
	s.t.Helper()
	for _, it := range s.items {
		if fits(it) {
			return it
		}
	}
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		f, err := s.client.Feed(s.t.Context(), s.epoch, s.seq, 5*time.Second)
		if err != nil {
			s.t.Fatal(err)
		}
		if f.Epoch != s.epoch {
			s.epoch, s.seq = f.Epoch, 0
			continue
		}
		for _, it := range f.Items {
			if it.Seq != s.seq+1 {
				s.t.Fatalf("feed has a gap: %d after %d", it.Seq, s.seq)
			}
			s.seq = it.Seq
			s.items = append(s.items, it)
		}
		for _, it := range f.Items {
			if fits(it) {
				return it
			}
		}
	}
	b, _ := json.MarshalIndent(s.items, "", " ")
	s.t.Fatalf("no line of the feed is %s; there are %s", what, b)
	return hq.Item{}
}

// ended waits for the operation's end.
func (s *shop) ended(id string) hq.Item {
	s.t.Helper()
	return s.until("the end of "+id, func(it hq.Item) bool { return it.ID == id && it.Type == "operation" && it.State.Final() })
}

// waits waits until the operation waits for that reason.
func (s *shop) waits(id, reason string) hq.Item {
	s.t.Helper()
	return s.until(id+" waiting for "+reason, func(it hq.Item) bool { return it.ID == id && it.State == doors.Accepted && it.Reason == reason })
}

func (s *shop) want(id string, state doors.State, reason string) hq.Item {
	s.t.Helper()
	it := s.ended(id)
	if it.State != state || it.Reason != reason {
		s.t.Fatalf("%s ended %s %q (%s), want %s %q", id, it.State, it.Reason, it.Message, state, reason)
	}
	return it
}

// effects counts what the sandbox's books say happened to an intent's money.
func (s *shop) effects(intent, effect string) (n int, amount int64) {
	for _, e := range s.box.Books() {
		if e.Intent == intent && e.Effect == effect {
			n++
			amount += e.Amount
		}
	}
	return n, amount
}

// once fails unless the effect happened exactly once, with that amount.
func (s *shop) exactly(intent, effect string, amount int64) {
	s.t.Helper()
	if n, got := s.effects(intent, effect); n != 1 || got != amount {
		s.t.Fatalf("%s %s %d times, %d in all; want once, %d; books: %+v", intent, effect, n, got, amount, s.box.Books())
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
