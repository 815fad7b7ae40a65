package hq

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"storehub/doors"
)

var simDays = flag.Int("simdays", 2, "days of one store's heartbeats")

// aging is a ledger whose clock a test sets, with the hub's end of the conversation.
type aging struct {
	*testing.T
	s     *Server
	rec   record
	opts  Options
	clock *atomic.Int64 // how far it is ahead

	epoch  string
	head   string
	number uint64
	seq    uint64
}

func newAging(t *testing.T) *aging {
	t.Helper()
	a := &aging{T: t, clock: &atomic.Int64{}}
	began := time.Now()
	a.opts.Now = func() time.Time { return began.Add(time.Duration(a.clock.Load())) }
	TestDatabase(t, &a.opts)
	a.s, a.rec = ledgerOn(t, a.opts)
	a.epoch = a.rec.epoch
	return a
}

// few is how much of feed and chain a test keeps that is not about how much.
const few = 100

// keepFew has the ledger keep so much.
func (a *aging) keepFew() *aging {
	a.s.keepLines = few
	return a
}

func (a *aging) pass(d time.Duration) { a.clock.Add(int64(d)) }

// offer submits operations as the hub does, and follows where the receipt is.
func (a *aging) offer(ops ...Submitted) {
	a.Helper()
	sub := Submission{Epoch: a.epoch, Head: a.head}
	for _, o := range ops {
		a.number++
		o.Number, o.Till, o.Mode = a.number, "till 1", doors.Test
		a.head = Chain(a.head, o.ID)
		sub.Operations = append(sub.Operations, o)
	}
	rc, err := a.s.submit(a.Context(), a.rec, sub)
	if err != nil {
		a.Fatal(err)
	}
	if rc.Epoch != a.epoch || rc.AcceptedThrough != a.number || rc.Head != a.head {
		a.Fatalf("receipt %+v; want epoch %s, through %d, head %s", rc, a.epoch, a.number, a.head)
	}
}

// read takes in what the feed holds, and fails at a gap. The next read tells
// headquarters how far this one came.
func (a *aging) read() (items []Item) {
	a.Helper()
	for {
		f, err := a.s.feed(a.Context(), a.rec.ID, a.epoch, a.seq, 0)
		if err != nil {
			a.Fatal(err)
		}
		if f.Epoch != a.epoch {
			a.Fatal("the epoch ended")
		}
		if len(f.Items) == 0 {
			return items
		}
		for _, it := range f.Items {
			if it.Seq != a.seq+1 {
				a.Fatalf("line %d follows %d", it.Seq, a.seq)
			}
			a.seq = it.Seq
		}
		items = append(items, f.Items...)
	}
}

func (a *aging) upkeep() {
	a.Helper()
	if err := a.s.upkeep(a.Context()); err != nil {
		a.Fatal(err)
	}
}

func (a *aging) count(query string, args ...any) (n int) {
	a.Helper()
	if err := a.s.db.r.QueryRow(query, args...).Scan(&n); err != nil {
		a.Fatal(err)
	}
	return n
}

// whole fails unless the chain proves that both sides have the same past.
func (a *aging) whole() {
	a.Helper()
	page, err := a.s.chain(a.Context(), a.rec.ID, a.epoch, 0, "n")
	if err != nil {
		a.Fatal(err)
	}
	if err := page.Head.Verify(a.rec.ID, "n", a.s.headKey()); err != nil || page.Head.Number != a.number || page.Head.Head != a.head {
		a.Errorf("headquarters' word is %+v (%v); ours is %d, %s", page.Head, err, a.number, a.head)
	}
}

func beats(from, n int) (ops []Submitted) {
	for i := range n {
		ops = append(ops, Submitted{ID: fmt.Sprintf("beat_%d", from+i), Kind: doors.Heartbeat, Ref: "0412"})
	}
	return ops
}

func orderRecord(id string) Submitted {
	return Submitted{ID: id, Kind: doors.Order, Ref: id, Data: []byte(`{"order":"` + id + `"}`)}
}

