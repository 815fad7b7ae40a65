package hub

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"storehub/doors"
)

const (
	// pairingLife is from `hub pair` to the till where the code is typed.
	pairingLife = 10 * time.Minute
	// pairingsMost codes are open at once; the oldest goes.
	pairingsMost = 64
	// A code is 40 random bits, and codes may be tried twice a second in all: in ten
	// minutes one guess in a thousand million hits.
	pairingTries = 2
	pairingBurst = 10
	// codeLetters leave out what is mistaken for another when it is read out (Crockford).
	codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLength  = 8
)

// pairings are the codes that somebody may trade for a till's credential, once. They are
// in memory alone: a hub that starts anew has none.
type pairings struct {
	mu    sync.Mutex
	tries *rate.Limiter
	open  []invitation // oldest first
}

// invitation is a code that was shown.
type invitation struct {
	code    string
	request PairRequest
	url     string // of the hub, as it was shown beside the code
	expires time.Time
}

func newPairings() *pairings {
	return &pairings{tries: rate.NewLimiter(pairingTries, pairingBurst)}
}

// invite makes a code for a till. An earlier one for it ends.
func (p *pairings) invite(r PairRequest, url string, now time.Time) (code string, expires time.Time) {
	var b [codeLength]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = codeLetters[b[i]%byte(len(codeLetters))]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(r.Name, now)
	if len(p.open) >= pairingsMost {
		p.open = p.open[1:]
	}
	i := invitation{string(b[:]), r, url, now.Add(pairingLife)}
	p.open = append(p.open, i)
	return i.code[:codeLength/2] + "-" + i.code[codeLength/2:], i.expires
}

// drop ends a till's code, and those that have expired.
func (p *pairings) drop(name string, now time.Time) {
	kept := p.open[:0]
	for _, i := range p.open {
		if i.request.Name != name && now.Before(i.expires) {
			kept = append(kept, i)
		}
	}
	clear(p.open[len(kept):])
	p.open = kept
}

// end is drop for a till that needs no code any more.
func (p *pairings) end(name string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(name, now)
}

// mayTry keeps whoever guesses codes slow; nil: this one may be tried.
func mayTry(tries *rate.Limiter, now time.Time) *doors.Error {
	if tries.AllowN(now, 1) {
		return nil
	}
	e := doors.ErrRateLimited.With("too many codes were tried")
	e.RetryAfter = 1
	return e
}

// trade takes a code, once.
func (p *pairings) trade(code string, now time.Time) (invitation, error) {
	code = readOut.Replace(strings.ToUpper(code))
	p.mu.Lock()
	defer p.mu.Unlock()
	if refused := mayTry(p.tries, now); refused != nil {
		return invitation{}, refused
	}
	p.drop("", now)
	for _, i := range p.open {
		if i.code == code {
			p.drop(i.request.Name, now)
			return i, nil
		}
	}
	return invitation{}, doors.ErrPairingCode
}

// readOut undoes what people do to a code that was read out to them.
var readOut = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1")

// Trade implements [doors.Backend]: a code that `hub pair` has shown becomes the till's
// credential, which takes the place of the one shown with the code. Once that one was
// used, the code has nothing to give any more.
func (h *Hub) Trade(_ context.Context, code string) (any, error) {
	i, err := h.pairings.trade(code, h.now())
	if err != nil {
		return nil, err
	}
	for _, t := range h.tills.List() {
		if t.Name == i.request.Name && (!t.LastUsed.IsZero() || !t.Revoked.IsZero()) {
			return nil, doors.ErrPairingCode.With("the till was paired by the address that was shown with the code, or is revoked")
		}
	}
	return h.paired(i.request, i.url)
}
