package hub

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/doors/words"
	"storehub/offlinequeue"
	"storehub/readers"
)

// Status is GET /v1/status: the store in one look.
type Status struct {
	Store           string              `json:"store"`
	Mode            doors.Mode          `json:"mode,omitempty"` // "" until headquarters was reached once
	Version         string              `json:"hub_version"`
	Verdict         diagnostics.Verdict `json:"verdict"`
	CanTakePayments bool                `json:"can_take_payments"`
	OperatorMessage string              `json:"operator_message"`
	Connectivity    Connectivity        `json:"connectivity"`
	Causes          []diagnostics.Cause `json:"causes"`
	Queue           QueueStatus         `json:"queue"`
	Readers         []readers.Reader    `json:"readers"`
	Offline         []OfflineExposure   `json:"offline"`
}

// Connectivity is the way to headquarters: online, offline, refused or unknown
// (nothing was tried yet).
type Connectivity struct {
	State       string    `json:"state"`
	LastContact time.Time `json:"last_contact,omitzero"`
	Since       time.Time `json:"since,omitzero"` // of the silence
}

// QueueStatus counts promises that have no outcome yet. The hub's own
// heartbeats are not among them.
type QueueStatus struct {
	Pending       int       `json:"pending"`  // on this disk alone
	Accepted      int       `json:"accepted"` // at headquarters, without an outcome
	Failed        int       `json:"failed"`
	Parked        int       `json:"parked"`     // of the pending, held back until a person retries them
	Unresolved    int       `json:"unresolved"` // of the failed and the undone, not settled by a person yet
	OldestPending time.Time `json:"oldest_pending,omitzero"`
	NextDeadline  time.Time `json:"next_deadline,omitzero"`
	Bytes         int64     `json:"bytes"`
	MirrorAway    string    `json:"mirror_away,omitempty"` // why nothing new is promised
	Damaged       []string  `json:"damaged,omitempty"`
}

// Status implements [doors.Backend].
func (h *Hub) Status(_ context.Context, t doors.Till) (any, error) {
	s := h.status()
	s.OperatorMessage = words.In(t.Language, s.OperatorMessage)
	return s, nil
}

// Diagnosis implements [doors.Backend].
func (h *Hub) Diagnosis(context.Context, doors.Till) (any, error) { return h.monitor.current(), nil }

// TillReader is a reader as one till sees it.
type TillReader struct {
	readers.Reader
	Lanes       []string    `json:"lanes"`            // the tills at which it stands, by name
	Yours       bool        `json:"yours"`            // the till that asks is one of them
	SameNetwork readers.Tri `json:"same_network"`     // as the till that asks
	Advice      string      `json:"advice,omitempty"` // what a cashier can do about it

	Offline  readers.Offline   `json:"offline"`                  // whether it would take a payment if the line died now
	Newer    string            `json:"newer_software,omitempty"` // that another of its kind here runs
	Troubles []readers.Trouble `json:"troubles,omitempty"`       // known of its software and its till's SDK
}

// ReaderList is GET /v1/readers.
type ReaderList struct {
	Readers      []TillReader `json:"readers"`
	UpdateWindow UpdateWindow `json:"update_window"`
}

// Readers implements [doors.Backend].
func (h *Hub) Readers(_ context.Context, t doors.Till) (any, error) {
	if t.Scope != doors.ScopeMonitor {
		h.marks.set(markList, h.now())
	}
	return h.readerList(t), nil
}

func (h *Hub) readerList(t doors.Till) ReaderList {
	nets, facts := h.fleet.lan.nets(), h.offlineFacts()
	list := []TillReader{}
	for _, r := range h.fleet.registry.Snapshot() {
		list = append(list, h.tillReader(nets, facts, t, r))
	}
	return ReaderList{list, h.updateWindow()}
}

// tillReader is a reader as that till sees it from its own place.
func (h *Hub) tillReader(nets []netip.Prefix, facts readers.OfflineFacts, t doors.Till, r readers.Reader) TillReader {
	tr := TillReader{Reader: r, Lanes: nonNil(h.lanes.at(r.Serial)), Offline: r.Offline(facts), Troubles: r.Troubles()}
	if newest, older := facts.Versions.Newer(r); older {
		tr.Newer = newest.Version
	}
	tr.Yours = slices.Contains(tr.Lanes, t.Name)
	if r.Probeable() {
		tr.SameNetwork = sameNetwork(nets, t.Addr, r.Addr)
	}
	if tr.SameNetwork == readers.No {
		tr.Advice = notTogether(nets, t.Addr, r.Addr)
	}
	return tr
}

