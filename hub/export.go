package hub

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// submitted is an operation as headquarters is told of it.
func (p *personal) submitted(q offlinequeue.Op, now time.Time) hq.Submitted {
	q, erased := p.open(q)
	return hq.Submitted{
		Number: q.Number, ID: q.ID, Kind: doors.Kind(q.Kind), Ref: q.Ref, Amount: q.Amount, Currency: q.Currency,
		Data: q.Data, Till: q.Till, Mode: doors.Mode(q.Mode), CreatedAt: q.Created,
		AgeMS: max(now.Sub(q.Created).Milliseconds(), 0), Settled: settled(q), Erased: erased,
	}
}

// export is the open part of a queue, in the order of promises: what headquarters may
// not have, and what it has and has not ended.
func export(q *offlinequeue.Queue, p *personal, store string, now time.Time) (hq.Export, error) {
	e := hq.Export{Schema: 1, Store: store, At: now.UTC(), Operations: []hq.Submitted{}}
	for op, err := range q.All(offlinequeue.Pending, offlinequeue.Accepted) {
		if errors.Is(err, offlinequeue.ErrNotFound) {
			continue
		}
		if err != nil {
			return e, err
		}
		if op.Till != hubTill {
			e.Operations = append(e.Operations, p.submitted(op, now))
		}
	}
	slices.Reverse(e.Operations)
	return e, nil
}

// ExportStored is [Admin.Export] from the disk of a hub that does not run, damaged or
// not. It changes nothing there.
func ExportStored(c Config) (e hq.Export, err error) {
	keys, err := queueKeys(c)
	if err != nil {
		return e, fmt.Errorf("read queue: %w", err)
	}
	p := readPersonal(c)
	defer func() { _ = p.close() }() // it was read alone
	err = offlinequeue.Examine(queueDir(c.StateDir), func(_ offlinequeue.Report, q *offlinequeue.Queue) error {
		e, err = export(q, p, c.Store, time.Now())
		return err
	}, keys...)
	return e, err
}
