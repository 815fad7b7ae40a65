package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// fakeHQ is a headquarters that is a value: a ledger in memory and a line that
// can be cut.
type fakeHQ struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced with each change
	store    hq.Store
	resolved []hq.Resolution
	silent   error // every exchange ends so
	refusal  *doors.Error
	slow     chan struct{} // tokens wait for it
	epoch    string
	accepted uint64
	head     string
	ops      map[string]hq.Submitted
	order    []string
	items    []hq.Item
	hold     bool // operations are accepted and not acted on
	fail     map[string]string
	poison   string // it breaks on what has this ref
	readers  []json.RawMessage
	software []hq.Software
	tokens   int
	calls    []stripeCall
	answers  map[doors.Call]string
	tills    []hq.TillRecord
	reports  []hq.Report
	evidence hq.Evidence
	noReport error // what it answers to a report
	repeats  int   // operations offered that were known already

	loseReceipts int // of so many submissions the receipt is lost on the way
}

type stripeCall struct {
	Till   doors.Till
	Call   doors.Call
	Key    string
	Params url.Values
}

var errCut = errors.New("dial tcp 203.0.113.1:443: connect: network is unreachable")

func newFakeHQ() *fakeHQ {
	return &fakeHQ{
		changed: make(chan struct{}), epoch: "e1", ops: map[string]hq.Submitted{},
		store:   hq.Store{ID: "0412", Location: "tml_1", Mode: doors.Test, TimeZone: "Europe/Berlin", DayEnds: "04:00"},
		answers: map[doors.Call]string{}, fail: map[string]string{},
	}
}

func (f *fakeHQ) set(change func(*fakeHQ)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeHQ) cut()  { f.set(func(f *fakeHQ) { f.silent = errCut }) }
func (f *fakeHQ) mend() { f.set(func(f *fakeHQ) { f.silent = nil }) }

// answer is nil if headquarters hears and is willing.
func (f *fakeHQ) answer() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent != nil {
		return f.silent
	}
	if f.refusal != nil {
		return f.refusal
	}
	return nil
}

func (f *fakeHQ) Store(context.Context) (hq.Store, error) { return f.store, f.answer() }

func (f *fakeHQ) ConnectionToken(ctx context.Context, _ doors.Till) (json.RawMessage, error) {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	if slow != nil {
		select {
		case <-slow:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := f.answer(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens++
	return json.RawMessage(fmt.Sprintf(`{"object":"terminal.connection_token","location":%q,"secret":"pst_test_%d"}`, f.store.Location, f.tokens)), nil
}

func (f *fakeHQ) Stripe(_ context.Context, t doors.Till, c doors.Call, key string, params url.Values) (json.RawMessage, error) {
	if err := f.answer(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, stripeCall{t, c, key, params})
	if a, ok := f.answers[c]; ok {
		return json.RawMessage(a), nil
	}
	return nil, doors.ErrStripeRefused.With("no such thing")
}

func (f *fakeHQ) Submit(_ context.Context, s hq.Submission) (hq.Receipt, error) {
	if err := f.answer(); err != nil {
		return hq.Receipt{}, err
	}
	f.mu.Lock()
	poison := slices.ContainsFunc(s.Operations, func(op hq.Submitted) bool { return f.poison != "" && op.Ref == f.poison })
	f.mu.Unlock()
	if poison {
		return hq.Receipt{}, &hq.StatusError{Status: 500}
	}
	f.set(func(f *fakeHQ) {
		if s.Epoch != "" && s.Epoch != f.epoch {
			return // the receipt tells the hub which epoch holds
		}
		for _, op := range s.Operations {
			if _, known := f.ops[op.ID]; known {
				f.repeats++
				continue
			}
			f.ops[op.ID] = op
			f.order = append(f.order, op.ID)
			f.accepted = max(f.accepted, op.Number)
			f.head = hq.Chain(f.head, op.ID)
			if !f.hold {
				f.act(op.ID)
			}
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loseReceipts > 0 {
		f.loseReceipts--
		return hq.Receipt{}, errCut
	}
	return hq.Receipt{Epoch: f.epoch, AcceptedThrough: f.accepted, Head: f.head}, nil
}

// act ends an operation. The caller holds the lock.
func (f *fakeHQ) act(id string) {
	op := f.ops[id]
	it := hq.Item{Seq: uint64(len(f.items) + 1), Type: "operation", At: time.Now(), ID: id, State: doors.Succeeded}
	if reason := f.fail[op.Ref]; reason != "" {
		it.State, it.Reason, it.Message = doors.Failed, reason, "The card was declined."
	} else if op.Kind == doors.Capture {
		it.Result = json.RawMessage(`{"amount_received":1250,"currency":"eur"}`)
	}
	f.items = append(f.items, it)
}

func (f *fakeHQ) Feed(ctx context.Context, epoch string, after uint64, wait time.Duration) (hq.Feed, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		if err := f.answer(); err != nil {
			return hq.Feed{}, err
		}
		f.mu.Lock()
		out := hq.Feed{Epoch: f.epoch, AcceptedThrough: f.accepted, Head: f.head}
		for _, it := range f.items {
			if it.Seq > after {
				out.Items = append(out.Items, it)
			}
		}
		changed := f.changed
		f.mu.Unlock()
		if epoch != "" && epoch != out.Epoch {
			out.Items = nil
			return out, nil
		}
		if len(out.Items) > 0 {
			return out, nil
		}
		select {
		case <-changed:
		case <-timeout.C:
			return out, nil
		case <-ctx.Done():
			return hq.Feed{}, ctx.Err()
		}
	}
}

func (f *fakeHQ) Chain(_ context.Context, epoch string, after uint64, nonce string) (hq.ChainPage, error) {
	if err := f.answer(); err != nil {
		return hq.ChainPage{}, err
	}
	return hq.ChainPage{}, doors.ErrNotFound // an older headquarters
}

func (f *fakeHQ) Readers(context.Context) (hq.ReaderList, error) {
	if err := f.answer(); err != nil {
		return hq.ReaderList{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return hq.ReaderList{At: time.Now(), Readers: f.readers, Software: f.software}, nil
}

// Resolve implements [HQ].
func (f *fakeHQ) Resolve(_ context.Context, r hq.Resolutions) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent != nil {
		return f.silent
	}
	f.resolved = append(f.resolved, r.Resolutions...)
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// Tills implements [HQ].
func (f *fakeHQ) Tills(_ context.Context, b hq.TillBook) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent != nil {
		return f.silent
	}
	f.tills = b.Tills
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// Report implements [HQ].
func (f *fakeHQ) Evidence(context.Context) (hq.Evidence, error) {
	err := f.answer()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.evidence, err
}

func (f *fakeHQ) Report(_ context.Context, r hq.Report) (hq.Reported, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silent != nil {
		return hq.Reported{}, f.silent
	}
	f.reports = append(f.reports, r)
	close(f.changed)
	f.changed = make(chan struct{})
	return hq.Reported{At: time.Now()}, f.noReport
}

// Certificate signs nothing.
func (f *fakeHQ) Certificate(context.Context, hq.CertificateRequest) (hq.Certificate, error) {
	if err := f.answer(); err != nil {
		return hq.Certificate{}, err
	}
	return hq.Certificate{}, doors.ErrNotFound
}
