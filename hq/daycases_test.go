package hq

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"storehub/doors"
)

func TestMoney_5_4_DaysAreOfTheShopsClocks(t *testing.T) {
	for _, c := range []struct {
		zone, ends, day, from string
		hours                 float64
	}{
		{"America/New_York", "04:00", "2026-07-10", "2026-07-10T08:00:00Z", 24},
		{"America/New_York", "02:30", "2026-03-07", "2026-03-07T07:30:00Z", 23}, // ends in the hour that is skipped
		{"America/New_York", "02:30", "2026-03-08", "2026-03-08T06:30:00Z", 24},
		{"America/New_York", "04:00", "2026-03-07", "2026-03-07T09:00:00Z", 23},
		{"America/New_York", "04:00", "2026-10-31", "2026-10-31T08:00:00Z", 25},
		{"Europe/Berlin", "00:00", "2026-03-29", "2026-03-28T23:00:00Z", 23},
		{"Europe/Berlin", "00:00", "2026-10-25", "2026-10-24T22:00:00Z", 25},
		{"Australia/Lord_Howe", "04:00", "2026-04-04", "2026-04-03T17:00:00Z", 24.5},
		{"UTC", "23:59", "2026-12-31", "2026-12-31T23:59:00Z", 24},
	} {
		st := Store{ID: "1", TimeZone: c.zone, DayEnds: c.ends}
		from, to, err := st.Day(c.day)
		if err != nil || from.Format(time.RFC3339) != c.from || to.Sub(from).Hours() != c.hours {
			t.Errorf("%s %s %s: from %s, %v h, %v; want %s, %v h", c.zone, c.ends, c.day, from.Format(time.RFC3339), to.Sub(from).Hours(), err, c.from, c.hours)
		}
		// Days lie beside each other, and the one that is over is found.
		date, _ := time.Parse(dayForm, c.day)
		if next, _, _ := st.Day(date.AddDate(0, 0, 1).Format(dayForm)); !next.Equal(to) {
			t.Errorf("%s %s: the next day begins at %s, not %s", c.zone, c.day, next, to)
		}
		for at, want := range map[time.Time]string{to: c.day, to.Add(-time.Millisecond): date.AddDate(0, 0, -1).Format(dayForm)} {
			if got, err := st.lastDay(at); err != nil || got != want {
				t.Errorf("%s %s: at %s the last day is %q, %v; want %q", c.zone, c.day, at, got, err, want)
			}
		}
	}
	for _, bad := range []string{"", "2026-13-01", "yesterday", "2026-02-30"} {
		if _, _, err := (Store{TimeZone: "UTC", DayEnds: "04:00"}).Day(bad); err == nil {
			t.Errorf("%q is a day", bad)
		}
	}
}

// planted is a day of a busy shop, with what was done to it on purpose.
type planted struct {
	dayFacts
	rnd  *rand.Rand
	want map[string]string // ref -> kind
	n    int
}

func plantDay(seed uint64) *planted {
	from := time.Date(2026, 7, 10, 8, 0, 0, 0, time.UTC)
	return &planted{dayFacts: dayFacts{from: from, to: from.Add(24 * time.Hour), now: from.Add(26 * time.Hour)},
		rnd: rand.New(rand.NewPCG(seed, 1)), want: map[string]string{}}
}

// sale is an order that was paid: record, capture and payment. change bends one
// of them into what happens in the field.
func (p *planted) sale(change func(order, capture *operation, in *Intent)) (id, pi string) {
	p.n++
	at := p.from.Add(time.Duration(p.rnd.Int64N(int64(24*time.Hour - time.Minute))))
	amount := 100 + p.rnd.Int64N(50_000)
	id, pi = fmt.Sprintf("A-%04d", p.n), fmt.Sprintf("pi_%04d", p.n)
	base := operation{Operation: doors.Operation{Amount: &amount, Currency: "usd", Till: "lane 1", State: doors.Succeeded}, order: id, mentionedAt: at, recordedAt: at}
	order, capture := base, base
	order.ID, order.Kind, order.Ref = "op_o"+id, doors.Order, id
	capture.ID, capture.Kind, capture.Ref, capture.line = "op_c"+id, doors.Capture, pi, pi
	in := Intent{ID: pi, Status: "succeeded", Amount: amount, Received: amount, Currency: "usd", Created: at, MethodType: "card_present", LatestCharge: "ch_" + pi}
	if change != nil {
		change(&order, &capture, &in)
	}
	for _, o := range []operation{order, capture} {
		if o.ID != "" {
			p.operations = append(p.operations, o)
		}
	}
	if in.ID != "" {
		p.payments = append(p.payments, in)
	}
	return id, pi
}

// plant is a sale that is a case: by its payment's id, or by the order's.
func (p *planted) plant(kind string, byOrder bool, change func(order, capture *operation, in *Intent)) {
	id, pi := p.sale(change)
	if byOrder {
		pi = id
	}
	p.want[pi] = kind
}

