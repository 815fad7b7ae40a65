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
	records, err := s.Stores(ctx)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := s.configurations(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	list := make([]StoreView, 0, len(records))
	at := map[string]int{}
	for i, rec := range records {
		list = append(list, StoreView{StoreRecord: rec, Verdict: VerdictUnknown})
		at[rec.ID] = i
		if c, ok := wanted[rec.ID]; ok {
			list[i].Configuration = &c
		}
	}
	// The submit chain's last operation is the last that was taken from the store.
	rows, err := s.db.r.QueryContext(ctx, `SELECT s.id, coalesce(o.recorded_at, 0), coalesce(r.at, 0), coalesce(r.network, ''), r.body FROM stores s
		LEFT JOIN reports r ON r.store = s.id
		LEFT JOIN chain c ON c.store = s.id AND c.epoch = s.epoch AND c.number = s.accepted_through
		LEFT JOIN operations o ON o.store = s.id AND o.id = c.id`)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the fleet: %w", err)
	}
	defer rows.Close()
	now := s.now()
	for rows.Next() {
		var id, network string
		var operation, report int64
		var body []byte
		if err := rows.Scan(&id, &operation, &report, &network, &body); err != nil {
			return nil, nil, fmt.Errorf("look at the fleet: %w", err)
		}
		i, known := at[id]
		if !known {
			continue // removed
		}
		v := &list[i]
		if last := fromMS(max(operation, report)); !last.IsZero() {
			v.LastContact = &last
		}
		if report == 0 {
			continue
		}
		when := fromMS(report)
		v.ReportedAt, v.Network, v.Report = &when, network, &Report{}
		if err := json.Unmarshal(body, v.Report); err != nil {
			return nil, nil, fmt.Errorf("read report of store %q: %w", id, err)
		}
		v.Report.Checklist = v.Configuration.amend(v.Report.Checklist)
		if v.Verdict = v.Report.Verdict; now.Sub(when) > silentAfter {
			v.Verdict = VerdictSilent
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("look at the fleet: %w", err)
	}
	faults := Shared(list, cmp.Or(atLeast, s.sharedStores))
	for _, f := range faults {
		for _, id := range f.Stores {
			list[at[id]].Shared = append(list[at[id]].Shared, f)
		}
	}
	return list, faults, nil
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
