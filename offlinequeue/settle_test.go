package offlinequeue

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

func TestStatesOnlyMoveForward(t *testing.T) {
	due := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		outs []Outcome
		want Outcome
	}{
		{"waits with a reason", []Outcome{
			{State: Accepted, Reason: "awaiting_authorisation", Deadline: due},
		}, Outcome{State: Accepted, Reason: "awaiting_authorisation", Deadline: due}},
		{"the reason goes when the wait is over", []Outcome{
			{State: Accepted, Reason: "needs_decision", Unknown: json.RawMessage(`{"reason":"lost"}`)}, {State: Accepted},
		}, Outcome{State: Accepted}},
		{"unknown ends with the end", []Outcome{
			{State: Accepted, Unknown: json.RawMessage(`{"reason":"lost"}`)},
			{State: Succeeded, Result: json.RawMessage(`{"amount_received":1250}`)},
		}, Outcome{State: Succeeded, Result: json.RawMessage(`{"amount_received":1250}`)}},
		{"failed may succeed by a person's decision", []Outcome{
			{State: Failed, Reason: "nothing_captured"}, {State: Succeeded},
		}, Outcome{State: Succeeded}},
		{"succeeded never fails", []Outcome{
			{State: Succeeded}, {State: Failed, Reason: "x"}, {State: Accepted, Reason: "y", Deadline: due},
		}, Outcome{State: Succeeded}},
		{"failed does not wait again", []Outcome{
			{State: Failed, Reason: "x"}, {State: Accepted, Reason: "y"}, {State: Failed, Reason: "z"},
		}, Outcome{State: Failed, Reason: "x"}},
		{"a reversal leaves the state", []Outcome{
			{State: Succeeded}, {State: Succeeded, Reversal: json.RawMessage(`{"kind":"dispute"}`)},
		}, Outcome{State: Succeeded, Reversal: json.RawMessage(`{"kind":"dispute"}`)}},
		{"a reversal alone too", []Outcome{
			{State: Succeeded}, {Reversal: json.RawMessage(`{"kind":"dispute"}`)},
		}, Outcome{State: Succeeded, Reversal: json.RawMessage(`{"kind":"dispute"}`)}},
		{"a state from the future changes nothing", []Outcome{{State: "parked"}}, Outcome{State: Pending}},
		{"what is no JSON is kept as text", []Outcome{
			{State: Succeeded, Result: json.RawMessage(`{"cut`)},
		}, Outcome{State: Succeeded, Result: json.RawMessage(`"{\"cut"`)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The same must come out whether the operation was here before its
			// outcomes or after them, and after reopening.
			for _, first := range []string{"operation", "outcomes"} {
				dir := t.TempDir()
				q := opened(t, dir, Options{})
				if first == "operation" {
					put(t, q, capture("op1", "pi_1"))
				}
				for i, o := range c.outs {
					o.ID, o.Seq = "op1", uint64(i+1)
					settle(t, q, Cursor{Epoch: "e", Seq: o.Seq}, o)
				}
				put(t, q, capture("op1", "pi_1"))
				closed(t, q)
				q = opened(t, dir, Options{})
				op := get(t, q, "op1")
				got := Outcome{State: op.State, Reason: op.Reason, Message: op.Message, Unknown: op.Unknown,
					Deadline: op.Deadline, Result: op.Result, Reversal: op.Reversal}
				equal(t, first+" first", got, c.want)
				closed(t, q)
			}
		})
	}
}

func TestPutReturnsAnEndThatCameBeforeIt(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	settle(t, q, Cursor{Epoch: "e", Seq: 5}, Outcome{Seq: 5, ID: "op1", State: Succeeded})
	if op := put(t, q, capture("op1", "pi_1")); op.State != Succeeded || op.Seq != 1 {
		t.Errorf("put: %+v", op)
	}
	hq := newHeadquarters()
	hq.epoch = "e"
	put(t, q, capture("op2", "pi_1"))
	running(t, q, hq)
	accepted(t, q, 1)
	equal(t, "offered", hq.ids(), []string{"op2"})
}

func TestStaleOutcomesAreSkippedAndTheCursorNeverGoesBack(t *testing.T) {
	q := opened(t, t.TempDir(), Options{})
	put(t, q, capture("op1", "pi_1"))
	settle(t, q, Cursor{Epoch: "e", Seq: 7}, Outcome{Seq: 7, ID: "op1", State: Accepted, Reason: "new"})
	settle(t, q, Cursor{Epoch: "e", Seq: 6}, Outcome{Seq: 6, ID: "op1", State: Accepted, Reason: "old"})
	if op := get(t, q, "op1"); op.Reason != "new" {
		t.Errorf("reason %q", op.Reason)
	}
	equal(t, "cursor", q.Cursor(), Cursor{Epoch: "e", Seq: 7})
	settle(t, q, Cursor{Epoch: "e", Seq: 9}, Outcome{Seq: 9}) // about no operation
	equal(t, "cursor", q.Cursor(), Cursor{Epoch: "e", Seq: 9})
}