// TestReconcileFindsEveryKindOfADayOfTwoThousandOrders plants every kind of case
// among sales as they should be, and innocent oddities that must not be told.
func TestReconcileFindsEveryKindOfADayOfTwoThousandOrders(t *testing.T) {
	for seed := range uint64(5) {
		p := plantDay(seed)
		authorised := func(in *Intent, left time.Duration) {
			in.Status, in.Received, in.Capturable, in.CaptureBefore = "requires_capture", 0, in.Amount, p.now.Add(left)
		}
		forget := func(o *operation) { *o = operation{} }
		for range 3 {
			p.plant(caseAboutToLapse, false, func(_, c *operation, in *Intent) {
				authorised(in, 5*time.Hour)
				c.State, c.Reason = doors.Accepted, reasonUnproven
			})
			p.plant(caseUncaptured, false, func(_, c *operation, in *Intent) {
				authorised(in, 30*time.Hour)
				c.State, c.Reason = doors.Failed, "stripe_refused"
			})
			p.plant(caseUnnamed, false, func(o, c *operation, in *Intent) {
				authorised(in, 30*time.Hour)
				in.Metadata = map[string]string{"order": o.order}
				forget(c)
			})
			p.plant(caseUnnamed, false, func(o, c *operation, in *Intent) { authorised(in, 30*time.Hour); forget(c); forget(o) })
			p.plant(caseLapsed, false, func(_, c *operation, in *Intent) {
				in.Status, in.Received, in.Raw = "canceled", 0, json.RawMessage(`{"cancellation_reason":"automatic"}`)
				c.State, c.Reason = doors.Failed, reasonLapsed
			})
			p.plant(caseNoOrder, false, func(o, _ *operation, _ *Intent) { forget(o) })
			p.plant(caseNoOrder, false, func(o, c *operation, _ *Intent) { forget(o); forget(c) })
			p.plant(caseNoPayment, true, func(_, c *operation, in *Intent) { forget(c); *in = Intent{} })
			p.plant(caseNoPayment, true, func(_, c *operation, in *Intent) { in.Status, in.Received, c.State = "canceled", 0, doors.Failed })
			p.plant(caseAmount, false, func(_, c *operation, in *Intent) {
				in.Received--
				c.State, c.Reason = doors.Failed, reasonDiffers
			})
			p.plant(caseAmount, true, func(o, _ *operation, _ *Intent) { more := *o.Amount + 500; o.Amount = &more })
			p.plant(caseOrphan, false, func(o, c *operation, in *Intent) {
				in.Status, in.Received, in.LatestCharge = "requires_payment_method", 0, ""
				forget(o)
				forget(c)
			})
			offline := func(state doors.State, reason string) func(o, c *operation, in *Intent) {
				return func(_, c *operation, in *Intent) {
					c.Kind, c.Ref, c.line, c.State, c.Reason = doors.OfflinePayment, "uuid-"+c.order, "uuid-"+c.order, state, reason
					*in = Intent{}
				}
			}
			id, _ := p.sale(offline(doors.Accepted, reasonForwarding))
			p.want["uuid-"+id] = caseNotForwarded
			id, _ = p.sale(offline(doors.Failed, reasonDeclined))
			p.want["uuid-"+id] = caseOfflineDeclined
			// One order, captured again under another intent.
			var first operation
			id, _ = p.sale(func(_, c *operation, _ *Intent) { first = *c })
			p.plant(caseTwin, false, func(o, c *operation, in *Intent) {
				forget(o)
				c.order, c.Amount = id, first.Amount
				in.Amount, in.Received = *first.Amount, *first.Amount
				c.mentionedAt = first.mentionedAt
				in.Created = p.to.Add(-time.Second) // after the first, wherever that lies in the day
			})
			id, pi := p.sale(nil)
			p.operations = append(p.operations, operation{Operation: doors.Operation{ID: "op_r" + id, Kind: doors.Refund, Ref: pi, State: doors.Succeeded, Reversal: json.RawMessage(`{}`)},
				line: pi, mentionedAt: p.from.Add(time.Hour)})
			p.want["op_r"+id] = caseRefundFailed
			id, pi = p.sale(nil)
			p.operations = append(p.operations, operation{Operation: doors.Operation{ID: "op_u" + id, Kind: doors.Refund, Ref: pi, State: doors.Accepted},
				line: pi, unknown: reasonLooking, mentionedAt: p.from.Add(time.Hour), recordedAt: p.from.Add(time.Hour)})
			p.want["op_u"+id] = caseUnknown
		}
		innocent(p)
		for p.n < 2000 {
			p.sale(nil)
		}
		p.rnd.Shuffle(len(p.payments), func(i, j int) { p.payments[i], p.payments[j] = p.payments[j], p.payments[i] })
		p.rnd.Shuffle(len(p.operations), func(i, j int) { p.operations[i], p.operations[j] = p.operations[j], p.operations[i] })

		counts := map[string]int{}
		for _, c := range judgeDay(p.dayFacts) {
			counts[c.Kind]++
			if p.want[c.Ref] != c.Kind {
				t.Errorf("seed %d: told %+v, planted %q", seed, c, p.want[c.Ref])
			}
			delete(p.want, c.Ref)
			if (c.Kind == caseTwin) != (c.Proposal != nil) || c.Note == "" {
				t.Errorf("seed %d: %+v", seed, c)
			}
		}
		for ref, kind := range p.want {
			t.Errorf("seed %d: %s of %s was not told", seed, kind, ref)
		}
		if seed == 0 {
			for _, kind := range slices.Sorted(maps.Keys(counts)) {
				t.Logf("%-24s %d", kind, counts[kind])
			}
			t.Logf("of %d orders, %d payments, %d operations", p.n, len(p.payments), len(p.operations))
		}
	}
}

