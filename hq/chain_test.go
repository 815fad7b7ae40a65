package hq

import (
	"strings"
	"testing"
)

// The head is signed with a key that outlives a restart, for whoever asked, and
// nothing of it can be altered.
func TestHeadIsSigned(t *testing.T) {
	var o Options
	TestDatabase(t, &o)
	s, rec := ledgerOn(t, o)
	key := s.headKey()
	head := ""
	for i, id := range []string{"a", "b", "c"} {
		beat(t, s, rec, uint64(i+1), head, id)
		head = Chain(head, id)
	}
	page, err := s.chain(t.Context(), rec.ID, rec.epoch, 1, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if page.Head.Number != 3 || page.Head.Head != head || len(page.Links) != 2 || page.Links[1] != (Link{3, "c"}) {
		t.Errorf("page: %+v", page)
	}
	if err := page.Head.Verify(rec.ID, "n1", key); err != nil {
		t.Error(err)
	}
	for what, alter := range map[string]func(*Head){
		"store":     func(h *Head) { h.Store = "0413" },
		"epoch":     func(h *Head) { h.Epoch = "e" },
		"number":    func(h *Head) { h.Number = 4 },
		"head":      func(h *Head) { h.Head = strings.Repeat("0", 64) },
		"time":      func(h *Head) { h.At = h.At.Add(1) },
		"nonce":     func(h *Head) { h.Nonce = "n2" },
		"key":       func(h *Head) { h.Key = strings.Repeat("0", 64) },
		"signature": func(h *Head) { h.Signature = "zz" },
		"none":      func(h *Head) { h.Signature = "" },
	} {
		h := page.Head
		alter(&h)
		if h.Verify(rec.ID, "n1", key) == nil {
			t.Errorf("with another %s it is taken", what)
		}
	}
	if page.Head.Verify(rec.ID, "n1", "no key") == nil {
		t.Error("without a key it is taken")
	}
	if page, err := s.chain(t.Context(), rec.ID, "another epoch", 0, ""); err != nil || len(page.Links) > 0 || page.Head.Number != 3 {
		t.Errorf("asked for another epoch's links: %+v (%v)", page, err)
	}
	again, err := NewServer(Options{Database: o.Database, Engine: o.Engine, Log: s.log})
	if err != nil {
		t.Fatal(err)
	}
	if again.headKey() != key {
		t.Error("the key does not outlive a restart")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
