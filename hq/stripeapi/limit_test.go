package stripeapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storehub/hq"
)

func TestLimitServesABurstThenPaces(t *testing.T) {
	a := newBucket("a", 10, nil)
	now := time.Unix(1_790_000_000, 0)
	for i := range 10 {
		if wait, ok := a.alone(now, 1, 0); !ok || wait > 0 {
			t.Fatalf("request %d of the burst waits %s, %v", i, wait, ok)
		}
	}
	for i := range 8 {
		want := time.Duration(i+1) * 100 * time.Millisecond
		if wait, ok := a.alone(now, 1, 800*time.Millisecond); !ok || wait != want {
			t.Fatalf("request %d after the burst waits %s, %v; want %s", i, wait, ok, want)
		}
	}
	if _, ok := a.alone(now, 1, 800*time.Millisecond); ok {
		t.Error("a right is given out further ahead than was asked for")
	}
	if wait, ok := a.alone(now.Add(time.Minute), 1, 0); !ok || wait > 0 {
		t.Error("a minute later the bucket is not full again")
	}
}

// crowd asks for rights at the same time, and keeps in which order they came.
type crowd struct {
	l       *Limiter
	wg      sync.WaitGroup
	mu      sync.Mutex
	served  []string
	at      []time.Duration
	refused []string
	after   []time.Duration // until when they were told to come back
	latest  time.Duration   // when the last of them was told no
	began   time.Time
}

func (c *crowd) ask(name, endpoint string, p hq.Priority, deadline time.Time) {
	c.wg.Go(func() {
		err := c.l.Wait(hq.WithPriority(context.Background(), p, deadline), "acct_1", endpoint)
		c.mu.Lock()
		defer c.mu.Unlock()
		took := time.Since(c.began)
		var busy *hq.StripeError
		switch {
		case err == nil:
			c.served, c.at = append(c.served, name), append(c.at, took)
		case errors.As(err, &busy) && busy.Status == http.StatusTooManyRequests && busy.Ours:
			c.refused, c.after = append(c.refused, name), append(c.after, busy.RetryAfter)
			c.latest = max(c.latest, took)
		default:
			panic(err)
		}
	})
}

// drained is a limiter of ten a second whose saved-up rights are gone.
func drained(t *testing.T, endpoint string) *crowd {
	t.Helper()
	c := &crowd{l: Limit("key", 10)}
	for range 10 {
		if err := c.l.Wait(t.Context(), "acct_1", endpoint); err != nil {
			t.Fatal(err)
		}
	}
	c.began = time.Now()
	return c
}

func TestMoney_2_7_WhoGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const endpoint = "POST /v1/x"
		c := drained(t, endpoint)
		in := func(d time.Duration) time.Time { return c.began.Add(d) }
		for _, w := range []struct {
			name     string
			p        hq.Priority
			deadline time.Time
		}{
			{"read", hq.ForReads, time.Time{}},
			{"money in 40 h", hq.ForMoney, in(40 * time.Hour)},
			{"money in 30 h", hq.ForMoney, in(30 * time.Hour)},
			{"capture in 2 h", hq.ForDeadlines, in(2 * time.Hour)},
			{"capture in 1 h", hq.ForDeadlines, in(time.Hour)},
			{"token", hq.ForTokens, time.Time{}},
		} {
			c.ask(w.name, endpoint, w.p, w.deadline)
			synctest.Wait() // in this order they came
		}
		c.wg.Wait()
		if want := "token, capture in 1 h, capture in 2 h, money in 30 h, money in 40 h, read"; strings.Join(c.served, ", ") != want {
			t.Errorf("served: %s; want %s", strings.Join(c.served, ", "), want)
		}
		if last := c.at[len(c.at)-1]; last > time.Second {
			t.Errorf("six requests at ten a second took %s", last)
		}
	})
}

// What cannot be served in 6 s is told so at once, and to come back at different times.
func TestMoney_2_7_WhatCannotBeServedIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const endpoint = "POST /v1/terminal/connection_tokens"
		c := drained(t, endpoint)
		for i := range 200 {
			c.ask(fmt.Sprint(i), endpoint, hq.ForTokens, time.Time{})
		}
		synctest.Wait()
		if c.mu.Lock(); len(c.refused) < 130 || c.latest != 0 {
			t.Errorf("%d were told at once, the last after %s", len(c.refused), c.latest)
		}
		c.mu.Unlock()
		c.wg.Wait()
		if n := len(c.served); n < 55 || n > 61 || c.at[n-1] > longestWait {
			t.Errorf("%d were served, the last after %s; want those of 6 s", n, c.at[n-1])
		}
		slices.Sort(c.after)
		if first, last := c.after[0], c.after[len(c.after)-1]; first < time.Second || last-first < 2*time.Second {
			t.Errorf("told to come back between %s and %s: not spread", first, last)
		}
	})
}

