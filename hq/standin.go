package hq

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"storehub/doors"
)

// A stand-in is a store of mode test in whose name a live store rehearses (money.md 1.4).
// It is a row of its own, so that whatever belongs to a store (operations, payments,
// locations, feed, chain, findings) is the live store's or its stand-in's, never both's.
// It has no credential: only the hub of the live store comes to it, by paths of its own.
// Its mode is test by the schema, and a store's mode alone chooses Stripe's key. What
// counts over all stores leaves stand-ins out.

// standInSuffix makes a stand-in's id. No store's own id has its first sign.
const standInSuffix = "~rehearsal"

// rehearsalPath begins what is asked in the name of the stand-in of the store that asks.
// It is a part of the path, not a header, so that the hub's signature covers it.
const rehearsalPath = wirePath + "rehearsal/"

// notStandIn holds for rows of a table that belong to no stand-in.
const notStandIn = `store NOT IN (SELECT id FROM stores WHERE rehearses <> '')`

// standIn is whom the store rehearses as, or a refusal that says what is missing.
func (s *Server) standIn(ctx context.Context, st record) (record, error) {
	if st.Mode != doors.Live {
		return record{}, doors.ErrModeMismatch.With("store %s is of mode %s and rehearses at its own Location", st.ID, st.Mode)
	}
	as, err := readStore(queryer(ctx, s.db.r), `rehearses = ?`, st.ID)
	switch {
	case isNoRows(err), err == nil && as.standing == storeRemoved:
		return record{}, doors.ErrLocation.With("store %s is live and has no test Location to rehearse at: make one in Stripe's test mode, then, at headquarters: hq store configure --id %s --test-location tml_…", st.ID, st.ID)
	case err != nil:
		return record{}, err
	case as.Account != st.Account:
		return record{}, doors.ErrAccountMode.With("the test Location of store %s is one of account %q, the store is of account %q now: at headquarters: hq store configure --id %s --test-location tml_…", st.ID, as.Account, st.Account, st.ID)
	}
	if _, err := s.stripe(as.Mode); err != nil {
		return record{}, doors.ErrAccountMode.With("headquarters has no test key to rehearse with: name its file in stripe.test.api_key_file")
	}
	as.run = st.run
	return as, nil
}

// setStandIn gives a live store a test Location to rehearse at, or another one. "" takes
// it away; what was rehearsed there stays on record.
func (t *tx) setStandIn(live record, location string) error {
	have, err := readStore(t, `rehearses = ?`, live.ID)
	if err != nil && !isNoRows(err) {
		return err
	}
	had := err == nil
	id := live.ID + standInSuffix
	switch {
	case live.Mode != doors.Live:
		return fmt.Errorf("test_location: the store is of mode %s and rehearses at its own Location", live.Mode)
	case location != "" && !locationID.MatchString(location):
		return fmt.Errorf("test_location %q: want Stripe's id of a Location, tml_…", location)
	case location == live.Location:
		return fmt.Errorf("test_location %q: that is the live one; make another in test mode", location)
	case had && (have.Location != location || have.Account != live.Account):
		if err := t.nothingOpen(id); err != nil {
			return fmt.Errorf("test_location: %w", err)
		}
	}
	if location == "" {
		_, err := t.Exec(`UPDATE stores SET standing = ? WHERE rehearses = ?`, storeRemoved, live.ID)
		return err
	}
	for _, q := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO stores (id, location, mode, account, name, time_zone, day_ends, epoch, created_at, rehearses) VALUES (?1, ?2, ?3, ?4, '', ?5, ?6, ?7, ?8, ?9)
			ON CONFLICT (id) DO UPDATE SET location = ?2, account = ?4, time_zone = ?5, day_ends = ?6, rehearses = ?9, standing = ''`,
			[]any{id, location, doors.Test, live.Account, live.TimeZone, live.DayEnds, randomHex(8), ms(t.now), live.ID}},
		{`UPDATE locations SET role = 'former' WHERE store = ?1 AND role = 'present' AND id <> ?2`, []any{id, location}},
		{`INSERT INTO locations VALUES (?1, ?2, 'present') ON CONFLICT (store, id) DO UPDATE SET role = 'present'`, []any{id, location}},
	} {
		if _, err := t.Exec(q.query, q.args...); err != nil {
			return err
		}
	}
	return nil
}

// errStandIn: its record is kept with the live store's.
var errStandIn = errors.New("it is what a live store rehearses as; configure that one")

// testLocations are where live stores rehearse.
func (d *database) testLocations(ctx context.Context) (map[string]string, error) {
	rows, err := d.r.QueryContext(ctx, `SELECT rehearses, location FROM stores WHERE rehearses <> '' AND standing <> ?`, storeRemoved)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at := map[string]string{}
	for rows.Next() {
		var store, location string
		if err := rows.Scan(&store, &location); err != nil {
			return nil, err
		}
		at[store] = location
	}
	return at, rows.Err()
}

// serveStandIn tells a live store's hub whom it rehearses as, once Stripe knows the place
// in test mode.
func serveStandIn(ctx context.Context, s *Server, as record, _ *http.Request) (answer, error) {
	if err := s.checkPlace(ctx, as.Store); err != nil && !errors.Is(err, errNotTold) {
		return answer{}, err
	}
	return answer{status: http.StatusOK, value: as.Store}, nil
}
