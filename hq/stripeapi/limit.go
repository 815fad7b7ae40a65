package stripeapi

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"storehub/hq"
)

const (
	// longestWait for the right to make a request: what would wait longer is refused
	// at once, while a till can still be told.
	longestWait = 6 * time.Second
	// perAccount: Stripe gives an account four times what it gives one endpoint.
	perAccount = 4
)

// Limiter counts rights to ask Stripe, per account and endpoint and per account: so
// many a second, and a second's worth at once. Where they do not do for all, they
// go by hq.Priority, then by deadline. What cannot be served soon is refused as
// Stripe itself would refuse it, with a time to come back.
type Limiter struct {
	name      string
	perSecond int
	mu        sync.Mutex
	buckets   map[string]*bucket
	reserve   hq.Reserve // with other replicas; nil: alone
}

// Limit makes a limiter; name tells its key from another one's.
func Limit(name string, perSecond int) *Limiter {
	return &Limiter{name: name, perSecond: perSecond, buckets: map[string]*bucket{}}
}

// Share has the limiter count together with other replicas from now on.
func (l *Limiter) Share(r hq.Reserve) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserve = r
}

// Wait takes the rights to one request, and returns when it may be made.
func (l *Limiter) Wait(ctx context.Context, account, endpoint string) error {
	until := time.Now().Add(longestWait)
	if err := l.bucket(account+" "+endpoint, l.perSecond).wait(ctx, until); err != nil {
		return err
	}
	return l.bucket(account+" *", perAccount*l.perSecond).wait(ctx, until)
}

func (l *Limiter) bucket(name string, perSecond int) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[name]
	if !ok {
		b = newBucket(l.name+" "+name, perSecond, l.reserve)
		l.buckets[name] = b
	}
	return b
}

// bucket hands out the rights of one name. A right goes to whoever is first in line
// when it may be used. As long as rights are saved up, several that may be used at
// once are asked for together; else one at a time, so that no replica holds any that
// another one's tokens would wait for.
type bucket struct {
	name    string
	gap     time.Duration // in which one right grows
	burst   int           // rights that are saved up
	reserve hq.Reserve

	mu      sync.Mutex
	line    []*waiter // first to be served first
	serving bool      // rights are being asked for
	news    chan struct{}
	short   bool          // the last right had to be waited for
	pace    time.Duration // in which this replica got a right, lately
	served  time.Time     // the last right, or when they were first asked for again
	full    time.Time     // counted alone: when all rights would be there again
}

func newBucket(name string, perSecond int, r hq.Reserve) *bucket {
	gap := time.Second / time.Duration(perSecond)
	return &bucket{name: name, gap: gap, pace: gap, burst: perSecond, reserve: r, news: make(chan struct{}, 1)}
}

// waiter is a request in line.
type waiter struct {
	priority hq.Priority
	deadline time.Time
	until    time.Time // it is not served later
	told     chan error
}

func (w *waiter) before(v *waiter) int {
	return cmp.Or(cmp.Compare(v.priority, w.priority), w.deadline.Compare(v.deadline))
}