// At opening hour every till asks for a token, and nothing of value waits for reads.
func TestMoney_2_7_NothingOfValueStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const endpoint = "GET /v1/payment_intents/*"
		c := drained(t, endpoint)
		for i := range 55 {
			c.ask(fmt.Sprintf("read %d", i), endpoint, hq.ForReads, time.Time{})
		}
		synctest.Wait()
		for i := range 20 {
			c.ask(fmt.Sprintf("capture %d", i), endpoint, hq.ForDeadlines, c.began)
		}
		synctest.Wait()
		if c.mu.Lock(); len(c.refused) == 0 || !strings.HasPrefix(c.refused[0], "read") || c.latest != 0 {
			t.Errorf("refused at once: %v", c.refused)
		}
		c.mu.Unlock()
		c.wg.Wait()
		for i, name := range c.served {
			if strings.HasPrefix(name, "capture") != (i < 20) {
				t.Errorf("served as number %d: %s", i, name)
			}
		}
		for _, name := range c.refused {
			if strings.HasPrefix(name, "capture") {
				t.Errorf("refused: %s", name)
			}
		}
		// Another endpoint is not slowed, until the account as a whole is.
		if err := c.l.Wait(t.Context(), "acct_1", "POST /v1/y"); err != nil {
			t.Error(err)
		}
	})
}

// All endpoints of an account together have four times the rights of one.
func TestMoney_2_7_AnAccountHasALimitToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{l: Limit("key", 10), began: time.Now()}
		for endpoint := range 10 {
			for i := range 10 {
				c.ask(fmt.Sprint(i), fmt.Sprintf("GET /v1/%d", endpoint), hq.ForMoney, time.Time{})
			}
		}
		c.wg.Wait()
		atOnce := 0
		for _, at := range c.at {
			if at == 0 {
				atOnce++
			}
		}
		if atOnce != 40 || len(c.refused) > 0 || c.at[len(c.at)-1] < 1400*time.Millisecond {
			t.Errorf("%d at once, %d refused, the last after %s", atOnce, len(c.refused), c.at[len(c.at)-1])
		}
	})
}

func TestWhoIsGoneWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := drained(t, "x")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := c.l.Wait(ctx, "acct_1", "x"); !errors.Is(err, context.Canceled) || time.Since(c.began) != 10*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(c.began))
		}
		synctest.Wait() // nothing is left running: the bubble ends
	})
}

// TestMoney_2_7_SharedRightsAreAskedForOneByOne: a crowd that all replicas
// together have nothing for does not reach the database; where the database does
// not answer, the replica counts alone.
func TestMoney_2_7_SharedRightsAreAskedForOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limit("key", 10)
		asked, asking := 0, false
		l.Share(func(_ context.Context, bucket string, n int, gap time.Duration, burst int, longest time.Duration) (time.Duration, bool, error) {
			if bucket != "key acct_1 GET /v1/x" || gap != 100*time.Millisecond || burst != 10 || asking ||
				n == 1 && longest != 800*time.Millisecond || n > 1 && longest != 0 {
				t.Errorf("%d of %s %s %d %s, two at once %v", n, bucket, gap, burst, longest, asking)
			}
			asked, asking = asked+1, true
			time.Sleep(time.Millisecond)
			asking = false
			return 0, false, nil
		})
		c := &crowd{l: l, began: time.Now()}
		for i := range 100 {
			c.ask(fmt.Sprint(i), "GET /v1/x", hq.ForTokens, time.Time{})
		}
		c.wg.Wait()
		if len(c.refused) != 100 || asked > 62 || c.latest > longestWait+200*time.Millisecond {
			t.Errorf("%d refused, the last after %s; the database was asked %d times for nothing", len(c.refused), c.latest, asked)
		}
		l = Limit("key", 10)
		l.Share(func(context.Context, string, int, time.Duration, int, time.Duration) (time.Duration, bool, error) {
			return 0, false, errors.New("connection refused")
		})
		if err := l.Wait(t.Context(), "acct_1", "GET /v1/x"); err != nil {
			t.Errorf("counting alone: %v", err)
		}
	})
}

// TestMoney_2_7_SavedUpRightsAreAskedForTogether: while there are rights, a crowd costs
// few requests to the database; never more than half of what is saved up at once, and
// none beyond it.
func TestMoney_2_7_SavedUpRightsAreAskedForTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const saved = 20
		l := Limit("key", saved)
		asked, left := 0, saved
		l.Share(func(_ context.Context, bucket string, n int, _ time.Duration, burst int, longest time.Duration) (time.Duration, bool, error) {
			if strings.HasSuffix(bucket, " *") {
				return 0, true, nil
			}
			if n > burst/2 || n > 1 && longest > 0 {
				t.Errorf("%d rights asked for at once, %s ahead", n, longest)
			}
			asked++
			time.Sleep(time.Millisecond) // the others come meanwhile
			if n > left {
				return 0, false, nil
			}
			left -= n
			return 0, true, nil
		})
		c := &crowd{l: l, began: time.Now()}
		for i := range saved {
			c.ask(fmt.Sprint(i), "POST /v1/x", hq.ForTokens, time.Time{})
		}
		c.wg.Wait()
		if len(c.served) != saved || left != 0 || asked > 5 {
			t.Errorf("%d of %d served, %d rights left, asked %d times", len(c.served), saved, left, asked)
		}
	})
}

// Between replicas those whose requests are worth more ask further ahead.
func TestMoney_2_7_BetweenReplicasTooTokensGoFirst(t *testing.T) {
	last := 0
	for _, p := range []hq.Priority{hq.ForReads, hq.ForMoney, hq.ForDeadlines, hq.ForTokens} {
		if n := ahead(p); n <= last {
			t.Errorf("priority %d asks %d ahead, the one below %d", p, n, last)
		} else {
			last = n
		}
	}
}
