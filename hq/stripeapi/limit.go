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

// Limiter is a token bucket per account and endpoint: so many requests a second,
// and a second's worth at once. What cannot be served soon is refused as Stripe
// itself would refuse it.
type Limiter struct {
	name    string
	gap     time.Duration
	burst   int
	mu      sync.Mutex
	buckets map[string]*bucket
	reserve hq.Reserve // with other replicas; nil: alone
}

type bucket struct {
	mu     sync.Mutex // one reservation at a time
	full   time.Time  // when all rights would be there again
	closed time.Time  // until then all replicas together have none to give
}

// Limit makes a limiter; name tells its key from another one's.
func Limit(name string, perSecond int) *Limiter {
	return &Limiter{name: name, gap: time.Second / time.Duration(perSecond), burst: perSecond, buckets: map[string]*bucket{}}
}

// Share has the limiter count together with other replicas from now on.
func (l *Limiter) Share(r hq.Reserve) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserve = r
}

// Wait takes one right, and returns when it may be used.
func (l *Limiter) Wait(ctx context.Context, account, endpoint string) error {
	wait, ok := l.take(ctx, account+" "+endpoint)
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

// take reserves a right and says how long until it may be used. While the
// database cannot tell what other replicas take, this one counts alone.
func (l *Limiter) take(ctx context.Context, name string) (time.Duration, bool) {
	l.mu.Lock()
	b, ok := l.buckets[name]
	if !ok {
		b = &bucket{}
		l.buckets[name] = b
	}
	reserve := l.reserve
	l.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if reserve != nil {
		if now.Before(b.closed) {
			return 0, false // a crowd must not ask the database one by one
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		wait, ok, err := reserve(ctx, l.name+" "+name, l.gap, l.burst, longestWait)
		if err == nil {
			if !ok {
				b.closed = now.Add(2 * l.gap)
			}
			return wait, ok
		}
	}
	return l.alone(b, now)
}

// alone counts without the other replicas.
func (l *Limiter) alone(b *bucket, now time.Time) (time.Duration, bool) {
	full := b.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(l.gap)
	wait := full.Sub(now) - time.Duration(l.burst)*l.gap
	if wait > longestWait {
		return 0, false
	}
	b.full = full
	return wait, true
}
