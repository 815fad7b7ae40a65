package hub

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/netcheck"
)

const (
	// checkAtLeast keeps checks asked for by trouble from following each other:
	// a run takes up to 5 s and is traffic.
	checkAtLeast = 20 * time.Second
	// refreshEvery: facts that only time changes (deadlines, hold times).
	refreshEvery = 10 * time.Second
	// fullFor is how long one refusal for want of room is news: a shop that sells
	// tries again within minutes.
	fullFor = 10 * time.Minute
)

// monitor looks, judges, remembers, tells.
type monitor struct {
	hub     *Hub
	check   func(context.Context, netcheck.Targets) netcheck.Report
	asked   chan struct{} // the network should be looked at now
	due     chan struct{} // facts have changed
	news    chan struct{} // the diagnosis has changed
	mu      sync.Mutex    // held while the tracker judges, so that reports follow each other
	tracker diagnostics.Tracker
	net     *netcheck.Report // nil: not looked at yet, or checks are off
	report  diagnostics.Report
	past    *history
	looked  bool      // the network's answer is not in the history yet
	kept    time.Time // when the history was last given a record
	records chan record
}

// record is what the history is given.
type record struct {
	at     time.Time
	report diagnostics.Report
	input  diagnostics.Input
}

func newMonitor(h *Hub, check func(context.Context, netcheck.Targets) netcheck.Report) *monitor {
	return &monitor{hub: h, check: check, asked: make(chan struct{}, 1), due: make(chan struct{}, 1), news: make(chan struct{}, 1),
		past: newHistory(h.cfg.StateDir, h.parts.Fault), records: make(chan record, 16)}
}

// look asks for a look at the network soon. With checks off it does nothing:
// the hub then touches no network by itself.
func (m *monitor) look() { signal(m.asked) }

// Look has the doctor and the readers looked at soon, because what is known is old:
// the machine has slept.
func (h *Hub) Look() {
	h.monitor.look()
	h.fleet.look()
}

// judge asks for a fresh diagnosis soon, from whatever is known.
func (m *monitor) judge() { signal(m.due) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is asked for already
	}
}

func (m *monitor) run(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { m.remember(ctx) })
	if m.hub.cfg.Checks.Every > 0 {
		looking.Go(func() { m.looking(ctx) })
	}
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		m.hub.selfCare()
		m.refresh()
		m.hub.tellLimits()
		select {
		case <-tick.C:
		case <-m.due:
		case <-ctx.Done():
			return nil
		}
	}
}

// looking runs the checks: at once, then on schedule with a tenth of jitter, or
// when there is trouble.
func (m *monitor) looking(ctx context.Context) {
	every := m.hub.cfg.Checks.Every
	for ctx.Err() == nil {
		began := time.Now()
		select {
		case <-m.asked: // this look is the answer
		default:
		}
		r := m.check(ctx, m.hub.targets())
		if ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		m.net, m.looked = &r, true
		m.mu.Unlock()
		m.hub.fleet.meet(r)
		m.refresh()
		if m.hub.lookForName(ctx) {
			m.refresh()
		}
		next := time.NewTimer(every - every/20 + rand.N(every/10))
		select {
		case <-next.C:
		case <-m.asked:
			pause(ctx, checkAtLeast-time.Since(began))
		case <-ctx.Done():
		}
		next.Stop()
	}
}

// refresh judges what is known now. Changes are told once.
func (m *monitor) refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.input()
	r, changed := m.tracker.Update(in)
	m.report = r
	if changed {
		m.hub.log.Info("diagnosis changed", "verdict", r.Verdict, "causes", codes(r.Causes))
		signal(m.news)
		m.hub.events.publish(doors.Event{Type: eventDiagnosis, Data: diagnosisChange{r.Verdict, r.Causes}}, false)
	}
	if changed || m.looked || in.At.Sub(m.kept).Abs() >= historyEvery {
		select {
		case m.records <- record{in.At, r, in}:
			m.looked, m.kept = false, in.At
		default: // the disk is slow: the next judgement tells it
		}
	}
}

