package hq

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"storehub/doors"
)

// Stripe's allocation of reads to an account: so many on average for each payment
// over 30 days, and never less than the floor (money.md 4.6). Every read counts, and
// what is only polled gives way in time; what money needs is never asked whether it may.
const (
	readsPerPayment = 500
	readsFloor      = 10_000
	readDays        = 30
	// Of a day's even share so much is what polls keep to, counted from two hours before
	// the day, so that it begins with something: 30 such days are 0.92 of the budget.
	readsTarget = 0.85
	readsAhead  = 2 * time.Hour
	// readsLow is when the 30 days themselves are nearly used up: payments got fewer,
	// or money's own reads are many.
	readsLow = 0.95
	// At the most two polls of 20 s rest 20 minutes (144 reads a day, half of the
	// floor's share) for the day's sake, and 100 (30 a day) for that of the 30 days.
	slowedToday = 60.0
	mostSlowed  = 300.0
	// After a payment the account's events are not kept waiting for the day's sake for so long:
	// a till, or a person who rehearses, waits for what Stripe says of it. Those are three reads
	// or four of the 500 that the payment brought, however many stores the account has; the 30
	// days' budget holds as always.
	paidFresh = time.Minute
	// readsTold is how often a replica tells the others what it read. Of a replica
	// that is killed, so much is not counted.
	readsTold = 10 * time.Second
)

// ReadBudget is how an account stands with Stripe's allocation of reads.
type ReadBudget struct {
	Mode     doors.Mode `json:"mode"`
	Account  string     `json:"account,omitempty"` // "": the key's own
	Reads    int64      `json:"reads"`             // of the last 30 days
	Today    int64      `json:"reads_today"`       // since midnight UTC
	Payments int64      `json:"payments"`          // of the last 30 days, captured by headquarters
	Budget   int64      `json:"budget"`            // reads in 30 days
	Used     float64    `json:"used"`              // Reads of Budget
	Slowed   float64    `json:"slowed"`            // how many times as long polls rest; 1: not slowed
	slowed30 float64    // of that, for the 30 days' sake
}

// weigh fills in what follows from the counts at that time.
func (b ReadBudget) weigh(now time.Time, floor int64) ReadBudget {
	b.Budget = max(floor, readsPerPayment*b.Payments)
	b.Used = float64(b.Reads) / float64(b.Budget)
	elapsed := now.Sub(now.UTC().Truncate(24*time.Hour)) + readsAhead
	even := readsTarget * float64(b.Budget) / readDays * elapsed.Hours() / 24
	b.slowed30 = slowed((b.Used-readsLow)/(1-readsLow), mostSlowed)
	b.Slowed = max(slowed(float64(b.Today)/even, slowedToday), b.slowed30)
	return b
}

// slowed is how many times as long polls rest when that share is used: none is held
// up while half of it is left, and none comes to the end of it.
func slowed(share, most float64) float64 {
	switch {
	case share <= 0.5:
		return 1
	case share >= 1:
		return most
	}
	return min(most, 0.5/(1-share))
}

// stripeAccount is one of Stripe's accounts in one mode.
type stripeAccount struct {
	mode doors.Mode
	id   string
}

func (a stripeAccount) before(b stripeAccount) int {
	return cmp.Or(cmp.Compare(a.mode, b.mode), cmp.Compare(a.id, b.id))
}

// readCount is what was done at an account.
type readCount struct{ reads, payments int64 }

// readMeter counts what this replica does, and knows what all did.
type readMeter struct {
	floor   int64
	mu      sync.Mutex
	untold  map[stripeAccount]readCount
	telling map[stripeAccount]readCount  // being written down; not in told yet
	written bool                         // telling is on disk
	told    map[stripeAccount]ReadBudget // by all replicas, as last read
	paid    map[stripeAccount]time.Time  // when this replica last captured a payment there
	settled sync.Mutex                   // one telling at a time
}

func (m *readMeter) add(a stripeAccount, c readCount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.untold == nil {
		m.untold = map[stripeAccount]readCount{}
	}
	have := m.untold[a]
	m.untold[a] = readCount{have.reads + c.reads, have.payments + c.payments}
}

// pays counts a payment.
func (m *readMeter) pays(a stripeAccount, now time.Time) {
	m.add(a, readCount{payments: 1})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paid == nil {
		m.paid = map[stripeAccount]time.Time{}
	}
	m.paid[a] = now
}

// at is how the account stands, what is not told yet included.
func (m *readMeter) at(a stripeAccount, now time.Time) ReadBudget {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, mine, on := m.told[a], m.untold[a], m.telling[a]
	b.Mode, b.Account = a.mode, a.id
	b.Reads, b.Today, b.Payments = b.Reads+mine.reads+on.reads, b.Today+mine.reads+on.reads, b.Payments+mine.payments+on.payments
	return b.weigh(now, m.floor)
}

