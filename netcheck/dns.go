package netcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// privateTest is Stripe's own test name: it must resolve to privateWant, or a
// browser till cannot find its readers by name.
const privateTest = "10-42-42-42.test.device.stripe-terminal-local-reader.net"

var privateWant = netip.MustParseAddr("10.42.42.42")

// publicResolvers are compared with when the shop's own fail, and not else.
var publicResolvers = []netip.Addr{netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("8.8.8.8")}

// answer is what one resolver said.
type answer struct {
	Rcode string // NOERROR, NXDOMAIN, …; "" when it did not answer
	Addrs []netip.Addr
	// Authoritative: it says so of itself.
	Authoritative bool
	From          netip.AddrPort
	Took          time.Duration
	Err           error
}

var errNoResolver = errors.New("no resolver")

// conclusive: another resolver would not be asked by any client.
func (a answer) conclusive() bool { return a.Rcode == "NOERROR" || a.Rcode == "NXDOMAIN" }

// said is the answer in words.
func (a answer) said() string {
	switch {
	case a.Rcode == "":
		return problem(a.Err)
	case a.Rcode == "NOERROR" && len(a.Addrs) == 0:
		return "no address"
	case a.Rcode == "NOERROR":
		return join(a.Addrs)
	}
	return a.Rcode
}

// ask sends one query and waits for its answer as long as ctx allows.
func (c *checker) ask(ctx context.Context, network string, server netip.AddrPort, name string) answer {
	start := time.Now()
	a := answer{From: server}
	conn, err := c.dial(ctx, network, server.String())
	if err != nil {
		a.Err = err
		return a
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	// No EDNS: small answers, and no middlebox that dislikes it.
	cl := dns.Client{Net: network, Timeout: budgetResolver}
	m, _, err := cl.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn})
	a.Took = time.Since(start)
	if err != nil {
		a.Err = err
		return a
	}
	if m.Truncated && network == "udp" {
		return c.ask(ctx, "tcp", server, name)
	}
	a.Rcode, a.Authoritative = dns.RcodeToString[m.Rcode], m.Authoritative
	for _, rr := range m.Answer {
		if r, ok := rr.(*dns.A); ok {
			if ip, ok := netip.AddrFromSlice(r.A.To4()); ok {
				a.Addrs = append(a.Addrs, ip)
			}
		}
	}
	return a
}

// retryAfter is when a client loses patience and asks again, or the next one.
const retryAfter = 900 * time.Millisecond

// lookup asks the shop's resolvers as its machines do: the first, and the next
// when it is slow or cannot say.
func (c *checker) lookup(ctx context.Context, name string) answer {
	ctx, cancel := context.WithTimeout(ctx, budgetLookup)
	defer cancel()
	tries := slices.Clone(c.resolvers)
	if len(tries) == 0 {
		return answer{Err: errNoResolver}
	}
	for len(tries) < 3 {
		tries = append(tries, c.resolvers[len(tries)%len(c.resolvers)])
	}
	got := make(chan answer, len(tries))
	next, open := 0, 0
	var latest time.Time // when the last of them was sent
	best := answer{Err: context.DeadlineExceeded}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next < len(tries) || open > 0 {
		select {
		case <-timer.C:
			if next < len(tries) {
				server := tries[next]
				next++
				open++
				latest = time.Now()
				go func() { got <- c.ask(ctx, "udp", server, name) }()
				timer.Reset(retryAfter)
			}
		case a := <-got:
			open--
			if a.conclusive() {
				c.countLost(tries[:next], time.Since(latest))
				return a
			}
			if best.Rcode == "" {
				best = a
			}
			if next < len(c.resolvers) { // a "no idea" sends a client on at once
				timer.Reset(0)
			} else if a.Rcode != "" && open == 0 {
				return best
			}
		case <-ctx.Done():
			return best
		}
	}
	return best
}

// quickly is how soon a resolver answers that is not slow.
const quickly = retryAfter / 4