// wait returns when a right may be used.
func (b *bucket) wait(ctx context.Context, until time.Time) error {
	w := &waiter{until: until, told: make(chan error, 1)}
	w.priority, w.deadline = hq.PriorityOf(ctx)
	b.mu.Lock()
	at, _ := slices.BinarySearchFunc(b.line, w, func(v, w *waiter) int {
		return cmp.Or(v.before(w), -1) // behind its equals
	})
	b.line = slices.Insert(b.line, at, w)
	b.refuseLate(time.Now())
	if !b.serving && len(b.line) > 0 {
		b.serving, b.served = true, time.Now()
		go b.serve()
	}
	b.mu.Unlock()
	select {
	case err := <-w.told:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	if i := slices.Index(b.line, w); i >= 0 {
		b.line = slices.Delete(b.line, i, i+1)
	}
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
	return ctx.Err()
}

// refuseLate tells those that will not be served in time so now.
func (b *bucket) refuseLate(now time.Time) {
	saved := 0
	if !b.short {
		saved = b.burst
	}
	kept := b.line[:0]
	for i, w := range b.line {
		late := now.Add(time.Duration(i+1-saved) * b.pace).Sub(w.until)
		if late <= 0 && now.Before(w.until) {
			kept = append(kept, w)
			continue
		}
		w.told <- busy(late)
	}
	clear(b.line[len(kept):])
	b.line = kept
}

// busy is the refusal. Whoever is told comes back when it may be served, and not
// together with all others that were told.
func busy(late time.Duration) error {
	return &hq.StripeError{Status: http.StatusTooManyRequests, Type: "invalid_request_error", Code: "rate_limit", Ours: true,
		Message: "headquarters' own limit of requests is used up", RetryAfter: time.Second + max(0, late) + rand.N(3*time.Second)}
}

// serve hands out rights while anybody waits.
func (b *bucket) serve() {
	for {
		b.mu.Lock()
		b.refuseLate(time.Now())
		if len(b.line) == 0 {
			b.serving = false
			b.mu.Unlock()
			return
		}
		priority, n := b.line[0].priority, b.together()
		b.mu.Unlock()
		wait, ok := b.take(priority, n)
		if !ok && n > 1 {
			n = 1
			wait, ok = b.take(priority, n)
		}
		if !ok {
			b.noneLeft(priority)
			b.rest(b.gap + rand.N(b.gap))
			continue
		}
		if !b.rest(wait) {
			continue
		}
		b.mu.Lock()
		now := time.Now()
		if b.short = wait > 0; b.short {
			b.pace = max(b.gap, (3*b.pace+now.Sub(b.served))/4)
		} else {
			b.pace = b.gap
		}
		b.served = now
		n = min(n, len(b.line))
		for _, w := range b.line[:n] {
			w.told <- nil
		}
		b.line = slices.Delete(b.line, 0, n)
		b.mu.Unlock()
	}
}

// together is how many rights are asked for at once: while none had to be waited for,
// as many as are wanted by those that are worth what the first is, and at most half of
// what is saved up, so that other replicas find some.
func (b *bucket) together() int {
	n := 1
	for !b.short && n < len(b.line) && n < b.burst/2 && b.line[n].priority == b.line[0].priority {
		n++
	}
	return n
}

// noneLeft takes note that others had all rights. What is worth less than a token
// gives way to them; only where tokens do not come through is it slow for all.
func (b *bucket) noneLeft(p hq.Priority) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.short = true
	if p == hq.ForTokens {
		b.pace = max(b.pace, time.Since(b.served))
	}
}

// rest waits, as long as anybody waits for it.
func (b *bucket) rest(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return true
		case <-b.news:
		}
		b.mu.Lock()
		left := len(b.line)
		b.mu.Unlock()
		if left == 0 {
			return false
		}
	}
}

// ahead is how far in advance a right may be asked for, in gaps: where replicas
// compete, those whose request is worth less ask only when fewer are before them.
func ahead(p hq.Priority) int {
	return map[hq.Priority]int{hq.ForReads: 1, hq.ForMoney: 2, hq.ForDeadlines: 4, hq.ForTokens: 8}[p]
}

// take asks for n rights and says how long until they may be used; false: there are
// none so soon. More than one are taken only if that is now. While the database cannot
// tell what other replicas take, this one counts alone.
func (b *bucket) take(p hq.Priority, n int) (time.Duration, bool) {
	longest := time.Duration(ahead(p)) * b.gap
	if n > 1 {
		longest = 0
	}
	if b.reserve != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if wait, ok, err := b.reserve(ctx, b.name, n, b.gap, b.burst, longest); err == nil {
			return wait, ok
		}
	}
	return b.alone(time.Now(), n, longest)
}

// alone counts without the other replicas.
func (b *bucket) alone(now time.Time, n int, longest time.Duration) (time.Duration, bool) {
	full := b.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Duration(n) * b.gap)
	wait := full.Sub(now) - time.Duration(b.burst)*b.gap
	if wait > longest {
		return 0, false
	}
	b.full = full
	return wait, true
}
