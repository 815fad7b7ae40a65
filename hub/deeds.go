package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// This file is what a person does about an operation, and what waits for a person.

// Deed says who did something about an operation, and why.
type Deed struct {
	By   string `json:"by"`
	Note string `json:"note"`
}

// deedMost bounds a name and a note: they are kept with the operation.
const deedMost = 500

func (d Deed) check() error {
	switch {
	case strings.TrimSpace(d.By) == "":
		return doors.ErrMissingField.With("by: who does this?")
	case strings.TrimSpace(d.Note) == "":
		return doors.ErrMissingField.With("note: why?")
	case len(d.By) > deedMost || len(d.Note) > deedMost:
		return doors.ErrInvalidField.With("by and note may have %d bytes each", deedMost)
	}
	return nil
}

// deed reads a deed and does it.
func (h *Hub) deed(r *http.Request, do func(context.Context, string, offlinequeue.Note) (offlinequeue.Op, error)) (any, error) {
	var d Deed
	if err := doors.DecodeJSON(r, &d); err != nil {
		return nil, err
	}
	return h.doDeed(r.Context(), r.PathValue("id"), d, do)
}

// doDeed does it, and has what follows from it looked at.
func (h *Hub) doDeed(ctx context.Context, id string, d Deed, do func(context.Context, string, offlinequeue.Note) (offlinequeue.Op, error)) (doors.Operation, error) {
	if err := d.check(); err != nil {
		return doors.Operation{}, err
	}
	op, err := done(id)(do(ctx, id, offlinequeue.Note{By: d.By, Text: d.Note}))
	if err != nil {
		return doors.Operation{}, err
	}
	h.monitor.judge()
	select {
	case h.settled <- struct{}{}:
	default:
	}
	return op, nil
}

// tellResolved keeps headquarters' findings true to what persons here have settled.
// What an earlier process may have told is told again: it changes nothing there.
func (h *Hub) tellResolved(ctx context.Context) error {
	told := map[string]bool{}
	for ctx.Err() == nil {
		news, err := h.resolutions(told)
		if err == nil && len(news) > 0 {
			telling, cancel := context.WithTimeout(ctx, submitTimeout)
			err = h.hq.Resolve(telling, hq.Resolutions{Resolutions: news})
			cancel()
			var refused *doors.Error
			switch {
			case err == nil:
				for _, r := range news {
					told[r.ID] = true
				}
				continue // there may be more
			case errors.As(err, &refused):
				h.log.Warn("headquarters does not take what was settled here", "err", err)
				err = nil // nor will it a moment later
			}
		}
		if err != nil {
			h.log.Debug("tell headquarters what was settled", "err", err)
			pause(ctx, feedPause)
			continue
		}
		select {
		case <-h.settled:
		case <-ctx.Done():
		}
	}
	return nil
}

// resolutionsMost is how many are told at once.
const resolutionsMost = 100

// resolutions are those that headquarters was not told of by this process.
func (h *Hub) resolutions(told map[string]bool) (news []hq.Resolution, err error) {
	for op, err := range h.queue.All(offlinequeue.Failed, offlinequeue.Succeeded) {
		if err != nil {
			return nil, err
		}
		if !op.Resolved || told[op.ID] {
			continue
		}
		r := hq.Resolution{ID: op.ID, By: "?", Note: "?", At: op.Changed}
		for _, n := range op.Notes {
			if n.Deed == "resolve" {
				r.By, r.Note, r.At = n.By, n.Text, n.At
			}
		}
		if news = append(news, r); len(news) == resolutionsMost {
			break
		}
	}
	return news, nil
}

