package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"

	"storehub/doors"
)

// cleanUp ends whatever an earlier rehearsal left: what is authorised is cancelled,
// what was taken is given back.
func (p *play) cleanUp(ctx context.Context) error {
	if err := p.settle(ctx); err != nil {
		return err
	}
	for len(p.notes.Intents) > 0 {
		if err := p.end(ctx, p.notes.Intents[0]); err != nil {
			return fmt.Errorf("end %s: %w", p.notes.Intents[0], err)
		}
		p.notes.Intents = p.notes.Intents[1:]
		if err := p.remember(); err != nil {
			return err
		}
	}
	p.notes = Notes{}
	return p.remember()
}

// settle finds the payment whose making had no answer: the notes hold one such.
func (p *play) settle(ctx context.Context) error {
	if p.notes.Making == "" {
		return nil
	}
	o, err := p.make(ctx, p.notes.Making, p.notes.Amount) // the same key: the same payment, if it was made
	if err != nil {
		return err
	}
	p.notes.Intents, p.notes.Making = append(p.notes.Intents, o.ID), ""
	return p.remember()
}

// end sees to it that no money hangs on a payment. Its keys are made of the payment
// itself, so that ending it twice ends it once.
func (p *play) end(ctx context.Context, intent string) error {
	if err := p.outcomes(ctx, intent); err != nil {
		return err
	}
	if err := p.free(ctx, intent); err != nil {
		return err
	}
	o, err := p.call(ctx, doors.RetrievePaymentIntent, "", "payment_intent", intent, "expand[]", "latest_charge")
	if err != nil {
		return err
	}
	var charge struct {
		Refunded int64 `json:"amount_refunded"`
	}
	_ = json.Unmarshal(o.LatestCharge, &charge) // an id when there is no charge: nothing was refunded
	kind := doors.Cancel
	switch {
	case o.Status == "canceled", o.Status == "succeeded" && charge.Refunded == o.Received:
		return nil
	case o.Status == "succeeded":
		kind = doors.Refund
	}
	return succeeded(p.promiseAs(ctx, "rehearsal-end-"+string(kind)+"-"+intent, kind, intent, 0, nil))
}

// outcomes waits for what the earlier rehearsal promised on a payment: what it is to be
// ended by depends on what became of that.
func (p *play) outcomes(ctx context.Context, intent string) error {
	for _, state := range []doors.State{doors.Pending, doors.Accepted} {
		list, err := p.Doors.Operations(ctx, p.Till, state, promisedMost)
		if err != nil {
			return err
		}
		for _, op := range list {
			if op.Ref != intent || op.Till != p.Till.Name {
				continue
			}
			if _, err := p.await(ctx, op.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// promisedMost is far above what one rehearsal promises beside a shop's own traffic.
const promisedMost = 10000

// free takes a payment off the reader that still waits for its card.
func (p *play) free(ctx context.Context, intent string) error {
	list, err := p.readers(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		if a := r.Action; a != nil && a.Status == "in_progress" && a.Process != nil && a.Process.Intent == intent {
			if _, err := p.call(ctx, doors.CancelAction, "", "reader", r.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
