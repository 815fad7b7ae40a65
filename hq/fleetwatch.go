package hq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fleetBack is far longer than a report takes to be kept: one that appears later than
	// that behind others is found all the same, by reading everything again.
	fleetBack = 10 * time.Second
)

// FleetWatch is the fleet for people who look at it all the time. Between two looks it
// keeps the reports, without the evidence of their checklists, and reads again only those
// that came since: a look at ten thousand stores costs a part of reading them all.
type FleetWatch struct {
	s    *Server
	last atomic.Pointer[FleetView]

	mu   sync.Mutex // one reads at a time; guards what follows
	held map[string]heldReport
	text map[string]string // each text of reports once: most stores say the same
	from int64
}

// FleetView is the fleet at a moment. It is shared: nobody changes it.
type FleetView struct {
	At     time.Time
	Stores []StoreView // by id, without the evidence of checklists
	Faults []SharedFault
}

// WatchFleet has not looked yet.
func (s *Server) WatchFleet() *FleetWatch {
	return &FleetWatch{s: s, held: map[string]heldReport{}, text: map[string]string{}}
}

// Look is the fleet as it was within so long; 0: as it is. Who is content with what was
// seen waits for nobody who reads.
func (w *FleetWatch) Look(ctx context.Context, within time.Duration) (FleetView, error) {
	if v := w.fresh(within); v != nil {
		return *v, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.fresh(within); v != nil { // another read it meanwhile
		return *v, nil
	}
	now := w.s.now()
	held, newest := map[string]heldReport{}, int64(0)
	known := reports{from: w.from, held: w.held, hold: func(store string, r heldReport) {
		if w.held[store].Report != r.Report {
			w.shorten(r.Report)
		}
		held[store], newest = r, max(newest, r.at)
	}}
	list, late, err := w.s.views(ctx, "", known)
	if late && err == nil {
		known.from = 0
		list, _, err = w.s.views(ctx, "", known)
	}
	if err != nil {
		return FleetView{}, err
	}
	if len(w.text) > 4*len(list)+10_000 { // texts of long ago
		clear(w.text)
	}
	w.held, w.from = held, max(0, newest-fleetBack.Milliseconds())
	v := FleetView{At: now, Stores: list, Faults: w.s.share(list, 0)}
	w.last.Store(&v)
	return v, nil
}

// fresh is what was seen last, if that is new enough.
func (w *FleetWatch) fresh(within time.Duration) *FleetView {
	v := w.last.Load()
	if v == nil {
		return nil
	}
	if age := w.s.now().Sub(v.At); age < 0 || age >= within {
		return nil
	}
	return v
}

// Forget has the next who looks read: something of what is seen was changed here.
func (w *FleetWatch) Forget() { w.last.Store(nil) }

// shorten leaves out what nobody sees of ten thousand stores at once.
func (w *FleetWatch) shorten(r *Report) {
	for i := range r.Checklist {
		it := &r.Checklist[i]
		it.Evidence = nil
		w.once(&it.ID, &it.Title, &it.State)
	}
	for i := range r.Causes {
		c := &r.Causes[i]
		w.once(&c.Code, &c.Severity, &c.Title)
	}
	w.once(&r.Version, &r.Verdict)
	for _, list := range [][]string{r.Resolvers, r.Software} {
		for i := range list {
			w.once(&list[i])
		}
	}
}

func (w *FleetWatch) once(texts ...*string) {
	for _, t := range texts {
		have, ok := w.text[*t]
		if !ok {
			have = *t
			w.text[have] = have
		}
		*t = have
	}
}
