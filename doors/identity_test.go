package doors

import (
	"encoding/json"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// The ids are on disks and at Stripe as idempotency keys: they may never change.
func TestOperationIDIsForEver(t *testing.T) {
	if got, want := OperationID("0412", Test, "till-1", "key-1"), "op_m4tqaduoybxbbzclfiqxls4vura23arzdi7jh44t52nfoca5vxqa"; got != want {
		t.Errorf("got %s", got)
	}
	if got := OperationID("", "", "", ""); !regexp.MustCompile(`^op_[a-z2-7]{52}$`).MatchString(got) || !operationForm.MatchString(got) {
		t.Errorf("got %s", got)
	}
	amount := int64(1250)
	op := Operation{Kind: Capture, Ref: "pi_1", Amount: &amount, Currency: "eur", Data: json.RawMessage(`{"order":"A"}`)}
	if got, want := BodyHash(op), "283d6758616721568c6d7ecae5256ae48597deabce6d36271aa959c41a439a1e"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestOperationIDKeepsFieldsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.SampledFrom([]string{"", "a", "b", "ab", "\x00", "a\x00"})
		a := [4]string{field.Draw(t, "a0"), field.Draw(t, "a1"), field.Draw(t, "a2"), field.Draw(t, "a3")}
		b := [4]string{field.Draw(t, "b0"), field.Draw(t, "b1"), field.Draw(t, "b2"), field.Draw(t, "b3")}
		same := OperationID(a[0], Mode(a[1]), a[2], a[3]) == OperationID(b[0], Mode(b[1]), b[2], b[3])
		if same != (a == b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

func TestBodyHashKnowsWhatIsAskedAndNothingElse(t *testing.T) {
	one, two := int64(1), int64(2)
	base := Operation{Kind: Capture, Ref: "pi_1", Amount: &one, Currency: "eur", Data: json.RawMessage(`{"a":1,"b":[1,2]}`)}
	change := func(f func(*Operation)) Operation { op := base; f(&op); return op }
	for name, op := range map[string]Operation{
		"spelling of data": change(func(op *Operation) { op.Data = json.RawMessage("{ \"b\" : [1, 2],\n\"a\": 1 }") }),
		"who and when":     change(func(op *Operation) { op.ID, op.Till, op.Mode, op.State = "x", "y", Live, Failed }),
	} {
		if BodyHash(op) != BodyHash(base) {
			t.Errorf("%s changed the hash", name)
		}
	}
	for name, op := range map[string]Operation{
		"kind":          change(func(op *Operation) { op.Kind = Refund }),
		"ref":           change(func(op *Operation) { op.Ref = "pi_2" }),
		"amount":        change(func(op *Operation) { op.Amount = &two }),
		"no amount":     change(func(op *Operation) { op.Amount = nil }),
		"currency":      change(func(op *Operation) { op.Currency = "usd" }),
		"data":          change(func(op *Operation) { op.Data = json.RawMessage(`{"a":1,"b":[2,1]}`) }),
		"no data":       change(func(op *Operation) { op.Data = nil }),
		"large integer": change(func(op *Operation) { op.Data = json.RawMessage(`{"a":9007199254740993}`) }),
	} {
		if BodyHash(op) == BodyHash(base) {
			t.Errorf("%s did not change the hash", name)
		}
	}
	near := change(func(op *Operation) { op.Data = json.RawMessage(`{"a":9007199254740993}`) })
	neighbour := change(func(op *Operation) { op.Data = json.RawMessage(`{"a":9007199254740992}`) })
	if BodyHash(near) == BodyHash(neighbour) {
		t.Error("neighbouring integers are one")
	}
	for _, none := range []string{"", "null", "{}", " { } "} {
		if BodyHash(change(func(op *Operation) { op.Data = json.RawMessage(none) })) != BodyHash(change(func(op *Operation) { op.Data = nil })) {
			t.Errorf("%q is not the same as no data", none)
		}
	}
	if string(canonicalJSON(json.RawMessage(" broken"))) != "broken" {
		t.Error("what is no JSON must stand for itself")
	}
}
