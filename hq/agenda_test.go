package hq

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// backlog is a database in which so many operations are due, on a line each, and where a
// list costs a microsecond for each of them.
type backlog struct {
	due  []operation
	asks int
}

func (b *backlog) ask(_ context.Context, _ time.Time) (due, fresh []operation, whole bool, err error) {
	const most = 128
	b.asks++
	time.Sleep(time.Duration(len(b.due)) * time.Microsecond)
	if len(b.due) < most {
		return slices.Clone(b.due), nil, true, nil
	}
	return slices.Clone(b.due[:most]), nil, false, nil
}

// A long backlog is not listed anew for each operation: that would cost its square.
func TestMoney_3_2_AListOfALongBacklogServesUntilItIsUsedUpOrOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 5_000
		var b backlog
		now := time.Now()
		for i := range many {
			b.due = append(b.due, captureDue(fmt.Sprint(i), 20*time.Hour, now))
		}
		a := agenda{ask: b.ask}
		seen := map[string]bool{}
		for len(b.due) > 0 {
			ops, _, err := a.next(t.Context(), nil, 8, now)
			if err != nil || len(ops) == 0 {
				t.Fatalf("%d are due, %d were listed (%v)", len(b.due), len(ops), err)
			}
			for _, o := range ops {
				if seen[o.ID] {
					t.Fatalf("%s was listed after it had been looked at", o.ID)
				}
				seen[o.ID] = true
			}
			b.due = slices.DeleteFunc(b.due, func(o operation) bool { return seen[o.ID] })
			time.Sleep(time.Millisecond)
		}
		// Each list serves to its end, but short ones age; listing for each step would take 625.
		if most := 2 * many / 128; len(seen) != many || b.asks > most {
			t.Errorf("%d operations took %d lists, want %d operations and at most %d lists", len(seen), b.asks, many, most)
		}

		// A new list is made when the old one has served for as long as it may.
		for i := range 1000 {
			b.due = append(b.due, captureDue(fmt.Sprint("old", i), 20*time.Hour, now))
		}
		list := func(want bool) {
			t.Helper()
			ops, anew, err := a.next(t.Context(), nil, 1, now)
			if err != nil || anew != want || len(ops) != 1 {
				t.Errorf("%d operations, listed anew: %t (%v); want one, %t", len(ops), anew, err, want)
			}
		}
		list(true)
		b.due = slices.Insert(b.due, 0, captureDue("urgent", time.Hour, now))
		list(false)
		time.Sleep(relist * time.Millisecond)
		if ops, _, _ := a.next(t.Context(), nil, 1, now); names(ops) != "urgent" {
			t.Errorf("%s came first, want the urgent one", names(ops))
		}
		// However long a list takes to make, it serves for two seconds only.
		a.until = time.Time{}
		for i := range 200_000 {
			b.due = append(b.due, captureDue(fmt.Sprint("more", i), 20*time.Hour, now))
		}
		list(true)
		time.Sleep(maxListAge - time.Millisecond)
		list(false)
		time.Sleep(time.Millisecond)
		list(true)
	})
}

// What fits into one list is all asked for whenever something changes.
func TestAListOfEverythingIsMadeAnewEachTime(t *testing.T) { synctest.Test(t, everythingAnew) }

func everythingAnew(t *testing.T) {
	now := time.Now()
	b := backlog{due: []operation{captureDue("a", time.Hour, now), captureDue("b", time.Hour, now)}}
	a := agenda{ask: b.ask}
	busy := map[place]bool{}
	for _, want := range []string{"a", "b", ""} {
		ops, anew, err := a.next(t.Context(), busy, 1, now)
		if names(ops) != want || !anew || err != nil {
			t.Errorf("%q, anew: %t (%v); want %q, anew", names(ops), anew, err, want)
		}
		for _, o := range ops {
			busy[o.place()] = true
		}
	}
}