// innocent are oddities of the field that are as they should be.
func innocent(p *planted) {
	half := func(n int64) *int64 { return &n }
	for range 5 {
		// Two cards, half each.
		id, _ := p.sale(func(o, c *operation, in *Intent) {
			o.Amount, c.Amount, in.Amount, in.Received = half(2000), half(1000), 1000, 1000
		})
		p.sale(func(o, c *operation, in *Intent) {
			*o = operation{}
			c.order, c.Amount, in.Amount, in.Received = id, half(1000), 1000, 1000
		})
		// A partial capture that was asked for, and an order record of that amount.
		p.sale(func(o, c *operation, in *Intent) { o.Amount, c.Amount, in.Received = half(50), half(50), 50 })
		// A capture of all, without an amount; an order without one.
		p.sale(func(o, c *operation, _ *Intent) { o.Amount, c.Amount = nil, nil })
		// Given back.
		p.sale(func(_, _ *operation, in *Intent) { in.AmountRefunded = in.Received })
		// A twin that was refunded already, and one whose refund is on its way.
		for _, on := range []bool{true, false} {
			var first operation
			id, _ := p.sale(func(_, c *operation, _ *Intent) { first = *c })
			_, pi := p.sale(func(o, c *operation, in *Intent) {
				*o = operation{}
				c.order, c.Amount, in.Amount, in.Received, in.Created = id, first.Amount, *first.Amount, *first.Amount, p.to.Add(-time.Second)
				if on {
					in.AmountRefunded = in.Received
				}
			})
			if !on {
				p.operations = append(p.operations, operation{Operation: doors.Operation{ID: "op_back" + pi, Kind: doors.Refund, State: doors.Accepted}, line: pi, mentionedAt: p.to})
			}
		}
		// Cancelled by the cashier, with its order; a sale still at the reader.
		p.sale(func(o, c *operation, in *Intent) {
			*o = operation{}
			c.Kind, in.Status, in.Received = doors.Cancel, "canceled", 0
		})
		p.sale(func(o, c *operation, in *Intent) {
			*o, *c = operation{}, operation{}
			in.Status, in.Received, in.Created = "requires_payment_method", 0, p.now.Add(-time.Minute)
		})
		// A capture that waits with time enough.
		p.sale(func(_, c *operation, in *Intent) {
			in.Status, in.Received, in.CaptureBefore, c.State = "requires_capture", 0, p.now.Add(30*time.Hour), doors.Accepted
		})
		// Ordered before the day ended, paid after; and the day before's the same way.
		p.sale(func(o, c *operation, in *Intent) {
			o.mentionedAt, c.mentionedAt, in.Created = p.to.Add(-time.Second), p.to.Add(time.Second), p.to.Add(time.Second)
		})
		p.sale(func(o, c *operation, in *Intent) {
			o.mentionedAt, c.mentionedAt, in.Created = p.from.Add(-time.Second), p.from.Add(time.Second), p.from.Add(time.Second)
		})
		// The order is named in the metadata alone; by the payment's own id.
		p.sale(func(o, c *operation, in *Intent) {
			in.Metadata, *c = map[string]string{"order_id": o.order}, operation{}
		})
		p.sale(func(o, c *operation, in *Intent) { o.Ref, o.order, c.order = in.ID, "", "" })
		// Stored offline, forwarded and captured.
		p.sale(func(_, c *operation, in *Intent) { c.Kind, c.Ref = doors.OfflinePayment, "uuid"; c.line = in.ID })
	}
}

// TestReconcileWithoutOrdersSaysNothingOfOrders: tills that record none are not
// taken for tills that sold nothing.
func TestReconcileWithoutOrdersSaysNothingOfOrders(t *testing.T) {
	p := plantDay(1)
	for range 20 {
		p.sale(func(o, c *operation, _ *Intent) { *o = operation{}; c.order = "" })
	}
	if cases := judgeDay(p.dayFacts); len(cases) != 0 {
		t.Errorf("told %+v", cases)
	}
	if len(p.payments) != 20 {
		t.Fatal("nothing was sold")
	}
}
