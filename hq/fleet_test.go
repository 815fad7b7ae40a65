package hq_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/postgres"
	"storehub/hq/stripeapi"
	"storehub/internal/pgcluster"
	"storehub/internal/sandbox"
)

// replicaOrder is what a replica in a process of its own is told.
type replicaOrder struct {
	Database, Stripe, Key, Secret string
	Ahead                         time.Duration // its clock's
}

// serveReplica is the life of such a process: a headquarters on a port that it
// names on its first line, until whoever started it is gone.
func serveReplica(order string) (code int) {
	err := func() error {
		var o replicaOrder
		if err := json.Unmarshal([]byte(order), &o); err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // ends with the other end
			stop()
		}()
		engine, err := postgres.Open(ctx, o.Database, quiet())
		if err != nil {
			return err
		}
		limit := stripeapi.Limit("key", 100)
		api, err := stripeapi.New(stripeapi.Options{Key: stripeapi.Key(o.Key), BaseURL: o.Stripe, Limit: limit.Wait})
		if err != nil {
			return err
		}
		server, err := hq.NewServer(hq.Options{Engine: engine, Limiters: []hq.Limiter{limit}, Stripe: api, WebhookSecret: []string{o.Secret}, Log: quiet(),
			Version: "test", Poll: 500 * time.Millisecond, ReadBudget: unrationed, RefundGap: 500 * time.Millisecond, Lease: 3 * time.Second,
			Now: func() time.Time { return time.Now().Add(o.Ahead) }})
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return errors.Join(err, server.Close())
		}
		web := &http.Server{Handler: server.Handler(), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = web.Serve(ln) }() // ends with the process
		fmt.Println(ln.Addr())
		return errors.Join(server.Run(ctx), server.Close())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fleet is a sandbox of Stripe, a PostgreSQL, replicas in processes of their own
// behind one address, and a hand on each.
type fleet struct {
	t     *testing.T
	box   *sandbox.Sandbox
	pg    *pgcluster.Cluster
	order replicaOrder
	url   string      // of whichever replica
	cut   atomic.Bool // Stripe cannot be reached

	mu       sync.Mutex
	replicas []*replica
}

type replica struct {
	cmd  *exec.Cmd
	base *url.URL
}

func newFleet(t *testing.T, replicas int, seed uint64) *fleet {
	t.Helper()
	f := &fleet{t: t, replicas: make([]*replica, replicas)}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(f.any()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	front := httptest.NewServer(proxy)
	f.url = front.URL
	var err error
	if f.box, err = sandbox.New(sandbox.Options{Log: quiet(), Seed: seed, WebhookURL: front.URL + "/stripe/webhook"}); err != nil {
		t.Fatal(err)
	}
	stripe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		f.box.Handler().ServeHTTP(w, r)
	}))
	// A commit that was answered survives the server's being killed; power cuts are
	// PostgreSQL's own to prove.
	if f.pg, err = pgcluster.Start("fsync=off", "full_page_writes=off"); err != nil {
		t.Fatal(err)
	}
	database, err := f.pg.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.order = replicaOrder{Database: database, Stripe: stripe.URL, Key: f.box.RestrictedKey(), Secret: f.box.WebhookSecret()}
	t.Cleanup(func() {
		for i := range f.replicas {
			f.kill(i)
		}
		stripe.Close()
		front.Close()
		if err := errors.Join(f.box.Close(), f.pg.Close()); err != nil {
			t.Error(err)
		}
	})
	for i := range f.replicas {
		f.start(i)
	}
	return f
}

// any is a replica that lives, as far as is known here.
func (f *fleet) any() *url.URL {
	f.mu.Lock()
	defer f.mu.Unlock()
	var live []*url.URL
	for _, r := range f.replicas {
		if r != nil {
			live = append(live, r.base)
		}
	}
	if len(live) == 0 {
		return &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	}
	return live[rand.N(len(live))]
}

// start begins a replica where there is none.
func (f *fleet) start(i int) {
	order, err := json.Marshal(f.order)
	if err != nil {
		f.t.Error(err)
		return
	}
	cmd := exec.Command(os.Args[0], "replica", string(order))
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err = errors.Join(err1, err2); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.t.Error(err)
		return
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil { // the database was not there: as a service manager would, later
		_ = cmd.Wait()
		_ = in.Close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas[i] = &replica{cmd, &url.URL{Scheme: "http", Host: strings.TrimSpace(line)}}
}

// kill ends a replica by SIGKILL: it can say nothing more.
func (f *fleet) kill(i int) (was bool) {
	f.mu.Lock()
	r := f.replicas[i]
	f.replicas[i] = nil
	f.mu.Unlock()
	if r == nil {
		return false
	}
	_ = r.cmd.Process.Kill() // it may be gone
	_ = r.cmd.Wait()         // killed: that is what was asked for
	return true
}

// outage is one of Stripe for so long by everybody's clock. No replica lives while
// the clock jumps, so none has a call under way that would last for all of it.
func (f *fleet) outage(d time.Duration) {
	f.cut.Store(true)
	for i := range f.replicas {
		f.kill(i)
	}
	f.box.Advance(d)
	f.order.Ahead += d
	for i := range f.replicas {
		f.start(i)
	}
	f.cut.Store(false)
}

// stripe asks the sandbox with the full key. Where it cannot be reached, nothing was done.
func (f *fleet) stripe(ctx context.Context, path, form string) (id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.order.Stripe+path, strings.NewReader(form))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+f.box.SecretKey())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", errAway
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %d %s %w", path, resp.StatusCode, b, err)
	}
	var v struct{ ID string }
	return v.ID, json.Unmarshal(b, &v)
}

