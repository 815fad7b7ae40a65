package hq_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

const customer = "customer@example.com"

// aReceipt is a receipt that goes to a customer.
func aReceipt(id, intent string) hq.Submitted {
	o := op(doors.Receipt, id, intent, 0)
	o.Amount, o.Currency, o.Data = nil, "", json.RawMessage(`{"email":"`+customer+`","authorization_code":"ZQ7WKX","last4":"4242"}`)
	return o
}

// personalKeys are of a file with so many keys.
func personalKeys(t *testing.T, text string) hq.PersonalKeys {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := hq.ReadPersonalKeys(file, false)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

var (
	keyA = strings.Repeat("a1", 32) + "\n"
	keyB = strings.Repeat("b2", 32) + "\n"
)

// receiptShown is the data of an operation as a manager's till at headquarters sees it.
func (s *shop) receiptShown(id string) string {
	s.t.Helper()
	s.pair("office manager shp_office")
	w := s.visit(http.MethodGet, "/v1/operations/"+id, "shp_office", "", "")
	var o doors.Operation
	if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || w.Code != http.StatusOK {
		s.t.Fatalf("%d %s, %v", w.Code, w.Body.String(), err)
	}
	return string(o.Data)
}

// Nothing personal of a receipt is readable in the database; with the key it is shown.
func TestMoney_5_2_PersonalFieldsAreSealedPerOperation(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.PersonalKeys = personalKeys(t, keyA) })
	pi := s.captured("op_0", "1000", 1000)
	s.submit(aReceipt("op_1", pi), aReceipt("op_2", pi))
	s.ended("op_1")
	all := s.server.Everything(t)
	// Four digits stand by chance in a dump of times and ids: their name would be with them.
	for _, secret := range []string{customer, "ZQ7WKX", "authorization_code", "last4", keyA[:64]} {
		if strings.Contains(all, secret) {
			t.Errorf("the database holds %q", secret)
		}
	}
	if got := s.receiptShown("op_1"); !strings.Contains(got, customer) || !strings.Contains(got, "ZQ7WKX") {
		t.Errorf("shown: %s", got)
	}
	if locked := s.server.PersonalRows(t); len(locked) != 2 || locked[0] == locked[1] {
		t.Errorf("%d rows: each operation has a key of its own", len(locked))
	}
	s.submit(aReceipt("op_1", pi)) // offered again it is the same
	s.nothingFound("idempotency_key_reused")
	// A new key in front is for what comes; the one behind it still opens what was.
	s.down()
	s.opts.PersonalKeys = personalKeys(t, keyB+keyA)
	s.up()
	if got := s.receiptShown("op_2"); !strings.Contains(got, customer) {
		t.Errorf("after a change of keys: %s", got)
	}
	// Without the key it is as erased, and no error: the operation is there.
	s.down()
	s.opts.PersonalKeys = personalKeys(t, keyB)
	s.up()
	if got := s.receiptShown("op_1"); got != "" {
		t.Errorf("with another key: %s", got)
	}
}

// What is sealed for one operation does not open as another's.
func TestMoney_5_2_SealedFieldsBelongToTheirOperation(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.PersonalKeys = personalKeys(t, keyA) })
	pi := s.captured("op_0", "1000", 1000)
	s.submit(aReceipt("op_1", pi), aReceipt("op_2", pi))
	s.ended("op_2")
	s.server.MovePersonal(t, "op_1", "op_2")
	if one, two := s.receiptShown("op_1"), s.receiptShown("op_2"); one != "" || two != "" {
		t.Errorf("shown: %s, %s", one, two)
	}
	s.server.MovePersonal(t, "op_1", "op_2")
	if got := s.receiptShown("op_1"); !strings.Contains(got, customer) {
		t.Errorf("in its own place: %s", got)
	}
}

// After 13 months the key is destroyed, also where the operation stays since a person
// has to look at it. What is younger stays.
func TestMoney_5_2_PersonalFieldsAreErasedAfterThirteenMonths(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.PersonalKeys = personalKeys(t, keyA) })
	pi := s.captured("op_0", "1000", 1000)
	old := aReceipt("op_1", pi)
	old.AgeMS = (400 * 24 * time.Hour).Milliseconds() // it came late
	s.submit(old, aReceipt("op_2", pi))
	s.ended("op_2")
	other := aReceipt("op_1", pi)
	other.Data = json.RawMessage(`{"email":"other@example.com"}`)
	s.submit(other) // contested: the finding keeps the operation
	s.finding("idempotency_key_reused", "op_1")
	if err := s.server.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.receiptShown("op_1"); got != "" || len(s.server.PersonalRows(t)) != 1 {
		t.Errorf("after 13 months: %s, %d rows", got, len(s.server.PersonalRows(t)))
	}
	if got := s.receiptShown("op_2"); !strings.Contains(got, customer) {
		t.Errorf("a young one: %s", got)
	}
	if s.server.BodyHash(t, "op_1") != "" || s.server.BodyHash(t, "op_2") == "" {
		t.Error("a fingerprint outlives what it is of, or went before it")
	}
	s.shift.Add(int64(400 * 24 * time.Hour))
	if err := s.server.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.server.PersonalRows(t)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// An erased operation is not compared: offered again, here or as erased at the hub, it is
