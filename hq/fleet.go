package hq

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// StoreView is a store as headquarters sees it from afar.
type StoreView struct {
	StoreRecord
	// Verdict is the last report's: ready, degraded, blocked. It is silent when that is
	// too old to say anything of now, and unknown when the hub never reported.
	Verdict     string     `json:"verdict"`
	LastContact *time.Time `json:"last_contact"` // a report or an operation; null: not known
	ReportedAt  *time.Time `json:"reported_at"`  // null: never
	Network     string     `json:"network,omitempty"`
	Report      *Report    `json:"report"` // the last one, however old
	// Configuration is what was wanted of its readers; absent: nothing.
	Configuration *ConfigurationState `json:"configuration,omitempty"`
	// Shared are the faults that it has together with others.
	Shared []SharedFault `json:"shared,omitempty"`
}

// A store of which nobody can say now how it does.
const (
	VerdictSilent  = "silent"
	VerdictUnknown = "unknown"
)

// silentAfter: a hub reports every three minutes.
const silentAfter = 10 * time.Minute

// Fleet is every store in service with its hub's last report, by id, and the faults
// that at least so many of them share; 0: the default.
func (s *Server) Fleet(ctx context.Context, atLeast int) ([]StoreView, []SharedFault, error) {
	list, _, err := s.views(ctx, "", reports{})
	if err != nil {
		return nil, nil, err
	}
	return list, s.share(list, atLeast), nil
}

// View is one store as Fleet has it, but for what it shares with others.
func (s *Server) View(ctx context.Context, store string) (StoreView, error) {
	list, _, err := s.views(ctx, store, reports{})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("look at store %q: %w", store, ErrNoStore)
	}
	if err != nil {
		return StoreView{}, err
	}
	return list[0], nil
}

// share finds what the stores share, and writes it to each.
func (s *Server) share(list []StoreView, atLeast int) []SharedFault {
	faults := Shared(list, cmp.Or(atLeast, s.sharedStores))
	for _, f := range faults {
		for _, id := range f.Stores {
			// The list is by id.
			i, _ := slices.BinarySearchFunc(list, id, func(v StoreView, id string) int { return cmp.Compare(v.ID, id) })
			list[i].Shared = append(list[i].Shared, f)
		}
	}
	return faults
}

// reports are what is held of those that were read before; the zero value holds none and
// reads all. Only what came since from is read anew.
type reports struct {
	from int64
	held map[string]heldReport
	hold func(store string, r heldReport) // nil: none is held
}

type heldReport struct {
	at int64
	*Report
}

// take is the report as it is held, or as it was just read. A report that is held is
// shared: nobody changes it.
func (r reports) take(store string, at int64, body []byte) (*Report, error) {
	h, ok := r.held[store]
	if !ok || h.at != at {
		if body == nil {
			return nil, nil
		}
		h = heldReport{at, &Report{}}
		if err := json.Unmarshal(body, h.Report); err != nil {
			return nil, fmt.Errorf("read report of store %q: %w", store, err)
		}
	}
	if r.hold != nil {
		r.hold(store, h)
	}
	mine := *h.Report
	return &mine, nil
}

