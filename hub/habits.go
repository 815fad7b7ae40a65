package hub

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
)

const (
	// habitFor is how long a habit stands after it was last seen: a working day and a night.
	habitFor = 24 * time.Hour
	// bareConnects in a row, each without a token asked for since the one before, are a
	// habit. The first after a start may have a token that was asked for earlier, and a
	// reader that comes back by itself needs none.
	bareConnects = 3
	// pollingMost tokens within pollingIn are more than an app needs that connects and
	// stays connected, iOS with two for each connect included.
	pollingMost = 30
	pollingIn   = 10 * time.Minute
	// pollingBeats intervals that differ by a tenth at most are no person's: a timer asks.
	pollingBeats = 12
	// sharedTurns changes between addresses within sharedIn are two machines; one that was
	// given another address changes once.
	sharedTurns = 6
	sharedIn    = 10 * time.Minute
	// habitTills bounds memory: more tills than a shop has.
	habitTills = 1024
)

// habits is what the hub sees of how tills use their doors, so that an app's mistake is
// told before a shop suffers from it. It keeps numbers and times, no token.
type habits struct {
	mu    sync.Mutex
	tills map[string]*habit
}

// habit is one till's.
type habit struct {
	asked   []time.Time // the last tokens, oldest first
	tokens  int         // since the last connect
	ever    bool        // it asked for a token since the hub started
	holds   string      // the reader that it says it holds
	bare    int         // connects in a row without a token
	from    map[bool]netip.Addr
	turns   []time.Time       // changes of address, oldest first
	address string            // the last two, in words
	found   map[string]*found // by code
}

// found is a habit that was seen.
type found struct {
	diagnostics.Known
	last time.Time
}

// of is the till's; nil where there are too many.
func (h *habits) of(till string) *habit {
	if h.tills == nil {
		h.tills = map[string]*habit{}
	}
	t := h.tills[till]
	if t == nil && len(h.tills) < habitTills {
		t = &habit{from: map[bool]netip.Addr{}, found: map[string]*found{}}
		h.tills[till] = t
	}
	return t
}

// see takes in one request at the doors, and reports whether it shows a habit that was
// not known.
func (h *habits) see(s doors.Seen, location string, now time.Time) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.of(s.Till.Name)
	if t == nil {
		return false
	}
	if s.Token && s.Code == "" {
		t.tokens, t.ever = t.tokens+1, true
		t.asked = keepLast(append(t.asked, now), pollingMost)
		if why := polls(t.asked); why != "" {
			news = t.find("token_polling", s.Till.Name+" "+why, s.Till.Name, now) || news
		}
	}
	if s.Location != "" && location != "" && s.Location != location {
		news = t.find("token_wrong_location", fmt.Sprintf("%s asks for Location %q; the store's is %s", s.Till.Name, s.Location, location), s.Till.Name, now) || news
	}
	if s.Code == doors.ErrModeMismatch.Code {
		news = t.find("till_mode_mixed", s.Till.Name+" was refused for it", s.Till.Name, now) || news
	}
	if t.moved(s.Till.Addr, now) {
		news = t.find("credential_shared", fmt.Sprintf("%s calls from %s in turn", s.Till.Name, t.address), s.Till.Name, now) || news
	}
	return news
}

// connected takes in that a till says it holds a reader, or no longer.
func (h *habits) connected(till, reader string, holds bool, now time.Time) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.of(till)
	switch {
	case t == nil, holds && t.holds == reader:
		return false
	case !holds:
		if t.holds == reader {
			t.holds = ""
		}
		return false
	}
	t.holds = reader
	if t.bare++; t.tokens > 0 {
		t.bare = 0
	}
	t.tokens = 0
	if t.bare < bareConnects {
		return false
	}
	code := "token_reused"
	if !t.ever {
		code = "token_not_asked"
	}
	return t.find(code, fmt.Sprintf("%s connected to a reader %d times without asking for a token in between", till, t.bare), till, now)
}

// polls says how a till polls; "" if it does not.
func polls(asked []time.Time) string {
	n := len(asked)
	if n == pollingMost && asked[n-1].Sub(asked[0]) <= pollingIn {
		return fmt.Sprintf("asked for %d tokens in %s", n, asked[n-1].Sub(asked[0]).Round(time.Second))
	}
	if n <= pollingBeats {
		return ""
	}
	shortest, longest := time.Duration(1<<62), time.Duration(0)
	for i := n - pollingBeats; i < n; i++ {
		d := asked[i].Sub(asked[i-1])
		shortest, longest = min(shortest, d), max(longest, d)
	}
	if shortest < time.Second || longest-shortest > shortest/10 {
		return ""
	}
	return fmt.Sprintf("asks for a token every %s, whether it connects or not", shortest.Round(time.Second))
}

// moved reports whether the till calls from two addresses in turn. IPv4 and IPv6 of one
// machine are two lines that do not meet; loopback is a proxy, which may speak for all.
func (t *habit) moved(addr netip.Addr, now time.Time) bool {
	if !addr.IsValid() || addr.IsLoopback() {
		return false
	}
	before := t.from[addr.Is4()]
	t.from[addr.Is4()] = addr
	if !before.IsValid() || before == addr {
		return false
	}
	t.address = before.String() + " and " + addr.String()
	t.turns = keepLast(append(t.turns, now), sharedTurns)
	return len(t.turns) == sharedTurns && now.Sub(t.turns[0]) <= sharedIn
}

// find keeps a finding, and reports whether it is new.
func (t *habit) find(code, evidence, till string, now time.Time) (news bool) {
	k := t.found[code]
	if k == nil {
		k = &found{Known: diagnostics.Known{Code: code, Since: now, Targets: []string{till}}}
		t.found[code], news = k, true
	}
	k.Evidence, k.last = []string{evidence}, now
	return news
}

// findings are the habits that stand.
func (h *habits) findings(now time.Time) (list []diagnostics.Known) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(h.tills)) {
		t := h.tills[name]
		maps.DeleteFunc(t.found, func(_ string, f *found) bool { return now.Sub(f.last) > habitFor })
		for _, code := range slices.Sorted(maps.Keys(t.found)) {
			list = append(list, t.found[code].Known)
		}
	}
	return list
}

func keepLast[T any](list []T, n int) []T {
	if len(list) > n {
		copy(list, list[len(list)-n:])
		list = list[:n]
	}
	return list
}

// seen is what the doors tell of each request of a till.
func (h *Hub) seen(s doors.Seen) {
	location := ""
	if st := h.store.Load(); st != nil {
		location = st.Location
	}
	if h.habits.see(s, location, h.now()) {
		h.monitor.judge()
	}
}
