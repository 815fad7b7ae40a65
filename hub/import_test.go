package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

// An export of more than one step comes over the socket whole; ages, not clocks, say
// when each was first mentioned, so that deadlines are kept.
func TestARunningHubTakesInAnExport(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Hour.Milliseconds()
	// The other hub's clock is ten years behind; this one is asked within the hour.
	e := hq.Export{Schema: 1, Store: "0412", At: time.Now().Add(-30 * time.Minute)}
	for i := range importStep + 5 {
		e.Operations = append(e.Operations, hq.Submitted{
			ID: fmt.Sprintf("op_%d", i), Kind: doors.Capture, Ref: fmt.Sprintf("pi_%d", i), Data: json.RawMessage(`{"lane":"1"}`),
			Till: "till-9", Mode: doors.Test, CreatedAt: time.Now().AddDate(-10, 0, 0), AgeMS: 5 * hour,
		})
	}
	e.Operations = append(e.Operations, []hq.Submitted{
		{ID: "op_settled", Kind: doors.Cancel, Ref: "pi_1", Till: "till-9", Mode: doors.Test, Settled: &hq.Item{}},
		{ID: "op_mode", Kind: doors.Cancel, Ref: "pi_1", Till: "till-9", Mode: "rehearsal"},
		{ID: "op_till", Kind: doors.Cancel, Ref: "pi_1", Till: hubTill, Mode: doors.Test},
		{ID: "op\n", Kind: doors.Cancel, Ref: "pi_1", Till: "till-9", Mode: doors.Test},
		{ID: "op_kind", Kind: "payout", Ref: "pi_1", Till: "till-9", Mode: doors.Test},
		{ID: "op_data", Kind: doors.Cancel, Ref: "pi_1", Till: "till-9", Mode: doors.Test, Data: json.RawMessage(`{"wish":"x"}`)},
	}...)
	n, err := a.Import(t.Context(), e)
	if err != nil || n.New != importStep+5 || n.Known != 0 || len(n.Refused) != 6 {
		t.Fatalf("import: %+v, %v", n, err)
	}
	for _, r := range n.Refused {
		if _, err := a.Operation(t.Context(), r.ID); !errors.Is(err, doors.ErrNotFound) || r.Code == "" || r.Message == "" {
			t.Errorf("refused, and there: %+v, %v", r, err)
		}
	}
	op, err := s.hub.queue.Get("op_3")
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(op.Created); age < 5*time.Hour+30*time.Minute || age > 6*time.Hour || op.Deadline.Sub(op.Created) != captureWithin || !op.Money {
		t.Errorf("it is %s old, its deadline %s after that: %+v", age, op.Deadline.Sub(op.Created), op)
	}
	if _, err := a.Import(t.Context(), hq.Export{Schema: 1, Store: "0413"}); !errors.Is(err, doors.ErrInvalidField) {
		t.Errorf("an empty export of another store: %v", err)
	}
}

// A queue that is full takes nothing in, says how far it came, and takes the rest when
// it is asked again.
func TestAnImportThatIsCutOffMayBeRepeated(t *testing.T) {
	e := hq.Export{Schema: 1, Store: "0412", At: time.Now()}
	for i := range 2 * importStep {
		e.Operations = append(e.Operations, hq.Submitted{ID: fmt.Sprintf("op_%d", i), Kind: doors.Cancel, Ref: fmt.Sprintf("pi_%d", i), Till: "till-1", Mode: doors.Test})
	}
	dir, puts := t.TempDir(), 0
	q, err := offlinequeue.Open(dir, offlinequeue.Options{Fault: func(step string) error {
		if step == "put:journal" {
			if puts++; puts == importStep+7 {
				return errors.New("the disk has a bad day")
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}()
	take := func() (Imported, error) {
		return inSteps(e, func(part hq.Export) (Imported, error) { return takeIn(t.Context(), q, nil, "0412", part, time.Now()) })
	}
	n, err := take()
	if !errors.Is(err, doors.ErrInternal) || n.New != importStep {
		t.Fatalf("%+v, %v", n, err)
	}
	if n, err = take(); err != nil || n.New+n.Known != 2*importStep || n.Known < importStep+6 || n.Known > importStep+7 {
		t.Errorf("again: %+v, %v", n, err)
	}
}
