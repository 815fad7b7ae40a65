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
	browseEvery = 10 * time.Minute // a second hub comes with a technician, not by itself
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

// lookForSecond notices another hub that says it is this store's.
func (h *Hub) lookForSecond(ctx context.Context) error {
	for ctx.Err() == nil {
		peers, err := h.parts.Browse(ctx, browseWait)
		if err != nil {
			h.log.Debug("look for other hubs", "err", err)
		} else {
			found := secondHub(peers, h.cfg.Store, ownAddresses())
			h.second.Store(&found)
		}
		pause(ctx, browseEvery)
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