// done gives what came of a deed in the words of the doors.
func done(id string) func(offlinequeue.Op, error) (doors.Operation, error) {
	return func(op offlinequeue.Op, err error) (doors.Operation, error) {
		switch {
		case errors.Is(err, offlinequeue.ErrNotFound):
			return doors.Operation{}, doors.ErrNotFound.With("no operation %s on this disk", id)
		case errors.Is(err, offlinequeue.ErrNotParked), errors.Is(err, offlinequeue.ErrNotToSettle):
			return doors.Operation{}, doors.ErrInvalidField.With("%v", err)
		case err != nil:
			return doors.Operation{}, doors.ErrInternal.With("%v", err)
		}
		return (*personal)(nil).show(op), nil // whoever does it need not see what is personal
	}
}

// RetryStored is [Admin.Retry] on the disk of a hub that does not run.
func RetryStored(ctx context.Context, c Config, id string, d Deed) (doors.Operation, error) {
	return deedStored(ctx, c, id, d, (*offlinequeue.Queue).Retry)
}

// ResolveStored is [Admin.Resolve] on the disk of a hub that does not run.
func ResolveStored(ctx context.Context, c Config, id string, d Deed) (doors.Operation, error) {
	return deedStored(ctx, c, id, d, (*offlinequeue.Queue).Resolve)
}

func deedStored(ctx context.Context, c Config, id string, d Deed,
	do func(*offlinequeue.Queue, context.Context, string, offlinequeue.Note) (offlinequeue.Op, error)) (op doors.Operation, err error) {
	if err := d.check(); err != nil {
		return op, err
	}
	err = withStoredQueue(c, func(q *offlinequeue.Queue) error {
		op, err = done(id)(do(q, ctx, id, offlinequeue.Note{By: d.By, Text: d.Note}))
		return err
	})
	return op, err
}

// withStoredQueue opens the queue of a hub that does not run, to change something in it.
func withStoredQueue(c Config, f func(*offlinequeue.Queue) error) error {
	return withQueueIn(c, queueDir(c.StateDir), f)
}

// withQueueIn is the same; mine is a directory that is there and has to be ours, since
// what is written now the hub could not read later.
func withQueueIn(c Config, mine string, f func(*offlinequeue.Queue) error) error {
	dir := queueDir(c.StateDir)
	info, err := os.Stat(mine)
	if err != nil {
		return fmt.Errorf("open queue: %w", err)
	}
	if !ownedByUs(info) {
		return fmt.Errorf("open queue %s: it belongs to another user: %w", dir, os.ErrPermission)
	}
	keys, err := queueKeys(c)
	if err != nil {
		return fmt.Errorf("open queue %s: %w", dir, err)
	}
	q, err := offlinequeue.Open(dir, offlinequeue.Options{MaxBytes: c.Queue.MaxBytes, Mirror: c.Queue.Mirror, Owner: c.Store, Keys: keys})
	if err != nil {
		return err
	}
	return errors.Join(f(q), q.Close())
}

// known is every finding that the hub has proved itself.
func (h *Hub) known(s offlinequeue.Stats) []diagnostics.Known {
	return slices.Concat(known(s), h.name.findings(), h.public.findings(), h.habits.findings(h.now()), h.careFindings())
}

// known turns what waits for a person into findings about money.
func known(s offlinequeue.Stats) (list []diagnostics.Known) {
	for _, h := range s.Unresolved {
		k := diagnostics.Known{Code: "operation_failed", Since: h.Since, Targets: []string{h.ID}}
		// A diagnosis is read on screens in the shop too.
		said := doors.ForPeople(doors.Operation{Reason: h.Reason, Message: h.Message})
		what := h.Kind + " of " + h.Ref + " (" + h.ID + ")"
		switch {
		case h.State == offlinequeue.Succeeded:
			what += " was undone after it had succeeded"
			if doors.Kind(h.Kind) == doors.Refund {
				k.Code = "refund_failed"
			}
		case h.Reason == "authorisation_lapsed":
			k.Code = h.Reason
			fallthrough
		default:
			what += " failed: " + cmp.Or(said.Reason, "no reason was given")
		}
		if said.Message != "" {
			what += ": " + said.Message
		}
		k.Evidence = []string{what}
		list = append(list, k)
	}
	return list
}
