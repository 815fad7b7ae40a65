package hub

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/readers"
)

const (
	// readersEvery is how often the list is asked for at least. Headquarters polls
	// Stripe once for all who ask, and says when it will again: a hub that asks just
	// after that hears news at once.
	readersEvery   = 15 * time.Second
	readersAtMost  = 3 * time.Second // and how often at most
	readersTimeout = 6 * time.Second
	storeEvery     = time.Hour
)

// fleet watches the readers: headquarters' list, and the LAN.
type fleet struct {
	hub      *Hub
	registry readers.Registry
	lan      lan
	asked    chan struct{} // somebody wants the list looked at now
	first    chan struct{} // closed after the first look, whatever it gave
	once     sync.Once
	days     *days
	software *software
	strange  strangers
	began    time.Time
	listed   atomic.Bool // headquarters' list was had at least once

	// Of run alone. pause is how long to wait with asking again. Headquarters' clock is not this machine's: a list is as old as
	// the time since a new one was first heard here.
	stripeAt, heardAt time.Time
	pause             time.Duration
}

func newFleet(h *Hub) *fleet {
	f := &fleet{
		hub:   h,
		lan:   newLAN(h.parts.Dial, h.parts.Networks),
		asked: make(chan struct{}, 1),
		first: make(chan struct{}),
		days:  newDays(h),

		software: openSoftware(h.cfg.StateDir), began: h.now(),
	}
	f.registry.Restarts = func(at time.Time) bool {
		w, _ := h.window()
		return w.Contains(at)
	}
	f.registry.OnChange = func(r readers.Reader, what string) {
		h.events.publish(doors.Event{Type: eventReader, Data: readerChange{what, r}}, false)
	}
	return f
}

// changePinned is a change of which tills a reader stands at; the registry's own are
// readers.ChangeNew and its like.
const changePinned = "pinned"

type readerChange struct {
	Change string         `json:"change"`
	Reader readers.Reader `json:"reader"`
}

// look asks for a look at the list soon, without waiting for it.
func (f *fleet) look() { signal(f.asked) }

func (f *fleet) run(ctx context.Context) error {
	defer f.days.close()
	var storeAt, polledAt, knockedAt time.Time
	for {
		if f.hub.store.Load() == nil || time.Since(storeAt) > storeEvery {
			if f.hub.learnStore(ctx) {
				storeAt = time.Now()
			}
		}
		if time.Since(polledAt) >= f.pause {
			polledAt = time.Now()
			f.poll(ctx)
			f.once.Do(func() { close(f.first) })
		}
		all := time.Since(knockedAt) >= knocksEvery
		if all {
			knockedAt = time.Now()
		}
		f.probe(ctx, all)
		f.registry.Sweep(time.Now())
		list := f.registry.Snapshot()
		f.days.record(time.Now(), list)
		if err := f.software.see(time.Now(), list); err != nil {
			f.hub.log.Warn("keep readers' software", "err", err)
		}
		f.hub.monitor.refresh()
		next := polledAt.Add(f.pause)
		if knock := knockedAt.Add(knocksEvery); knock.Before(next) {
			next = knock
		}
		wait, cancel := context.WithDeadline(ctx, next)
		select {
		case <-wait.Done():
		case <-f.asked:
			polledAt, knockedAt = time.Time{}, time.Time{}
		}
		cancel()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (f *fleet) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readersTimeout)
	defer cancel()
	f.pause = readersEvery
	list, err := f.hub.hq.Readers(ctx)
	if err != nil {
		f.hub.log.Debug("ask for readers", "err", err)
		return
	}
	seen := make([]readers.Observation, 0, len(list.Readers))
	for _, raw := range list.Readers {
		o, err := observation(raw, list.At)
		if err != nil {
			f.hub.log.Warn("read reader from headquarters", "err", err)
			continue
		}
		seen = append(seen, o)
	}
	if list.At.IsZero() {
		return // headquarters has not heard from Stripe yet
	}
	f.pause = againIn(list)
	if !list.At.Equal(f.stripeAt) {
		f.stripeAt, f.heardAt = list.At, time.Now()
	}
	f.registry.Replace(f.heardAt, seen)
	for _, s := range list.Software {
		if err := f.software.see(s.Since, []readers.Reader{{DeviceType: s.DeviceType, Software: s.Version}}); err != nil {
			f.hub.log.Warn("keep the newest software of readers", "err", err)
		}
	}
	f.listed.Store(true)
}

// againIn is how long to wait with asking for the list again. The second spreads
// hubs, and lets headquarters have its answer.
func againIn(l hq.ReaderList) time.Duration {
	if l.AgainMS == 0 {
		return readersEvery
	}
	again := time.Duration(l.AgainMS)*time.Millisecond + time.Second/2 + rand.N(time.Second)
	return min(max(again, readersAtMost), readersEvery)
}

// observation reads Stripe's terminal.reader. Unknown device types are taken as
// they are: Stripe adds new ones.
func observation(raw json.RawMessage, at time.Time) (readers.Observation, error) {
	var r struct {
		ID         string `json:"id"`
		Serial     string `json:"serial_number"`
		Label      string `json:"label"`
		DeviceType string `json:"device_type"`
		Software   string `json:"device_sw_version"`
		IP         string `json:"ip_address"`
		Status     string `json:"status"`
		LastSeen   int64  `json:"last_seen_at"` // milliseconds, unlike the rest of Stripe
		Action     *struct {
			Status string `json:"status"`
		} `json:"action"` // the newest, which may have ended
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return readers.Observation{}, err
	}
	o := readers.Observation{
		Source: readers.FromStripe, ID: r.ID, Serial: r.Serial, Label: r.Label,
		DeviceType: r.DeviceType, Software: r.Software, At: at,
	}
	o.Addr, _ = netip.ParseAddr(r.IP) // none, or not an address: not known
	switch r.Status {
	case "online":
		o.Online = readers.Yes
	case "offline":
		o.Online = readers.No
	}
	o.Busy = readers.Of(r.Action != nil && r.Action.Status == "in_progress")
	if r.LastSeen > 0 {
		o.LastSeen = time.UnixMilli(r.LastSeen).UTC()
	}
	return o, nil
}

// learnStore asks headquarters what it knows of this store and keeps it.
func (h *Hub) learnStore(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readersTimeout)
	defer cancel()
	s, err := h.hq.Store(ctx)
	if err != nil {
		h.log.Debug("ask for store", "err", err)
		return false
	}
	if s.ID != h.cfg.Store {
		// The credential is another store's: money would go to the wrong shop.
		h.log.Error("headquarters knows this credential as another store's", "store", h.cfg.Store, "headquarters", s.ID)
		return false
	}
	if old := h.store.Load(); old != nil && old.HeadKey != "" && s.HeadKey != old.HeadKey {
		// The first word counts: `hub queue verify` says that this is another's.
		h.log.Error("headquarters signs with another key than before; enrol anew if that is right", "key", s.HeadKey, "was", old.HeadKey)
		s.HeadKey = old.HeadKey
	}
	if old := h.store.Swap(&s); old == nil || *old != s {
		if err := RememberStore(h.cfg.StateDir, s); err != nil {
			h.log.Error("remember store", "err", err)
		}
		signal(h.public.news)
	}
	return true
}
