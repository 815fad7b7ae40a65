package hq

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"storehub/doors"
)

// TestMoney_4_6_PollsKeepWithinTheReadBudget: two polls of a shop without webhooks, as
// fast as they may, for 45 days, beside what money reads: in no 30 days are more than
// the budget read, and each poll comes every some minutes of every day.
func TestMoney_4_6_PollsKeepWithinTheReadBudget(t *testing.T) {
	for name, shop := range map[string]struct {
		payments int64         // a day
		money    int64         // reads of money a day
		rarest   time.Duration // once it has been open for 30 days
	}{
		"hardly any payment": {0, 0, 20 * time.Minute},
		"a few payments":     {3, 30, 10 * time.Minute},
		"a busy shop":        {80, 900, defaultPoll},
	} {
		t.Run(name, func(t *testing.T) {
			m := readMeter{floor: readsFloor}
			acct := stripeAccount{doors.Live, ""}
			var days [45]readCount
			next := [2]time.Time{}
			longest := time.Duration(0)
			for day := range days {
				var past, c readCount // of the 29 days before, and of this one
				for _, d := range days[max(0, day-readDays+1):day] {
					past.reads, past.payments = past.reads+d.reads, past.payments+d.payments
				}
				midnight := time.Date(2026, 3, 1+day, 0, 0, 0, 0, time.UTC)
				for now := midnight; now.Before(midnight.Add(24 * time.Hour)); now = now.Add(defaultPoll) {
					if now.Equal(midnight.Add(9 * time.Hour)) {
						c.payments, c.reads = c.payments+shop.payments, c.reads+shop.money
					}
					if hour := now.Sub(midnight).Hours(); shop.payments > 0 && hour >= 9 && hour < 9+float64(min(shop.payments, 12)) && now.Minute() == 0 && now.Second() == 0 {
						m.paid = map[stripeAccount]time.Time{acct: now} // counted already
					}
					stands := func() ReadBudget {
						m.told = map[stripeAccount]ReadBudget{acct: {Reads: past.reads + c.reads, Today: c.reads, Payments: past.payments + c.payments}}
						return m.at(acct, now)
					}
					for i := range next {
						if now.Before(next[i]) {
							continue
						}
						rest := time.Duration(float64(defaultPoll) * stands().Slowed)
						if i == 0 {
							rest = time.Duration(float64(defaultPoll) * m.eventsSlowed(acct, now))
						}
						c.reads, next[i] = c.reads+1, now.Add(rest)
						if day >= readDays {
							longest = max(longest, rest)
						}
					}
					if at := stands(); at.Reads > at.Budget {
						t.Fatalf("at %s %d were read in 30 days, of %d", now, at.Reads, at.Budget)
					}
				}
				days[day] = c
			}
			if longest > shop.rarest {
				t.Errorf("a poll rested %s; want at most %s", longest, shop.rarest)
			}
		})
	}
}