// eventsSlowed is how many times as long the poll of the account's events rests.
func (m *readMeter) eventsSlowed(a stripeAccount, now time.Time) float64 {
	b := m.at(a, now)
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.paid[a]) < paidFresh {
		return b.slowed30
	}
	return b.Slowed
}

// all lists every account that is known of.
func (m *readMeter) all(now time.Time) []ReadBudget {
	m.mu.Lock()
	known := map[stripeAccount]bool{}
	for a := range m.told {
		known[a] = true
	}
	for _, mine := range []map[stripeAccount]readCount{m.untold, m.telling} {
		for a := range mine {
			known[a] = true
		}
	}
	m.mu.Unlock()
	list := []ReadBudget{}
	for _, a := range slices.SortedFunc(maps.Keys(known), stripeAccount.before) {
		list = append(list, m.at(a, now))
	}
	return list
}

// countReads has every read of that Stripe counted.
func (s *Server) countReads(st Stripe) {
	mode := st.Mode()
	st.CountReads(func(account string) { s.reads.add(stripeAccount{mode, account}, readCount{reads: 1}) })
}

// paced is how long polls of the account rest.
func (s *Server) paced(mode doors.Mode, account string) time.Duration {
	return time.Duration(float64(s.poll) * s.reads.at(stripeAccount{mode, account}, s.now()).Slowed)
}

// runReads tells the other replicas what this one reads, and hears what they do.
func (s *Server) runReads(ctx context.Context) error {
	for {
		if err := s.tellReads(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("count reads", "err", err)
		}
		if err := pause(ctx, jitter(min(readsTold, s.poll))); err != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := s.tellReads(last); err != nil {
				s.log.Warn("count the last reads", "err", err)
			}
			return err
		}
	}
}

// tellReads adds this replica's counts to those of all, and reads the sums.
func (s *Server) tellReads(ctx context.Context) error {
	s.reads.settled.Lock()
	defer s.reads.settled.Unlock()
	s.reads.mu.Lock()
	if s.reads.telling == nil { // else the last ones are still to be written down, or to be read back
		s.reads.telling, s.reads.untold = s.reads.untold, nil
	}
	mine, written := s.reads.telling, s.reads.written
	s.reads.mu.Unlock()
	if len(mine) > 0 && !written {
		if err := s.db.addReads(ctx, mine); err != nil {
			return err
		}
		s.reads.mu.Lock()
		s.reads.written = true
		s.reads.mu.Unlock()
	}
	told, err := s.db.readsSince(ctx, s.now())
	if err != nil {
		return err
	}
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	s.reads.told, s.reads.telling, s.reads.written = told, nil, false
	return nil
}

// dayOf counts days since 1970 in UTC.
func dayOf(t time.Time) int64 { return t.Unix() / (24 * 3600) }

func (d *database) addReads(ctx context.Context, counts map[stripeAccount]readCount) error {
	return d.tx(ctx, func(t *tx) error {
		for _, a := range slices.SortedFunc(maps.Keys(counts), stripeAccount.before) { // one order: replicas wait for each other in no circle
			if _, err := t.Exec(`INSERT INTO stripe_reads (mode, account, day, reads, payments) VALUES (?1, ?2, ?3, ?4, ?5)
				ON CONFLICT (mode, account, day) DO UPDATE SET reads = stripe_reads.reads + ?4, payments = stripe_reads.payments + ?5`,
				a.mode, a.id, dayOf(t.now), counts[a].reads, counts[a].payments); err != nil {
				return err
			}
		}
		_, err := t.Exec(`DELETE FROM stripe_reads WHERE day <= ?`, dayOf(t.now)-2*readDays)
		return err
	})
}

func (d *database) readsSince(ctx context.Context, now time.Time) (map[stripeAccount]ReadBudget, error) {
	rows, err := d.r.QueryContext(ctx, `SELECT mode, account, day, reads, payments FROM stripe_reads WHERE day > ?`, dayOf(now)-readDays)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	told := map[stripeAccount]ReadBudget{}
	for rows.Next() {
		var a stripeAccount
		var day int64
		var c readCount
		if err := rows.Scan(&a.mode, &a.id, &day, &c.reads, &c.payments); err != nil {
			return nil, err
		}
		b := told[a]
		b.Reads, b.Payments = b.Reads+c.reads, b.Payments+c.payments
		if day == dayOf(now) {
			b.Today += c.reads
		}
		told[a] = b
	}
	return told, rows.Err()
}

// ReadBudgets tells how every account stands, by what all replicas wrote down.
func (s *Server) ReadBudgets(ctx context.Context) ([]ReadBudget, error) {
	if err := s.tellReads(ctx); err != nil {
		return nil, fmt.Errorf("read the budget of reads: %w", err)
	}
	return s.reads.all(s.now()), nil
}
