package hq

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"storehub/doors"
)

// names are the ids of operations.
func names(ops []operation) string {
	var ids []string
	for _, o := range ops {
		ids = append(ids, o.ID)
	}
	return strings.Join(ids, " ")
}

func captureDue(id string, left time.Duration, now time.Time) operation {
	d := now.Add(left)
	return operation{Operation: doors.Operation{ID: id, Kind: doors.Capture, Deadline: &d}, store: "0412", line: "pi_" + id}
}

func TestMoney_3_2_FreshOperationsHaveAShareThatNothingUrgentLoses(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	list := func(name string, n int, left time.Duration) (ops []operation) {
		for i := range n {
			ops = append(ops, captureDue(fmt.Sprintf("%s%d", name, i), left+time.Duration(i)*time.Minute, now))
		}
		return ops
	}
	late, fresh := list("late", 8, 20*time.Hour), list("fresh", 8, 47*time.Hour)
	for _, c := range []struct {
		name       string
		due, fresh []operation
		most       int
		want       string
	}{
		{"a backlog", late, fresh, 8, "late0 late1 late2 fresh0 late3 late4 late5 fresh1"},
		{"all that is due lapses soon", list("soon", 8, 11*time.Hour), fresh, 8, "soon0 soon1 soon2 soon3 soon4 soon5 soon6 soon7"},
		{"some lapses soon", append(list("soon", 4, 11*time.Hour), late...), fresh, 8, "soon0 soon1 soon2 soon3 late0 late1 late2 fresh0"},
		{"lapsed long ago is not soon", list("gone", 8, -20*time.Hour), fresh, 4, "gone0 gone1 gone2 fresh0"},
		{"nothing fresh", late, nil, 5, "late0 late1 late2 late3 late4"},
		{"the same ones", late[:2], late[:2], 5, "late0 late1"},
		{"little room", late, fresh, 1, "late0"},
		{"no room", late, fresh, 0, ""},
	} {
		a := agenda{due: c.due, fresh: c.fresh}
		if got := names(a.pick(map[place]bool{}, c.most, now)); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
	// The share holds when there is room for one at a time.
	a := agenda{due: late, fresh: fresh}
	busy, got := map[place]bool{}, []operation{}
	for range 8 {
		for _, o := range a.pick(busy, 1, now) {
			busy[o.place()] = true
			got = append(got, o)
		}
	}
	if want := "late0 late1 late2 fresh0 late3 late4 late5 fresh1"; names(got) != want {
		t.Errorf("one at a time: %s; want %s", names(got), want)
	}
}

// Of what is due the earliest deadline comes first, and of what is fresh the oldest.
func TestMoney_3_2_TheEarliestDeadlineFirst(t *testing.T) {
	a := newAging(t)
	capture := func(id string) Submitted { return Submitted{ID: id, Kind: doors.Capture, Ref: "pi_" + id} }
	a.offer(capture("c"), capture("b"), capture("a"))
	now := a.s.now()
	a.pass(time.Hour)
	a.offer(capture("fresh1"), capture("fresh2"), Submitted{ID: "behind", Kind: doors.Refund, Ref: "pi_fresh1"})
	for id, left := range map[string]time.Duration{"a": time.Hour, "b": 2 * time.Hour, "c": 3 * time.Hour} {
		if _, err := a.s.db.w.Exec(`UPDATE operations SET deadline = ? WHERE id = ?`, ms(now.Add(left)), id); err != nil {
			t.Fatal(err)
		}
	}
	now = a.s.now()
	due, err := a.s.db.due(t.Context(), now, time.Time{}, 10)
	if want := "a b c fresh1 fresh2"; err != nil || names(due) != want {
		t.Errorf("due are %s (%v); want %s", names(due), err, want)
	}
	fresh, err := a.s.db.due(t.Context(), now, now.Add(-freshAge), 10)
	if want := "fresh1 fresh2"; err != nil || names(fresh) != want {
		t.Errorf("fresh are %s (%v); want %s", names(fresh), err, want)
	}
	for id, want := range map[string]Priority{"a": ForDeadlines, "fresh1": ForMoney} {
		for _, o := range due {
			if o.ID == id && o.priority(now) != want {
				t.Errorf("%s is of priority %d, want %d", id, o.priority(now), want)
			}
		}
	}
}

// TestMoney_3_2_WhatHasLapsedGoesBehindWhatCanBeSaved: after a long outage looks are not
// spent on captures that came too late while others lapse.
func TestMoney_3_2_WhatHasLapsedGoesBehindWhatCanBeSaved(t *testing.T) {
	a := newAging(t)
	capture := func(id string) Submitted { return Submitted{ID: id, Kind: doors.Capture, Ref: "pi_" + id} }
	mail := Submitted{ID: "mail", Kind: doors.Receipt, Ref: "pi_x", Data: json.RawMessage(`{"email":"a@example.com","send":true}`)}
	a.offer(mail, capture("assumed"), Submitted{ID: "refund", Kind: doors.Refund, Ref: "pi_x"})
	a.pass(assumedLife + assumedSlack + time.Minute)
	a.offer(capture("told"), capture("soon"), capture("later"), capture("fresh"))
	now := a.s.now()
	for id, left := range map[string]time.Duration{"told": -time.Second, "soon": time.Minute, "later": time.Hour} {
		if _, err := a.s.db.w.Exec(`UPDATE operations SET deadline = ? WHERE id = ?`, ms(now.Add(left)), id); err != nil {
			t.Fatal(err)
		}
	}
	due, err := a.s.db.due(t.Context(), now, time.Time{}, 10)
	if want := "refund soon later fresh assumed told mail"; err != nil || names(due) != want {
		t.Errorf("due are %s (%v); want %s", names(due), err, want)
	}
}
