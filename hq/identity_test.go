package hq_test

import (
	"net/url"
	"testing"

	"storehub/doors"
	"storehub/hq"
)

// refusedEverything fails unless every route but the handing over of promises is
// refused with that code.
func (s *shop) refusedEverything(code string) {
	s.t.Helper()
	ctx := s.t.Context()
	_, token := s.client.ConnectionToken(ctx, s.till)
	_, store := s.client.Store(ctx)
	_, feed := s.client.Feed(ctx, "", 0, 0)
	_, readers := s.client.Readers(ctx)
	_, call := s.client.Stripe(ctx, s.till, doors.CreatePaymentIntent, "", url.Values{"amount": {"1000"}})
	for name, err := range map[string]error{"token": token, "store": store, "feed": feed, "readers": readers, "call": call} {
		if !isRefusal(err, code) {
			s.t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
}

func TestMoney_4_3_ADrainedHubHandsOverAndAPersonLooks(t *testing.T) {
	s := newShop(t)
	promised, late := s.authorised("1000"), s.authorised("2000")
	waiting := s.created("3000")
	s.submit(op(doors.Capture, "op_0", waiting, 3000))
	s.waits("op_0", "awaiting_authorisation")
	s.submit(op(doors.Capture, "op_1", promised, 1000))
	drain := "drain"
	s.configure(hq.Change{Revoke: &drain})
	s.refusedEverything("hub_revoked")
	sub := hq.Submission{Epoch: s.epoch, Head: s.head, Operations: []hq.Submitted{op(doors.Capture, "op_2", late, 2000)}}
	sub.Operations[0].Number = s.number + 1
	if rc, err := s.client.Submit(t.Context(), sub); err != nil || rc.AcceptedThrough != s.number+1 {
		t.Fatalf("a drained hub could not hand over its promises: %+v, %v", rc, err)
	}
	s.pay(waiting)
	held := s.finding("held_for_review", "op_2")
	// What was accepted before is still done, at once; what came after is held.
	waitFor(t, "the earlier captures", func() bool {
		a, _ := s.effects(promised, "captured")
		b, _ := s.effects(waiting, "captured")
		return a == 1 && b == 1
	})
	if n, _ := s.effects(late, "captured"); n != 0 {
		t.Fatal("captured before anybody looked")
	}
	s.decide(held, true)
	waitFor(t, "the reviewed capture", func() bool { n, _ := s.effects(late, "captured"); return n == 1 })
}

func TestMoney_4_3_ARevokedHubMayDoNothingAndItsPromisesAreKept(t *testing.T) {
	s := newShop(t)
	pi := s.created("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.waits("op_1", "awaiting_authorisation")
	now := "now"
	s.configure(hq.Change{Revoke: &now})
	s.refusedEverything("credential_refused")
	if _, err := s.client.Submit(t.Context(), hq.Submission{}); !isRefusal(err, "credential_refused") {
		t.Errorf("submit: %v", err)
	}
	s.pay(pi)
	waitFor(t, "the promised capture", func() bool { n, _ := s.effects(pi, "captured"); return n == 1 })
	// A new enrolment ends it.
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 2"})
	if err != nil {
		t.Fatal(err)
	}
	s.client.Credential = func() string { return e.Credential }
	if _, err := s.client.Store(t.Context()); err != nil {
		t.Errorf("after a new enrolment: %v", err)
	}
}

// copyOf is a client with the hub's credential on another machine, or in another run.
func (s *shop) copyOf(machine, run string) *shop {
	c := *s
	c.client = &hq.Client{URL: s.client.URL, HTTP: s.client.HTTP, Credential: s.client.Credential, Machine: machine, Run: run}
	return &c
}

func TestMoney_4_3_AnotherMachineWithTheCredentialIsADuplicate(t *testing.T) {
	s := newShop(t)
	s.client.Machine, s.client.Run = "machine 1", "run 1"
	pi := s.authorised("1000")
	s.submit(op(doors.Heartbeat, "op_0", "beat", 0))
	thief := s.copyOf("machine 2", "run 2")
	thief.refusedEverything("hub_duplicated")
	f := s.finding("hub_duplicated", "0412")
	// What a till was promised there is done all the same, once, by its id.
	sub := hq.Submission{Operations: []hq.Submitted{op(doors.Capture, "op_1", pi, 1000)}}
	sub.Operations[0].Number = 1
	rc, err := thief.client.Submit(t.Context(), sub)
	if err != nil || rc.AcceptedThrough != 1 || rc.Head != hq.Chain("", "op_1") {
		t.Fatalf("the copy's promise was not taken: %+v, %v", rc, err)
	}
	waitFor(t, "the capture", func() bool { n, _ := s.effects(pi, "captured"); return n == 1 })
	// The store's own hub is not disturbed.
	s.submit(op(doors.Heartbeat, "op_2", "beat", 0))
	if _, err := s.client.ConnectionToken(t.Context(), s.till); err != nil {
		t.Errorf("the store's own hub: %v", err)
	}
	if f.Note == "" {
		t.Error("the finding says nothing")
	}
}

func TestMoney_4_3_AForkedHeadIsADuplicateUntilAHubIsEnrolledInItsPlace(t *testing.T) {
	s := newShop(t)
	s.client.Machine, s.client.Run = "machine 1", "run 1"
	s.submit(op(doors.Heartbeat, "op_1", "beat", 0), op(doors.Heartbeat, "op_2", "beat", 0))
	// A snapshot of the machine, taken after op_1, was started again: all is the
	// same but the run.
	pi := s.authorised("1000")
	twin := s.copyOf("machine 1", "run 2")
	sub := hq.Submission{Epoch: s.epoch, Head: hq.Chain("", "op_1"), Operations: []hq.Submitted{op(doors.Capture, "op_other", pi, 1000)}}
	sub.Operations[0].Number = 2
	rc, err := twin.client.Submit(t.Context(), sub)
	if err != nil || rc.Epoch != s.epoch {
		t.Fatalf("receipt %+v, %v; the store's own numbering must go on", rc, err)
	}
	waitFor(t, "the capture", func() bool { n, _ := s.effects(pi, "captured"); return n == 1 })
	s.finding("hub_duplicated", "0412")
	twin.refusedEverything("hub_duplicated")
	s.submit(op(doors.Heartbeat, "op_3", "beat", 0))
	if _, err := s.client.ConnectionToken(t.Context(), s.till); err != nil {
		t.Errorf("the store's own hub: %v", err)
	}

	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0412", Location: s.loc, Mode: doors.Test})
	if err != nil {
		t.Fatal(err)
	}
	r := hq.EnrolRequest{Code: code, Fingerprint: "machine 3"}
	if _, err := s.client.Enrol(t.Context(), r); !isRefusal(err, "hub_enrolled_elsewhere") {
		t.Fatalf("another machine took the hub's place unasked: %v", err)
	}
	r.Replace = true
	e, err := s.client.Enrol(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	s.nothingFound("hub_duplicated")
	s.refusedEverything("credential_refused")
	s.client.Credential, s.client.Machine, s.client.Run = func() string { return e.Credential }, "machine 3", "run 3"
	s.epoch, s.head, s.number, s.seq, s.items = "", "", 0, 0, nil
	s.submit(op(doors.Heartbeat, "op_9", "beat", 0)) // its own numbers, from 1
	s.want("op_9", doors.Succeeded, "")
	s.nothingFound("hub_duplicated")
}

func TestMoney_1_4_EnrolmentSaysWhichOfLocationAccountAndModeIsWrong(t *testing.T) {
	s := newShop(t)
	for name, c := range map[string]struct {
		store hq.Store
		code  string
	}{
		"no such Location": {hq.Store{ID: "1", Location: "tml_gone", Mode: doors.Test}, "location_mismatch"},
		"another mode":     {hq.Store{ID: "2", Location: s.loc, Mode: doors.Live}, "account_mode_mismatch"},
	} {
		code, _, err := s.server.AddStore(t.Context(), c.store)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the code is not used up
			if _, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "f"}); !isRefusal(err, c.code) {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
		}
	}
}
