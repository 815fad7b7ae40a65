// Package conformance asks a running headquarters what the wire of package hq
// demands of it, so that a retailer with an own backend learns what fails. It does
// what a hub does, as the hub of a test store made for it, and a little that no hub
// would do.
package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// Target is the headquarters that is asked.
type Target struct {
	URL      string        // base, without a trailing slash
	Code     string        // one-time code of a test store that has no other hub
	Currency string        // of the test payments, as the store's country takes it
	HTTP     *http.Client  // nil: one of its own
	Patience time.Duration // for what headquarters does in its own time; 0: 90 s
	Version  string

	only string // a test asks for one check and what it needs
}

func (t Target) asked() []check {
	if t.only == "" {
		return checks
	}
	wanted := map[string]bool{t.only: true}
	var asked []check
	for _, c := range slices.Backward(checks) {
		if wanted[c.name] {
			asked = append(asked, c)
			for _, need := range c.needs {
				wanted[need] = true
			}
		}
	}
	slices.Reverse(asked)
	return asked
}

// State is what became of a check.
type State string

// The states. Unknown is no "no": headquarters was silent or broke.
const (
	Pass    State = "pass"
	Fail    State = "fail"
	Unknown State = "unknown"
	Skip    State = "skip" // what it needs did not pass
)

// Result is one check's answer.
type Result struct {
	Name   string `json:"name"`
	Demand string `json:"demand"` // what headquarters must do
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"`
	TookMS int64  `json:"took_ms"`
}

// Report is the whole answer, in the order of asking.
type Report struct {
	URL       string    `json:"url"`
	Store     string    `json:"store,omitempty"`
	StartedAt time.Time `json:"started_at"`
	Results   []Result  `json:"results"`
}

// Conforms reports whether every check passed.
func (r Report) Conforms() bool {
	for _, res := range r.Results {
		if res.State != Pass {
			return false
		}
	}
	return len(r.Results) > 0
}

// machine is the fingerprint that every run shows, so that a second run with a new
// code is the same hub enrolled again.
const machine = "storehub conformance"

// ErrLive says that the store is not one to try things with.
var ErrLive = errors.New("the store is of mode live; conformance is tried with a test store of its own")

// Run asks everything and tells each answer as it comes. It errs when nothing could
// be asked at all.
func Run(ctx context.Context, t Target, tell func(Result)) (Report, error) {
	s := &session{t: t, ended: map[string]hq.Item{}, passed: map[string]bool{}, tag: rand.Text()[:12]}
	if s.t.Patience == 0 {
		s.t.Patience = 90 * time.Second
	}
	if s.t.HTTP == nil {
		transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second}
		defer transport.CloseIdleConnections()
		s.t.HTTP = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	s.hub = &hq.Client{URL: t.URL, HTTP: s.t.HTTP, Version: t.Version, Machine: machine, Run: "conformance " + s.tag, Credential: func() string { return s.credential }}
	report := Report{URL: t.URL, StartedAt: time.Now().UTC().Truncate(time.Second)}
	if _, err := s.send(ctx, http.MethodGet, "/store/v1/store", "", ""); err != nil {
		return report, err
	}
	for _, c := range t.asked() {
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		r := s.ask(ctx, c)
		report.Results = append(report.Results, r)
		if tell != nil {
			tell(r)
		}
		if report.Store = s.store.ID; s.store.Mode == doors.Live {
			return report, ErrLive
		}
	}
	return report, nil
}

// check is one demand.
type check struct {
	name   string
	demand string
	needs  []string // checks that must have passed before it can be asked
	run    func(ctx context.Context, s *session) error
}

// no is a demand that was not met.
type no string

func (n no) Error() string { return string(n) }

func refuse(format string, args ...any) error { return no(fmt.Sprintf(format, args...)) }