// remember writes the history. The judging, for which tills may wait, waits for
// no disk.
func (m *monitor) remember(ctx context.Context) {
	defer m.past.close()
	failing := false
	keep := func(r record) {
		err := m.past.add(r.at, r.report, r.input)
		if err != nil && !failing {
			m.hub.log.Warn("history is not kept", "err", err)
		}
		failing = err != nil
	}
	for {
		select {
		case r := <-m.records:
			keep(r)
		case <-ctx.Done():
			for len(m.records) > 0 {
				keep(<-m.records)
			}
			return
		}
	}
}

type diagnosisChange struct {
	Verdict diagnostics.Verdict `json:"verdict"`
	Causes  []diagnostics.Cause `json:"causes"`
}

func (m *monitor) input() diagnostics.Input {
	h := m.hub
	stats := h.queue.Stats()
	facts := h.selfFacts()
	facts.Known = h.known(stats)
	return diagnostics.Input{
		At: time.Now(), Store: h.cfg.Store, Version: h.parts.Version,
		Integration: h.cfg.Checks.Integration, Workday: h.workday(),
		Net: m.net, Queue: &stats, Readers: h.fleet.registry.Snapshot(), Hub: &facts,
	}
}

// seenNow is what is known at this moment.
func (m *monitor) seenNow() diagnostics.Input {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.input()
}

// current is the last report. It is shared: nobody changes it.
func (m *monitor) current() diagnostics.Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.report
}

// lastLook is what the network answered last; nil: it was not looked at. It is shared.
func (m *monitor) lastLook() *netcheck.Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.net
}

// whyNoHQ names the root of headquarters' silence to the shop's staff, if there is one.
func (m *monitor) whyNoHQ() (sentence string, known bool) {
	const code = "hq_unreachable"
	for _, c := range m.current().Causes {
		if c.Flapping != nil && !c.Flapping.Present {
			continue
		}
		if c.Code == code || slices.Contains(c.Explains, code) {
			return cmp.Or(c.Operator, c.Title), true
		}
	}
	return "", false
}

// whyBlocked names the first critical cause that is there now to the shop's staff, if
// there is one.
func (m *monitor) whyBlocked() (sentence string, blocked bool) {
	for _, c := range m.current().Causes {
		f := c.Flapping
		if c.Severity == diagnostics.Critical || f != nil && f.Present && f.Severity == diagnostics.Critical {
			return cmp.Or(c.Operator, c.Title), true
		}
	}
	return "", false
}

func (h *Hub) targets() netcheck.Targets {
	t := netcheck.Targets{
		Readers: slices.Clone(h.cfg.Checks.Readers), Endpoints: h.cfg.Checks.Endpoints,
		HQ: h.cfg.HQ.URL, HQCAFile: h.cfg.HQ.CAFile,
		RangesFile: h.cfg.Checks.IPRangesFile, StateDir: h.cfg.StateDir, Workday: h.workday(),
	}
	for _, r := range h.fleet.registry.Snapshot() {
		if r.Probeable() {
			t.Readers = append(t.Readers, r.Addr.String())
		}
	}
	slices.Sort(t.Readers)
	t.Readers = slices.Compact(t.Readers)
	return t
}

// selfFacts is what the hub knows of itself.
func (h *Hub) selfFacts() diagnostics.Hub {
	l := h.link.state()
	f := diagnostics.Hub{
		LastHQContact: l.LastOK, HQRefused: l.Refused, HQFailingSince: l.Failing, HQError: l.Err,
		DiskFreeBytes: -1, Polls: h.link.polls(), Vantages: h.vantages.list(h.now()),
	}
	if at := h.full.Load(); at != 0 {
		f.QueueFull = time.Since(time.Unix(0, at)) < fullFor
	}
	if second := h.second.Load(); second != nil {
		f.SecondHub = *second
	}
	if free, err := diskFree(h.cfg.StateDir); err == nil {
		f.DiskFreeBytes = free
	}
	return f
}

func codes(causes []diagnostics.Cause) []string {
	out := make([]string, 0, len(causes))
	for _, c := range causes {
		out = append(out, c.Code)
	}
	return out
}
