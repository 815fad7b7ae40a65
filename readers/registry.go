package readers

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// staleStripe is how long Stripe's word is believed without being heard
	// again. Stripe itself needs about two minutes to notice that a reader has
	// gone; the hub asks every 15 s, so that this is eight unanswered polls.
	staleStripe = 2 * time.Minute
	// staleProbe is the same for an answer on the LAN.
	staleProbe = 2 * time.Minute
	// missesToUnreachable: one lost probe of a reader on Wi-Fi is no news, two
	// in a row are.
	missesToUnreachable = 2
	// staleReport is how long a till's word on what it is doing with a reader holds:
	// apps report on each change, and every few minutes while they are connected.
	staleReport = 15 * time.Minute
	// forgetAfter: a reader that Stripe never told of is forgotten when nobody
	// has seen it for this long.
	forgetAfter = 24 * time.Hour
)

// What a change can be. New stands alone; one sighting may otherwise cause
// several changes.
const (
	ChangeNew         = "new"
	ChangeGone        = "gone"    // no longer in Stripe's list, or unseen for a day
	ChangeOnline      = "online"  // Stripe's word
	ChangeOffline     = "offline" // Stripe's word
	ChangeUnknown     = "unknown" // Stripe's word has gone stale
	ChangeMoved       = "moved"   // another address than before
	ChangeBusy        = "busy"    // an action waits for the customer
	ChangeIdle        = "idle"    // and no longer
	ChangeReachable   = "reachable"
	ChangeUnreachable = "unreachable"
	ChangeReported    = "reported" // a till told of its holder, an update or an error
	ChangeCause       = "cause"    // Why is another, and nothing else is
)

// Registry joins sightings by serial number; a sighting without one by Stripe's
// id, then by address. The zero value is empty and ready. All methods may be
// called by several goroutines.
type Registry struct {
	// OnChange is told the reader and what changed (one of the Change
	// constants) after the registry's own bookkeeping: a Snapshot taken inside
	// it has the change already. Calls come one at a time and in order. It must
	// not call Observe, Replace or Sweep.
	OnChange func(Reader, string)

	// Restarts says whether readers restart and update at that time, so that one
	// which is away may be doing so; nil: never. It is asked by Sweep.
	Restarts func(time.Time) bool

	tell    sync.Mutex // held around a whole change, OnChange included; taken before mu
	mu      sync.Mutex
	entries []*entry  // guarded by mu
	listed  time.Time // of the newest list that Replace took
}

// entry is a reader and what is needed to judge the next sighting of it.
type entry struct {
	Reader
	listed   bool       // Stripe has told of it
	toldAt   time.Time  // Stripe's newest word
	probedAt time.Time  // newest probe
	addrAt   time.Time  // when the address was last confirmed
	seenAt   time.Time  // newest sighting of any kind
	misses   int        // probes in a row without an answer
	silentAt time.Time  // the first of them
	lastThen time.Time  // LastSeen at that time
	toldAddr netip.Addr // the address in Stripe's newest word
	heldAt   time.Time  // when HeldBy was said last
	updateAt time.Time  // when Updating was
	powerAt  time.Time  // when Battery was
}

// change is what OnChange will be told.
type change struct {
	reader Reader
	what   string
}

// Observe takes in one sighting. A sighting with neither serial nor id that
// matches no known reader is dropped: a neighbour table lists every printer in
// the shop.
func (r *Registry) Observe(o Observation) {
	r.update(func() []change { return r.observe(o) })
}

// Replace takes Stripe's whole list: readers that Stripe told of before and that
// are no longer in it are forgotten. A list older than the last one is ignored.
func (r *Registry) Replace(at time.Time, list []Observation) {
	r.update(func() []change {
		if at.Before(r.listed) {
			return nil
		}
		r.listed = at
		var changes []change
		kept := make(map[*entry]bool, len(list))
		for _, o := range list {
			o.Source, o.At = FromStripe, at
			changes = append(changes, r.observe(o)...)
			if e := r.find(o); e != nil {
				kept[e] = true
			}
		}
		return append(changes, r.forget(func(e *entry) bool { return e.listed && !kept[e] })...)
	})
}

