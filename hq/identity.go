package hq

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"storehub/doors"
)

// recognise compares who asks with the hub that was enrolled. A copy of it, on
// another machine or rolled back, has the same credential (money.md 4.3).
func (s *Server) recognise(r *http.Request, st record) (record, error) {
	machine, run := r.Header.Get(machineHeader), r.Header.Get(runHeader)
	if len(machine) > 256 || len(run) > 128 {
		return st, doors.ErrInvalidField.With("%s or %s is too long", machineHeader, runHeader)
	}
	st.run = run
	switch {
	case machine != "" && st.fingerprint != "" && machine != st.fingerprint:
		st.copied = true
		return st, s.duplicated(r.Context(), st, "another machine uses the hub's credential")
	case run != "" && run == st.newcomer:
		st.copied = true
	}
	return st, nil
}

// mayAsk refuses everything but the handing over of promises from a hub that was
// drained, and from a newcomer with another's identity.
func (r record) mayAsk() error {
	switch {
	case r.copied:
		return doors.ErrHubDuplicated
	case r.standing == hubDrained:
		return doors.ErrHubRevoked
	}
	return nil
}

// duplicated writes down that two hubs have the store's identity. It is written
// once: a copy may ask often.
func (s *Server) duplicated(ctx context.Context, st record, why string) error {
	var known bool
	err := s.db.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM findings WHERE store = ? AND code = ? AND decision = '')`, st.ID, doors.ErrHubDuplicated.Code).Scan(&known)
	if err != nil || known {
		return err
	}
	return s.db.tx(ctx, func(t *tx) error { return s.sayDuplicated(t, st.ID, why) })
}

func (s *Server) sayDuplicated(t *tx, store, why string) error {
	s.log.Error("two hubs have one store's identity", "store", store, "why", why)
	_, err := t.find(store, doors.ErrHubDuplicated.Code, store, why+"; on the hub that stays: hub enroll --replace")
	return err
}

// errNotTold: Stripe did not say.
var errNotTold = errors.New("Stripe did not tell")

// checkPlace refuses when Stripe says that key, account, mode and Location do not
// belong together, and says which. When Stripe says nothing it is errNotTold.
func (s *Server) checkPlace(ctx context.Context, st Store) error {
	stripe, err := s.stripe(st.Mode)
	if err != nil {
		if len(s.stripes) == 0 {
			return errNotTold // the command that keeps stores has no key
		}
		return doors.ErrAccountMode.With("the store is of mode %q and headquarters has no key of that mode", st.Mode)
	}
	ctx, cancel := context.WithTimeout(ctx, tokenBudget)
	defer cancel()
	ask := func(account string) (json.RawMessage, error) {
		raw, err := stripe.Call(ctx, account, doors.ListLocations, "", url.Values{"location": {st.Location}})
		s.heard(ctx, st.Mode, string(doors.ListLocations), err)
		return raw, err
	}
	raw, err := ask(st.Account)
	var e *StripeError
	if err != nil && !errors.As(err, &e) {
		return errNotTold
	}
	missing := func(e *StripeError) bool {
		return e != nil && (e.Status == http.StatusNotFound || e.Code == "resource_missing")
	}
	switch {
	case err == nil:
		var list []struct {
			Livemode bool `json:"livemode"`
		}
		if json.Unmarshal(raw, &list) == nil && len(list) == 1 && list[0].Livemode != (st.Mode == doors.Live) {
			return doors.ErrAccountMode.With("Location %s is not of mode %q", st.Location, st.Mode)
		}
		return nil
	case missing(e) && st.Account != "":
		if _, err := ask(""); err == nil {
			return doors.ErrAccountMode.With("Location %s is the platform's own, not account %s's", st.Location, st.Account)
		}
		return doors.ErrLocation.With("account %s has no Location %s in mode %q", st.Account, st.Location, st.Mode)
	case missing(e):
		return doors.ErrLocation.With("there is no Location %s in mode %q", st.Location, st.Mode)
	case st.Account != "" && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return doors.ErrAccountMode.With("Stripe does not let the key act for account %s: %s", st.Account, e.Code)
	}
	return errNotTold
}
