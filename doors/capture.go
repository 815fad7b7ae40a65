package doors

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxTries bounds how often one capture may end failed and be asked for again.
// It is far above what a cashier does, so that no capture is lost to it.
const maxTries = 100

// carryOut promises a capture or a cancel for an app that sends no key, and
// waits for the outcome within the budget. The key is made from what is asked:
// asked again, it is the same operation; only after a final failure is it a new
// one, because someone may have put right what failed.
func (d *door) carryOut(q *ask, kind Kind, ref string, amount *int64) (Operation, error) {
	sum := "full"
	if amount != nil {
		sum = strconv.FormatInt(*amount, 10)
	}
	want := Operation{Kind: kind, Ref: ref, Amount: amount}
	started := time.Now()
	var op Operation
	for n := 1; n <= maxTries; n++ {
		var err error
		op, err = d.put(q, fmt.Sprintf("%s:%s:%s:%d", kind, ref, sum, n), want)
		if err != nil {
			return op, err
		}
		if op.State != Failed || !op.CreatedAt.Before(started) {
			break
		}
	}
	if op.State.Final() {
		return op, nil
	}
	return d.await(q, op, d.o.Budget-time.Since(started)), nil
}

// glance is how often a wait for an outcome looks whether one can still come:
// a till whose line has just died is told within 250 ms of anyone knowing.
const glance = 200 * time.Millisecond

// await waits for an outcome, but not for one that cannot come. It returns the
// operation as it then stands: whatever goes wrong here, the promise is on disk.
func (d *door) await(q *ask, op Operation, budget time.Duration) Operation {
	ctx, cancel := context.WithTimeout(q.Context(), budget)
	defer cancel()
	for ctx.Err() == nil && !op.State.Final() {
		if down, _ := d.o.Known(); down {
			return op
		}
		waiting, stop := context.WithTimeout(ctx, glance)
		later, err := d.backend.Await(waiting, q.till, op.ID)
		stop()
		if err != nil {
			d.o.Log.Warn("await operation", "id", op.ID, "cause", err)
			return op
		}
		op = later
	}
	return op
}

// put stores an operation. That it could not be stored is our trouble and not
// headquarters' silence.
func (d *door) put(q *ask, key string, op Operation) (Operation, error) {
	stored, err := d.backend.Put(q.Context(), q.till, key, op)
	if err != nil {
		if asRefusal(err, nil) == nil {
			d.o.Log.Error("put operation", "kind", op.Kind, "cause", err)
			return stored, ErrInternal
		}
		return stored, err
	}
	return stored, nil
}

// outcomeStatus is 200 when it is done, 202 while it is promised.
func outcomeStatus(op Operation) int {
	if op.State == Succeeded {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// failure is a failed operation as a refusal.
func failure(op Operation) *Error {
	e := ErrStripeRefused.With("%s failed: %s", op.Kind, operationForTill(Till{}, op).Reason)
	said := say(op.Reason, "")
	e.OperatorMessage, e.Helps = said.sentence, said.helps
	if e.OperatorMessage == ErrStripeRefused.OperatorMessage && op.Message != "" {
		e.OperatorMessage = op.Message
	}
	return e
}
