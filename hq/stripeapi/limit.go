package stripeapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"storehub/hq"
)

// longestWait for the right to make a request: what would wait longer is refused
// at once, while a till can still be told.
const longestWait = 6 * time.Second

// Limit is a token bucket per endpoint, for [Options].Limit: so many requests a
// second, and a second's worth at once. What cannot be served soon is refused as
// Stripe itself would refuse it.
func Limit(perSecond int) func(ctx context.Context, endpoint string) error {
	l := &limiter{gap: time.Second / time.Duration(perSecond), burst: perSecond, next: map[string]time.Time{}}
	return l.wait
}

type limiter struct {
	gap   time.Duration
	burst int
	mu    sync.Mutex
	next  map[string]time.Time // when the endpoint's bucket would be full again
}

// wait takes one token.
func (l *limiter) wait(ctx context.Context, endpoint string) error {
	wait, ok := l.take(endpoint, time.Now())
	if !ok {
		return &hq.StripeError{Status: http.StatusTooManyRequests, Type: "invalid_request_error", Code: "rate_limit", Message: "headquarters' own limit of requests is used up"}
	}
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take reserves a token and says how long until it may be used.
func (l *limiter) take(endpoint string, now time.Time) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.next[endpoint]
	if full.Before(now) {
		full = now
	}
	full = full.Add(l.gap)
	wait := full.Sub(now) - time.Duration(l.burst)*l.gap
	if wait > longestWait {
		return 0, false
	}
	l.next[endpoint] = full
	return wait, true
}
