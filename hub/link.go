package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// HQ is what the hub asks of headquarters: the methods of [*hq.Client]. A
// *doors.Error is an answer; any other error is silence.
type HQ interface {
	Store(ctx context.Context) (hq.Store, error)
	ConnectionToken(ctx context.Context, t doors.Till) (json.RawMessage, error)
	Stripe(ctx context.Context, t doors.Till, c doors.Call, key string, params url.Values) (json.RawMessage, error)
	Submit(ctx context.Context, s hq.Submission) (hq.Receipt, error)
	Feed(ctx context.Context, epoch string, after uint64, wait time.Duration) (hq.Feed, error)
	Chain(ctx context.Context, epoch string, after uint64, nonce string) (hq.ChainPage, error)
	Readers(ctx context.Context) (hq.ReaderList, error)
	Evidence(ctx context.Context) (hq.Evidence, error)
	Tills(ctx context.Context, b hq.TillBook) error
	Resolve(ctx context.Context, r hq.Resolutions) error
	Report(ctx context.Context, r hq.Report) (hq.Reported, error)
	Certificate(ctx context.Context, r hq.CertificateRequest) (hq.Certificate, error)
}

// link remembers how the conversation with headquarters goes.
type link struct {
	mu       sync.Mutex
	lastOK   time.Time // of the last answer, whatever it said
	lastFail time.Time
	failing  time.Time     // since when there is silence; zero: the last exchange was answered
	refused  bool          // the last answer was that our credential is not known
	err      string        // of the last silence
	noStripe time.Time     // when headquarters last said that Stripe is silent; zero: Stripe answered since
	fell     chan struct{} // closed and replaced when silence begins
	changed  func(up bool)
	doubt    bool        // an idle poll has died, and nothing was asked since
	held     []time.Time // when polls ended as agreed, of the last hour
	cut      []diagnostics.Cut
}

const (
	// pollsKept is how long the end of a poll says something of the line.
	pollsKept = time.Hour
	// idleAtLeast: a poll that dies younger is an exchange that failed.
	idleAtLeast = 5 * time.Second
	// answeredWithin is how soon the next answer must come to say that the line is
	// sound.
	answeredWithin = 10 * time.Second
)

// linkState is a link at one moment.
type linkState struct {
	LastOK, LastFail, Failing, NoStripe time.Time
	Refused                             bool
	Err                                 string
}

func (l *link) state() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return linkState{LastOK: l.lastOK, LastFail: l.lastFail, Failing: l.failing, NoStripe: l.noStripe, Refused: l.refused, Err: l.err}
}

// silence is closed when the next silence begins.
func (l *link) silence() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fell == nil {
		l.fell = make(chan struct{})
	}
	return l.fell
}

// note takes in how one exchange ended. One that was called off by whoever
// asked says nothing.
func (l *link) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	now := time.Now()
	l.mu.Lock()
	l.doubt = false
	was := !l.failing.IsZero() || l.refused
	var answer *doors.Error
	switch answered := err == nil || errors.As(err, &answer); {
	case answered:
		l.lastOK, l.failing, l.err = now, time.Time{}, ""
		l.refused = answer != nil && answer.Code == doors.ErrCredential.Code
		if n := len(l.cut); n > 0 && now.Sub(l.cut[n-1].At) <= answeredWithin {
			l.cut[n-1].Answered = true
		}
	default:
		if l.failing.IsZero() {
			l.failing = now
			if l.fell != nil {
				close(l.fell)
				l.fell = nil
			}
		}
		l.lastFail, l.err = now, err.Error()
	}
	is := !l.failing.IsZero() || l.refused
	l.mu.Unlock()
	if was != is && l.changed != nil {
		l.changed(!is)
	}
}

// watched is headquarters with a note taken of each exchange.
type watched struct {
	hq   HQ
	link *link
	slow func() // an exchange takes long: something may be wrong
}

// slowExchange: headquarters answers in well under a second; a network check
// started now is done before a till's 8 seconds are over.
const slowExchange = 1500 * time.Millisecond

// stripe takes in what an exchange that went on to Stripe says of Stripe.
func (l *link) stripe(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.noStripe = time.Time{}
	case errors.Is(err, doors.ErrStripeSilent):
		l.noStripe = time.Now()
	}
}

func exchange[T any](w *watched, f func() (T, error)) (T, error) {
	if w.slow != nil {
		defer time.AfterFunc(slowExchange, w.slow).Stop()
	}
	v, err := f()
	w.link.note(err)
	return v, err
}

func (w *watched) Store(ctx context.Context) (hq.Store, error) {
	return exchange(w, func() (hq.Store, error) { return w.hq.Store(ctx) })
}

func (w *watched) ConnectionToken(ctx context.Context, t doors.Till) (json.RawMessage, error) {
	token, err := exchange(w, func() (json.RawMessage, error) { return w.hq.ConnectionToken(ctx, t) })
	w.link.stripe(err)
	return token, err
}

