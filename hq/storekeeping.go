package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"storehub/doors"
)

// StoreRecord is one store as people keep it.
type StoreRecord struct {
	Store
	Policy
	Hub string `json:"hub"` // none, enrolled, drained, revoked, duplicated
	// TestLocation is where a live store rehearses; "": nowhere.
	TestLocation string `json:"test_location,omitempty"`
}

// Stores lists, by id, without those that were removed.
// Stand-ins are told with the store that rehearses as them.
func (s *Server) Stores(ctx context.Context) ([]StoreRecord, error) { return s.stores(ctx, "") }

// stores are one store, or all if only is "".
func (s *Server) stores(ctx context.Context, only string) ([]StoreRecord, error) {
	rehearse, err := s.db.testLocations(ctx)
	if err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	rows, err := s.db.r.QueryContext(ctx, `SELECT `+storeColumns+` FROM stores WHERE standing <> ?1 AND rehearses = '' AND (?2 = '' OR id = ?2) ORDER BY id`, storeRemoved, only)
	if err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	defer rows.Close()
	list := []StoreRecord{}
	for rows.Next() {
		rec, credential, err := scanStore(rows)
		if err != nil {
			return nil, fmt.Errorf("list stores: %w", err)
		}
		out := StoreRecord{Store: rec.Store, Policy: rec.Policy, Hub: "enrolled", TestLocation: rehearse[rec.ID]}
		switch {
		case rec.standing == hubDrained:
			out.Hub = "drained"
		case rec.standing == hubRevoked:
			out.Hub = "revoked"
		case credential == nil:
			out.Hub = "none"
		case rec.newcomer != "":
			out.Hub = "duplicated"
		}
		list = append(list, out)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	return list, nil
}

// Change is what ConfigureStore alters; nil leaves a field as it is.
type Change struct {
	Name, TimeZone, DayEnds          *string
	OverAmount, Uncaptured, TrustKey *string
	RefundLimit                      *int64
	// TestLocation is where a live store rehearses, in test mode; "": nowhere.
	TestLocation *string
	// Revoke ends the hub's credential: "drain" lets it hand over what it
	// promised, held for a person, and nothing else; "now" lets it do nothing.
	// What headquarters has accepted is still done. A new enrolment ends it.
	Revoke *string
}

var metadataKey = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)

