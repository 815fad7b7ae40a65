package hq

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestALargeLedgerIsCountedRarely: however often it is scraped, a ledger whose count
// takes long is counted for at most a fiftieth of the time, and no scrape waits for it.
func TestALargeLedgerIsCountedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := 0
		const takes = 20 * time.Second
		c := &tally{count: func(context.Context) (map[[2]string]float64, error) {
			time.Sleep(takes)
			counted++
			return map[[2]string]float64{{"capture", "succeeded"}: float64(counted)}, nil
		}}
		began := time.Now()
		if last, _, err := c.now(t.Context()); last != nil || err != nil {
			t.Errorf("%v, %v before anything was counted; want that it is not known", last, err)
		}
		for time.Since(began) < time.Hour {
			asked := time.Now()
			last, at, err := c.now(t.Context())
			if waited := time.Since(asked); waited > tallyPatience || err != nil {
				t.Fatalf("a scrape waited %s, %v", waited, err)
			}
			if age := time.Since(at); last != nil && age > (tallyRest+2)*takes+time.Minute {
				t.Fatalf("the count is %s old", age)
			}
			time.Sleep(15 * time.Second)
		}
		if counted < 3 || counted > 4 {
			t.Errorf("counted %d times in an hour; want 3 or 4", counted)
		}
		time.Sleep(time.Minute) // a count that still runs ends
	})
}

func TestASmallLedgerIsCountedEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := 0
		fails := errors.New("the database is away")
		c := &tally{count: func(context.Context) (map[[2]string]float64, error) {
			time.Sleep(tallyQuick / 2)
			if counted++; counted == 3 {
				return nil, fails
			}
			return map[[2]string]float64{{"capture", "succeeded"}: float64(counted)}, nil
		}}
		for n := range 5 {
			last, at, err := c.now(t.Context())
			if n == 2 {
				if !errors.Is(err, fails) {
					t.Errorf("%v, want what the database said", err)
				}
				continue
			}
			if err != nil || last[[2]string{"capture", "succeeded"}] != float64(n+1) || time.Since(at) > tallyQuick {
				t.Errorf("scrape %d: %v of %s, %v", n+1, last, at, err)
			}
		}
	})
}
