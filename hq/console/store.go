package console

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/web"
)

const (
	operationsShown = 30
	actsShown       = 10
	changesShown    = 12
	timelineOver    = 7 * 24 * time.Hour
)

// storeData is one store's page.
type storeData struct {
	hq.StoreView
	Shared     []fault
	Findings   []hq.Finding
	Readers    []hq.SeenReader
	ReadersAt  time.Time
	Counts     []count // readers by state, as the hub counts them
	Amounts    string  // that pending operations ask for
	Policy     *hq.PolicyState
	Operations []hq.LedgerLine
	Older      string // URL of the operations before these; "": there are none
	Timeline   web.Timeline
	Changes    []hq.ReportChange // the newest first
	Acts       []hq.Act
	Done, All  int // items of the checklist
	Act        bool
}

func (c *Console) storePage(w http.ResponseWriter, r *http.Request, who web.Session) error {
	ctx, id := r.Context(), r.PathValue("store")
	d := storeData{Act: who.Role == hq.RoleOperator}
	var err error
	if d.StoreView, err = c.s.View(ctx, id); err != nil {
		return err
	}
	seen, err := c.look(ctx)
	if err != nil {
		return err
	}
	if i, ok := slices.BinarySearchFunc(seen.Stores, id, func(v hq.StoreView, id string) int { return cmp.Compare(v.ID, id) }); ok {
		for _, f := range seen.Stores[i].Shared {
			d.Shared = append(d.Shared, fault{f, look{Fault: faultName(f), Sort: sorts[0]}.URL()})
		}
	}
	if d.Findings, err = c.s.Findings(ctx, id); err != nil {
		return err
	}
	if d.Readers, d.ReadersAt, err = c.s.LastReaders(ctx, d.StoreRecord); err != nil {
		return err
	}
	policies, err := c.s.Policies(ctx, id)
	if err != nil {
		return err
	}
	if len(policies) > 0 {
		d.Policy = &policies[0]
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // none: the newest
	if d.Operations, err = c.s.Operations(ctx, id, max(before, 0), operationsShown+1); err != nil {
		return err
	}
	if len(d.Operations) > operationsShown {
		d.Operations = d.Operations[:operationsShown]
		d.Older = Base + "/stores/" + url.PathEscape(id) + "?before=" + strconv.FormatInt(d.Operations[operationsShown-1].Number, 10) + "#operations"
	}
	if d.Changes, err = c.s.ReportChanges(ctx, id); err != nil {
		return err
	}
	d.history(c.now())
	if d.Acts, err = c.s.Audit(ctx, hq.AuditQuery{Store: id, Last: actsShown}); err != nil {
		return err
	}
	slices.Reverse(d.Acts)
	if d.Report != nil {
		d.count(*d.Report)
	}
	c.site.Show(w, r, http.StatusOK, "store.html", c.page("Store "+id, "", d))
	return nil
}

func (d *storeData) count(r hq.Report) {
	for _, state := range slices.Sorted(maps.Keys(r.Readers)) {
		d.Counts = append(d.Counts, count{Name: state, N: r.Readers[state]})
	}
	var amounts []string
	for _, currency := range slices.Sorted(maps.Keys(r.Queue.Amounts)) {
		amounts = append(amounts, doors.Format(r.Queue.Amounts[currency], currency))
	}
	d.Amounts = strings.Join(amounts, ", ")
	for _, it := range r.Checklist {
		if d.All++; it.Done() {
			d.Done++
		}
	}
}

// history makes a line of the changes of verdict: each holds until the next, and the last
// until the hub's last report.
func (d *storeData) history(now time.Time) {
	d.Timeline = web.Timeline{Name: "Verdict", From: now.Add(-timelineOver), To: now}
	for i, change := range d.Changes {
		to := now
		if i+1 < len(d.Changes) {
			to = d.Changes[i+1].At
		} else if d.ReportedAt != nil {
			to = *d.ReportedAt
		}
		d.Timeline.Spans = append(d.Timeline.Spans, web.Span{From: change.At, To: to, Tone: tones[change.Verdict], Text: strings.TrimSpace(change.Verdict + " " + strings.Join(change.Causes, " "))})
	}
	slices.Reverse(d.Changes)
	d.Changes = d.Changes[:min(len(d.Changes), changesShown)]
}

// Unheard is why nobody can say how the store does; "": its hub speaks.
func (d storeData) Unheard() string {
	switch d.Verdict {
	case hq.VerdictSilent:
		return "Its hub has not reported for more than ten minutes. What stands here is what it said last."
	case hq.VerdictUnknown:
		return "Its hub has never reported. Enrol it: a one-time code is made on the page Enrol."
	}
	return ""
}

// Tone is the store's colour; its words say the same.
func (d storeData) Tone() string { return cmp.Or(tones[d.Verdict], web.Off) }

// severities in words and colours.
func severityBadge(s string) web.Badge {
	return web.Badge{Tone: cmp.Or(map[string]string{"critical": web.Bad, "warning": web.Warn, "info": web.Info}[s], web.Off), Text: s}
}

// stateBadge is an operation's or a reader's state.
func stateBadge(s string) web.Badge {
	return web.Badge{Tone: cmp.Or(map[string]string{"succeeded": web.Good, "failed": web.Bad, "accepted": web.Info, "pending": web.Warn, "online": web.Good, "offline": web.Warn}[s], web.Off), Text: cmp.Or(s, "not told")}
}

// money is an operation's amount; "": none was asked, which means all of it.
func money(o hq.LedgerLine) string {
	if o.Amount == nil {
		return ""
	}
	return doors.Format(*o.Amount, o.Currency)
}
