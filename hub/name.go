package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"storehub/internal/localdns"
	"storehub/internal/mdns"
)

// This file is the name that tills know the hub by.

// setName takes tls.name in any case; it is kept and compared in lower case.
func setName(c *Config, s string) error {
	c.TLS.Name = strings.ToLower(s)
	return checkName(c.TLS.Name)
}

// checkName takes what a certificate may hold, a resolver is asked for and every till
// asks for alike. It is in lower case.
func checkName(s string) error {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || !validName(l) {
			return fmt.Errorf("%q is not a DNS name such as hub.shop.example", s)
		}
	}
	last := labels[len(labels)-1]
	switch _, err := netip.ParseAddr(s); {
	case len(s) > 253 || err == nil || strings.Trim(last, "0123456789") == "":
		return fmt.Errorf("%q is not a DNS name such as hub.shop.example", s)
	case len(labels) == 1:
		return fmt.Errorf("%q has no dot: each till would complete it in its own way", s)
	case last == "localhost":
		return fmt.Errorf("%q is every machine's own", s)
	case last == "local":
		return errors.New("names in .local belong to mDNS: no resolver is asked for them")
	}
	return nil
}

// tillURL is where tills reach the hub: by its name, if it has one.
func (s *servers) tillURL() string {
	url := s.addr().URL
	if name := s.hub.cfg.TLS.Name; name != "" {
		scheme, _, _ := strings.Cut(url, "://")
		return scheme + "://" + net.JoinHostPort(name, strconv.Itoa(s.port()))
	}
	return url
}

// listenAgain is how soon an address that was not there yet is tried again.
const listenAgain = 2 * time.Second

// listenForName opens dns.listen. That it cannot is no reason to take no payments: the
// network may come later, and the name may be known elsewhere.
func (s *servers) listenForName() {
	cfg := s.hub.cfg
	if cfg.DNS.Listen == "" {
		return
	}
	name, err := localdns.Listen(cfg.DNS.Listen, cfg.TLS.Name, func() ([][]netip.Prefix, error) { return cardsBehind(cfg.Listen) })
	if err != nil {
		if s.nameErr != err.Error() {
			s.hub.log.Error("nobody is told the hub's name here", "err", err)
		}
		s.nameErr = err.Error()
		return
	}
	s.nameErr = ""
	s.hub.log.Info("the hub answers for its name", "name", cfg.TLS.Name, "addr", name.Addr())
	s.hub.answers.Store(name)
}

// serveName answers for the hub's name until ctx ends.
func (s *servers) serveName(ctx context.Context) error {
	for s.hub.cfg.DNS.Listen != "" && ctx.Err() == nil {
		if name := s.hub.answers.Load(); name != nil {
			err := name.Serve(ctx)
			s.hub.answers.Store(nil)
			if err == nil {
				return nil
			}
			s.hub.log.Error("answer for the hub's name", "err", err)
		}
		pause(ctx, listenAgain)
		if ctx.Err() == nil {
			s.listenForName()
		}
	}
	return nil
}

// cardsBehind are the addresses at which tills reach what listens there: the one that
// it names, or every address of this machine's cards, those of containers and tunnels
// left out.
func cardsBehind(listen string) ([][]netip.Prefix, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	only, err := netip.ParseAddr(host)
	if err == nil && !only.IsUnspecified() {
		return [][]netip.Prefix{{netip.PrefixFrom(only, only.BitLen())}}, nil
	}
	cards, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all [][]netip.Prefix
	for _, card := range cards {
		addrs, err := card.Addrs()
		if err != nil || card.Flags&net.FlagUp == 0 || card.Flags&net.FlagLoopback == 0 && mdns.Virtual(card) {
			continue // gone, off, or nothing of the shop's
		}
		var own []netip.Prefix
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && (p.Addr().Is4() || !only.Is4()) { // 0.0.0.0 is IPv4 alone
				own = append(own, p)
			}
		}
		all = append(all, own)
	}
	return all, nil
}