// Sweep is the only place where time alone changes a state.
func (r *Registry) Sweep(now time.Time) {
	r.update(func() []change {
		var changes []change
		night := r.Restarts != nil && r.Restarts(now)
		for _, e := range r.entries {
			before := e.Reader
			e.night = night
			if now.Sub(e.toldAt) > staleStripe {
				e.Online, e.BusySince = Unknown, time.Time{}
			}
			if now.Sub(e.probedAt) > staleProbe {
				e.lose()
			}
			e.fade(now)
			e.judge()
			changes = append(changes, compare(before, e.Reader)...)
		}
		return append(changes, r.forget(func(e *entry) bool { return !e.listed && now.Sub(e.seenAt) > forgetAfter })...)
	})
}

// Snapshot is every reader, ordered by label and serial.
func (r *Registry) Snapshot() []Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Reader, 0, len(r.entries))
	for _, e := range r.entries {
		list = append(list, e.Reader)
	}
	slices.SortFunc(list, func(a, b Reader) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Serial, b.Serial), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// update does the bookkeeping under the lock and tells of it outside.
func (r *Registry) update(f func() []change) {
	r.tell.Lock()
	defer r.tell.Unlock()
	changes := func() []change {
		r.mu.Lock()
		defer r.mu.Unlock()
		return append(f(), r.share()...)
	}()
	if r.OnChange == nil {
		return
	}
	for _, c := range changes {
		r.OnChange(c.reader, c.what)
	}
}

// observe is Observe under the lock.
func (r *Registry) observe(o Observation) []change {
	o.Addr = o.Addr.Unmap()
	e := r.find(o)
	if e == nil {
		if o.Serial == "" && o.ID == "" {
			return nil
		}
		e = &entry{}
		e.take(o)
		r.entries = append(r.entries, e)
		return []change{{e.Reader, ChangeNew}}
	}
	var changes []change
	if o.Serial != "" && o.ID != "" {
		// Another entry that was known by the id alone is the same reader.
		changes = r.forget(func(x *entry) bool { return x != e && x.Serial == "" && x.ID == o.ID })
	}
	before := e.Reader
	e.take(o)
	return append(changes, compare(before, e.Reader)...)
}

// find is the reader a sighting speaks of, or nil.
func (r *Registry) find(o Observation) *entry {
	by := func(match func(*entry) bool) *entry {
		if i := slices.IndexFunc(r.entries, match); i >= 0 {
			return r.entries[i]
		}
		return nil
	}
	if o.Serial != "" {
		if e := by(func(e *entry) bool { return e.Serial == o.Serial }); e != nil {
			return e
		}
		if o.ID == "" {
			return nil
		}
		// Seen by its id before its serial was known.
		return by(func(e *entry) bool { return e.Serial == "" && e.ID == o.ID })
	}
	if o.ID != "" {
		return by(func(e *entry) bool { return e.ID == o.ID })
	}
	// Two readers can carry one address in the books, when a lease went from
	// one to the other: it belongs to the one who was last said to have it.
	var last *entry
	for _, e := range r.entries {
		if o.Addr.IsValid() && !o.Addr.IsUnspecified() && e.Addr == o.Addr && (last == nil || e.addrAt.After(last.addrAt)) {
			last = e
		}
	}
	return last
}

// forget removes the entries that match and says so.
func (r *Registry) forget(match func(*entry) bool) []change {
	var changes []change
	r.entries = slices.DeleteFunc(r.entries, func(e *entry) bool {
		if match(e) {
			changes = append(changes, change{e.Reader, ChangeGone})
			return true
		}
		return false
	})
	return changes
}

