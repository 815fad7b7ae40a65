package hub

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// This file is what the hub tells headquarters of itself. It stands in nobody's way:
// one report at a time, none while headquarters is silent, and what becomes of it says
// nothing of the line.
const (
	reportEvery = 3 * time.Minute
	// reportSoon spreads the reports of stores that one fault has hit together.
	reportSoon = 3 * time.Second
	// reportAtLeast: a verdict that comes and goes is told that often.
	reportAtLeast = 15 * time.Second
	reportTimeout = 10 * time.Second
	// reportRefused: a headquarters that takes no reports is asked again after that.
	reportRefused = time.Hour
	// countedMost: with more waiting, their amounts are not added up each time.
	countedMost = 2000
	// tokenDaily: a report has the road of a token tested so often, which costs two
	// tokens; not in the hour after a start, since a fleet is updated all at once.
	tokenDaily = 24 * time.Hour
	tokenFirst = time.Hour
)

// reporter tells headquarters every few minutes how the store does, and soon after its
// verdict has changed.
type reporter struct {
	verdict func() diagnostics.Verdict // "": there is nobody or nothing to tell now
	news    <-chan struct{}            // the verdict may have changed
	now     <-chan struct{}            // something else than the verdict wants to be told
	tell    func(context.Context) error
	test    func(context.Context) (tested bool) // the road of a token
	log     *slog.Logger
}

func (r *reporter) run(ctx context.Context) error {
	test := time.Now().Add(tokenFirst/10 + rand.N(tokenFirst))
	for ctx.Err() == nil {
		verdict := r.verdict()
		if verdict == "" {
			pause(ctx, time.Second)
			continue
		}
		if time.Now().After(test) {
			test = time.Now().Add(tokenFirst)
			if r.test(ctx) {
				test = test.Add(tokenDaily - rand.N(2*tokenFirst))
			}
		}
		telling, cancel := context.WithTimeout(ctx, reportTimeout)
		err := r.tell(telling)
		cancel()
		if notReported(err) {
			r.log.Debug("headquarters takes no reports", "err", err)
			pause(ctx, reportRefused-rand.N(reportRefused/10))
			continue
		}
		if err != nil && ctx.Err() == nil {
			r.log.Debug("report to headquarters", "err", err)
		}
		pause(ctx, reportAtLeast)
		r.await(ctx, verdict, reportEvery-reportAtLeast-rand.N(reportEvery/10))
	}
	return nil
}

// await returns when the verdict is another one, or after that long.
func (r *reporter) await(ctx context.Context, told diagnostics.Verdict, most time.Duration) {
	due := time.NewTimer(most)
	defer due.Stop()
	for r.verdict() == told {
		select {
		case <-r.news:
		case <-r.now:
			return
		case <-due.C:
			return
		case <-ctx.Done():
			return
		}
	}
	pause(ctx, rand.N(reportSoon))
}

// reporter is the hub's.
func (h *Hub) reporter() *reporter {
	started := h.now().UTC().Truncate(time.Second)
	return &reporter{
		verdict: func() diagnostics.Verdict {
			if h.store.Load() == nil || !h.link.state().Failing.IsZero() {
				return ""
			}
			return h.monitor.current().Verdict
		},
		news: h.monitor.news,
		now:  h.decided,
		tell: func(ctx context.Context) error {
			_, err := h.hq.Report(ctx, h.report(started))
			return err
		},
		test: func(ctx context.Context) bool {
			h.askEvidence(ctx)
			t := h.testToken(ctx, false)
			return t != nil && t.Error == ""
		},
		log: h.log,
	}
}

// notReported tells a headquarters that does not take this report from one that did
// not hear it.
func notReported(err error) bool {
	var refused *doors.Error
	var status *hq.StatusError
	switch {
	case errors.As(err, &refused):
		return refused.Code != doors.ErrCredential.Code
	case errors.As(err, &status):
		return status.Status == http.StatusNotFound || status.Status == http.StatusMethodNotAllowed // another make
	}
	return false
}

