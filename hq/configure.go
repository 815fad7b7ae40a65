package hq

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ConfigurationDiff is how the readers of a store are told to be, beside what is wanted.
type ConfigurationDiff struct {
	Store         string `json:"store"`
	Location      string `json:"location"`
	Configuration string `json:"configuration,omitempty"` // the Location's own; absent: it has the account's default
	// SharedWith are the other Locations whose own it is too: they would be told the same.
	SharedWith  []string     `json:"shared_with,omitempty"`
	Differences []Difference `json:"differences"`
}

// ConfigurationState is what was wanted last of a store's readers, and how Stripe's
// Configuration compared.
type ConfigurationState struct {
	By          string       `json:"by"`
	At          time.Time    `json:"at"`
	CheckedAt   *time.Time   `json:"checked_at"` // null: never
	Differences []Difference `json:"differences"`
	// Unknown says why the last look could not tell.
	Unknown string `json:"unknown,omitempty"`
	wanted  Wanted
}

// Acts and findings of Configurations.
const (
	actConfigured     = "configuration.apply"
	actConfigureEnded = "configuration.failed"
	codeDrift         = "configuration_drift"
)

// CompareConfiguration reads what the store's readers are told and changes nothing.
func (s *Server) CompareConfiguration(ctx context.Context, store string, w Wanted) (ConfigurationDiff, error) {
	rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, store)
	if isNoRows(err) || err == nil && rec.standing == storeRemoved {
		err = ErrNoStore
	}
	if err != nil {
		return ConfigurationDiff{}, fmt.Errorf("compare configuration of store %q: %w", store, err)
	}
	want, err := w.settings()
	if err != nil {
		return ConfigurationDiff{}, err
	}
	d, err := s.compareConfiguration(ctx, rec.Store, want)
	if err != nil {
		return d, fmt.Errorf("compare configuration of store %q: %w", store, err)
	}
	return d, nil
}

// configureTimeout bounds one look or one change; a long list of Locations is of many pages.
const configureTimeout = time.Minute

// toldReaders reads what the readers of a store are told, and the id of the Location's
// own Configuration. What the hub needs of it is kept in the store's record.
func (s *Server) toldReaders(ctx context.Context, st Store) (id string, is settings, err error) {
	stripe, err := s.stripe(st.Mode)
	if err != nil {
		return "", nil, err
	}
	k, err := stripe.Configuration(ctx, st.Account, st.Location)
	s.heard(ctx, st.Mode, "configuration", err)
	if err != nil {
		return "", nil, askedOf("read", err)
	}
	own, err := readSettings(k.Own)
	if err != nil {
		return "", nil, err
	}
	below, err := readSettings(k.Default)
	if err != nil {
		return "", nil, err
	}
	is = own.over(below)
	if offline, window := is.offline(), is.hours(); offline != st.Offline || window != st.UpdateWindow {
		err = s.db.tx(ctx, func(t *tx) error {
			_, err := t.Exec(`UPDATE stores SET offline = ?, update_window = ? WHERE id = ? AND location = ?`, offline, window, st.ID, st.Location)
			return err
		})
	}
	return k.ID, is, err
}

func (s *Server) compareConfiguration(ctx context.Context, st Store, want settings) (d ConfigurationDiff, err error) {
	d = ConfigurationDiff{Store: st.ID, Location: st.Location}
	ctx, cancel := context.WithTimeout(ctx, configureTimeout)
	defer cancel()
	id, is, err := s.toldReaders(ctx, st)
	if err != nil {
		return d, err
	}
	d.Configuration, d.Differences = id, differences(want, is)
	if id == "" || len(d.Differences) == 0 {
		return d, nil
	}
	stripe, err := s.stripe(st.Mode)
	if err != nil {
		return d, err
	}
	all, err := stripe.LocationsWith(ctx, st.Account, id)
	s.heard(ctx, st.Mode, "locations_with", err)
	if err != nil {
		return d, askedOf("list Locations", err)
	}
	d.SharedWith = slices.DeleteFunc(all, func(id string) bool { return id == st.Location })
	return d, nil
}

// asked says what Stripe answered, or that it did not. Its sentence may quote what was
// sent, a secret among it, and is left out.
func askedOf(what string, err error) error {
	var e *StripeError
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("%s at Stripe: no answer", what)
	case e.Status == 401 || e.Status == 403:
		return fmt.Errorf("%s at Stripe: the key may not (%d): it wants terminal_configuration and terminal_location, read and write", what, e.Status)
	}
	return fmt.Errorf("%s at Stripe: answered %d %s", what, e.Status, strings.TrimSpace(e.Type+" "+e.Code))
}

