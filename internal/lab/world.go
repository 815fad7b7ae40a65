package lab

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The internet's addresses.
const (
	providerDNS = "198.18.53.53"
	googleDNS   = "8.8.8.8"
	cloudDNS    = "1.1.1.1"
)

// names is the internet's telephone book.
var names = map[string][]string{
	"api.stripe.com":               {"198.19.1.10", "198.19.1.11"},
	"files.stripe.com":             {"198.19.1.15"},
	"armada.stripe.com":            {"198.19.1.20"},
	"gator.stripe.com":             {"198.19.1.21"},
	"js.stripe.com":                {"198.19.1.40"},
	"*.terminal-events.stripe.com": {"198.19.1.30"},
	"api.emms.bbpos.com":           {"198.19.2.10"},
	"stripe-point-of-sale-us-west-2.s3.us-west-2.amazonaws.com": {"198.19.3.10"},
	"time.android.com":              {"198.19.4.10"},
	"2.android.pool.ntp.org":        {"198.19.4.20"},
	"connectivitycheck.gstatic.com": {"198.19.5.10"},
	"captive.apple.com":             {"198.19.5.11"},
	"example.com":                   {"198.19.6.10"},
	"hq.example.com":                {"198.19.6.20"},
	"dns.google":                    {googleDNS},
	"one.one.one.one":               {cloudDNS},
}

// readerName is how Stripe's own DNS serves the names of readers: the address is
// in the name.
var readerName = regexp.MustCompile(`^(\d+)-(\d+)-(\d+)-(\d+)\.[a-z0-9]+\.device\.stripe-terminal-local-reader\.net$`)

// conduct is how a host behaves on 443.
type conduct struct {
	status int           // answers that instead of its page
	after  time.Duration // answers that late
	stalls bool          // takes the connection and the hello, and is silent
	resets bool          // or cuts it off
	closes bool          // or ends it in due form
	flaw   flaw
	alien  bool          // its certificate is signed by the inspector's authority
	oldTLS bool          // TLS 1.1 is the best it speaks
	late   time.Duration // greets that late
	breaks bool          // cuts its page off in the middle
	share  int           // of 100 connections that it does so to; 0 is all
}

// dnsConduct is how all resolvers of the internet behave.
type dnsConduct struct {
	delay time.Duration
	lost  int      // percent
	rcode int      // for every question
	names []string // the conduct is for these alone; nil is all
	short bool     // answers over UDP are cut: ask by TCP
	chain bool     // names lead to names before they lead to addresses
}

// world is the state of the internet; faults change it while it runs.
type world struct {
	mu    sync.Mutex
	hosts map[string]conduct // by name; "" is all others
	dns   dnsConduct
	ahead time.Duration // of this machine's clock
	ntp   ntpConduct

	stripe http.Handler // what api.stripe.com is, if more than a page
}

type ntpConduct int

const (
	ntpSound ntpConduct = iota
	ntpSilent
	ntpRefusing // kiss of death
	ntpUnsynchronised
)

// change lets a fault rewrite the world.
func (w *world) change(f func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

// behave makes those hosts ("" for all) behave like that.
func (w *world) behave(c conduct, hosts ...string) {
	w.change(func(w *world) {
		if w.hosts == nil {
			w.hosts = map[string]conduct{}
		}
		for _, h := range hosts {
			w.hosts[h] = c
		}
	})
}

func (w *world) conductOf(host string) conduct {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.hosts[host]
	if !ok {
		c = w.hosts[""]
	}
	if c.share > 0 && rand.IntN(100) >= c.share {
		return conduct{}
	}
	return c
}

func (w *world) dnsConduct(name string) dnsConduct {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dns.names != nil && !slices.Contains(w.dns.names, strings.TrimSuffix(name, ".")) {
		return dnsConduct{}
	}
	return w.dns
}

func (w *world) ntpConduct() ntpConduct {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ntp
}

// now is the world's time.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// lookup is the answer of an honest resolver.
func lookup(name string) []netip.Addr {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if m := readerName.FindStringSubmatch(name); m != nil {
		if a, err := netip.ParseAddr(strings.Join(m[1:], ".")); err == nil {
			return []netip.Addr{a}
		}
	}
	if strings.HasSuffix(name, ".terminal-events.stripe.com") {
		name = "*.terminal-events.stripe.com"
	}
	var out []netip.Addr
	for _, a := range names[name] {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// livesAt says whether the host of that name is at the address. Of a name that
// is not in the book any address may speak.
func livesAt(name string, a netip.Addr) bool {
	known := lookup(name)
	return len(known) == 0 || slices.Contains(known, a.Unmap())
}