func (c Change) apply(rec *record) error {
	for _, f := range []struct{ to, from *string }{{&rec.Name, c.Name}, {&rec.TimeZone, c.TimeZone}, {&rec.DayEnds, c.DayEnds},
		{&rec.OverAmount, c.OverAmount}, {&rec.Uncaptured, c.Uncaptured}, {&rec.TrustKey, c.TrustKey}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.RefundLimit != nil {
		rec.RefundLimit = *c.RefundLimit
	}
	switch {
	case !slices.Contains([]string{OverCapture, OverHold}, rec.OverAmount):
		return fmt.Errorf("over_amount %q: want %s or %s", rec.OverAmount, OverCapture, OverHold)
	case !slices.Contains([]string{UncapturedReport, UncapturedCapture, UncapturedCancel}, rec.Uncaptured):
		return fmt.Errorf("uncaptured %q: want %s, %s or %s", rec.Uncaptured, UncapturedReport, UncapturedCapture, UncapturedCancel)
	case rec.TrustKey != "" && (!metadataKey.MatchString(rec.TrustKey) || strings.HasPrefix(rec.TrustKey, "storehub_")):
		return fmt.Errorf("trust_metadata %q: want a metadata key of up to 40 letters, digits, '_', '.' and '-', not one of ours", rec.TrustKey)
	}
	if c.Revoke != nil {
		switch *c.Revoke {
		case "drain":
			rec.standing = hubDrained
		case "now":
			rec.standing = hubRevoked
		default:
			return fmt.Errorf("revoke %q: want drain or now", *c.Revoke)
		}
	}
	return nil
}

// ConfigureStore changes a store's record. It works beside a running headquarters.
func (s *Server) ConfigureStore(ctx context.Context, id string, c Change) error {
	err := s.db.tx(ctx, func(t *tx) error {
		rec, err := t.store(id)
		if err != nil {
			return err
		}
		was := rec
		if err := c.apply(&rec); err != nil {
			return err
		}
		if rec.Store, err = s.completeStore(rec.Store); err != nil {
			return err
		}
		if _, err := t.Exec(`UPDATE stores SET name = ?, time_zone = ?, day_ends = ?, over_amount = ?, uncaptured = ?, trust_key = ?, standing = ?, refund_limit = ? WHERE id = ?`,
			rec.Name, rec.TimeZone, rec.DayEnds, rec.OverAmount, rec.Uncaptured, rec.TrustKey, rec.standing, rec.RefundLimit, id); err != nil {
			return err
		}
		if said := changes(was, rec); said != "" {
			if err := t.act(actor(ctx), actConfigure, id, said); err != nil {
				return err
			}
		}
		if was.RefundLimit != rec.RefundLimit { // the hub need not wait until it asks for its record
			if _, err := t.setPolicy(actor(ctx), id, ShopPolicy{RefundLimit: &rec.RefundLimit}, false); err != nil {
				return err
			}
		}
		if c.TestLocation != nil {
			if err := t.setStandIn(rec, *c.TestLocation); err != nil {
				return err
			}
			if err := t.act(actor(ctx), actConfigure, id, fmt.Sprintf("test_location became %q", *c.TestLocation)); err != nil {
				return err
			}
		}
		if c.Revoke == nil {
			return nil
		}
		if rec.standing == hubRevoked {
			if _, err := t.Exec(`UPDATE stores SET credential = NULL WHERE id = ?`, id); err != nil {
				return err
			}
		}
		return t.act(actor(ctx), actRevoke, id, *c.Revoke)
	})
	if err != nil {
		return fmt.Errorf("configure store %q: %w", id, err)
	}
	s.log.Info("store configured", "store", id)
	return nil
}

// MoveStore gives a store another Location. The one before goes on proving whose
// payments are. Another account or mode is refused while anything is open
// (money.md 1.4): its end could not be brought about any more. Nothing of the three is
// changed while payments that were taken offline are pending, or may be (money.md 3.6).
func (s *Server) MoveStore(ctx context.Context, to Store) error {
	err := s.db.tx(ctx, func(t *tx) error {
		rec, err := t.store(to.ID)
		if err != nil {
			return err
		}
		moved := rec.Store
		moved.Location, moved.Account = to.Location, to.Account
		if to.Mode != "" {
			moved.Mode = to.Mode
		}
		if moved, err = s.completeStore(moved); err != nil {
			return err
		}
		if moved.Account != rec.Account || moved.Mode != rec.Mode {
			if err := t.nothingOpen(to.ID); err != nil {
				return err
			}
		}
		if moved.Location != rec.Location || moved.Account != rec.Account || moved.Mode != rec.Mode {
			if err := t.nothingOffline(rec); err != nil {
				return err
			}
		}
		for _, q := range []string{
			`UPDATE locations SET role = 'former' WHERE store = ?1 AND role = 'present' AND id <> ?2`,
			`INSERT INTO locations VALUES (?1, ?2, 'present') ON CONFLICT (store, id) DO UPDATE SET role = 'present'`,
		} {
			if _, err := t.Exec(q, to.ID, moved.Location); err != nil {
				return err
			}
		}
		if _, err = t.Exec(`UPDATE stores SET location = ?, account = ?, mode = ?, offline = '', update_window = '' WHERE id = ?`, moved.Location, moved.Account, moved.Mode, to.ID); err != nil {
			return err
		}
		return t.act(actor(ctx), actMove, to.ID, changes(rec, record{Store: moved, Policy: rec.Policy}))
	})
	if err != nil {
		return fmt.Errorf("move store %q: %w", to.ID, err)
	}
	s.log.Info("store moved", "store", to.ID, "location", to.Location)
	return nil
}

// RemoveStore takes a store out of service: its hub and tills are known no more.
// Its ledger stays. It is refused while anything is open.
func (s *Server) RemoveStore(ctx context.Context, id string) error {
	err := s.db.tx(ctx, func(t *tx) error {
		rec, err := t.store(id)
		if err != nil {
			return err
		}
		if err := t.nothingOpen(id); err != nil {
			return err
		}
		for _, q := range []string{
			`UPDATE stores SET standing = 'removed', credential = NULL WHERE id = ?`,
			`UPDATE stores SET standing = 'removed' WHERE rehearses = ?`,
			`DELETE FROM tills WHERE store = ?`,
			`DELETE FROM codes WHERE store = ?`,
			`DELETE FROM configurations WHERE store = ?`,
			`DELETE FROM policies WHERE store = ?`,
			`DELETE FROM report_changes WHERE store = ?`,
			`DELETE FROM reports WHERE store = ?`,
		} {
			if _, err := t.Exec(q, id); err != nil {
				return err
			}
		}
		return t.act(actor(ctx), actRemove, id, rec.place())
	})
	if err != nil {
		return fmt.Errorf("remove store %q: %w", id, err)
	}
	s.log.Info("store removed", "store", id)
	return nil
}

// ErrNoStore is that nobody recorded it, or it was taken out of service.
var ErrNoStore = errors.New("there is no such store")

// store reads a store that was not removed, for an act of a person's.
func (t *tx) store(id string) (record, error) {
	rec, err := readStore(t, `id = ?`, id)
	switch {
	case isNoRows(err), err == nil && rec.standing == storeRemoved:
		return rec, ErrNoStore
	case err == nil && rec.rehearses != "":
		return rec, errStandIn
	}
	return rec, err
}

// nothingOffline refuses while the store's readers may hold payments that Stripe has not
// seen: they are forwarded to the Location at which they were taken.
func (t *tx) nothingOffline(rec record) error {
	var n int
	if err := t.QueryRow(`SELECT count(*) FROM operations WHERE store = ? AND kind = ? AND next_look IS NOT NULL`, rec.ID, doors.OfflinePayment).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("it has %d payments that were taken offline and are not forwarded", n)
	}
	var at int64
	var body []byte
	err := t.QueryRow(`SELECT at, body FROM reports WHERE store = ?`, rec.ID).Scan(&at, &body)
	if err != nil && !isNoRows(err) {
		return err
	}
	var r Report
	if err == nil {
		if err := json.Unmarshal(body, &r); err != nil {
			return err
		}
	}
	silent := err != nil || t.now.Sub(fromMS(at)) > silentAfter
	switch {
	case r.Queue.Pending > 0:
		return fmt.Errorf("its hub last said that %d operations wait on its disk alone, and payments taken offline may be among them: let it hand them over", r.Queue.Pending)
	case silent && rec.Offline == OfflineOn && rec.fingerprint != "":
		return errors.New("its readers take payments offline and its hub is silent, so nobody knows whether some are pending: bring the hub online first")
	}
	return nil
}

// nothingOpen refuses while money of the store is under way.
func (t *tx) nothingOpen(store string) error {
	for _, q := range []struct{ query, what string }{
		{`SELECT count(*) FROM operations WHERE store = ? AND next_look IS NOT NULL`, "operations without an outcome"},
		{`SELECT count(*) FROM actions WHERE store = ? AND open = 1`, "reader actions without an end"},
		{`SELECT count(*) FROM intents WHERE store = ? AND next_look IS NOT NULL AND authorised_at > 0`, "authorisations that are not captured"},
	} {
		var n int
		if err := t.QueryRow(q.query, store).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("it has %d %s; see hq reconcile --store %s", n, q.what, store)
		}
	}
	return nil
}