// ErrShared refuses to change what other Locations are told too.
var ErrShared = errors.New("other Locations have the same Configuration")

// ApplyConfiguration has the store's readers told what is wanted, and reads that
// Stripe holds it. What is wanted, by whom, is written down first; from then on a
// Configuration that differs is a finding. It returns what was different before.
// A Configuration that other Locations have too is changed only if shared says so.
func (s *Server) ApplyConfiguration(ctx context.Context, store string, w Wanted, shared bool) (ConfigurationDiff, error) {
	d, err := s.CompareConfiguration(ctx, store, w)
	if err != nil {
		return d, err
	}
	if len(d.SharedWith) > 0 && !shared {
		return d, fmt.Errorf("apply configuration to store %q: %w: %s is also that of %s", store, ErrShared, d.Configuration, strings.Join(d.SharedWith, ", "))
	}
	want, err := w.settings()
	if err != nil {
		return d, err
	}
	body, err := json.Marshal(w)
	if err != nil {
		return d, err
	}
	var st Store
	err = s.db.tx(ctx, func(t *tx) error {
		rec, err := t.store(store)
		if err != nil {
			return err
		}
		st = rec.Store
		if _, err := t.Exec(`INSERT INTO configurations (store, wanted, by_whom, at) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (store) DO UPDATE SET wanted = ?2, by_whom = ?3, at = ?4, checked_at = 0, differences = '[]', unknown = ''`,
			store, string(body), actor(ctx), ms(t.now)); err != nil {
			return err
		}
		return t.act(actor(ctx), actConfigured, store, d.said())
	})
	if err != nil {
		return d, fmt.Errorf("apply configuration to store %q: %w", store, err)
	}
	if len(d.Differences) > 0 {
		err = s.configure(ctx, st, d.Configuration, want)
	}
	if err == nil {
		var now ConfigurationDiff
		if now, err = s.lookAtConfiguration(ctx, st, w); err == nil && len(now.Differences) > 0 {
			err = errors.New("Stripe took it and tells another one: " + now.said())
		}
	}
	if err != nil {
		said := s.db.tx(context.WithoutCancel(ctx), func(t *tx) error { return t.act(actor(ctx), actConfigureEnded, store, err.Error()) })
		return d, errors.Join(fmt.Errorf("apply configuration to store %q: %w", store, err), said)
	}
	s.log.Info("configuration applied", "store", store, "differences", len(d.Differences))
	return d, nil
}

// said tells the differences in a line.
func (d ConfigurationDiff) said() string {
	if len(d.Differences) == 0 {
		return "nothing differs"
	}
	var list []string
	for _, diff := range d.Differences {
		list = append(list, diff.String())
	}
	return strings.Join(list, "; ")
}

// configure writes at Stripe. A change has a key of its own: an earlier one's answer
// would be replayed without effect. What makes a Configuration has the same key for
// the same wish, so that a lost answer leaves none without a Location.
func (s *Server) configure(ctx context.Context, st Store, id string, want settings) error {
	stripe, err := s.stripe(st.Mode)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, configureTimeout)
	defer cancel()
	form, key := want.form(), "configuration-"+randomHex(16)
	if id != "" {
		_, err = stripe.Configure(ctx, st.Account, id, key, form)
		s.heard(ctx, st.Mode, "configure", err)
		if err != nil {
			return askedOf("change Configuration", err)
		}
		return nil
	}
	form.Set("name", "Store "+st.ID)
	sum := sha256.Sum256([]byte(st.ID + "\n" + st.Account + "\n" + st.Location + "\n" + form.Encode()))
	made, err := stripe.Configure(ctx, st.Account, "", "configuration-"+hex.EncodeToString(sum[:]), form)
	s.heard(ctx, st.Mode, "configure", err)
	if err != nil {
		return askedOf("make Configuration", err)
	}
	err = stripe.Assign(ctx, st.Account, st.Location, made, key)
	s.heard(ctx, st.Mode, "assign_configuration", err)
	if err != nil {
		return askedOf("give Location its Configuration "+made, err)
	}
	return nil
}