// A shop's heartbeats do not add up: a month of them (-simdays 30) is as many rows as
// a day.
func TestMoney_1_1_AMonthOfHeartbeatsIsKeptBriefly(t *testing.T) {
	a := newAging(t)
	const perHour, perDay = 60, 24 * 60
	days := *simDays
	for day := range days {
		for hour := range 24 {
			n := day*perDay + hour*perHour
			ops := beats(n, perHour)
			if hour == 12 {
				ops = append(ops, orderRecord(fmt.Sprintf("order_%d", day)))
			}
			a.offer(ops...)
			if got := len(a.read()); got != len(ops) {
				t.Fatalf("%d outcomes of %d operations", got, len(ops))
			}
			a.pass(time.Hour)
			a.upkeep()
		}
		rows := map[string]int{}
		for _, table := range []string{"operations", "chain", "feed"} {
			rows[table] = a.count(`SELECT count(*) FROM ` + table)
		}
		if day == 0 || day%10 == 9 || day == days-1 {
			t.Logf("after %d days, %d heartbeats: %d operations, %d numbers of the chain, %d lines of the feed",
				day+1, (day+1)*perDay, rows["operations"], rows["chain"], rows["feed"])
		}
		most := keepLines + 2*perHour + readStep
		if rows["operations"] > day+1+2*perHour || rows["chain"] > most || rows["feed"] > most {
			t.Fatalf("after %d days there are %v", day+1, rows)
		}
	}
	if n := a.count(`SELECT count(*) FROM operations WHERE kind = 'order'`); n != days {
		t.Errorf("%d of %d orders are left", n, days)
	}
	a.whole()
}

// The last hour's are known again, an older one is recorded again, and neither
// disturbs the chain.
func TestMoney_1_1_AHeartbeatOfferedAgainIsTaken(t *testing.T) {
	a := newAging(t)
	a.offer(beats(0, 1)...)
	a.read()
	a.pass(keepHeartbeats + time.Minute)
	a.upkeep()
	if n := a.count(`SELECT count(*) FROM operations`); n != 0 {
		t.Fatalf("%d heartbeats are left", n)
	}
	// The receipt was lost, and the hub was off for an hour.
	a.number, a.head = 0, ""
	a.offer(beats(0, 1)...)
	if items := a.read(); len(items) != 1 || items[0].State != doors.Succeeded {
		t.Errorf("the feed says %+v", items)
	}
	a.offer(beats(1, 1)...)
	a.upkeep()
	if n := a.count(`SELECT count(*) FROM operations`); n != 2 {
		t.Errorf("%d of the 2 of this hour are left", n)
	}
	a.whole()
}

// What has not been read stays, however long the hub is away.
func TestMoney_1_1_UnreadOutcomesStay(t *testing.T) {
	a := newAging(t).keepFew()
	a.offer(orderRecord("order_1"))
	for i := range 2 * few / 100 {
		a.offer(beats(i*100, 100)...)
	}
	a.pass(40 * 24 * time.Hour)
	a.upkeep()
	if items := a.read(); len(items) != 2*few+1 || items[0].ID != "order_1" {
		t.Fatalf("%d lines of the feed, want all %d", len(items), 2*few+1)
	}
	a.read()
	a.upkeep()
	if n := a.count(`SELECT count(*) FROM feed`); n > few+readStep {
		t.Errorf("%d lines are left although they were read", n)
	}
}

