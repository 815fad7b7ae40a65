package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/rehearsal"
	"storehub/offlinequeue"
)

const (
	drillTill = "drill" // who asks for a token

	drillAtLeast = 5 * time.Second
	drillAtMost  = 30 * time.Minute
	// drillSlack is how much longer than asked for the line stays cut at most, whatever
	// becomes of the drill, and how long the store has to come back to itself.
	drillSlack = time.Minute
	// inUse: a till that has called within it is one whose conduct matters.
	inUse = 24 * time.Hour
	// selling: a till that has called within it is being sold at.
	selling = 15 * time.Minute
	// nearDeadline: money that has less than that may not wait for a drill.
	nearDeadline = time.Hour
)

// DrillRequest asks for a drill.
type DrillRequest struct {
	Seconds     int    `json:"seconds"` // that the line stays cut
	By          string `json:"by"`
	DuringSales bool   `json:"during_sales,omitempty"` // also while a live store sells
	DryRun      bool   `json:"dry_run,omitempty"`      // only tell what would be done
}

func (r DrillRequest) length() time.Duration { return time.Duration(r.Seconds) * time.Second }

// drill is one on its way.
type drill struct {
	*Hub
	request    DrillRequest
	self       Addr // as tills reach it
	began      time.Time
	cutAt      time.Time
	mode       doors.Mode
	tillsInUse []TillInfo // as it began
	kept       string     // the operation that was promised with the line cut
	words      []string   // what a till was told
}

// drillScene is one thing that must happen.
type drillScene struct {
	name, says string
	play       func(*drill, context.Context) error
	vital      bool // without it the rest says nothing
}

var drillScenes = []drillScene{
	{"cut", "a till learns that card payments are down, within 15 s", (*drill).seesTheCut, true},
	{"token", "a token is refused at once, in words", (*drill).refusesAToken, false},
	{"promise", "what is promised with the line cut is on the disk", (*drill).promises, false},
	{"name", "a till opens the hub without the internet", (*drill).opensItself, false},
	{"tills", "every till in use calls while the line is cut, and is answered", (*drill).watchesTills, false},
	{"restored", "with the line whole again, what waited is delivered within a minute", (*drill).delivers, true},
}

// errNoDrill is why none is held.
type errNoDrill string

func (e errNoDrill) Error() string { return string(e) }

// mayDrill says why it must not be now. Nothing has been touched yet.
func (d *drill) mayDrill(ctx context.Context) error {
	if _, err := d.hq.Store(ctx); err != nil {
		return errNoDrill("headquarters does not answer as it is: mend that first (" + err.Error() + ")")
	}
	s := d.store.Load()
	if s == nil {
		return errNoDrill("headquarters has not yet told this hub whether the store is live")
	}
	d.mode = s.Mode
	stats := d.queue.Stats()
	if at := stats.NextDeadline; !at.IsZero() && at.Before(d.now().Add(d.request.length()+nearDeadline)) {
		return errNoDrill("a payment waits that lapses at " + at.UTC().Format(time.RFC3339) + ": let it be captured first")
	}
	for _, t := range d.tills.List() {
		ago := d.now().Sub(t.LastUsed)
		if t.Revoked.IsZero() && !t.LastUsed.IsZero() && ago < inUse {
			d.tillsInUse = append(d.tillsInUse, t)
			if d.mode == doors.Live && ago < selling && !d.request.DuringSales {
				return errNoDrill(fmt.Sprintf("till %s called %s ago: customers would wait; come back when the shop is closed, or add --during-sales", t.Name, ago.Round(time.Second)))
			}
		}
	}
	return nil
}

