package hub

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/offlinequeue"
)

const (
	aCustomer = "customer@example.com"
	aReceipt  = `{"kind":"receipt","ref":"pi_1","data":{"email":"` + aCustomer + `","authorization_code":"987654"}}`
)

// receipt asks for a receipt and returns it as answered.
func (s *shop) receipt(key, body string) (status int, op doors.Operation) {
	s.t.Helper()
	status, text := s.ask("POST", "/v1/operations", s.credential, body, "Idempotency-Key", key)
	if status < 300 {
		if err := json.Unmarshal([]byte(text), &op); err != nil {
			s.t.Fatal(err)
		}
	}
	return status, op
}

// shown is the data of an operation as a till sees it.
func (s *shop) shown(id string) string {
	s.t.Helper()
	status, text := s.ask("GET", "/v1/operations/"+id, s.credential, "")
	var op doors.Operation
	if err := json.Unmarshal([]byte(text), &op); err != nil || status != http.StatusOK {
		s.t.Fatalf("%d %s, %v", status, text, err)
	}
	return string(op.Data)
}

// told is an operation as headquarters was told of it.
func (f *fakeHQ) told(id string) hq.Submitted {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops[id]
}

// holds reports whether a file below one of the directories has the text.
func holds(t *testing.T, text string, dirs ...string) bool {
	t.Helper()
	found := false
	for _, dir := range dirs {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			found = found || strings.Contains(string(b), text)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// Nothing personal of a receipt is readable in the queue, whose journal is the second
// copy's too, or beside the keys; tills, headquarters and an export have it as it came.
func TestMoney_5_2_TheHubSealsPersonalFieldsPerOperation(t *testing.T) {
	f, dir := newFakeHQ(), t.TempDir()
	f.cut()
	s := open(t, f, dir)
	status, op := s.receipt("k", aReceipt)
	if status != http.StatusAccepted || !strings.Contains(string(op.Data), aCustomer) {
		t.Fatalf("%d %+v", status, op)
	}
	if _, again := s.receipt("k", aReceipt); again.ID != op.ID || !strings.Contains(string(again.Data), aCustomer) {
		t.Errorf("repeated: %+v", again)
	}
	if status, _ := s.receipt("k", strings.Replace(aReceipt, aCustomer, "other@example.com", 1)); status != http.StatusConflict {
		t.Errorf("the same key with another address: %d", status)
	}
	s.capture("pi_2", "c")
	for _, secret := range []string{aCustomer, "987654", "other@"} {
		if holds(t, secret, dir, dir+"-keys") {
			t.Errorf("%q lies on a disk", secret)
		}
	}
	if !holds(t, "pi_2", dir) {
		t.Error("this test looks in the wrong place")
	}
	if e, err := export(s.hub.queue, s.hub.personal, "0412", time.Now()); err != nil || !strings.Contains(string(e.Operations[0].Data), aCustomer) {
		t.Errorf("exported: %+v, %v", e, err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for op, err := range ReadQueue(testConfig(dir)) {
		if err != nil || op.Kind == doors.Receipt && !strings.Contains(string(op.Data), aCustomer) {
			t.Errorf("read: %+v, %v", op, err)
		}
	}
	f.mend()
	s = open(t, f, dir)
	eventually(t, "headquarters to have it", func() bool { return f.told(op.ID).ID != "" })
	if sub := f.told(op.ID); !strings.Contains(string(sub.Data), aCustomer) || sub.Erased {
		t.Errorf("headquarters was told %+v", sub)
	}
	if got := s.shown(op.ID); !strings.Contains(got, aCustomer) {
		t.Errorf("shown: %s", got)
	}
}

// 30 days after its outcome an operation's key is destroyed in both copies, though the
// operation stands. A till that repeats it hears its outcome; nothing is compared with
// what is erased.
func TestMoney_5_2_AnErasedOperationAtTheHubIsAnsweredWithItsOutcome(t *testing.T) {
	var shift atomic.Int64
	dir := t.TempDir()
	s := open(t, newFakeHQ(), dir, func(_ *Config, p *Parts) {
		p.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	})
	_, done := s.receipt("k", aReceipt)
	eventually(t, "its end", func() bool { op, _ := s.hub.queue.Get(done.ID); return op.State.Final() })
	s.hq.set(func(f *fakeHQ) { f.hold = true })
	_, waits := s.receipt("w", aReceipt)
	h := s.hub
	shift.Store(int64(29 * day))
	if n, err := h.personal.erase(t.Context(), h.queue, h.now()); n != 0 || err != nil {
		t.Fatalf("after 29 days: %d erased, %v", n, err)
	}
	shift.Store(int64(30*day + time.Hour))
	before := keyFiles(t, h.cfg)
	if n, err := h.personal.erase(t.Context(), h.queue, h.now()); n != 1 || err != nil {
		t.Fatalf("after 30 days: %d erased, %v", n, err)
	}
	if got := s.shown(done.ID); got != "" {
		t.Errorf("it is shown: %s", got)
	}
	if got := s.shown(waits.ID); !strings.Contains(got, aCustomer) {
		t.Errorf("what has no outcome is erased: %q", got)
	}
	for i, was := range before {
		if now := keyFiles(t, h.cfg)[i]; strings.Contains(now, was[10+slotID:10+slotID+slotLocked]) || strings.Contains(now, done.ID) {
			t.Errorf("copy %d still has the key", i+1)
		}
	}
	status, again := s.receipt("k", aReceipt)
	if status >= 300 || again.ID != done.ID || again.State != doors.Succeeded {
		t.Errorf("repeated: %d %+v", status, again)
	}
	if status, _ := s.receipt("k", `{"kind":"cancel","ref":"pi_1"}`); status != http.StatusConflict {
		t.Errorf("the key for something of another kind: %d", status)
	}
}

// keyFiles are the two copies of the keys as they lie on the disk.
func keyFiles(t *testing.T, c Config) (out [2]string) {
	t.Helper()
	for i, name := range copyNames(c.PersonalKeyFile()) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(b)
	}
	return out
}

// Keys that are lost erase what they locked and hold up nothing: headquarters is told
// that there was something.
func TestMoney_5_2_LostKeysStopNothing(t *testing.T) {
	f, dir := newFakeHQ(), t.TempDir()
	f.cut()
	s := open(t, f, dir)
	_, op := s.receipt("k", aReceipt)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir + "-keys"); err != nil {
		t.Fatal(err)
	}
	f.mend()
	s = open(t, f, dir)
	eventually(t, "its end", func() bool { op, _ := s.hub.queue.Get(op.ID); return op.State == offlinequeue.Succeeded })
	if sub := f.told(op.ID); !sub.Erased || sub.Data != nil || sub.Kind != doors.Receipt {
		t.Errorf("headquarters was told %+v", sub)
	}
	if got := s.shown(op.ID); got != "" {
		t.Errorf("shown: %s", got)
	}
}

// What an earlier version stored as it came is the same operation when it is repeated.
func TestMoney_5_2_WhatStoodInTheClearIsRepeated(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	h := s.hub
	stood := doors.Operation{Kind: doors.Receipt, Ref: "pi_1", Data: json.RawMessage(`{"email":"` + aCustomer + `"}`), Till: "till-1", Mode: doors.Test}
	stood.ID = doors.OperationID("0412", doors.Test, "till-1", "k")
	if _, err := h.queue.Put(t.Context(), toQueue(stood, h.now())); err != nil {
		t.Fatal(err)
	}
	if status, op := s.receipt("k", `{"kind":"receipt","ref":"pi_1","data":{"email":"`+aCustomer+`"}}`); status >= 300 || op.ID != stood.ID {
		t.Errorf("%d %+v", status, op)
	}
	if status, _ := s.receipt("k", aReceipt); status != http.StatusConflict {
		t.Errorf("another body: %d", status)
	}
}

// Tills that repeat a receipt at the same moment have one, under one key.
func TestMoney_5_2_RepeatedAtOnceIsOneKey(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if status, op := s.receipt("k", aReceipt); status >= 300 || !strings.Contains(string(op.Data), aCustomer) {
				t.Errorf("%d %+v", status, op)
			}
		})
	}
	wg.Wait()
	live := 0
	for i := range s.hub.personal.ring.size() {
		if _, err := s.hub.personal.ring.get(i); err == nil {
			live++
		}
	}
	if live != 1 {
		t.Errorf("%d keys", live)
	}
}

