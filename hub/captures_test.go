package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

func TestACaptureHasADeadlineUntilItIsOver(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	amount := int64(1250)
	q := toQueue(doors.Operation{ID: "op_1", Kind: doors.Capture, Ref: "pi_1", Amount: &amount, Currency: "eur", Till: "a", Mode: doors.Live}, now)
	if want := now.Add(47 * time.Hour); !q.Deadline.Equal(want) || !q.Money {
		t.Errorf("deadline %s, money %t", q.Deadline, q.Money)
	}
	if q := toQueue(doors.Operation{Kind: doors.Order}, now); !q.Deadline.IsZero() || q.Money {
		t.Errorf("a record: %+v", q)
	}
	q.State = offlinequeue.Accepted
	q.Unknown = json.RawMessage(`{"reason":"answer_lost","next_look":"2026-11-23T09:05:00Z"}`)
	op := fromQueue(q)
	if op.Deadline == nil || op.Unknown == nil || op.Unknown.Reason != "answer_lost" {
		t.Errorf("while it waits: %+v", op)
	}
	q.State = offlinequeue.Succeeded
	if op := fromQueue(q); op.Deadline != nil || op.Unknown != nil {
		t.Errorf("when it is over: %+v", op)
	}
}

func TestHeadquartersIsToldAgesNotTimes(t *testing.T) {
	var got hq.Submission
	f := &submitHQ{fakeHQ: newFakeHQ(), got: &got}
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	s := sender{f, func() time.Time { return now }, nil}
	_, err := s.Send(t.Context(), offlinequeue.Batch{Epoch: "e", Head: "h", Ops: []offlinequeue.Op{
		{ID: "a", Number: 7, Created: now.Add(-time.Hour)},
		{ID: "b", Number: 8, Created: now.Add(time.Hour)}, // the clock was set back since
		{ID: "c", Number: 9, Created: now, State: offlinequeue.Succeeded, Result: json.RawMessage(`{}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Epoch != "e" || got.Head != "h" || len(got.Operations) != 3 {
		t.Fatalf("submission: %+v", got)
	}
	if a, b := got.Operations[0].AgeMS, got.Operations[1].AgeMS; a != time.Hour.Milliseconds() || b != 0 {
		t.Errorf("ages %d and %d", a, b)
	}
	if got.Operations[0].Settled != nil || got.Operations[2].Settled == nil || got.Operations[2].Settled.State != doors.Succeeded {
		t.Errorf("settled: %+v", got.Operations)
	}
	f.silent = errCut
	if _, err := s.Send(t.Context(), offlinequeue.Batch{}); !errors.Is(err, errCut) {
		t.Errorf("silence became %v", err)
	}
}

type submitHQ struct {
	*fakeHQ
	got *hq.Submission
}

func (f *submitHQ) Submit(ctx context.Context, s hq.Submission) (hq.Receipt, error) {
	*f.got = s
	return hq.Receipt{}, f.answer()
}

func TestLinesOfTheFeed(t *testing.T) {
	deadline := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	o := outcome(hq.Item{Seq: 4, Type: "operation", ID: "a", State: doors.Accepted, Reason: "awaiting_authorisation", Deadline: &deadline, Unknown: &doors.Unknown{Reason: "r", NextLook: deadline}})
	if o.Seq != 4 || o.ID != "a" || o.State != offlinequeue.Accepted || !o.Deadline.Equal(deadline) || !strings.Contains(string(o.Unknown), `"reason":"r"`) {
		t.Errorf("operation: %+v", o)
	}
	if o := outcome(hq.Item{Seq: 5, Type: "reversal", ID: "a", Reversal: json.RawMessage(`{"x":1}`)}); o.ID != "a" || string(o.Reversal) != `{"x":1}` {
		t.Errorf("reversal: %+v", o)
	}
	for _, kind := range []string{"event", "something new"} {
		if o := outcome(hq.Item{Seq: 6, Type: kind, ID: "a", State: doors.Failed}); o.Seq != 6 || o.ID != "" {
			t.Errorf("%s touches an operation: %+v", kind, o)
		}
	}
}

// Headquarters was restored from a backup: another ledger, whose numbers begin
// anew. The cursor must follow, or outcomes would be skipped for ever.
func TestANewLedgerIsReadFromItsBeginning(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	for _, k := range []string{"k1", "k2", "k3"} {
		op := s.capture("pi_"+k, k)
		eventually(t, "an outcome", func() bool {
			got, err := s.hub.Operation(t.Context(), admin, op.ID)
			return err == nil && got.State == doors.Succeeded
		})
	}
	f.set(func(f *fakeHQ) {
		f.epoch, f.items, f.ops, f.order, f.accepted, f.head = "e2", nil, map[string]hq.Submitted{}, nil, 0, ""
	})
	op := s.capture("pi_9", "k9")
	eventually(t, "the outcome of the new ledger", func() bool {
		got, err := s.hub.Operation(t.Context(), admin, op.ID)
		return err == nil && got.State == doors.Succeeded
	})
	if c := s.hub.queue.Cursor(); c.Epoch != "e2" {
		t.Errorf("cursor: %+v", c)
	}
	for _, k := range []string{"k1", "k2", "k3"} {
		if again := s.capture("pi_"+k, k); again.State != doors.Succeeded {
			t.Errorf("%s went back to %s", k, again.State)
		}
	}
}

func TestTheSameKeyForSomethingElseIsRefused(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	s.capture("pi_1", "k")
	status, body := s.ask("POST", "/v1/operations", s.credential, `{"kind":"capture","ref":"pi_1","amount":1251,"currency":"eur"}`, "Idempotency-Key", "k")
	if status != http.StatusConflict || !strings.Contains(body, `"idempotency_key_reused"`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestAFullDiskIsSaidAndIsAFinding(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) { c.Queue.MaxBytes = 1 })
	status, body := s.ask("POST", "/v1/operations", s.credential, `{"kind":"capture","ref":"pi_1"}`, "Idempotency-Key", "k")
	if status != http.StatusInsufficientStorage || !strings.Contains(body, `"queue_full"`) {
		t.Fatalf("%d %s", status, body)
	}
	s.hub.monitor.refresh()
	if got := codes(s.hub.monitor.current().Causes); !strings.Contains(strings.Join(got, " "), "queue_full") {
		t.Errorf("causes: %v", got)
	}
}

// With queue.mirror set nothing is promised that is not on both disks: a stick that is
// not in is said to the till, in the diagnosis, the status and the metrics.
func TestAMirrorThatIsAwayIsSaidAndIsAFinding(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) { c.Queue.Mirror = filepath.Join(t.TempDir(), "stick") })
	status, body := s.ask("POST", "/v1/operations", s.credential, `{"kind":"capture","ref":"pi_1"}`, "Idempotency-Key", "k")
	if status != http.StatusInsufficientStorage || !strings.Contains(body, `"queue_mirror_away"`) {
		t.Fatalf("%d %s", status, body)
	}
	s.hub.monitor.refresh()
	if got := codes(s.hub.monitor.current().Causes); !strings.Contains(strings.Join(got, " "), "queue_mirror_away") {
		t.Errorf("causes: %v", got)
	}
	if away := s.hub.status().Queue.MirrorAway; !strings.Contains(away, "stick") {
		t.Errorf("status: %q", away)
	}
	if got := series(t, s.addr.Metrics); !strings.Contains(got, "storehub_queue_mirror_level 0\n") {
		t.Error("storehub_queue_mirror_level is not 0")
	}
}

// Until headquarters has said whether the store is live or test, an operation has
// no name; a shop that never had internet has taken no payment either.
func TestAHubThatNeverReachedHeadquartersPromisesNothing(t *testing.T) {
	f := newFakeHQ()
	f.cut()
	s := open(t, f, t.TempDir())
	c, err := s.hub.Pair("plain", doors.ScopePOS, "")
	if err != nil {
		t.Fatal(err)
	}
	if status, body := s.ask("POST", "/v1/operations", c, `{"kind":"capture","ref":"pi_1"}`, "Idempotency-Key", "k"); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
	f.mend()
	eventually(t, "the store's mode is known", func() bool { s.hub.fleet.look(); return s.hub.store.Load() != nil })
	if status, body := s.ask("POST", "/v1/operations", c, `{"kind":"capture","ref":"pi_1"}`, "Idempotency-Key", "k"); status != http.StatusAccepted || !strings.Contains(body, `"mode":"test"`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestATillSeesItsOwnOperationsOnly(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	mine := s.capture("pi_1", "k")
	pos, err := s.hub.Pair("pos", doors.ScopePOS, doors.Test)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := s.ask("GET", "/v1/operations/"+mine.ID, pos, ""); status != http.StatusNotFound {
		t.Errorf("another till's operation: %d", status)
	}
	if _, body := s.ask("GET", "/v1/operations", pos, ""); strings.Contains(body, mine.ID) {
		t.Errorf("the list shows another till's: %s", body)
	}
	if _, body := s.ask("GET", "/v1/operations", s.credential, ""); !strings.Contains(body, mine.ID) || strings.Contains(body, "heartbeat") {
		t.Errorf("a manager's list: %s", body)
	}
}

func TestStripesEventsAreForManagers(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	events := s.listen("")
	f.set(func(f *fakeHQ) {
		f.items = append(f.items, hq.Item{Seq: uint64(len(f.items) + 1), Type: "event", At: time.Now(), Event: "charge.expired", Object: json.RawMessage(`{"id":"ch_1"}`)})
	})
	e := await(t, events, func(e sse) bool { return e.Type == eventStripe })
	if !strings.Contains(e.Data, "charge.expired") || !strings.Contains(e.Data, "ch_1") {
		t.Errorf("event: %s", e.Data)
	}
}