// the one of its id. One of another kind is not.
func TestMoney_5_2_AnErasedOperationOfferedAgainIsNotCompared(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.PersonalKeys = personalKeys(t, keyA) })
	pi := s.captured("op_0", "1000", 1000)
	s.submit(aReceipt("op_1", pi))
	s.ended("op_1")
	erasedThere := aReceipt("op_1", pi)
	erasedThere.Data, erasedThere.Erased = nil, true
	s.submit(erasedThere)
	s.nothingFound("idempotency_key_reused")
	if got := s.receiptShown("op_1"); !strings.Contains(got, customer) {
		t.Errorf("erased at the hub it is gone here: %q", got)
	}
	s.shift.Add(int64(400 * 24 * time.Hour))
	s.server.EraseOnly(t)
	again := aReceipt("op_1", pi)
	again.AgeMS = (400 * 24 * time.Hour).Milliseconds()
	s.submit(again)
	s.nothingFound("idempotency_key_reused")
	if got := s.receiptShown("op_1"); got != "" {
		t.Errorf("it came back: %s", got)
	}
	// Headquarters that never had it keeps it without them, and takes the whole one for the same.
	never := aReceipt("op_2", pi)
	never.Data, never.Erased = nil, true
	s.submit(never)
	if it := s.ended("op_2"); it.State != doors.Succeeded {
		t.Errorf("%+v", it)
	}
	s.submit(aReceipt("op_2", pi))
	s.nothingFound("idempotency_key_reused")
	// Money is compared, whatever is said of erasing.
	refund := op(doors.Refund, "op_0", pi, 1)
	refund.Erased = true
	s.submit(refund)
	s.finding("idempotency_key_reused", "op_0")
}

// Without a key nothing personal is kept, and the rest is as ever.
func TestMoney_5_2_WithoutAKeyNothingPersonalIsKept(t *testing.T) {
	s := newShop(t)
	pi := s.captured("op_0", "1000", 1000)
	s.submit(aReceipt("op_1", pi))
	if it := s.ended("op_1"); it.State != doors.Succeeded {
		t.Errorf("%+v", it)
	}
	if strings.Contains(s.server.Everything(t), customer) || s.receiptShown("op_1") != "" {
		t.Error("it is kept in the clear")
	}
	s.submit(aReceipt("op_1", pi)) // offered again it is the same
	s.nothingFound("idempotency_key_reused")
}

// What an earlier version kept in the clear is sealed by the next upkeep.
func TestMoney_5_2_WhatWasKeptInTheClearIsSealed(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.PersonalKeys = personalKeys(t, keyA) })
	pi := s.captured("op_0", "1000", 1000)
	s.submit(aReceipt("op_1", pi), aReceipt("op_2", pi))
	s.ended("op_2")
	s.server.PutInTheClear(t, "op_1", aReceipt("op_1", pi).Data)
	if !strings.Contains(s.server.Everything(t), customer) {
		t.Fatal("it is not in the clear")
	}
	broke := s.breakAt("personal:keep", 1)
	if err := s.server.Upkeep(t.Context()); err == nil || !broke() {
		t.Fatalf("the step did not fail: %v", err)
	}
	if got := s.receiptShown("op_1"); !strings.Contains(got, customer) {
		t.Errorf("after a failure: %s", got)
	}
	if err := s.server.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.server.Everything(t), customer) || !strings.Contains(s.receiptShown("op_1"), customer) {
		t.Errorf("shown: %s", s.receiptShown("op_1"))
	}
}

// Programs that begin at once have the same key, which its owner alone can read.
func TestMoney_5_2_TheKeyIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if _, err := hq.ReadPersonalKeys(file, false); err == nil {
		t.Error("a key that is not there was read")
	}
	var wg sync.WaitGroup
	all := make([]hq.PersonalKeys, 8)
	for i := range all {
		wg.Go(func() {
			var err error
			if all[i], err = hq.ReadPersonalKeys(file, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range all {
		if len(k) != 1 || k[0] != all[0][0] || strings.Contains(k[0].String(), "1") {
			t.Errorf("%v beside %v", k, all[0])
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	for _, bad := range []string{"a1", keyA + "x", keyA[:62] + "zz", keyA[:64] + "a1"} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := hq.ReadPersonalKeys(file, true); err == nil || strings.Contains(err.Error(), "a1a1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
