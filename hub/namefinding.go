package hub

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/netcheck"
)

// nameKnown is whether tills would find the hub's name with the internet dead.
type nameKnown struct {
	mu    sync.Mutex
	found *diagnostics.Known // nil: they would, or nobody knows
}

func (n *nameKnown) findings() []diagnostics.Known {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.found == nil {
		return nil
	}
	return []diagnostics.Known{*n.found}
}

// note keeps what was learnt, and reports whether that is news. Where nothing was, the
// last word stands: a resolver that knows the name from the internet falls silent with
// the line.
func (n *nameKnown) note(name string, against []string, told bool, now time.Time) (news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !told || n.found == nil && len(against) == 0:
		return false
	case len(against) == 0:
		n.found = nil
	default:
		k := diagnostics.Known{Code: "hub_name_needs_internet", Since: now, Evidence: against, Targets: []string{name}}
		if n.found != nil {
			k.Since = n.found.Since
		}
		n.found = &k
	}
	return true
}

// lookForName asks the LAN's resolvers for the hub's name, and reports whether there
// is news. It takes two seconds where they are silent.
func (h *Hub) lookForName(ctx context.Context) (news bool) {
	name := h.cfg.TLS.Name
	if name == "" || loopback(h.cfg.Listen) {
		return false // no till elsewhere asks for it
	}
	resolvers, err := h.parts.Resolvers()
	if err != nil {
		h.log.Debug("look for the hub's name", "err", err)
		return false
	}
	cards, err := cardsBehind(h.cfg.Listen)
	if err != nil {
		h.log.Debug("look for the hub's name", "err", err)
		return false
	}
	networks := cards
	if all, err := cardsBehind(":0"); err == nil {
		networks = all // one address alone tells no network
	}
	said := netcheck.AskResolvers(ctx, name, resolvers)
	against, told := judgeName(name, said, shopView{cards, networks, h.asksUs})
	return ctx.Err() == nil && h.name.note(name, against, told, h.now())
}

// shopView is what tells whether an answer holds without the internet.
type shopView struct {
	own      [][]netip.Prefix               // where tills reach the hub
	networks [][]netip.Prefix               // of this machine
	asksUs   func(resolver netip.Addr) bool // the resolver has the name from this hub
}

// isHub reports whether tills reach the hub at a.
func (v shopView) isHub(a netip.Addr) bool {
	return !a.IsLoopback() && slices.ContainsFunc(slices.Concat(v.own...), func(p netip.Prefix) bool { return p.Addr() == a })
}

// onLAN reports whether a resolver is there when the internet is not.
func (v shopView) onLAN(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() ||
		slices.ContainsFunc(slices.Concat(v.networks...), func(p netip.Prefix) bool { return p.Masked().Contains(a) })
}

// judgeName says what speaks against the name being found without the internet, or
// that it is not told: silence proves nothing.
func judgeName(name string, said []netcheck.Said, v shopView) (against []string, told bool) {
	var inside, outside []string
	holds := false
	for _, s := range said {
		who := s.Resolver.Addr().Unmap()
		if who.IsLoopback() || !s.Conclusive() {
			continue // a stub of this machine, which no till asks; or it does not know
		}
		elsewhere := slices.IndexFunc(s.Addrs, func(a netip.Addr) bool { return !v.isHub(a) })
		var why string
		switch {
		case len(s.Addrs) == 0:
			why = fmt.Sprintf("%s does not know %s: %s", who, name, s.Words)
		case elsewhere >= 0:
			why = fmt.Sprintf("%s leads %s to %s, which is not this hub", who, name, s.Addrs[elsewhere])
		case !v.onLAN(who):
			why = fmt.Sprintf("%s, which knows %s, is on the internet", who, name)
		case !s.Authoritative && !v.asksUs(who):
			why = fmt.Sprintf("%s knows %s (%s) from another resolver: its answer is not authoritative", who, name, s.Words)
		default:
			holds = true
			continue
		}
		if v.onLAN(who) {
			inside = append(inside, why)
		} else {
			outside = append(outside, why)
		}
	}
	switch {
	case len(inside) > 0: // some till asks that one
		return append(inside, outside...), true
	case holds:
		return nil, true
	}
	return outside, len(outside) > 0
}

// asksUs reports whether a resolver has the hub's name from this hub.
func (h *Hub) asksUs(resolver netip.Addr) bool {
	s := h.answers.Load()
	return s != nil && s.Asks(resolver)
}