// report is the store at this moment, within the bounds of the wire and without what
// persons wrote or are called.
func (h *Hub) report(started time.Time) hq.Report {
	d := h.monitor.current()
	r := hq.Report{At: h.now().UTC().Truncate(time.Second), Version: short(h.parts.Version), StartedAt: started, Verdict: string(d.Verdict),
		Causes: []hq.ReportCause{}, Queue: h.reportQueue(), Checklist: h.reportChecklist()}
	for _, c := range atMost(d.Causes, hq.ReportCauses) {
		r.Causes = append(r.Causes, hq.ReportCause{Code: c.Code, Severity: string(c.Severity), Title: short(c.Title), Since: c.Since.UTC(),
			Targets: shorts(c.Targets, hq.ReportTargets)})
	}
	if h.fleet.listed.Load() {
		software := map[string]bool{}
		r.Readers = map[string]int{}
		for _, rd := range h.fleet.registry.Snapshot() {
			r.Readers[rd.State]++
			if rd.Software != "" && !rd.Simulated {
				software[short(rd.Software)] = true
			}
		}
		r.Software = atMost(slices.Sorted(maps.Keys(software)), hq.ReportFacts)
	}
	for _, p := range d.Probes {
		if list, ok := p.Evidence["resolvers"].([]string); ok && p.Name == "dns" {
			r.Resolvers = resolvers(list)
		}
	}
	r.Policy = h.reportPolicy()
	return r
}

func (h *Hub) reportQueue() hq.ReportQueue {
	s := queueStatus(h.queue.Stats())
	q := hq.ReportQueue{Pending: s.Pending, Accepted: s.Accepted, Parked: s.Parked, Unresolved: s.Unresolved, OldestPending: s.OldestPending, NextDeadline: s.NextDeadline}
	if s.Pending > countedMost {
		return q
	}
	q.Amounts = map[string]int64{}
	for op, err := range h.queue.All(offlinequeue.Pending) {
		if err != nil {
			q.Amounts = nil // not known
			break
		}
		if op.Amount != nil && op.Currency != "" && doors.Kind(op.Kind).Money() {
			q.Amounts[strings.ToLower(op.Currency)] += *op.Amount
		}
	}
	return q
}

// reportChecklist says of a sign-off that there is one and since when: by whom, and
// what was noted, stays in the shop.
func (h *Hub) reportChecklist() []hq.ReportItem {
	token := h.tokenTest.lastTest()
	in := h.checklistInput(token)
	h.keepChecklist(token, diagnostics.Checklist(in))
	for item, s := range in.SignOffs {
		s.By, s.Note = "a person", "noted in the shop"
		in.SignOffs[item] = s
	}
	for i := range in.Strangers {
		in.Strangers[i] = "a till uses a reader that is not at " + in.Location // people name tills
	}
	in.Readers = slices.Clone(in.Readers)
	for i, r := range in.Readers {
		if r.Label != "" {
			in.Readers[i].Label = r.Serial // people choose labels
		}
	}
	list := []hq.ReportItem{}
	for _, it := range atMost(diagnostics.Checklist(in), hq.ReportItems) {
		evidence := it.Evidence[max(0, len(it.Evidence)-hq.ReportEvidence):] // a sign-off stands last
		list = append(list, hq.ReportItem{Number: it.Number, ID: it.ID, Title: short(it.Title), State: string(it.State), Evidence: nonNil(shorts(evidence, hq.ReportEvidence)),
			Owner: short(it.Owner), NextDue: it.NextDue})
	}
	return list
}

func resolvers(list []string) []string {
	var out []string
	for _, s := range atMost(list, hq.ReportFacts) {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a.WithZone("").String())
		}
	}
	return out
}

func atMost[T any](list []T, most int) []T { return list[:min(len(list), most)] }

func shorts(list []string, most int) []string {
	var out []string
	for _, s := range atMost(list, most) {
		out = append(out, short(s))
	}
	return out
}

// short makes a text fit for the wire.
func short(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return ' '
		}
		return c
	}, s)
	if len(s) <= hq.ReportText {
		return s
	}
	return strings.ToValidUTF8(s[:hq.ReportText-3], "") + "…"
}