// countLost notes what an answer tells of those who were asked, the last of them so
// long ago. Where it came quickly after that, what was asked before it was lost: a
// resolver that puts equal questions together answers both then.
func (c *checker) countLost(tries []netip.AddrPort, ago time.Duration) {
	c.note(func() {
		for i, server := range tries {
			n := c.asks[server]
			switch {
			case i == len(tries)-1:
				n.sent++
				if ago < quickly && len(tries) == 1 {
					n.quick++
				}
			case ago < quickly:
				n.sent++
				n.lost++
			}
			c.asks[server] = n
		}
	})
}

// asked is what became of a resolver's questions in lookups.
type asked struct{ sent, lost, quick int } // quick: at the first asking

// endLookups tells that the names have been looked up.
func (c *checker) endLookups(context.Context) Result {
	close(c.lookedUp)
	return Result{}
}

// probeResolvers: whom would this machine ask?
func (c *checker) probeResolvers(context.Context) Result {
	list, err := c.sys.Resolvers()
	if err != nil {
		return Result{Status: Unknown, Detail: fmt.Sprintf("read the resolvers: %v", err)}
	}
	if len(list) == 0 {
		return Result{Status: Fail, Code: "dns_not_configured", Detail: "no DNS resolver is configured", Evidence: map[string]any{"resolvers": []string{}}}
	}
	c.note(func() { c.resolvers = list })
	var names []string
	for _, r := range list {
		names = append(names, host(r))
	}
	return Result{Status: Pass, Detail: strings.Join(names, ", "), Evidence: map[string]any{"resolvers": names}}
}

func host(r netip.AddrPort) string {
	if r.Port() == 53 {
		return r.Addr().String()
	}
	return r.String()
}

// lookupProbe: where does the shop's DNS say that host is?
func (c *checker) lookupProbe(name string) func(context.Context) Result {
	return func(ctx context.Context) (r Result) {
		if a, err := netip.ParseAddr(name); err == nil {
			c.note(func() { c.addrs[name] = []netip.Addr{a} })
			return Result{}
		}
		ev := map[string]any{"host": name, "required": c.isRequired(name)}
		var a answer
		if list := c.hostsFile[name]; len(list) > 0 { // this machine's programs look there first
			a, ev["resolver"], ev["hosts_file"] = answer{Rcode: "NOERROR", Addrs: list}, "this machine's hosts file", true
		} else if a = c.lookup(ctx, name); a.From.IsValid() {
			ev["resolver"] = host(a.From)
		}
		ev["said"] = a.said()
		r = Result{Status: Pass, Detail: a.said(), Evidence: ev}
		if name == events {
			ev["sample"] = true
			defer func() {
				if r.Status == Fail {
					r.Status = Unknown
				}
			}()
		}
		switch {
		case a.Rcode == "":
			r.Status, r.Detail = Fail, "no answer: "+a.said()
		case len(a.Addrs) == 0:
			r.Status = Fail
		case slices.ContainsFunc(a.Addrs, c.bogus):
			ev["bogus"] = true
			r.Status, r.Detail = Fail, a.said()+" is no address of a public host"
		default:
			c.note(func() { c.addrs[name] = a.Addrs })
		}
		if r.Status == Pass {
			ev["addresses"] = text(a.Addrs)
		}
		return r
	}
}

// privateAnswers are what the shop's DNS says of names of readers.
type privateAnswers struct {
	test, own answer
	ownName   string // of this machine's own address; "" where that is not private
	ownWant   netip.Addr
}

// askPrivate asks for them beside the public names, so that nobody waits.
func (c *checker) askPrivate(ctx context.Context) Result {
	var p privateAnswers
	// A filter may hide the shop's own range alone.
	if own := c.main.v4(); len(own) > 0 && c.private(own[0].Addr()) {
		p.ownWant = own[0].Addr()
		p.ownName = strings.ReplaceAll(p.ownWant.String(), ".", "-") + strings.TrimPrefix(privateTest, "10-42-42-42")
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.test = c.lookup(ctx, privateTest) })
	if p.ownName != "" {
		wg.Go(func() { p.own = c.lookup(ctx, p.ownName) })
	}
	wg.Wait()
	c.note(func() { c.readerNames = p })
	return Result{}
}

