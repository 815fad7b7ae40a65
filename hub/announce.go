package hub

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"storehub/internal/mdns"
)

const (
	// A second hub comes with a technician, not by itself: it is looked for often at
	// first, since multicast is lost at times, and less and less.
	browseFirst = 5 * time.Second
	browseEvery = 10 * time.Minute
	browseWait  = 3 * time.Second
)

// announce tells the tills where the hub is. Without multicast the hub works
// all the same: it is a finding, not an end.
func (h *Hub) announce(ctx context.Context, port int) error {
	err := h.parts.Announce(ctx, mdns.Service{
		Instance: "storehub " + h.cfg.Store,
		Port:     port,
		Text:     []string{"store=" + h.cfg.Store, "version=" + h.parts.Version, "path=/v1"},
		Log:      h.log,
	})
	if err != nil && ctx.Err() == nil {
		h.log.Warn("announce hub", "err", err)
	}
	return nil
}

// lookForSecond notices another hub that says it is this store's. One that is not heard
// once may only have been missed.
func (h *Hub) lookForSecond(ctx context.Context) error {
	missed := false
	for again := browseFirst; ctx.Err() == nil; again = min(2*again, browseEvery) {
		peers, err := h.parts.Browse(ctx, browseWait)
		found := secondHub(peers, h.cfg.Store, ownAddresses())
		before := h.second.Load()
		switch {
		case err != nil:
			h.log.Debug("look for other hubs", "err", err)
		case found == "" && !missed && before != nil && *before != "":
			missed, again = true, browseFirst
		default:
			missed = false
			h.second.Store(&found)
		}
		pause(ctx, again)
	}
	return nil
}

func secondHub(peers []mdns.Peer, store string, own []string) string {
	for _, p := range peers {
		if p.Text["store"] != store {
			continue
		}
		addrs := make([]string, 0, len(p.Addrs))
		for _, a := range p.Addrs {
			addrs = append(addrs, a.Unmap().WithZone("").String())
		}
		if !slices.ContainsFunc(addrs, func(a string) bool { return slices.Contains(own, a) }) && len(addrs) > 0 {
			return cmp.Or(p.Host, p.Instance) + " " + net.JoinHostPort(addrs[0], strconv.Itoa(p.Port))
		}
	}
	return ""
}

// ownAddresses is every address of this machine, in text.
func ownAddresses() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			out = append(out, n.IP.String())
		}
	}
	return out
}