// TestMoney_4_6_ReplicasShareTheReadBudget: each counts for all, and nothing is
// counted twice or lost when a telling fails.
func TestMoney_4_6_ReplicasShareTheReadBudget(t *testing.T) {
	a, b := twoReplicas(t)
	acct := stripeAccount{doors.Test, "acct_1"}
	for _, s := range []*Server{a, b} {
		s.now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
		s.db.now = s.now
	}
	a.reads.add(acct, readCount{reads: 300, payments: 30})
	b.reads.add(acct, readCount{reads: 7000})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.tellReads(gone); err == nil {
		t.Error("told to nobody without an error")
	}
	for _, s := range []*Server{a, b, a} {
		if err := s.tellReads(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Server{a, b} {
		got := s.reads.at(acct, s.now())
		if got.Reads != 7300 || got.Today != 7300 || got.Payments != 30 || got.Budget != 15_000 {
			t.Errorf("%+v; want 7300 reads of 15000", got)
		}
		if s.paced(acct.mode, acct.id) <= s.poll {
			t.Errorf("polls rest %s, as if nothing had been read", s.paced(acct.mode, acct.id))
		}
	}
}

// TestMoney_4_6_ReadsAreKeptAndForgotten: a restart loses none, and after 30 days
// they count no more.
func TestMoney_4_6_ReadsAreKeptAndForgotten(t *testing.T) {
	s, _ := ledger(t)
	start := s.now()
	at := start
	s.now = func() time.Time { return at }
	s.db.now = s.now
	acct := stripeAccount{doors.Test, ""}
	for day := range 40 {
		at = start.AddDate(0, 0, day)
		s.reads.add(acct, readCount{reads: 100, payments: 1})
		if err := s.tellReads(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.reads.told = nil // as after a restart
	list, err := s.ReadBudgets(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if got := list[0]; got.Reads != 3000 || got.Payments != 30 || got.Today != 100 || got.Budget != 15_000 || fmt.Sprintf("%.2f", got.Used) != "0.20" {
		t.Errorf("%+v; want 3000 reads and 30 payments of 30 days", got)
	}
}

// asked is a Stripe that is only polled.
type asked struct {
	Stripe
	events, readers int
}

func (*asked) Mode() doors.Mode        { return doors.Test }
func (*asked) CountReads(func(string)) {}
func (a *asked) Events(context.Context, string, string) ([]Event, error) {
	a.events++
	return nil, nil
}
func (a *asked) Readers(context.Context, string, string) ([]json.RawMessage, error) {
	a.readers++
	return nil, nil
}

// TestMoney_4_6_PollsRestWhenTheBudgetIsUsedUp: readers and events are polled at full
// pace while there is enough, and more rarely when it is used up, whoever asks.
func TestMoney_4_6_PollsRestWhenTheBudgetIsUsedUp(t *testing.T) {
	stripe := &asked{}
	o := Options{Log: slog.New(slog.DiscardHandler), Stripe: stripe}
	TestDatabase(t, &o)
	s, rec := ledgerOn(t, o)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return at }
	p := readerPlace{doors.Test, rec.Account, rec.Location}
	round := func(after time.Duration) (events, readers int) {
		t.Helper()
		at = at.Add(after)
		was := *stripe
		if err := s.pollAccount(t.Context(), stripe, "events/test/", rec.Account); err != nil {
			t.Fatal(err)
		}
		if err := s.fetchReaders(t.Context(), p, s.readers.at(p), s.paced(p.mode, p.account)-s.poll/2); err != nil {
			t.Fatal(err)
		}
		if _, err := s.readerList(t.Context(), rec); err != nil { // a hub's asking changes nothing
			t.Fatal(err)
		}
		return stripe.events - was.events, stripe.readers - was.readers
	}
	for n := range 3 {
		if e, r := round(s.poll); e != 1 || r != 1 {
			t.Errorf("round %d: %d of events, %d of readers; want one each", n, e, r)
		}
	}
	s.reads.add(stripeAccount{doors.Test, rec.Account}, readCount{reads: 2 * readsFloor})
	for n := range 50 {
		if e, r := round(s.poll); e != 0 || r != 0 {
			t.Errorf("round %d with nothing left: %d of events, %d of readers", n, e, r)
		}
	}
	if e, r := round(time.Duration(mostSlowed) * s.poll); e != 1 || r != 1 {
		t.Errorf("after a long rest %d of events, %d of readers; want one each", e, r)
	}
	s.reads.add(stripeAccount{doors.Test, rec.Account}, readCount{payments: 10_000}) // the shop sold much
	if e, r := round(s.poll); e != 1 || r != 1 {
		t.Errorf("with enough again %d of events, %d of readers; want one each", e, r)
	}
}

// TestMoney_4_6_APaymentIsFollowedByALook: who waits for what Stripe says of a payment is
// not told tomorrow, though the day's share is used up; once the 30 days' is, nothing hurries.
func TestMoney_4_6_APaymentIsFollowedByALook(t *testing.T) {
	m := readMeter{floor: readsFloor}
	acct, other := stripeAccount{doors.Test, ""}, stripeAccount{doors.Test, "acct_1"}
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	for _, a := range []stripeAccount{acct, other} {
		m.add(a, readCount{reads: 200})
	}
	m.pays(acct, now)
	for _, c := range []struct {
		a     stripeAccount
		after time.Duration
		want  float64
	}{{acct, 0, 1}, {acct, paidFresh - time.Second, 1}, {acct, paidFresh, slowedToday}, {other, 0, slowedToday}} {
		if got := m.eventsSlowed(c.a, now.Add(c.after)); got != c.want {
			t.Errorf("account %q, %s after a payment: slowed %v times, want %v", c.a.id, c.after, got, c.want)
		}
	}
	if got := m.at(acct, now).Slowed; got != slowedToday {
		t.Errorf("its readers, which are of many stores: slowed %v times, want %v", got, slowedToday)
	}
	m.add(acct, readCount{reads: readsFloor})
	m.pays(acct, now)
	if got := m.eventsSlowed(acct, now); got != mostSlowed {
		t.Errorf("with nothing left of 30 days: slowed %v times, want %v", got, mostSlowed)
	}
}

// TestAHubLearnsWhenStripeWillBeAskedAgain: what is left of the pause, and a moment
// when it is over.
func TestAHubLearnsWhenStripeWillBeAskedAgain(t *testing.T) {
	o := Options{Log: slog.New(slog.DiscardHandler), Stripe: &asked{}}
	TestDatabase(t, &o)
	s, rec := ledgerOn(t, o)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return at }
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{0, 15_000}, {6 * time.Second, 9_000}, {20 * time.Second, 1}} {
		at = at.Add(c.after)
		a, err := serveReaders(t.Context(), s, rec, nil)
		if err != nil {
			t.Fatal(err)
		}
		if l := a.value.(ReaderList); l.AgainMS != c.want {
			t.Errorf("%s later: again in %d ms, want %d", c.after, l.AgainMS, c.want)
		}
	}
}
