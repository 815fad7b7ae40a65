package doors

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// inFlightMost is how many requests one till may have under way, streams of events
	// too. An app has two or three.
	inFlightMost = 512
	// An address that shows credentials nobody knows fills so many lines of the log at
	// once, and then one in so long.
	strangerLines = 20
	strangerEvery = 10 * time.Second
	// strangersKept bounds memory: more addresses than a shop has.
	strangersKept = 4096
)

// limits are what one caller may take of the doors, so that something is left for others.
type limits struct {
	mu        sync.Mutex
	inFlight  map[string]int // by till
	strangers map[netip.Addr]*rate.Limiter
}

func newLimits() *limits {
	return &limits{inFlight: map[string]int{}, strangers: map[netip.Addr]*rate.Limiter{}}
}

// begin counts a till's request until the function it returns is called.
func (l *limits) begin(till string) (end func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight[till] >= inFlightMost {
		e := ErrRateLimited.With("this till has %d requests under way", inFlightMost)
		e.RetryAfter = 1
		return nil, e
	}
	l.inFlight[till]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.inFlight[till]--; l.inFlight[till] == 0 {
			delete(l.inFlight, till)
		}
	}, nil
}

// worthALine says whether a credential that nobody knows, shown from an address, is
// logged. All are refused alike.
func (l *limits) worthALine(from netip.Addr, now time.Time) bool {
	if from.Is6() {
		p, _ := from.Prefix(64) // whoever has one address of a network has them all
		from = p.Addr()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.strangers[from]
	if left == nil {
		if len(l.strangers) >= strangersKept {
			clear(l.strangers)
		}
		left = rate.NewLimiter(rate.Every(strangerEvery), strangerLines)
		l.strangers[from] = left
	}
	return left.AllowN(now, 1)
}