var errAway = errors.New("stripe is away")

// made is one of Stripe's objects, before anything is broken.
func (f *fleet) made(path, form string) string {
	f.t.Helper()
	id, err := f.stripe(f.t.Context(), path, form)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// hub is a store's hub with what it offered and what it was told.
type hub struct {
	f        *fleet
	client   *hq.Client
	location string
	reader   string
	epoch    string
	head     string
	number   uint64
	offered  []hq.Submitted

	mu   sync.Mutex
	ends map[string]hq.Item
}

func (f *fleet) hub(id string) *hub {
	f.t.Helper()
	h := &hub{f: f, ends: map[string]hq.Item{}}
	h.location = f.made("/v1/terminal/locations", "display_name=Shop&address[line1]=1+Street&address[city]=San+Francisco&address[state]=CA&address[postal_code]=94110&address[country]=US")
	h.reader = f.made("/v1/terminal/readers", "registration_code=simulated-wpe&location="+h.location)
	engine, err := postgres.Open(f.t.Context(), f.order.Database, quiet())
	if err != nil {
		f.t.Fatal(err)
	}
	office, err := hq.NewServer(hq.Options{Engine: engine, Log: quiet()})
	if err != nil {
		f.t.Fatal(err)
	}
	code, _, err := office.AddStore(f.t.Context(), hq.Store{ID: id, Location: h.location, Mode: doors.Test})
	if err := errors.Join(err, office.Close()); err != nil {
		f.t.Fatal(err)
	}
	h.client = &hq.Client{URL: f.url, Version: "test", Run: "1", HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	e, err := h.client.Enrol(f.t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine " + id, Version: "test"})
	if err != nil {
		f.t.Fatal(err)
	}
	h.client.Credential = func() string { return e.Credential }
	return h
}

// authorise makes a payment that waits to be captured; while Stripe is away a till waits.
func (h *hub) authorise(ctx context.Context, amount int64) (intent string, err error) {
	for _, step := range []struct{ path, form string }{
		{"/v1/payment_intents", fmt.Sprintf("amount=%d&currency=usd&capture_method=manual&payment_method_types[]=card_present", amount)},
		{"/v1/terminal/readers/" + h.reader + "/process_payment_intent", "payment_intent="},
		{"/v1/test_helpers/terminal/readers/" + h.reader + "/present_payment_method", ""},
	} {
		form := step.form
		if form == "payment_intent=" {
			form += intent
		}
		var id string
		for {
			if id, err = h.f.stripe(ctx, step.path, form); !errors.Is(err, errAway) {
				break
			}
			if err := pauseFor(ctx, 50*time.Millisecond); err != nil {
				return "", err
			}
		}
		if err != nil {
			return "", err
		}
		if intent == "" {
			intent = id
		}
	}
	return intent, nil
}

// offer gives operations to headquarters until they are acknowledged.
func (h *hub) offer(ctx context.Context, rng *rand.Rand, ops []hq.Submitted) error {
	sub := hq.Submission{Head: h.head, Operations: ops}
	for i := range ops {
		h.number++
		ops[i].Number = h.number
		h.head = hq.Chain(h.head, ops[i].ID)
	}
	for again := rng.IntN(4) == 0; ; { // the receipt of some is lost on its way
		sub.Epoch = h.epoch
		rc, err := h.client.Submit(ctx, sub)
		var no *doors.Error
		switch {
		case errors.As(err, &no):
			return err
		case err == nil && (rc.AcceptedThrough != h.number || rc.Head != h.head || h.epoch != "" && rc.Epoch != h.epoch):
			return fmt.Errorf("receipt %+v; want %d in epoch %q: headquarters forgot something", rc, h.number, h.epoch)
		case err == nil && !again:
			h.epoch, h.offered = rc.Epoch, append(h.offered, ops...)
			return nil
		}
		again = again && err != nil
		if pauseFor(ctx, time.Duration(rng.IntN(100))*time.Millisecond) != nil {
			return ctx.Err()
		}
	}
}

// follow reads the feed until ctx ends. An end that is told twice, or a number
// that is missing, is an error.
func (h *hub) follow(ctx context.Context) error {
	epoch, seq := "", uint64(0)
	for ctx.Err() == nil {
		page, err := h.client.Feed(ctx, epoch, seq, 5*time.Second)
		if err != nil {
			_ = pauseFor(ctx, 50*time.Millisecond) // silence: ask again
			continue
		}
		if epoch != "" && page.Epoch != epoch {
			return fmt.Errorf("epoch %s after %s: headquarters forgot something", page.Epoch, epoch)
		}
		epoch = page.Epoch
		for _, it := range page.Items {
			if seq++; it.Seq != seq {
				return fmt.Errorf("line %d of the feed has number %d", seq, it.Seq)
			}
			if it.Type != "operation" || !it.State.Final() {
				continue
			}
			h.mu.Lock()
			_, told := h.ends[it.ID]
			h.ends[it.ID] = it
			h.mu.Unlock()
			if told {
				return fmt.Errorf("the end of %s was told twice", it.ID)
			}
		}
	}
	return nil
}

// open is how many acknowledged operations have no end yet.
func (h *hub) open() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.offered {
		if _, ended := h.ends[o.ID]; !ended {
			n++
		}
	}
	return n
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