// drillNow cuts this hub's line to headquarters, looks at what the hub and its tills do,
// and mends it, whatever happens: also when the hub dies, since nothing but this process
// knows of the cut. What it finds is evidence for the checklist.
func (h *Hub) drillNow(ctx context.Context, r DrillRequest, self Addr, tell func(rehearsal.Result)) (rehearsal.Report, error) {
	if !h.stage.mu.TryLock() {
		return rehearsal.Report{}, errRehearsing
	}
	defer h.stage.mu.Unlock()
	d := &drill{Hub: h, request: r, self: self, began: time.Now()}
	report := rehearsal.Report{StartedAt: h.now().UTC().Truncate(time.Second)}
	if err := d.mayDrill(ctx); err != nil {
		return report, err
	}
	add := func(res rehearsal.Result) {
		report.Results = append(report.Results, res)
		tell(res)
	}
	if r.DryRun {
		for _, sc := range drillScenes {
			add(rehearsal.Result{Scene: sc.name, Says: sc.says, State: rehearsal.Planned})
		}
		return report, nil
	}
	h.log.Warn("drill: the line to headquarters is cut", "by", r.By, "for", r.length())
	d.cutAt = h.now()
	h.uplink.cut(r.length() + drillSlack)
	defer func() {
		h.uplink.mend()
		h.queue.Nudge()
		h.log.Warn("drill: the line to headquarters is whole", "by", r.By)
	}()
	for _, sc := range drillScenes {
		began := time.Now()
		d.words = nil
		err := sc.play(d, ctx)
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		res := rehearsal.Result{Scene: sc.name, Says: sc.says, Words: d.words, TookMS: time.Since(began).Milliseconds()}
		var detail noted
		if errors.As(err, &detail) {
			res.State, res.Detail = rehearsal.Pass, string(detail)
		} else {
			res.State, res.Detail = rehearsal.Judge(err)
		}
		add(res)
		if sc.vital && res.State != rehearsal.Pass {
			break
		}
	}
	return report, d.record(report)
}

// noted ends a scene that passed with something to say.
type noted string

func (n noted) Error() string { return string(n) }

// record keeps what the drill proved. What could not be told leaves standing what was
// known before.
func (d *drill) record(report rehearsal.Report) error {
	var failed, untold []string
	for _, res := range report.Results {
		switch res.State {
		case rehearsal.Fail:
			failed = append(failed, res.Scene+": "+res.Detail)
		case rehearsal.Unknown:
			untold = append(untold, res.Scene+": "+res.Detail)
		}
	}
	trial := diagnostics.Trial{At: d.now().UTC().Truncate(time.Second), Passed: failed == nil, Note: strings.Join(failed, "; ")}
	switch {
	case failed == nil && untold != nil:
		return nil
	case trial.Passed:
		trial.Note = fmt.Sprintf("drill of %s by %s with the line cut; %s", d.request.length(), d.request.By, tillsWord(len(d.tillsInUse)))
	}
	return d.marks.rehearsed("outages", trial)
}

func tillsWord(n int) string {
	switch n {
	case 0:
		return "no till was in use"
	case 1:
		return "1 till called"
	}
	return fmt.Sprintf("%d tills called", n)
}

func (d *drill) seesTheCut(ctx context.Context) error {
	// Something has to ask: a hub that nobody calls learns of silence by its poll.
	_, _ = d.hq.Store(ctx) // it is silent, which is what counts
	if !d.await(ctx, 15*time.Second, func() bool { return !d.status().CanTakePayments }) {
		return rehearsal.Wrong("/v1/status still says that cards can be taken")
	}
	d.words = []string{d.status().OperatorMessage}
	return nil
}

func (d *drill) refusesAToken(ctx context.Context) error {
	began := time.Now()
	_, err := d.ConnectionToken(ctx, doors.Till{Name: drillTill, Scope: doors.ScopePOS, Mode: d.mode})
	var refused *doors.Error
	switch {
	case err == nil:
		return rehearsal.Wrong("a token was given out: there is another way to headquarters")
	case !errors.As(err, &refused) || refused.OperatorMessage == "":
		return rehearsal.Wrong("it ended without words for a cashier: %v", err)
	}
	d.words = []string{refused.OperatorMessage}
	if took := time.Since(began); took > time.Second {
		return rehearsal.Wrong("it took %s", took.Round(100*time.Millisecond))
	}
	return nil
}

// promises puts what can be promised in a live store too and moves no money.
func (d *drill) promises(ctx context.Context) error {
	op := d.newHeartbeat(d.mode, "drill:"+d.cutAt.UTC().Format(time.RFC3339Nano))
	if _, err := d.queue.Put(ctx, toQueue(op, d.now())); err != nil {
		return rehearsal.Wrong("it was not stored: %v", err)
	}
	d.kept = op.ID
	return nil
}