// probePrivate: do names of readers, which lead to private addresses, resolve?
func (c *checker) probePrivate(ctx context.Context) Result {
	some := false
	c.note(func() {
		for _, h := range required {
			some = some || len(c.addrs[h]) > 0
		}
	})
	if !some {
		return Result{Status: Skip, Because: "dns/" + required[0], Detail: "not asked, since no public name resolves"}
	}
	a, own := c.readerNames.test, c.readerNames.own
	if a.Rcode == "" {
		a = c.lookup(ctx, privateTest) // silence may be the line's
	}
	ev := map[string]any{"name": privateTest, "said": a.said(), "want": privateWant.String()}
	if a.From.IsValid() {
		ev["resolver"] = host(a.From)
	}
	hidden := func(name string, a answer, want netip.Addr) Result {
		c.note(func() { c.privateFailed = true })
		ev["name"], ev["said"], ev["want"] = name, a.said(), want.String()
		return Result{Status: Fail, Code: "dns_private_filtered", Evidence: ev,
			Detail: fmt.Sprintf("%s gives %s, not %s", name, a.said(), want)}
	}
	if !slices.Equal(a.Addrs, []netip.Addr{privateWant}) {
		return hidden(privateTest, a, privateWant)
	}
	// That Stripe serves such a name for every address is observed, not promised: a
	// public resolver must confirm it.
	if own.conclusive() && !slices.Contains(own.Addrs, c.readerNames.ownWant) {
		if pub := c.ask(ctx, "udp", netip.AddrPortFrom(publicResolvers[0], 53), c.readerNames.ownName); slices.Contains(pub.Addrs, c.readerNames.ownWant) {
			ev["confirmed_by"] = publicResolvers[0].String()
			return hidden(c.readerNames.ownName, own, c.readerNames.ownWant)
		}
	}
	return Result{Status: Pass, Detail: a.said(), Evidence: ev}
}

// publicProbe asks a public resolver what the shop's own would or could not say.
func (c *checker) publicProbe(server netip.Addr) func(context.Context) Result {
	return func(ctx context.Context) Result {
		names := c.doubted()
		if len(names) == 0 {
			return Result{}
		}
		ev := map[string]any{"resolver": server.String()}
		said := map[string]any{}
		alive := false
		for _, name := range names {
			a := c.ask(ctx, "udp", netip.AddrPortFrom(server, 53), name)
			said[name] = a.said()
			if a.Rcode == "NOERROR" && len(a.Addrs) > 0 {
				alive = true
				c.note(func() { c.public[name] = append(c.public[name], a.Addrs...) })
			}
			if a.Rcode == "" {
				break // the next question would not be answered either
			}
		}
		ev["said"], ev["alive"] = said, alive
		if !alive && names[0] == events {
			return Result{Status: Pass, Detail: server.String() + " knows no more either", Evidence: ev}
		}
		if !alive {
			return Result{Status: Fail, Detail: server.String() + " gives no address", Evidence: ev}
		}
		return Result{Status: Pass, Detail: fmt.Sprintf("%s answers what the shop's DNS does not", server), Evidence: ev}
	}
}

// ParseResolvConf reads the nameserver lines of resolv.conf(5).
func ParseResolvConf(r io.Reader) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	in := bufio.NewScanner(r)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		a, err := netip.ParseAddr(f[1])
		if err != nil {
			continue // the C library passes over it too
		}
		if p := netip.AddrPortFrom(a, 53); !slices.Contains(out, p) && len(out) < 3 {
			out = append(out, p)
		}
	}
	if err := in.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("read resolv.conf: %w", err)
	}
	return out, nil
}

func text(list []netip.Addr) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
