package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"storehub/doors"
)

// Export is the open part of a hub's queue, to be carried to headquarters by hand. It
// is sealed for one recipient: it holds what customers bought.
type Export struct {
	Schema     int         `json:"schema"` // 1
	Store      string      `json:"store"`
	At         time.Time   `json:"at"` // ages count up to here
	Operations []Submitted `json:"operations"`
}

// exportMost bounds what is read of a sealed export.
const exportMost = 1 << 30

// Seal writes an export so that only the recipient (age1…) can read it.
func Seal(w io.Writer, e Export, recipient string) error {
	to, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return fmt.Errorf("seal export: %w", err)
	}
	text := armor.NewWriter(w)
	sealed, err := age.Encrypt(text, to)
	if err != nil {
		return fmt.Errorf("seal export: %w", err)
	}
	if err := errors.Join(json.NewEncoder(sealed).Encode(e), sealed.Close(), text.Close()); err != nil {
		return fmt.Errorf("seal export: %w", err)
	}
	return nil
}

// Unseal reads a sealed export with the recipient's identities (AGE-SECRET-KEY-…).
func Unseal(r, identities io.Reader) (e Export, err error) {
	ids, err := age.ParseIdentities(identities)
	if err != nil {
		return e, fmt.Errorf("open export: read identity: %w", err)
	}
	plain, err := age.Decrypt(armor.NewReader(r), ids...)
	if err != nil {
		return e, fmt.Errorf("open export: %w", err)
	}
	d := json.NewDecoder(io.LimitReader(plain, exportMost))
	if err := d.Decode(&e); err != nil {
		return e, fmt.Errorf("open export: %w", err)
	}
	if e.Schema != 1 {
		return e, fmt.Errorf("open export: it has schema %d, this program knows 1", e.Schema)
	}
	// The seal of the last chunk is at the end: what was cut off is not taken.
	if _, err := io.Copy(io.Discard, io.MultiReader(d.Buffered(), plain)); err != nil {
		return e, fmt.Errorf("open export: %w", err)
	}
	return e, nil
}

// Imported counts what came of an import.
type Imported struct {
	New   int `json:"new"`
	Known int `json:"known"`
}

// importStep bounds one transaction of an import.
const importStep = 200

// Import records the operations of an export, as if the hub had offered them. The
// submit chain is left as it is: ids make operations known, so that one which the hub
// delivers too, before or after, is done once. It works beside a running headquarters,
// which acts within seconds; what is cut off may be repeated.
func (s *Server) Import(ctx context.Context, e Export) (n Imported, err error) {
	carried := max(0, s.now().Sub(e.At)).Milliseconds()
	for list := e.Operations; len(list) > 0; list = list[min(importStep, len(list)):] {
		part := list[:min(importStep, len(list))]
		step := Imported{}
		err := s.db.tx(ctx, func(t *tx) error {
			step = Imported{}
			rec, err := readStore(t, `id = ?`, e.Store)
			if isNoRows(err) {
				return doors.ErrNotFound.With("no store %q at this headquarters", e.Store)
			}
			if err != nil {
				return err
			}
			for i, sub := range part {
				if err := checkSubmission(Submission{Operations: []Submitted{numberedOne(sub)}}); err != nil {
					return fmt.Errorf("operation %d: %w", i+1, err)
				}
				_, err := t.operation(rec.ID, sub.ID)
				switch {
				case err == nil:
					step.Known++
				case isNoRows(err):
					step.New++
				default:
					return err
				}
				sub.AgeMS += carried
				if err := s.record(t, rec, sub); err != nil {
					return fmt.Errorf("record operation %q: %w", sub.ID, err)
				}
			}
			if err := s.db.fault("ledger:import"); err != nil {
				return err
			}
			return t.act(actor(ctx), actImport, rec.ID, fmt.Sprintf("%d operations recorded, %d were known", step.New, step.Known))
		})
		if err != nil {
			return n, fmt.Errorf("import: %w", err)
		}
		n.New, n.Known = n.New+step.New, n.Known+step.Known
	}
	s.log.Info("operations imported", "store", e.Store, "new", n.New, "known", n.Known)
	s.hurry()
	return n, nil
}

// numberedOne is an operation with a number that can be: an import has no chain.
func numberedOne(sub Submitted) Submitted {
	sub.Number = 1
	return sub
}