func TestMoney_1_1_OutcomesAreKeptThirteenMonths(t *testing.T) {
	a := newAging(t).keepFew()
	capture := func(id string) Submitted {
		amount := int64(1000)
		return Submitted{ID: id, Kind: doors.Capture, Ref: "pi_" + id, Amount: &amount, Currency: "usd"}
	}
	a.offer(orderRecord("ended"), capture("open"), capture("refused"), orderRecord("asked"))
	for _, q := range []string{
		`UPDATE operations SET state = 'failed', reason = 'declined', next_look = NULL, settled_at = recorded_at WHERE id = 'refused'`,
		`INSERT INTO attempts (op, n, key, first_used, last_used) SELECT seq, 1, id, recorded_at, recorded_at FROM operations WHERE id = 'refused'`,
		`INSERT INTO findings (store, code, ref, note, at) VALUES ('0412', 'operation_failed', 'asked', '', 0)`,
		`INSERT INTO intents (id, store, mode, account, created_at) SELECT ref, store, mode, account, recorded_at FROM operations WHERE kind = 'capture'`,
		`INSERT INTO stripe_events (id, received_at) SELECT 'evt_1', recorded_at FROM operations WHERE id = 'refused'`,
	} {
		if _, err := a.s.db.w.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	left := func() string {
		t.Helper()
		ids, err := a.s.db.strings(t.Context(), `SELECT id FROM operations UNION ALL SELECT 'key of ' || key FROM attempts
			UNION ALL SELECT id FROM intents UNION ALL SELECT id FROM stripe_events ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(ids, ", ")
	}
	a.clock.Store(int64(time.Until(time.Now().AddDate(0, keepMonths, -1))))
	a.upkeep()
	if want := "asked, ended, key of refused, open, pi_open, pi_refused, refused"; left() != want {
		t.Errorf("a day before 13 months: %s; want %s", left(), want)
	}
	// Its id still means what it meant.
	again := capture("refused")
	*again.Amount = 2000
	a.offer(again)
	if items := a.read(); items[len(items)-1].Reason != reasonReused {
		t.Errorf("the id with another body: %+v", items[len(items)-1])
	}
	if _, err := a.s.db.w.Exec(`UPDATE findings SET decision = 'dismissed' WHERE code = ?`, reasonReused); err != nil {
		t.Fatal(err)
	}
	a.pass(2 * 24 * time.Hour)
	a.upkeep()
	if want := "asked, open, pi_open"; left() != want {
		t.Errorf("a day after 13 months: %s; want %s", left(), want)
	}
}

// Every step of upkeep may be the last; the next round does the rest.
func TestUpkeepCanFailAtEveryStep(t *testing.T) {
	for _, step := range []string{"upkeep:heartbeats", "upkeep:chain", "upkeep:feed", "upkeep:operations", "upkeep:rest"} {
		for name, reopen := range map[string]bool{"going on": false, "opened anew": true} {
			t.Run(step+", "+name, func(t *testing.T) {
				a := newAging(t).keepFew()
				for i := range few/100 + 2 {
					a.offer(beats(i*100, 100)...)
					a.read()
				}
				a.offer(orderRecord("order_1"))
				before := len(a.read())
				a.pass(2 * time.Hour)
				broke := false
				a.s.db.fault = func(at string) error {
					if at == step && !broke {
						broke = true
						return io.ErrUnexpectedEOF
					}
					return nil
				}
				if err := a.s.upkeep(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) || !broke || before != 1 {
					t.Fatalf("upkeep: %v", err)
				}
				if reopen {
					again, err := NewServer(Options{Database: a.opts.Database, Engine: a.opts.Engine, Now: a.opts.Now, Log: a.s.log})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						if err := again.Close(); err != nil {
							t.Error(err)
						}
					})
					a.s = again
					a.keepFew()
				}
				a.offer(beats(9000, 1)...)
				a.upkeep()
				if n := a.count(`SELECT count(*) FROM operations`); n != 2 {
					t.Errorf("%d operations are left, want the order and the last heartbeat", n)
				}
				for _, table := range []string{"chain", "feed"} {
					if n := a.count(`SELECT count(*) FROM ` + table); n < few || n > few+2*readStep+1 {
						t.Errorf("%d rows are left in %s", n, table)
					}
				}
				if items := a.read(); len(items) != 1 || items[0].ID != "beat_9000" {
					t.Errorf("the feed goes on with %+v", items)
				}
				a.whole()
			})
		}
	}
}

// pruned is a ledger of which the beginning is kept no more.
func pruned(t *testing.T) *aging {
	t.Helper()
	a := newAging(t).keepFew()
	a.rec.run = "run 1"
	for i := range few/100 + 1 {
		a.offer(beats(i*100, 100)...)
		a.read()
	}
	a.read()
	a.upkeep()
	if n := a.count(`SELECT min(number) FROM chain`); n < 90 {
		t.Fatalf("the chain begins at %d", n)
	}
	return a
}

// A copy of the hub that was taken before what is kept of the chain is found out
// by the first number that it gives anew.
func TestMoney_4_3_AForkBeforeWhatIsKeptIsADuplicate(t *testing.T) {
	a := pruned(t)
	copied := a.rec
	copied.run = "run 2"
	head := ""
	for i := range 10 {
		head = Chain(head, fmt.Sprintf("beat_%d", i))
	}
	other := Submitted{Number: 11, ID: "other", Kind: doors.Order, Ref: "other", Till: "till 1", Mode: doors.Test}
	rc, err := a.s.submit(t.Context(), copied, Submission{Epoch: a.epoch, Head: head, Operations: []Submitted{other}})
	if err != nil || rc.Epoch != a.epoch || rc.AcceptedThrough != 11 {
		t.Fatalf("receipt %+v, %v", rc, err)
	}
	rec, err := readStore(queryer(t.Context(), a.s.db.r), `id = ?`, a.rec.ID)
	if err != nil || rec.newcomer != "run 2" || rec.epoch != a.epoch || rec.acceptedThrough != a.number {
		t.Errorf("the store's record is %+v (%v)", rec, err)
	}
	if n := a.count(`SELECT count(*) FROM operations WHERE id = 'other'`); n != 1 {
		t.Error("the copy's promise was not recorded")
	}
	a.offer(beats(9000, 1)...) // the store's own hub goes on
	a.whole()
}

// What was offered and has no receipt is known again, though the head before it
// is kept no more: the heads after it prove it.
func TestMoney_4_1_AnOfferAcrossThePrunedIsProvedByItsEnd(t *testing.T) {
	a := pruned(t)
	oldest := a.count(`SELECT min(number) FROM chain`)
	through := oldest + 3
	sub := Submission{Epoch: a.epoch}
	for n := 1; n <= through; n++ {
		id := fmt.Sprintf("beat_%d", n-1)
		if n < oldest-3 {
			sub.Head = Chain(sub.Head, id)
			continue
		}
		sub.Operations = append(sub.Operations, Submitted{Number: uint64(n), ID: id, Kind: doors.Heartbeat, Ref: "0412", Till: "till 1", Mode: doors.Test})
	}
	rc, err := a.s.submit(t.Context(), a.rec, sub)
	if err != nil || rc.Epoch != a.epoch || rc.AcceptedThrough != a.number || rc.Head != a.head {
		t.Errorf("receipt %+v, %v", rc, err)
	}
	// With another past the same numbers are a fork.
	sub.Head = strings.Repeat("0", 64)
	copied := a.rec
	copied.run = "run 2"
	if _, err := a.s.submit(t.Context(), copied, sub); err != nil {
		t.Fatal(err)
	}
	if rec, err := readStore(queryer(t.Context(), a.s.db.r), `id = ?`, a.rec.ID); err != nil || rec.newcomer != "run 2" {
		t.Errorf("the store's record is %+v (%v)", rec, err)
	}
}

// A hub that was put back to before what is kept of the feed begins a new epoch,
// in which it is told the ends of what it offers again.
func TestMoney_4_1_AFeedCursorBeforeWhatIsKeptBeginsANewEpoch(t *testing.T) {
	for _, cursor := range []string{"its epoch", ""} {
		t.Run(cursor, func(t *testing.T) {
			a := newAging(t).keepFew()
			a.offer(orderRecord("order_1"))
			for i := range few/100 + 1 {
				a.offer(beats(i*100, 100)...)
				a.read()
			}
			a.upkeep()
			asked := a.epoch
			if cursor == "" {
				asked = ""
			}
			f, err := a.s.feed(t.Context(), a.rec.ID, asked, 0, 0)
			if err != nil || f.Epoch == a.epoch || len(f.Items) != 0 || f.AcceptedThrough != 0 {
				t.Fatalf("feed %+v, %v", f, err)
			}
			a.epoch, a.number, a.head, a.seq = f.Epoch, 0, "", 0
			a.offer(orderRecord("order_1"))
			if items := a.read(); len(items) != 1 || items[0].ID != "order_1" || items[0].State != doors.Succeeded {
				t.Errorf("the feed says %+v", items)
			}
			if n := a.count(`SELECT count(*) FROM operations WHERE id = 'order_1'`); n != 1 {
				t.Errorf("recorded %d times", n)
			}
		})
	}
}

// A till at headquarters' doors that asks for events of long ago is told that there
// is a gap, and the store's epoch goes on.
func TestEventsBeforeWhatIsKeptAreAGap(t *testing.T) {
	a := pruned(t)
	b := tillBackend{s: a.s, store: a.rec.ID}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got doors.Event
	enough := errors.New("enough")
	err := b.Events(ctx, doors.Till{Name: "till 1", Scope: doors.ScopeManager, Mode: doors.Test}, 1, true, func(e doors.Event) error {
		got = e
		return enough
	})
	if !errors.Is(err, enough) || got.Type != "events.gap" || got.Seq == 0 {
		t.Errorf("event %+v, %v", got, err)
	}
	a.offer(beats(9000, 1)...)
}
