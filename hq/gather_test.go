package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What is asked for while others are read is read together, after it was asked for:
// nothing that was read before is told. Whoever asks alone is not held up.
func TestWhatIsAskedForWhileOthersAreReadIsReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads [][]string
		version := 1
		g := gather[int]{read: func(_ context.Context, keys []string) (map[string]int, error) {
			reads = append(reads, slices.Clone(keys))
			rows := map[string]int{}
			for _, k := range keys {
				if k != "revoked" {
					rows[k] = version
				}
			}
			time.Sleep(gatherPatience)
			return rows, nil
		}}
		var wg sync.WaitGroup
		ask := func(key string, want int) {
			wg.Go(func() {
				switch row, err := g.ask(t.Context(), key); {
				case want == 0 && !errors.Is(err, sql.ErrNoRows), want > 0 && err != nil, row != want:
					t.Errorf("%s is %d, %v; want %d", key, row, err, want)
				}
			})
			synctest.Wait()
		}
		ask("first", 1)
		version = 2
		for i := range 100 {
			ask(fmt.Sprint(i), 2)
		}
		ask("first", 2)
		ask("revoked", 0)
		wg.Wait()
		if len(reads) != 3 || len(reads[1]) != gatherMost || len(reads[2]) != 102-gatherMost {
			t.Errorf("%d reads: %q", len(reads), reads)
		}
		synctest.Wait()
		if g.running != 0 || len(g.waiting) != 0 {
			t.Errorf("%d run, %d wait", g.running, len(g.waiting))
		}
	})
}

// A statement that hangs holds up nobody who comes later.
func TestAReadThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		g := gather[int]{read: func(ctx context.Context, keys []string) (map[string]int, error) {
			if reads.Add(1) == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return map[string]int{keys[0]: 7}, nil
		}}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := g.ask(t.Context(), "first"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("first: %v", err)
			}
		})
		time.Sleep(gatherPatience + time.Millisecond)
		began := time.Now()
		if row, err := g.ask(t.Context(), "second"); row != 7 || err != nil || time.Since(began) != 0 {
			t.Errorf("second: %d, %v after %s", row, err, time.Since(began))
		}
		wg.Wait()
	})
}

// Who goes away is told so at once, and takes nobody's answer along. A read that fails
// is everybody's failure, never a "no".
func TestAReadThatFailsIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("connection reset")
		g := gather[int]{read: func(ctx context.Context, _ []string) (map[string]int, error) {
			time.Sleep(time.Second)
			return nil, errors.Join(broken, ctx.Err())
		}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		began := time.Now()
		if _, err := g.ask(ctx, "a"); !errors.Is(err, context.Canceled) || time.Since(began) != time.Millisecond {
			t.Errorf("gone: %v after %s", err, time.Since(began))
		}
		if _, err := g.ask(t.Context(), "b"); !errors.Is(err, broken) || errors.Is(err, context.Canceled) || errors.Is(err, sql.ErrNoRows) {
			t.Errorf("broken: %v", err)
		}
	})
}

func TestListsOfPlaceholdersHaveFewLengths(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 4, 5: 8, 64: 64} {
		list, filled := oneOf(slices.Repeat([]any{"x"}, n))
		if len(filled) != want || len(list) != 2*want+1 {
			t.Errorf("%d values: %s for %d", n, list, len(filled))
		}
	}
}