// notTogether is what to do where a till and a reader are in two networks: which of
// them is elsewhere than the hub. Tills that drive readers by way of Stripe work all
// the same.
func notTogether(nets []netip.Prefix, till, reader netip.Addr) string {
	switch hasTill, hasReader := near(nets, till.Unmap()), near(nets, reader); {
	case till.IsLoopback() || hasTill == readers.Yes && hasReader == readers.No:
		return fmt.Sprintf("The card reader is on another network (%s) than this till and the store hub. Connect the reader to the shop's own network.", reader)
	case hasTill == readers.No && hasReader == readers.Yes:
		return fmt.Sprintf("This till is on another network (%s) than the card reader, perhaps the guest Wi-Fi. Connect the till to the shop's own network.", till.Unmap())
	}
	return fmt.Sprintf("This till (%s) and the card reader (%s) are on different networks. Put both on the shop's own network, not on the one for guests.", till.Unmap(), reader)
}

func (h *Hub) status() Status {
	r := h.monitor.current()
	s := Status{
		Store: h.cfg.Store, Version: h.parts.Version,
		Verdict: r.Verdict, Causes: nonNil(r.Causes),
		Connectivity: connectivity(h.link.state()),
		Queue:        queueStatus(h.queue.Stats()),
		Readers:      nonNil(h.fleet.registry.Snapshot()),
	}
	if st := h.store.Load(); st != nil {
		s.Mode = st.Mode
	}
	s.CanTakePayments, s.OperatorMessage = canTake(r, s.Connectivity.State)
	if list, err := h.exposed(); err == nil {
		s.Offline = list
		if words := offlineWords(list); words != "" && !s.CanTakePayments {
			s.OperatorMessage += " " + words
		}
	}
	return s
}

// canTake: a token needs headquarters, so its silence alone is a no. Unknown is
// said as unknown, with no.
func canTake(r diagnostics.Report, connectivity string) (bool, string) {
	if r.Verdict == diagnostics.Blocked {
		for _, c := range r.Causes {
			if c.Severity == diagnostics.Critical {
				if c.Operator != "" {
					return false, c.Operator
				}
				return false, downSentence(c.Title)
			}
		}
	}
	switch connectivity {
	case "offline":
		return false, doors.ErrHQUnreachable.OperatorMessage
	case "refused":
		return false, notOurHub
	case "unknown":
		return false, "The hub has just started and does not know yet whether card payments work."
	}
	for _, c := range r.Causes {
		if c.Flapping != nil && c.Flapping.Severity == diagnostics.Critical {
			return true, "Card payments come and go. " + c.Operator
		}
	}
	if r.Verdict == diagnostics.Degraded {
		return true, "Card payments work. IT should look at the hub's findings."
	}
	return true, "Card payments work."
}

func connectivity(l linkState) Connectivity {
	c := Connectivity{State: "online", LastContact: l.LastOK.UTC(), Since: l.Failing.UTC()}
	switch {
	case !l.Failing.IsZero():
		c.State = "offline"
	case l.Refused:
		c.State = "refused"
	case l.LastOK.IsZero():
		c.State = "unknown"
	}
	if l.LastOK.IsZero() {
		c.LastContact = time.Time{}
	}
	if l.Failing.IsZero() {
		c.Since = time.Time{}
	}
	return c
}

func queueStatus(s offlinequeue.Stats) QueueStatus {
	q := QueueStatus{OldestPending: s.OldestPending, NextDeadline: s.NextDeadline, Bytes: s.Bytes, MirrorAway: s.Mirror.Away, Damaged: s.Damaged,
		Parked: s.ParkedInAll, Unresolved: s.UnresolvedInAll}
	for kind, states := range s.Operations {
		if doors.Kind(kind) == doors.Heartbeat {
			continue
		}
		q.Pending += states[offlinequeue.Pending]
		q.Accepted += states[offlinequeue.Accepted]
		q.Failed += states[offlinequeue.Failed]
	}
	return q
}

// nonNil keeps null out of JSON: an empty list is an answer.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