// session is a hub in the making.
type session struct {
	t          Target
	hub        *hq.Client
	tag        string // of this run: ids and keys are never those of another
	credential string
	store      hq.Store
	passed     map[string]bool

	epoch, head string // the submit chain as this hub has it
	number      uint64

	feedEpoch string // where the feed was read to
	seq       uint64
	begun     bool               // a line was read: the next one has the next number
	items     []hq.Item          // every line read
	ended     map[string]hq.Item // the end of each operation

	reader, captured, uncaptured string
}

func (s *session) ask(ctx context.Context, c check) Result {
	r := Result{Name: c.name, Demand: c.demand}
	for _, need := range c.needs {
		if !s.passed[need] {
			r.State, r.Detail = Skip, need+" did not pass"
			return r
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.t.Patience+15*time.Second)
	defer cancel()
	began := time.Now()
	err := c.run(ctx, s)
	r.TookMS = time.Since(began).Milliseconds()
	r.State, r.Detail = judge(err)
	s.passed[c.name] = r.State == Pass
	return r
}

// judge tells a demand that was not met from not knowing.
func judge(err error) (State, string) {
	var unmet no
	var refused *doors.Error
	var status *hq.StatusError
	switch {
	case err == nil:
		return Pass, ""
	case errors.As(err, &unmet):
		return Fail, err.Error()
	case errors.As(err, &refused):
		return Fail, "it was refused: " + err.Error()
	case errors.As(err, &status) && status.Status < 500:
		return Fail, err.Error()
	}
	return Unknown, err.Error()
}

// reply is an answer as it came.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request that a hub might not make. Without a credential, none is shown.
func (s *session) send(ctx context.Context, method, path, credential, body string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.t.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return reply{}, fmt.Errorf("ask headquarters: %w", err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.t.HTTP.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("ask headquarters: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return reply{}, fmt.Errorf("read headquarters' answer: %w", err)
	}
	return reply{resp.StatusCode, resp.Header, b}, nil
}

// refused demands a "no" of that status and code, in the words of the wire.
func (s *session) refused(ctx context.Context, method, path, credential, body string, want *doors.Error) error {
	r, err := s.send(ctx, method, path, credential, body)
	if err != nil {
		return err
	}
	e := doors.ParseError(r.status, r.body)
	switch {
	case r.status != want.Status:
		return refuse("%s %s was answered %d, want %d %s", method, path, r.status, want.Status, want.Code)
	case e == nil:
		return refuse("%s %s was answered %d without {\"error\":{\"code\":…}}", method, path, r.status)
	case e.Code != want.Code:
		return refuse("%s %s was refused with %q, want %q", method, path, e.Code, want.Code)
	case want == doors.ErrMethod && r.header.Get("Allow") == "":
		return refuse("%s %s was answered 405 without Allow", method, path)
	}
	return nil
}

// isRefused demands that a call of the hub's ended in that "no".
func isRefused(err error, want *doors.Error) error {
	var e *doors.Error
	switch {
	case err == nil:
		return refuse("it was done, want a refusal with %s", want.Code)
	case !errors.As(err, &e):
		return err
	case e.Code != want.Code || e.Status != want.Status:
		return refuse("it was refused with %d %s, want %d %s", e.Status, e.Code, want.Status, want.Code)
	}
	return nil
}

// op is an operation of this run as a hub would offer it. amount 0: none.
func (s *session) op(kind doors.Kind, id, ref string, amount int64) hq.Submitted {
	o := hq.Submitted{ID: "conformance-" + s.tag + "-" + id, Kind: kind, Ref: ref, Till: "conformance", Mode: doors.Test, CreatedAt: time.Now().UTC().Truncate(time.Second)}
	if amount > 0 {
		o.Amount, o.Currency = &amount, s.t.Currency
	}
	return o
}

// offer hands operations over as the next of the chain and demands the receipt.
func (s *session) offer(ctx context.Context, ops ...hq.Submitted) (hq.Submission, error) {
	sub := hq.Submission{Epoch: s.epoch, Head: s.head}
	number, head := s.number, s.head
	for _, o := range ops {
		number++
		o.Number, head = number, hq.Chain(head, o.ID)
		sub.Operations = append(sub.Operations, o)
	}
	rc, err := s.hub.Submit(ctx, sub)
	switch {
	case err != nil:
		return sub, err
	case rc.Epoch == "":
		return sub, refuse("the receipt names no epoch")
	case s.epoch != "" && rc.Epoch != s.epoch:
		return sub, refuse("the epoch changed from %q to %q although nothing was lost", s.epoch, rc.Epoch)
	case rc.AcceptedThrough != number || rc.Head != head:
		return sub, refuse("the receipt says through %d with head %.16q, want %d with %.16q", rc.AcceptedThrough, rc.Head, number, head)
	}
	s.epoch, s.number, s.head = rc.Epoch, number, head
	return sub, nil
}

// read takes in the lines that follow, waiting for the first of them.
func (s *session) read(ctx context.Context, wait time.Duration) error {
	f, err := s.hub.Feed(ctx, s.feedEpoch, s.seq, wait)
	if err != nil {
		return err
	}
	if f.Epoch != s.feedEpoch {
		s.feedEpoch, s.seq, s.begun = f.Epoch, 0, false
		return nil
	}
	for _, it := range f.Items {
		if s.begun && it.Seq != s.seq+1 || it.Seq <= s.seq {
			return refuse("line %d of the feed follows line %d", it.Seq, s.seq)
		}
		s.seq, s.begun = it.Seq, true
		s.items = append(s.items, it)
		if it.Type != "operation" {
			continue
		}
		contested := it.State == doors.Failed && it.Reason == doors.ErrKeyReused.Code // tells of the newcomer
		if was, done := s.ended[it.ID]; done && it.State != was.State && was.State != doors.Failed && !contested {
			return refuse("operation %s was %s and is %s", it.ID, was.State, it.State)
		}
		if it.State.Final() {
			s.ended[it.ID] = it
		}
	}
	return nil
}

// until reads on until a line fits.
func (s *session) until(ctx context.Context, what string, fits func(hq.Item) bool) (hq.Item, error) {
	deadline := time.Now().Add(s.t.Patience)
	for seen := 0; ; {
		for ; seen < len(s.items); seen++ {
			if fits(s.items[seen]) {
				return s.items[seen], nil
			}
		}
		if time.Now().After(deadline) {
			return hq.Item{}, refuse("after %s the feed has not said %s", s.t.Patience, what)
		}
		if err := s.read(ctx, 5*time.Second); err != nil {
			return hq.Item{}, err
		}
	}
}

// ends demands an operation's outcome.
func (s *session) ends(ctx context.Context, o hq.Submitted, state doors.State, reason string) error {
	it, err := s.until(ctx, "how "+o.ID+" ended", func(it hq.Item) bool { return it.Type == "operation" && it.ID == o.ID && it.State.Final() })
	if err != nil {
		return err
	}
	if it.State != state || reason != "" && it.Reason != reason {
		return refuse("%s ended %s %q (%s), want %s %q", o.Kind, it.State, it.Reason, it.Message, state, reason)
	}
	return nil
}

// rests demands that an operation is accepted and waits for a reason.
func (s *session) rests(ctx context.Context, o hq.Submitted, reason string) error {
	it, err := s.until(ctx, "what "+o.ID+" waits for", func(it hq.Item) bool {
		return it.Type == "operation" && it.ID == o.ID && (it.Reason != "" || it.State.Final())
	})
	if err == nil && (it.State != doors.Accepted || it.Reason != reason) {
		err = refuse("%s is %s %q (%s), want accepted %q", o.Kind, it.State, it.Reason, it.Message, reason)
	}
	return err
}

// till is who asks, with the rights that the check needs.
func (s *session) till(scope doors.Scope, mode doors.Mode) doors.Till {
	return doors.Till{Name: "conformance", Scope: scope, Mode: mode}
}

// fields reads what matters of one of Stripe's objects.
func fields(raw json.RawMessage) (map[string]any, error) {
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, refuse("the answer is no object: %.80q", raw)
	}
	return v, nil
}