// Each durable step of a key may fail: the receipt is refused or the erasing tried
// again, and the disk tells the same after a restart.
func TestMoney_5_2_EachStepOfAKeyMayFail(t *testing.T) {
	for _, step := range []string{"keys:add-1", "keys:add-2", "keys:erase-1", "keys:erase-2"} {
		t.Run(step, func(t *testing.T) {
			file, failing := filepath.Join(t.TempDir(), "k"), true
			fault := func(s string) error {
				if failing && s == step {
					return errors.New("the disk said no")
				}
				return nil
			}
			r, err := openKeyring(file, fault)
			if err != nil {
				t.Fatal(err)
			}
			key := keySlot{"op_1", time.UnixMilli(7), []byte(strings.Repeat("L", slotLocked))}
			n, err := r.add(key)
			if adding := strings.HasPrefix(step, "keys:add"); (err != nil) != adding {
				t.Fatalf("add: %v", err)
			} else if adding {
				failing = false
				if n, err = r.add(key); err != nil || n != 0 {
					t.Fatalf("add again: %d, %v", n, err)
				}
			} else {
				if err := r.erase(n); err == nil {
					t.Fatal("erase did not fail")
				}
				failing = false
				if err := r.erase(); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				got, err := r.get(0)
				if there := strings.HasPrefix(step, "keys:add"); (err == nil) != there || there && (got.id != key.id || !got.at.Equal(key.at) || string(got.locked) != string(key.locked)) {
					t.Errorf("%+v, %v", got, err)
				}
				if err := r.close(); err != nil {
					t.Fatal(err)
				}
				if r, err = openKeyring(file, fault); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A slot that one copy lost is told by the other, and mended; one that either copy says
// is erased stays erased; a slot that was given anew does not open what was there.
func TestMoney_5_2_TheCopiesOfKeysMendEachOther(t *testing.T) {
	file := filepath.Join(t.TempDir(), "k")
	reopen := func(damage func(copies [2][]byte)) *keyring {
		t.Helper()
		var copies [2][]byte
		for i, name := range copyNames(file) {
			copies[i], _ = os.ReadFile(name)
		}
		damage(copies)
		for i, name := range copyNames(file) {
			if err := os.WriteFile(name, copies[i], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := openKeyring(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.close() })
		return r
	}
	r := reopen(func([2][]byte) {})
	for _, id := range []string{"op_0", "op_1", "op_2"} {
		if _, err := r.add(keySlot{id, time.Now(), make([]byte, slotLocked)}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(r *keyring, want ...string) {
		t.Helper()
		for n, id := range want {
			if s, err := r.get(n); s.id != id || (err == nil) != (id != "") {
				t.Errorf("slot %d: %q, %v, want %q", n, s.id, err, id)
			}
		}
	}
	check(reopen(func(c [2][]byte) { c[0][20]++; c[1][slotSize+20]++ }), "op_0", "op_1", "op_2")
	check(reopen(func(c [2][]byte) { clear(c[0]) }), "op_0", "op_1", "op_2")
	check(reopen(func(c [2][]byte) { copy(c[1][slotSize:], erasedSlot()) }), "op_0", "", "op_2")
	r = reopen(func(c [2][]byte) { c[0][2*slotSize]++; c[1][2*slotSize]++ })
	check(r, "op_0", "", "")
	if n, err := r.add(keySlot{"op_3", time.Now(), make([]byte, slotLocked)}); err != nil || n == 0 || n > 2 {
		t.Errorf("a new key is in slot %d, %v", n, err)
	}
	p := &personal{ring: r}
	stale := offlinequeue.Op{ID: "op_2", Kind: string(doors.Receipt), Data: json.RawMessage(`{"sealed":"AAAA","slot":2}`)}
	if op, erased := p.open(stale); !erased || op.Data != nil {
		t.Errorf("opened under another's key: %+v", op)
	}
}