// views is one store, or all by id if only is "". late: a report came that is not held
// and older than from, and is missing.
func (s *Server) views(ctx context.Context, only string, known reports) (list []StoreView, late bool, err error) {
	records, err := s.stores(ctx, only)
	if err != nil {
		return nil, false, err
	}
	wanted, err := s.configurations(ctx, only)
	if err != nil {
		return nil, false, err
	}
	list = make([]StoreView, 0, len(records))
	at := make(map[string]int, len(records))
	for i, rec := range records {
		list = append(list, StoreView{StoreRecord: rec, Verdict: VerdictUnknown})
		at[rec.ID] = i
		if c, ok := wanted[rec.ID]; ok {
			list[i].Configuration = &c
		}
	}
	// The submit chain's last operation is the last that was taken from the store.
	rows, err := s.db.r.QueryContext(ctx, `SELECT s.id, coalesce(o.recorded_at, 0), coalesce(r.at, 0), coalesce(r.network, ''), CASE WHEN r.at >= ?2 THEN r.body END FROM stores s
		LEFT JOIN reports r ON r.store = s.id
		LEFT JOIN chain c ON c.store = s.id AND c.epoch = s.epoch AND c.number = s.accepted_through
		LEFT JOIN operations o ON o.store = s.id AND o.id = c.id WHERE ?1 = '' OR s.id = ?1`, only, known.from)
	if err != nil {
		return nil, false, fmt.Errorf("look at the fleet: %w", err)
	}
	defer rows.Close()
	now := s.now()
	for rows.Next() {
		var id, network string
		var operation, report int64
		var body []byte
		if err := rows.Scan(&id, &operation, &report, &network, &body); err != nil {
			return nil, false, fmt.Errorf("look at the fleet: %w", err)
		}
		i, inService := at[id]
		if !inService {
			continue // removed
		}
		v := &list[i]
		if last := fromMS(max(operation, report)); !last.IsZero() {
			v.LastContact = &last
		}
		if report == 0 {
			continue
		}
		if v.Report, err = known.take(id, report, body); err != nil {
			return nil, false, err
		}
		if v.Report == nil {
			late = true
			continue
		}
		when := fromMS(report)
		v.ReportedAt, v.Network = &when, network
		v.Report.Checklist = v.Configuration.amend(v.Report.Checklist)
		if v.Verdict = v.Report.Verdict; now.Sub(when) > silentAfter {
			v.Verdict = VerdictSilent
		}
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("look at the fleet: %w", err)
	}
	return list, late, nil
}

const (
	codeShared  = "shared_fault"
	sharedEvery = time.Minute
	// sharedGone: a fault that comes and goes with a few stores is one, not many.
	sharedGone = 15 * time.Minute
)

// runShared raises what stores share as one finding until ctx ends, on one replica at a
// time.
func (s *Server) runShared(ctx context.Context) error {
	const duty = "duty/shared"
	seen := map[string]time.Time{}
	for {
		began := time.Now()
		ours, err := s.db.take(ctx, duty, 3*sharedEvery)
		if err == nil && ours {
			err = s.raiseShared(ctx, seen)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("look for faults that stores share", "err", err)
		}
		// A look at ten thousand stores takes a second of a processor: it never has
		// more than a part in twenty.
		if err := pause(ctx, max(jitter(sharedEvery), 20*time.Since(began))); err != nil {
			if err := s.db.drop(ctx, duty); err != nil {
				s.log.Warn("give up scheduled work", "work", "shared faults", "err", err)
			}
			return err
		}
	}
}

// raiseShared writes down which faults stores share now, and closes those that have
// been gone for a while; seen is when each was there last.
func (s *Server) raiseShared(ctx context.Context, seen map[string]time.Time) error {
	stores, faults, err := s.Fleet(ctx, 0)
	if err != nil || len(stores) < s.sharedStores {
		return err
	}
	return s.db.tx(ctx, func(t *tx) error {
		for _, f := range faults {
			ref := f.Code + " " + f.By
			if f.By != sharedTime {
				ref += " " + f.Value
			}
			news, err := t.find("", codeShared, ref, f.String()+": "+f.Title)
			if err != nil {
				return err
			}
			if seen[ref] = t.now; news {
				s.log.Warn("stores share a fault", "code", f.Code, "by", f.By, "value", f.Value, "stores", len(f.Stores), "of", f.Of)
			}
		}
		open, err := readStrings(t, `SELECT ref FROM findings WHERE store = '' AND code = ? AND decision = ''`, codeShared)
		if err != nil {
			return err
		}
		for _, ref := range open {
			if _, known := seen[ref]; !known {
				seen[ref] = t.now // an earlier process raised it
			}
			if t.now.Sub(seen[ref]) < sharedGone {
				continue
			}
			if _, err := t.Exec(`UPDATE findings SET decision = ?, decided_at = ? WHERE store = '' AND code = ? AND ref = ? AND decision = ''`, moot, ms(t.now), codeShared, ref); err != nil {
				return err
			}
			delete(seen, ref)
		}
		return nil
	})
}

// WorstFirst orders stores by how much they want a person.
func WorstFirst(list []StoreView) {
	order := []string{"blocked", VerdictSilent, "degraded", VerdictUnknown, "ready"}
	slices.SortStableFunc(list, func(a, b StoreView) int {
		return cmp.Compare(slices.Index(order, a.Verdict), slices.Index(order, b.Verdict))
	})
}
