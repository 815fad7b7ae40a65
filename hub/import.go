package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// Imported says what came of an import. Refused ones are not on this disk.
type Imported struct {
	Store   string          `json:"store"`
	New     int             `json:"new"`
	Known   int             `json:"known"` // they were on this disk
	Refused []RefusedImport `json:"refused"`
}

// RefusedImport is an operation that this hub does not take, and why.
type RefusedImport struct {
	ID      string `json:"id"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (n *Imported) add(part Imported) {
	n.Store, n.New, n.Known = part.Store, n.New+part.New, n.Known+part.Known
	n.Refused = append(nonNil(n.Refused), part.Refused...)
}

const (
	// importStep is how many operations are handed over at a time: each is flushed
	// before the next, and the slowest card has done that well before the caller
	// gives up.
	importStep = 100
	// importMost bounds one step: so many of the largest that a queue keeps.
	importMost = importStep * (512 << 10)
	// importOldest: an age beyond a hundred years is nonsense.
	importOldest = 100 * 365 * 24 * time.Hour
)

// takeIn puts the operations of an export into a queue, in their order, as if this hub
// had promised them. It has the same names for them as the hub they came from, so one
// that both deliver is done once. What is cut off may be repeated.
func takeIn(ctx context.Context, q *offlinequeue.Queue, p *personal, store string, e hq.Export, now time.Time) (n Imported, err error) {
	n = Imported{Store: store, Refused: []RefusedImport{}}
	switch {
	case e.Schema != 1:
		return n, doors.ErrInvalidField.With("the export has schema %d, this program knows 1", e.Schema)
	case e.Store != store:
		return n, doors.ErrInvalidField.With("the export is of store %q, this hub is that of store %q", e.Store, store)
	}
	for _, sub := range e.Operations {
		op, err := imported(sub, e.At, now)
		if err == nil {
			err = takeInOne(ctx, q, p, op, &n)
		}
		var refusal *doors.Error
		switch {
		case errors.As(err, &refusal) && refusal.Status < 500:
			n.Refused = append(n.Refused, RefusedImport{sub.ID, refusal.Code, refusal.Message})
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

func takeInOne(ctx context.Context, q *offlinequeue.Queue, p *personal, op offlinequeue.Op, n *Imported) error {
	_, err := q.Get(op.ID)
	fresh := errors.Is(err, offlinequeue.ErrNotFound)
	if err != nil && !fresh {
		return fmt.Errorf("import: %w", err)
	}
	if _, err := p.put(ctx, q, op); err != nil {
		return notStored(op.ID, err)
	}
	if fresh {
		n.New++
	} else {
		n.Known++
	}
	return nil
}

// operationID is what headquarters takes as one.
var operationID = regexp.MustCompile(`^[!-~]{1,128}$`)

// imported is an exported operation as this hub promises it. When it was first
// mentioned is told by its age: the two hubs' clocks need not agree.
func imported(sub hq.Submitted, at, now time.Time) (offlinequeue.Op, error) {
	asked := doors.Operation{ID: sub.ID, Kind: sub.Kind, Ref: sub.Ref, Amount: sub.Amount, Currency: sub.Currency, Data: sub.Data, Till: sub.Till, Mode: sub.Mode}
	op, err := doors.CheckOperation(asked)
	switch {
	case err != nil:
		return offlinequeue.Op{}, err
	case !operationID.MatchString(sub.ID):
		return offlinequeue.Op{}, doors.ErrInvalidField.With("an id is 1 to 128 visible ASCII characters")
	case sub.Till == "" || sub.Till == hubTill || len(sub.Till) > 255:
		return offlinequeue.Op{}, doors.ErrInvalidField.With("%q is no till", sub.Till)
	case sub.Mode != doors.Live && sub.Mode != doors.Test:
		return offlinequeue.Op{}, doors.ErrInvalidField.With("mode %q is neither live nor test", sub.Mode)
	case sub.Settled != nil:
		return offlinequeue.Op{}, doors.ErrInvalidField.With("it has its end")
	case doors.BodyHash(op) != doors.BodyHash(asked):
		return offlinequeue.Op{}, doors.ErrInvalidField.With("its data holds what is never kept")
	}
	if err := doors.RefuseCardData(op); err != nil {
		return offlinequeue.Op{}, err
	}
	age := time.Duration(min(max(0, sub.AgeMS), importOldest.Milliseconds())) * time.Millisecond
	return toQueue(op, now.Add(-age-min(max(0, now.Sub(at)), importOldest))), nil
}

// takeIn is `hub queue import` of the running hub.
func (h *Hub) takeIn(r *http.Request) (any, error) {
	var e hq.Export
	if err := json.NewDecoder(io.LimitReader(r.Body, importMost)).Decode(&e); err != nil {
		return nil, doors.ErrInvalidField.With("read export: %v", err)
	}
	n, err := takeIn(r.Context(), h.queue, h.personal, h.cfg.Store, e, h.now())
	h.log.Info("operations imported", "new", n.New, "known", n.Known, "refused", len(n.Refused), "err", err)
	return n, err
}

// Import has the running hub take in an export; with an error, what it took before.
func (a *Admin) Import(ctx context.Context, e hq.Export) (Imported, error) {
	return inSteps(e, func(part hq.Export) (Imported, error) { return post[Imported](ctx, a, "/import", part) })
}

// ImportStored is [Admin.Import] on the disk of a hub that does not run, or did never:
// a replacement may take in what the old one promised before its first start.
func ImportStored(ctx context.Context, c Config, e hq.Export) (n Imported, err error) {
	mine := queueDir(c.StateDir)
	if _, err := os.Stat(mine); notExist(err) {
		mine = c.StateDir
	}
	err = withQueueIn(c, mine, func(q *offlinequeue.Queue) error {
		p, err := openPersonal(c, nil)
		if err != nil {
			return err
		}
		n, err = inSteps(e, func(part hq.Export) (Imported, error) { return takeIn(ctx, q, p, c.Store, part, time.Now()) })
		return errors.Join(err, p.close())
	})
	return n, err
}

// inSteps hands over an export in parts; an empty one too, so that it is looked at.
func inSteps(e hq.Export, take func(hq.Export) (Imported, error)) (n Imported, err error) {
	for list, first := e.Operations, true; first || len(list) > 0; first = false {
		e.Operations = list[:min(importStep, len(list))]
		list = list[len(e.Operations):]
		part, err := take(e)
		if err != nil {
			if n.New+n.Known > 0 {
				err = fmt.Errorf("%w (%d were taken in before; to import it again does no harm)", err, n.New+n.Known)
			}
			return n, err
		}
		n.add(part)
	}
	return n, nil
}
