package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"storehub/doors"
)

// Finding is something that a person should look at. It stays until one decides
// or it settles by itself.
type Finding struct {
	ID       int64           `json:"id"`
	Store    string          `json:"store"`
	Code     string          `json:"code"`
	Ref      string          `json:"ref"` // operation, payment or epoch
	Note     string          `json:"note"`
	At       time.Time       `json:"at"`
	Proposal json.RawMessage `json:"proposal,omitempty"` // what confirming does
}

// Decision is what a person says to a finding: Confirm lets the operation go on,
// or carries the proposal out; otherwise the operation ends failed, and nothing
// is carried out. By and Note are kept for ever.
type Decision struct {
	Finding  int64
	Confirm  bool
	By, Note string
}

// What became of a finding.
const (
	decided   = "confirmed"
	dismissed = "dismissed"
	moot      = "moot" // it settled by itself
)

// find remembers something a person should look at: once, as long as it is open.
// It reports whether it is news.
func (t *tx) find(store, code, ref, note string) (news bool, err error) {
	return t.propose(store, code, ref, note, nil)
}

// propose is find with something that a person can have done by confirming it.
func (t *tx) propose(store, code, ref, note string, proposal json.RawMessage) (news bool, err error) {
	r, err := t.Exec(`UPDATE findings SET note = ?, proposal = ? WHERE store = ? AND code = ? AND ref = ? AND decision = ''`,
		note, string(proposal), store, code, ref)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return false, err
	}
	_, err = t.Exec(`INSERT INTO findings (store, code, ref, note, at, proposal) VALUES (?, ?, ?, ?, ?, ?)`,
		store, code, ref, note, ms(t.now), string(proposal))
	return true, err
}

// ever reports whether the finding was made before, whatever became of it.
func (t *tx) ever(store, code, ref string) (yes bool, err error) {
	err = t.QueryRow(`SELECT EXISTS (SELECT 1 FROM findings WHERE store = ? AND code = ? AND ref = ?)`, store, code, ref).Scan(&yes)
	return yes, err
}

