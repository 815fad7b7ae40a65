package hub

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
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
