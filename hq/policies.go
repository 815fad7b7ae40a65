package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	actPolicy         = "policy.set"
	codePolicyRefused = "policy_refused"
	itemPolicy        = "policy"
	// pushAgain: a hub that reports another version than the newest is told once more
	// that often. It may have lost its disk, or be older than policies.
	pushAgain = time.Hour
)

// PolicyState is a shop's policy with what its hub said of it.
type PolicyState struct {
	Store  string     `json:"store"`
	Policy ShopPolicy `json:"policy"`
	// Held is the version in force at the hub; 0: none, or it has not said.
	Held   uint64     `json:"held"`
	HeldAt *time.Time `json:"held_at"` // when it said so last; null: never
	// Refused is a version that the hub could not take; the one before stays in force.
	Refused uint64 `json:"refused,omitempty"`
	Why     string `json:"why,omitempty"`
}

// SetPolicy decides for a store and has its hub told, by the feed. What p leaves out
// stays as it was decided before, unless whole. It works beside a running headquarters.
func (s *Server) SetPolicy(ctx context.Context, store string, p ShopPolicy, whole bool) (set ShopPolicy, err error) {
	err = s.db.tx(ctx, func(t *tx) error {
		rec, err := t.store(store)
		if err != nil {
			return err
		}
		was, err := t.policy(store)
		if err != nil && !isNoRows(err) {
			return err
		}
		if set, err = t.setPolicy(actor(ctx), store, p, whole); err != nil {
			return err
		}
		said := fmt.Sprintf("version %d: %s", set.Version, set)
		if was.Policy.Version > 0 {
			said += "; before: " + was.Policy.String()
		}
		if err := t.act(actor(ctx), actPolicy, store, said); err != nil {
			return err
		}
		if set.RefundLimit == nil || *set.RefundLimit == rec.RefundLimit {
			return nil
		}
		_, err = t.Exec(`UPDATE stores SET refund_limit = ? WHERE id = ?`, *set.RefundLimit, store)
		return err
	})
	if err != nil {
		return set, fmt.Errorf("set policy of store %q: %w", store, err)
	}
	s.log.Info("policy set", "store", store, "version", set.Version)
	return set, nil
}

// setPolicy makes the newest version, by whom, and puts it into the store's feed.
func (t *tx) setPolicy(by, store string, p ShopPolicy, whole bool) (ShopPolicy, error) {
	was, err := t.policy(store)
	if err != nil && !isNoRows(err) {
		return p, err
	}
	if !whole {
		if p.Workday == "" {
			p.Workday = was.Policy.Workday
		}
		if p.OpeningHours == nil {
			p.OpeningHours = was.Policy.OpeningHours
		}
		if p.RefundLimit == nil {
			p.RefundLimit = was.Policy.RefundLimit
		}
		if p.RefundSum == nil {
			p.RefundSum = was.Policy.RefundSum
		}
	}
	// After a restore the hub may hold a later one than this headquarters remembers.
	p.Version, p.By, p.At = max(was.Policy.Version, was.Held, was.Refused)+1, line(by), t.now.UTC().Truncate(time.Second)
	if key, err := p.check(); err != nil {
		return p, fmt.Errorf("%s: %w", key, err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	if _, err := t.Exec(`INSERT INTO policies (store, version, policy, pushed_at) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (store) DO UPDATE SET version = ?2, policy = ?3, pushed_at = ?4, refused = 0, why = ''`, store, int64(p.Version), string(body), ms(t.now)); err != nil {
		return p, err
	}
	return p, t.append(store, Item{Type: itemPolicy, Policy: body})
}

// pushPolicy tells the store's hub of the policy there is, if there is one.
func (t *tx) pushPolicy(store string) error {
	var body string
	err := t.QueryRow(`UPDATE policies SET pushed_at = ?1 WHERE store = ?2 RETURNING policy`, ms(t.now), store).Scan(&body)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.append(store, Item{Type: itemPolicy, Policy: json.RawMessage(body)})
}

// holds takes in which policy the hub says it holds. One that it refused is a finding
// until it holds the newest; one that it seems not to have heard of is told again.
func (t *tx) holds(store string, r *ReportPolicy) error {
	p, err := t.policy(store)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if r == nil {
		r = &ReportPolicy{}
	}
	if _, err := t.Exec(`UPDATE policies SET held = ?, held_at = ?, refused = ?, why = ? WHERE store = ?`,
		int64(r.Version), ms(t.now), int64(r.Refused), r.Why, store); err != nil {
		return err
	}
	switch {
	case r.Version == p.Policy.Version:
		_, err = t.Exec(`UPDATE findings SET decision = ?, decided_at = ? WHERE store = ? AND code = ? AND decision = ''`, moot, ms(t.now), store, codePolicyRefused)
	case r.Refused == p.Policy.Version:
		_, err = t.find(store, codePolicyRefused, fmt.Sprintf("policy %d", p.Policy.Version), fmt.Sprintf("the hub could not take it and holds version %d: %s", r.Version, r.Why))
	case t.now.Sub(p.pushed) >= pushAgain:
		err = t.pushPolicy(store)
	}
	return err
}

// keptPolicy is a line of the table.
type keptPolicy struct {
	PolicyState
	pushed time.Time
}

const policyColumns = `p.store, p.version, p.policy, p.pushed_at, p.held, p.held_at, p.refused, p.why`

func scanPolicy(row interface{ Scan(...any) error }) (k keptPolicy, err error) {
	var version, pushed, held, heldAt, refused int64
	var body string
	if err := row.Scan(&k.Store, &version, &body, &pushed, &held, &heldAt, &refused, &k.Why); err != nil {
		return k, err
	}
	if err := json.Unmarshal([]byte(body), &k.Policy); err != nil {
		return k, err
	}
	k.pushed, k.Held, k.Refused = fromMS(pushed), uint64(max(held, 0)), uint64(max(refused, 0))
	if at := fromMS(heldAt); !at.IsZero() {
		k.HeldAt = &at
	}
	return k, nil
}

func (t *tx) policy(store string) (keptPolicy, error) {
	return scanPolicy(t.QueryRow(`SELECT `+policyColumns+` FROM policies p WHERE p.store = ?`, store))
}

// Policies lists what was decided, by store; store "" is every store in service.
func (s *Server) Policies(ctx context.Context, store string) ([]PolicyState, error) {
	rows, err := s.db.r.QueryContext(ctx, `SELECT `+policyColumns+` FROM policies p JOIN stores s ON s.id = p.store
		WHERE (?1 = '' OR p.store = ?1) AND s.standing <> ?2 ORDER BY p.store`, store, storeRemoved)
	if err != nil {
		return nil, fmt.Errorf("list policies: %w", err)
	}
	defer rows.Close()
	list := []PolicyState{}
	for rows.Next() {
		k, err := scanPolicy(rows)
		if err != nil {
			return nil, fmt.Errorf("list policies: %w", err)
		}
		list = append(list, k.PolicyState)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list policies: %w", err)
	}
	if len(list) == 0 && store != "" {
		if _, err := readStore(queryer(ctx, s.db.r), `id = ?`, store); isNoRows(err) {
			return nil, fmt.Errorf("list policies of store %q: %w", store, ErrNoStore)
		} else if err != nil {
			return nil, errors.Join(errors.New("list policies"), err)
		}
	}
	return list, nil
}