// lookAtConfiguration compares, and writes down what it saw: a finding while something
// differs.
func (s *Server) lookAtConfiguration(ctx context.Context, st Store, w Wanted) (ConfigurationDiff, error) {
	d, unknown := ConfigurationDiff{Store: st.ID, Location: st.Location}, ""
	want, err := w.settings()
	if err == nil {
		d, err = s.compareConfiguration(ctx, st, want)
	}
	if err != nil {
		unknown = line(err.Error())
	}
	if d.Differences == nil {
		d.Differences = []Difference{}
	}
	body, encoding := json.Marshal(d.Differences)
	if encoding != nil {
		return d, encoding
	}
	kept := s.db.tx(ctx, func(t *tx) error {
		if err != nil {
			_, failed := t.Exec(`UPDATE configurations SET checked_at = ?, unknown = ? WHERE store = ?`, ms(t.now), unknown, st.ID)
			return failed
		}
		if _, err := t.Exec(`UPDATE configurations SET checked_at = ?, unknown = '', differences = ? WHERE store = ?`, ms(t.now), string(body), st.ID); err != nil {
			return err
		}
		if len(d.Differences) > 0 {
			news, err := t.find(st.ID, codeDrift, st.Location, d.said())
			if news {
				s.log.Warn("readers are told something else than wanted", "store", st.ID, "differences", len(d.Differences))
			}
			return err
		}
		_, err := t.Exec(`UPDATE findings SET decision = ?, decided_at = ? WHERE store = ? AND code = ? AND decision = ''`, moot, ms(t.now), st.ID, codeDrift)
		return err
	})
	return d, errors.Join(err, kept)
}

// checkConfiguration is the daily look at a store's Configuration: for its hub, and
// beside what is wanted of it. That Stripe does not tell is no error: it is written down.
func (s *Server) checkConfiguration(ctx context.Context, st Store) error {
	states, err := s.configurations(ctx, st.ID)
	if err != nil {
		return err
	}
	state, wanted := states[st.ID]
	if !wanted {
		asking, cancel := context.WithTimeout(ctx, configureTimeout)
		defer cancel()
		if _, _, err := s.toldReaders(asking, st); err != nil {
			s.log.Debug("look at configuration", "store", st.ID, "err", err)
		}
		return ctx.Err()
	}
	if _, err := s.lookAtConfiguration(ctx, st, state.wanted); err != nil {
		s.log.Warn("look at configuration", "store", st.ID, "err", err)
	}
	return ctx.Err()
}

// configurations are the states of one store, or of all if it is "".
func (s *Server) configurations(ctx context.Context, store string) (map[string]ConfigurationState, error) {
	rows, err := s.db.r.QueryContext(ctx, `SELECT store, wanted, by_whom, at, checked_at, differences, unknown FROM configurations WHERE ?1 = '' OR store = ?1`, store)
	if err != nil {
		return nil, fmt.Errorf("read configurations: %w", err)
	}
	defer rows.Close()
	all := map[string]ConfigurationState{}
	for rows.Next() {
		var id, wanted, diffs string
		var at, checked int64
		var c ConfigurationState
		if err := rows.Scan(&id, &wanted, &c.By, &at, &checked, &diffs, &c.Unknown); err != nil {
			return nil, fmt.Errorf("read configurations: %w", err)
		}
		if err := errors.Join(json.Unmarshal([]byte(wanted), &c.wanted), json.Unmarshal([]byte(diffs), &c.Differences)); err != nil {
			return nil, fmt.Errorf("read configuration of store %q: %w", id, err)
		}
		c.At = fromMS(at)
		if last := fromMS(checked); !last.IsZero() {
			c.CheckedAt = &last
		}
		all[id] = c
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read configurations: %w", err)
	}
	return all, nil
}

// amend lets what Stripe was seen to hold speak for the items that it settles. Where
// nobody could tell, the hub's word stands.
func (c *ConfigurationState) amend(items []ReportItem) []ReportItem {
	if c == nil || c.CheckedAt == nil || c.Unknown != "" {
		return items
	}
	items = slices.Clone(items)
	read := ", as Stripe's Configuration was read on " + c.CheckedAt.UTC().Format(time.DateOnly)
	for part, id := range map[string]string{partPasscode: "passcode", partWindow: "reader_updates"} {
		i := slices.IndexFunc(items, func(it ReportItem) bool { return it.ID == id })
		if i < 0 || part == partPasscode && c.wanted.PasscodeFile == "" || part == partWindow && c.wanted.Window == nil {
			continue
		}
		it := &items[i]
		was := it.State
		at := slices.IndexFunc(c.Differences, func(d Difference) bool { return d.Part == part })
		switch {
		case at >= 0:
			it.Evidence = append(slices.Clone(it.Evidence), c.Differences[at].String()+read)
			if it.State != "fail" {
				it.State = "attention"
			}
			if part == partPasscode {
				it.State = "fail"
			}
		case part == partPasscode:
			it.State, it.Evidence = "pass", []string{"readers are told a passcode of your own, of 5 digits and not in sequence" + read}
		default:
			it.Evidence = append(slices.Clone(it.Evidence), "the update window is as wanted"+read)
		}
		if it.State != was {
			it.NextDue = time.Time{} // the date was of what the hub saw
		}
	}
	return items
}