func (w *watched) Stripe(ctx context.Context, t doors.Till, c doors.Call, key string, params url.Values) (json.RawMessage, error) {
	obj, err := exchange(w, func() (json.RawMessage, error) { return w.hq.Stripe(ctx, t, c, key, params) })
	w.link.stripe(err)
	return obj, err
}

// Submit says nothing of the line when headquarters may have broken on what was
// offered: tills must not be told that it is silent.
func (w *watched) Submit(ctx context.Context, s hq.Submission) (hq.Receipt, error) {
	if w.slow != nil {
		defer time.AfterFunc(slowExchange, w.slow).Stop()
	}
	r, err := w.hq.Submit(ctx, s)
	var held *offlinequeue.Refusal
	if !errors.As(notTaken(err), &held) {
		w.link.note(err)
	}
	return r, err
}

// Feed is meant to take long. One that dies while it is idle says something of
// the line, and nothing of headquarters before that is asked again.
func (w *watched) Feed(ctx context.Context, epoch string, after uint64, wait time.Duration) (hq.Feed, error) {
	began := time.Now()
	f, err := w.hq.Feed(ctx, epoch, after, wait)
	if wait > 0 && w.link.polled(began, wait, len(f.Items), err) {
		return f, err
	}
	w.link.note(err)
	return f, err
}

func (w *watched) Chain(ctx context.Context, epoch string, after uint64, nonce string) (hq.ChainPage, error) {
	return exchange(w, func() (hq.ChainPage, error) { return w.hq.Chain(ctx, epoch, after, nonce) })
}

// polled takes in how a long poll ended, and reports whether it was cut.
func (l *link) polled(began time.Time, wait time.Duration, items int, err error) (cut bool) {
	now := time.Now()
	age := now.Sub(began)
	var answer *doors.Error
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil && items == 0 && age >= wait*9/10:
		l.held = append(l.held, now)
	case err == nil, errors.As(err, &answer), errors.Is(err, context.Canceled), errors.Is(err, errUplinkCut), age < idleAtLeast:
		return false
	default:
		l.cut = append(l.cut, diagnostics.Cut{At: now, After: age, Error: err.Error()})
		l.doubt, cut = true, true
	}
	old := func(at time.Time) bool { return now.Sub(at) > pollsKept }
	l.held = slices.DeleteFunc(l.held, old)
	l.cut = slices.DeleteFunc(l.cut, func(c diagnostics.Cut) bool { return old(c.At) })
	return cut
}

// polls is how the last hour's long polls ended.
func (l *link) polls() *diagnostics.Polls {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &diagnostics.Polls{Since: time.Now().Add(-pollsKept), Cut: slices.Clone(l.cut)}
	p.Cut = slices.DeleteFunc(p.Cut, func(c diagnostics.Cut) bool { return c.At.Before(p.Since) })
	for _, at := range l.held {
		if !at.Before(p.Since) {
			p.Held++
		}
	}
	if p.Held == 0 && len(p.Cut) == 0 {
		return nil
	}
	return p
}

// inDoubt says that an idle poll has died and headquarters was not asked since.
func (l *link) inDoubt() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubt
}

func (w *watched) Readers(ctx context.Context) (hq.ReaderList, error) {
	return exchange(w, func() (hq.ReaderList, error) { return w.hq.Readers(ctx) })
}

func (w *watched) Resolve(ctx context.Context, r hq.Resolutions) error {
	_, err := exchange(w, func() (struct{}, error) { return struct{}{}, w.hq.Resolve(ctx, r) })
	return err
}

func (w *watched) Tills(ctx context.Context, b hq.TillBook) error {
	_, err := exchange(w, func() (struct{}, error) { return struct{}{}, w.hq.Tills(ctx, b) })
	return err
}

// Evidence says nothing of the line unless it was answered: another make of headquarters
// need not know of it, and Stripe may take its time.
func (w *watched) Evidence(ctx context.Context) (hq.Evidence, error) {
	return noteAnswer(w, func() (hq.Evidence, error) { return w.hq.Evidence(ctx) })
}

// Certificate may wait: its silence says nothing of the line.
func (w *watched) Certificate(ctx context.Context, r hq.CertificateRequest) (hq.Certificate, error) {
	return noteAnswer(w, func() (hq.Certificate, error) { return w.hq.Certificate(ctx, r) })
}

// Report says nothing of the line unless it was answered: another make of headquarters
// need not know of reports, and an outage is for money to find.
func (w *watched) Report(ctx context.Context, r hq.Report) (hq.Reported, error) {
	return noteAnswer(w, func() (hq.Reported, error) { return w.hq.Report(ctx, r) })
}

// noteAnswer takes a note of an exchange that was answered.
func noteAnswer[T any](w *watched, f func() (T, error)) (T, error) {
	v, err := f()
	var answer *doors.Error
	if err == nil || errors.As(err, &answer) {
		w.link.note(err)
	}
	return v, err
}