// take adds one sighting to what is known.
func (e *entry) take(o Observation) {
	e.Serial = cmp.Or(o.Serial, e.Serial)
	e.ID = cmp.Or(o.ID, e.ID)
	if o.At.After(e.seenAt) {
		e.seenAt = o.At
	}
	switch o.Source {
	case FromStripe:
		if o.At.Before(e.toldAt) {
			return // overtaken by a newer word
		}
		e.lively = o.Online == No && (e.lively || e.Online == No && !e.LastSeen.IsZero() && o.LastSeen.After(e.LastSeen))
		e.listed, e.toldAt, e.Online = true, o.At, o.Online
		switch {
		case o.Busy != Yes:
			e.BusySince = time.Time{}
		case e.BusySince.IsZero():
			e.BusySince = o.At
		}
		e.describe(o)
		e.listen()
		if o.Addr != e.StripeAddr || !o.Addr.IsValid() {
			e.StripeAddr = netip.Addr{}
			e.move(o)
		}
		e.toldAddr = o.Addr
	case FromProbe:
		e.probed(o)
	default:
		e.describe(o)
		if o.Report != nil {
			e.told(*o.Report, o.At)
		}
		// Stripe's word on the address goes first. Others count while it is silent, and
		// where the reader itself was found.
		if o.Source == FromNeighbour && o.MAC != "" && o.MAC == e.MAC && o.Addr != e.Addr {
			e.found(o)
		} else if !e.Addr.IsValid() || e.toldAt.IsZero() || o.At.Sub(e.toldAt) > staleStripe {
			e.move(o)
		}
		if o.MAC != "" && o.Addr == e.Addr {
			e.MAC = o.MAC
		}
	}
	e.Simulated = e.simulated()
	if e.Mobile() {
		e.Online = Unknown
	}
	if !e.Probeable() {
		e.lose()
	}
	e.judge()
}

// told takes in a till's report. One till's word that it let go of a reader does
// not take the reader from another till.
func (e *entry) told(r Report, at time.Time) {
	e.Software, e.SDK = cmp.Or(r.Software, e.Software), cmp.Or(r.SDK, e.SDK)
	switch {
	case r.Connected == Yes:
		e.HeldBy, e.heldAt, e.freed = r.Till, at, false
	case r.Connected == No && (e.HeldBy == r.Till || e.HeldBy == ""):
		e.HeldBy, e.heldAt, e.freed = "", at, true
	}
	if r.Battery != nil || r.Charging != Unknown {
		e.Battery, e.Charging, e.powerAt = r.Battery, r.Charging, at
	}
	switch {
	case r.Update == nil:
	case *r.Update < 1:
		e.Updating, e.updateAt = r.Update, at
	default:
		e.Updating = nil
	}
	if r.Code != "" {
		e.LastError, e.LastErrorAt = r.Code, at
	}
}

// fade forgets what tills said too long ago.
func (e *entry) fade(now time.Time) {
	if now.Sub(e.heldAt) > staleReport {
		e.HeldBy, e.freed = "", false
	}
	if now.Sub(e.updateAt) > staleReport {
		e.Updating = nil
	}
	if now.Sub(e.powerAt) > staleReport {
		e.Battery, e.Charging = nil, Unknown
	}
}

// describe takes over what a sighting says of the reader itself.
func (e *entry) describe(o Observation) {
	e.Label = cmp.Or(o.Label, e.Label)
	e.DeviceType = cmp.Or(o.DeviceType, e.DeviceType)
	e.Software = cmp.Or(o.Software, e.Software)
	if o.LastSeen.After(e.LastSeen) {
		e.LastSeen = o.LastSeen
	}
}

// compare names what a person would want to hear about.
func compare(before, after Reader) []change {
	var changes []change
	add := func(what string) { changes = append(changes, change{after, what}) }
	if after.AddressChanges != before.AddressChanges {
		add(ChangeMoved)
	}
	if after.Online != before.Online {
		add(map[Tri]string{Yes: ChangeOnline, No: ChangeOffline, Unknown: ChangeUnknown}[after.Online])
	}
	if after.BusySince.IsZero() != before.BusySince.IsZero() {
		add(map[bool]string{true: ChangeIdle, false: ChangeBusy}[after.BusySince.IsZero()])
	}
	if after.Reachable != before.Reachable && after.Reachable != Unknown {
		add(map[Tri]string{Yes: ChangeReachable, No: ChangeUnreachable}[after.Reachable])
	}
	if after.Why != before.Why && len(changes) == 0 {
		add(ChangeCause)
	}
	if after.HeldBy != before.HeldBy || after.freed != before.freed || after.LastErrorAt != before.LastErrorAt || !sameShare(after.Updating, before.Updating) {
		add(ChangeReported)
	}
	return changes
}

func sameShare(a, b *float64) bool { return a == b || a != nil && b != nil && *a == *b }
