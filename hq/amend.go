package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"storehub/doors"
)

// amend turns captures that had failed into what they are now that their payment was
// captured all the same, by a person in the Dashboard or by another road: succeeded,
// if the amount is the one asked. Where another payment of the same order was
// captured too, a person decides (money.md 3.1).
func (s *Server) amend(ctx context.Context, mode doors.Mode, account, intent string) error {
	const wrong = `kind = 'capture' AND state = 'failed' AND contested = 0 AND reason NOT IN ('dismissed', 'mode_mismatch', 'payment_not_yours')`
	ops, err := s.db.operations(ctx, `line = ? AND mode = ? AND account = ? AND `+wrong+` ORDER BY seq`, intent, mode, account)
	if err != nil || len(ops) == 0 {
		return err
	}
	st, err := s.stripe(mode)
	if err != nil {
		return nil // that mode is not headquarters' any more
	}
	call, cancel := context.WithTimeout(WithPriority(ctx, ForMoney, s.now()), tokenBudget)
	defer cancel()
	in, err := st.Intent(call, account, intent)
	s.heard(ctx, mode, "intent", err)
	if refusalOf(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read how %s stands: %w", intent, err)
	}
	for _, o := range ops {
		end, _ := judgeCapture(o.Amount, o.Currency, in)
		if end == nil || end.state != doors.Succeeded {
			continue
		}
		if err := s.db.tx(ctx, func(t *tx) error {
			was, err := t.operation(o.store, o.ID)
			if err != nil || was.State != doors.Failed {
				return err
			}
			other, err := t.alsoPaid(was)
			if err != nil {
				return err
			}
			if other == "" {
				return t.succeedAfterAll(was, end.result)
			}
			if told, err := t.ever(o.store, reasonOrderPaid, was.ID); err != nil || told {
				return err // it is being decided, or was
			}
			proposal, err := json.Marshal(Proposal{Amend: was.ID, Result: end.result})
			if err != nil {
				return err
			}
			_, err = t.propose(o.store, reasonOrderPaid, was.ID,
				"the capture of "+intent+" had failed and was made all the same, and "+other+" paid the order too; confirm only if both are owed", proposal)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// alsoPaid is another payment that was captured for the same order; "": none.
func (t *tx) alsoPaid(o operation) (line string, err error) {
	if o.order == "" {
		return "", nil
	}
	err = t.QueryRow(`SELECT line FROM operations WHERE store = ? AND order_id = ? AND kind = 'capture' AND state = 'succeeded' AND line <> ? ORDER BY seq LIMIT 1`,
		o.store, o.order, o.line).Scan(&line)
	if isNoRows(err) {
		return "", nil
	}
	return line, err
}

// succeedAfterAll takes back that an operation failed, and what was found about it.
func (t *tx) succeedAfterAll(o operation, result json.RawMessage) error {
	if _, err := t.Exec(`UPDATE operations SET state = 'succeeded', reason = '', message = '', result = ?, settled_at = ? WHERE seq = ? AND state = 'failed'`,
		blob(result), ms(t.now), o.seq); err != nil {
		return err
	}
	o.State, o.Reason, o.Message, o.Result = doors.Succeeded, "", "", result
	if err := t.close(o); err != nil {
		return err
	}
	if err := t.d.fault("amend:record"); err != nil {
		return err
	}
	return t.append(o.store, o.item())
}

// amendAsDecided is what follows when a person confirms that both payments are owed.
func (t *tx) amendAsDecided(store string, p Proposal) error {
	o, err := t.operation(store, p.Amend)
	switch {
	case isNoRows(err):
		return errors.New("the operation is kept no more")
	case err != nil || o.State != doors.Failed:
		return err
	}
	return t.succeedAfterAll(o, p.Result)
}

// operations lists those where the condition holds.
func (d *database) operations(ctx context.Context, where string, args ...any) ([]operation, error) {
	rows, err := d.r.QueryContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	return scanOperations(rows)
}