// Findings lists the open ones, oldest first; store "" is every store, without
// stand-ins.
func (s *Server) Findings(ctx context.Context, store string) ([]Finding, error) {
	rows, err := s.db.r.QueryContext(ctx, `SELECT seq, store, code, ref, note, at, proposal FROM findings WHERE decision = '' AND (store = ?1 OR ?1 = '' AND `+notStandIn+`) ORDER BY seq`, store)
	if err != nil {
		return nil, fmt.Errorf("list findings: %w", err)
	}
	defer rows.Close()
	list := []Finding{}
	for rows.Next() {
		f, err := scanFinding(rows)
		if err != nil {
			return nil, fmt.Errorf("list findings: %w", err)
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

// Finding is the open one of that number; [ErrDecided]: there is none.
func (s *Server) Finding(ctx context.Context, number int64) (Finding, error) {
	f, err := scanFinding(s.db.r.QueryRowContext(ctx, `SELECT seq, store, code, ref, note, at, proposal FROM findings WHERE seq = ? AND decision = ''`, number))
	if isNoRows(err) {
		return f, fmt.Errorf("finding %d: %w", number, ErrDecided)
	}
	if err != nil {
		return f, fmt.Errorf("read finding: %w", err)
	}
	return f, nil
}

// ErrDecided is that no open finding has the number. Somebody decided it, or it settled.
var ErrDecided = errors.New("no open finding has the number")

func scanFinding(row interface{ Scan(...any) error }) (Finding, error) {
	var f Finding
	var at int64
	var proposal string
	err := row.Scan(&f.ID, &f.Store, &f.Code, &f.Ref, &f.Note, &at, &proposal)
	f.At = fromMS(at)
	if proposal != "" {
		f.Proposal = json.RawMessage(proposal)
	}
	return f, err
}

// Decide writes down what a person decided, with what follows from it. It works
// beside a running headquarters, which acts within seconds.
func (s *Server) Decide(ctx context.Context, d Decision) error {
	if strings.TrimSpace(d.By) == "" || strings.TrimSpace(d.Note) == "" {
		return errors.New("decide: say who decides and why")
	}
	err := s.db.tx(ctx, func(t *tx) error {
		f, err := scanFinding(t.QueryRow(`SELECT seq, store, code, ref, note, at, proposal FROM findings WHERE seq = ? AND decision = ''`, d.Finding))
		if isNoRows(err) {
			return fmt.Errorf("%w %d", ErrDecided, d.Finding)
		}
		if err != nil {
			return err
		}
		verdict := dismissed
		if d.Confirm {
			verdict = decided
		}
		if _, err := t.Exec(`UPDATE findings SET decision = ?, decided_by = ?, decided_note = ?, decided_at = ? WHERE seq = ?`,
			verdict, d.By, d.Note, ms(t.now), f.ID); err != nil {
			return err
		}
		detail := fmt.Sprintf("%d %s %s: %s", f.ID, f.Code, f.Ref, d.Note)
		if d.Confirm && len(f.Proposal) > 0 {
			detail += "; does " + string(f.Proposal)
		}
		if err := t.act(d.By, actFinding+verdict, f.Store, detail); err != nil {
			return err
		}
		said := dismissed
		if d.Confirm {
			said = f.Code + " "
		}
		if _, err := t.Exec(`UPDATE operations SET decision = CASE WHEN decision = 'dismissed' THEN decision WHEN ?1 = 'dismissed' THEN ?1 ELSE decision || ?1 END,
			next_look = ?2, wakes = wakes + 1 WHERE store = ?3 AND id = ?4 AND next_look IS NOT NULL`,
			said, ms(t.now), f.Store, f.Ref); err != nil {
			return err
		}
		if err := s.db.fault("decide:record"); err != nil {
			return err
		}
		if !d.Confirm || len(f.Proposal) == 0 {
			return nil
		}
		return s.carryOut(t, f)
	})
	if err != nil {
		return fmt.Errorf("decide: %w", err)
	}
	s.log.Info("a person decided", "finding", d.Finding, "confirmed", d.Confirm, "by", d.By)
	s.hurry()
	return nil
}

// Proposal is an operation that a person can have made by confirming a finding.
type Proposal struct {
	Kind     doors.Kind `json:"kind,omitempty"`
	Ref      string     `json:"ref,omitempty"`
	Amount   int64      `json:"amount,omitempty"`
	Currency string     `json:"currency,omitempty"`
	Order    string     `json:"order,omitempty"`
	// Instead: a capture that had failed is taken to have succeeded, with that result.
	Amend  string          `json:"amend,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// String is what confirming does, in a line.
func (p Proposal) String() string {
	switch {
	case p.Amend != "":
		return "count the failed capture " + p.Amend + " as done"
	case p.Amount > 0:
		return strings.TrimSuffix(fmt.Sprintf("%s %s of %s, order %s", p.Kind, doors.Format(p.Amount, p.Currency), p.Ref, p.Order), ", order ")
	}
	return strings.TrimSuffix(fmt.Sprintf("%s %s, order %s", p.Kind, p.Ref, p.Order), ", order ")
}

// Does is what confirming the finding has done; "": it only lets go on what waits.
func (f Finding) Does() string {
	var p Proposal
	if len(f.Proposal) == 0 || json.Unmarshal(f.Proposal, &p) != nil {
		return ""
	}
	return p.String()
}

// headquartersTill names who asked for an operation that a person confirmed here.
const headquartersTill = "headquarters"

// carryOut records the proposed operation. Its id is made from the finding's
// subject, so that one proposal is carried out once however often it is found.
func (s *Server) carryOut(t *tx, f Finding) error {
	var p Proposal
	if err := json.Unmarshal(f.Proposal, &p); err != nil {
		return err
	}
	if p.Amend != "" {
		return t.amendAsDecided(f.Store, p)
	}
	rec, err := readStore(t, `id = ?`, f.Store)
	if err != nil {
		return err
	}
	op := doors.Operation{Kind: p.Kind, Ref: p.Ref, Currency: p.Currency, CreatedAt: t.now}
	if p.Amount > 0 {
		op.Amount = &p.Amount
	}
	if p.Order != "" {
		op.Data, _ = json.Marshal(map[string]string{"order": p.Order}) // a string always encodes
	}
	_, err = s.recordHere(t, rec, headquartersTill, f.Code+":"+f.Ref, op)
	return err
}

// escalate puts before a person an operation that waits for one. When its deadline is
// near it does so once more, louder, and says so to the store. It returns how
// long it is until then.
func (s *Server) escalate(t *tx, o operation) (left time.Duration, err error) {
	if _, err := t.find(o.store, o.Reason, o.ID, string(o.Kind)+" of "+o.line+": "+o.Message); err != nil {
		return 0, err
	}
	due := o.mentionedAt.Add(assumedLife)
	if o.Deadline != nil {
		due = *o.Deadline
	}
	if o.Kind == doors.Refund {
		return restLook, nil // no authorisation ends
	}
	if left = due.Add(-decideBefore).Sub(t.now); left > 0 {
		return left, nil
	}
	told, err := t.ever(o.store, reasonOverdue, o.ID)
	if err != nil || told {
		return restLook, err
	}
	s.log.Error("an operation waits for a person and its deadline is near", "store", o.store, "operation", o.ID, "reason", o.Reason, "deadline", due)
	if _, err := t.find(o.store, reasonOverdue, o.ID, fmt.Sprintf("%s of %s waits (%s) and the authorisation ends at %s", o.Kind, o.line, o.Reason, due.UTC().Format(time.RFC3339))); err != nil {
		return 0, err
	}
	return restLook, t.append(o.store, Item{Type: "finding", Event: reasonOverdue, Object: object(o.ID, "operation", o.Reason)})
}

// resolved closes what was found about failures that a person in the shop has seen to
// (money.md 3.4). What a person must decide before money moves stays open.
func (s *Server) resolved(ctx context.Context, st record, in Resolutions) error {
	if len(in.Resolutions) > maxOffered {
		return doors.ErrInvalidField.With("more than %d resolutions", maxOffered)
	}
	for _, r := range in.Resolutions {
		switch {
		case !operationID.MatchString(r.ID):
			return doors.ErrInvalidField.With("id must be 1 to 128 visible ASCII characters")
		case strings.TrimSpace(r.By) == "" || strings.TrimSpace(r.Note) == "":
			return doors.ErrMissingField.With("a resolution says who settled it, and how")
		case len(r.By) > maxText || len(r.Note) > 4*maxText:
			return doors.ErrInvalidField.With("by or note is too long")
		}
	}
	return s.db.tx(ctx, func(t *tx) error {
		for _, r := range in.Resolutions {
			closed, err := t.Exec(`UPDATE findings SET decision = ?, decided_by = ?, decided_note = ?, decided_at = ?
				WHERE store = ? AND ref = ? AND decision = '' AND code IN ('operation_failed', 'authorisation_lapsed', 'refund_failed')`,
				decided, r.By, r.Note, ms(r.At), st.ID, r.ID)
			if err != nil {
				return err
			}
			if n, err := closed.RowsAffected(); err != nil || n == 0 {
				if err != nil {
					return err
				}
				continue // told before
			}
			if err := t.act(r.By+" (in the shop)", actResolve, st.ID, r.ID+": "+r.Note); err != nil {
				return err
			}
		}
		return s.db.fault("resolutions:record")
	})
}

// ends are failures that a person must have looked at, by the reason; any other
// failure of money is operation_failed.
var ends = map[string]string{reasonLapsed: "authorisation_lapsed", reasonRefundFailed: "refund_failed"}

// close settles what was open about an operation that came to its end, and makes
// a failure of money a finding, unless a person decided it so.
func (t *tx) close(o operation) error {
	if _, err := t.Exec(`UPDATE findings SET decision = ?, decided_at = ? WHERE store = ? AND ref = ? AND decision = '' AND code <> ?`,
		moot, ms(t.now), o.store, o.ID, reasonReused); err != nil {
		return err
	}
	if o.State == doors.Succeeded && (o.Kind == doors.Capture || o.Kind == doors.Cancel) {
		if _, err := t.Exec(`UPDATE intents SET next_look = NULL WHERE id = ?`, o.line); err != nil {
			return err
		}
		_, err := t.Exec(`UPDATE findings SET decision = ?, decided_at = ? WHERE store = ? AND code IN (?, ?) AND ref = ? AND decision = ''`,
			moot, ms(t.now), o.store, caseUnnamed, reasonOverdue, o.line)
		return err
	}
	if o.State != doors.Failed || o.Reason == reasonDismissed || o.Kind == doors.Cancel {
		return nil
	}
	code := ends[o.Reason]
	if code == "" {
		code = "operation_failed"
	}
	_, err := t.find(o.store, code, o.ID, fmt.Sprintf("%s of %s: %s: %s", o.Kind, o.line, o.Reason, o.Message))
	return err
}