// Any number of outcomes of any size is settled, with the cursor at what is settled.
func TestManyOutcomesAreSettledInSteps(t *testing.T) {
	var flushes atomic.Int64
	q := opened(t, t.TempDir(), Options{OnSync: func(time.Duration) { flushes.Add(1) }})
	const n = 700
	big, err := json.Marshal(string(make([]byte, 2000)))
	if err != nil {
		t.Fatal(err)
	}
	var outs []Outcome
	for i := range n {
		outs = append(outs, Outcome{Seq: uint64(i + 1), ID: fmt.Sprint(i), State: Succeeded, Result: big})
	}
	for i := range 10 {
		op := capture(fmt.Sprint(i), "pi")
		op.Data = big
		put(t, q, op)
	}
	flushes.Store(0)
	settle(t, q, Cursor{Epoch: "e", Seq: n}, outs...)
	if n := flushes.Load(); n < 3 {
		t.Errorf("%d flushes: nothing was divided", n)
	}
	if c := q.Cursor(); c.Seq != n {
		t.Errorf("cursor %+v", c)
	}
	for i := range n {
		if op := put(t, q, capture(fmt.Sprint(i), "pi")); op.State != Succeeded {
			t.Fatalf("%d is %s", i, op.State)
		}
	}
}

func TestOperationsAreKeptUntilLongAfterTheirEnd(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	q := opened(t, dir, Options{Now: func() time.Time { return now }})
	hq := newHeadquarters()
	stop := running(t, q, hq)
	receipt := capture("receipt", "pi_1")
	receipt.Money = false
	for i, op := range []Op{capture("money", "pi_1"), receipt, capture("open", "pi_2")} {
		put(t, q, op)
		accepted(t, q, i+1)
	}
	stop()
	settle(t, q, Cursor{Epoch: hq.epoch, Seq: 3},
		Outcome{Seq: 1, ID: "money", State: Succeeded}, Outcome{Seq: 2, ID: "receipt", State: Succeeded},
		Outcome{Seq: 3, ID: "never came", State: Succeeded}, Outcome{ID: "beat", State: Succeeded})
	beat := receipt
	beat.ID, beat.Kind, beat.Ref = "beat", "heartbeat", "0412"
	put(t, q, beat)
	for _, c := range []struct {
		after time.Duration
		want  []string
	}{
		{time.Hour - time.Second, []string{"beat", "open", "receipt", "money"}},
		{time.Second, []string{"open", "receipt", "money"}},
	} {
		now = now.Add(c.after)
		if _, _, err := q.prune(""); err != nil {
			t.Fatal(err)
		}
		equal(t, "heartbeats", ids(t, q), c.want)
	}
	lived := 0
	for _, c := range []struct {
		days int
		want []string
	}{
		{7, []string{"open", "receipt", "money"}},
		{8, []string{"open", "money"}},
		{35, []string{"open", "money"}},
		{36, []string{"open"}},
		{200, []string{"open"}},
	} {
		live(t, q, &now, c.days-lived)
		lived = c.days
		if _, _, err := q.prune(""); err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprint(c.days, " days"), ids(t, q), c.want)
	}
	want := q.Stats()
	closed(t, q)
	q = opened(t, dir, Options{})
	equal(t, "counts after reopen", q.Stats().Operations["capture"][Accepted], want.Operations["capture"][Accepted])
	if d := q.Stats().Damaged; len(d) > 0 {
		t.Errorf("pruning looks like damage: %q", d)
	}
	put(t, q, capture("next", "pi_3"))
	running(t, q, hq)
	accepted(t, q, 2)
	equal(t, "number after pruning", get(t, q, "next").Number, 4)
}

func TestFailedSettleChangesNothingAndIsTriedAgain(t *testing.T) {
	fail := true
	dir := t.TempDir()
	q := opened(t, dir, Options{Fault: func(step string) error {
		if step == "settle:journal" && fail {
			return errors.New("injected")
		}
		return nil
	}})
	put(t, q, capture("op1", "pi_1"))
	out := Outcome{Seq: 1, ID: "op1", State: Succeeded}
	if err := q.Settle(t.Context(), Cursor{Epoch: "", Seq: 1}, []Outcome{out}); err == nil {
		t.Fatal("no error")
	}
	if op := get(t, q, "op1"); op.State != Pending || q.Cursor().Seq != 0 {
		t.Errorf("half settled: %s, %+v", op.State, q.Cursor())
	}
	fail = false
	settle(t, q, Cursor{Seq: 1}, out)
	closed(t, q)
	q = opened(t, dir, Options{})
	if op := get(t, q, "op1"); op.State != Succeeded || q.Cursor().Seq != 1 {
		t.Errorf("after reopen: %s, %+v", op.State, q.Cursor())
	}
}