// opensItself asks for the hub's own front page of health as a till would, by the name or
// address that tills are given.
func (d *drill) opensItself(ctx context.Context) error {
	for _, c := range d.monitor.current().Causes {
		if c.Code == "hub_name_needs_internet" {
			return rehearsal.Wrong("tills would not find %s without the internet: %s", d.cfg.TLS.Name, strings.Join(c.Evidence, "; "))
		}
	}
	t := &http.Transport{}
	if dns := d.self.DNS; dns != "" { // the shop's resolver is to ask the hub
		ask := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, dns)
		}}
		t.DialContext = (&net.Dialer{Resolver: ask}).DialContext
	}
	defer t.CloseIdleConnections()
	if d.self.CAFile != "" {
		pem, err := os.ReadFile(d.self.CAFile)
		if err != nil {
			return err
		}
		t.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.self.URL+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return rehearsal.Wrong("%s does not open: %v", d.self.URL, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<12)) // the status says it
	if resp.StatusCode != http.StatusOK {
		return rehearsal.Wrong("%s answers %s", d.self.URL, resp.Status)
	}
	return noted("by " + d.self.URL)
}

// watchesTills waits until the time is up. A till that does not call is not told to be
// good or bad.
func (d *drill) watchesTills(ctx context.Context) error {
	silent := func() (names []string) {
		for _, t := range d.tills.List() {
			for _, was := range d.tillsInUse {
				if t.Name == was.Name && !t.LastUsed.After(d.cutAt) {
					names = append(names, t.Name)
				}
			}
		}
		return names
	}
	pause(ctx, time.Until(d.began.Add(d.request.length())))
	switch names := silent(); {
	case len(names) > 0:
		return fmt.Errorf("%s did not call: what it does then nobody has seen; try to sell there during a drill", strings.Join(names, ", "))
	case len(d.tillsInUse) == 0:
		return noted("no till has called in the last day")
	}
	return nil
}

func (d *drill) delivers(ctx context.Context) error {
	d.uplink.mend()
	d.queue.Nudge()
	waiting := func() (n int) {
		for op, err := range d.queue.All(offlinequeue.Pending) {
			if err == nil && !op.Created.Before(d.cutAt) {
				n++
			}
		}
		return n
	}
	delivered := func() bool {
		op, err := d.queue.Get(d.kept)
		return (d.kept == "" || err == nil && op.State.Final()) && waiting() == 0 && d.status().Connectivity.State == "online"
	}
	began := time.Now()
	if !d.await(ctx, drillSlack, delivered) {
		return rehearsal.Wrong("%d operations still wait, and headquarters is %s", waiting(), d.status().Connectivity.State)
	}
	return noted(fmt.Sprintf("after %s", time.Since(began).Round(10*time.Millisecond)))
}

func (d *drill) await(ctx context.Context, atMost time.Duration, is func() bool) bool {
	for end := time.Now().Add(atMost); !is(); pause(ctx, 50*time.Millisecond) {
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
	}
	return true
}

// serveDrill answers line by line. Whoever asked and goes away ends it.
func (h *Hub) serveDrill(w http.ResponseWriter, r *http.Request, self Addr) {
	var in DrillRequest
	err := doors.DecodeJSON(r, &in)
	switch d := in.length(); {
	case err != nil:
	case d < drillAtLeast || d > drillAtMost:
		err = doors.ErrInvalidField.With("a drill lasts from %s to %s", drillAtLeast, drillAtMost)
	case strings.TrimSpace(in.By) == "" && !in.DryRun:
		err = doors.ErrMissingField.With("who holds the drill is not said")
	}
	serveScenes(w, err, func(tell func(rehearsal.Result)) (rehearsal.Report, error) {
		return h.drillNow(r.Context(), in, self, tell)
	})
}

// Drill has the running hub hold a drill and tells each result as it comes.
func (a *Admin) Drill(ctx context.Context, r DrillRequest, tell func(rehearsal.Result)) (rehearsal.Report, error) {
	return a.scenes(ctx, "/drill", r, tell)
}
