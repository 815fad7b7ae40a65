package netcheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sampleQueries is how many questions a resolver is asked first.
	sampleQueries = 5                     // the required names
	querySpacing  = 40 * time.Millisecond // no burst
	// clearlyLost and a fifth of all, of some thirty, is what a sound line of 2 % loss
	// leaves open in 1 of 1000 runs; one that loses 35 % leaves less in 1 of 30.
	clearlyLost = 4
	// doubtAfter is when an open question among answered ones counts as lost for now.
	doubtAfter = 1200 * time.Millisecond
	// tcpAfter is when a resolver that is silent over UDP is asked over TCP too. Not
	// before: a small resolver may serve one TCP question at a time and nothing else.
	tcpAfter = budgetResolver - 600*time.Millisecond
)

// moreNames are asked for when some of the first questions, or of the lookups, stay
// open: others first, since a resolver puts equal questions together.
var moreNames = slices.Concat(recommended, ntpHosts, []string{challenges[0].host, challenges[1].host}, required)

// resolverProbe: does that resolver answer, how fast, and always?
func (c *checker) resolverProbe(i int) func(context.Context) Result {
	return func(ctx context.Context) Result {
		if i >= len(c.resolvers) {
			return Result{}
		}
		server := c.resolvers[i]
		got, overTCP := c.interrogate(ctx, server)
		var took []float64
		prompt, late := 0, 0
		lost, sent, said := 0, len(got), map[string]int{}
		open, asked := map[string]int{}, map[string]int{}
		for q, a := range got {
			name := sampleName(q)
			asked[name]++
			if a.Rcode == "" {
				lost++
				open[name]++
				said[problem(a.Err)]++
				continue
			}
			if took = append(took, ms(a.Took)); a.Took < quickly {
				prompt++
			} else if a.Took > retryAfter {
				late++
			}
			said[a.Rcode]++
		}
		ev := map[string]any{"resolver": host(server), "sent": sent, "lost": lost, "said": counts(said), "tcp": overTCP}
		// A filter is silent about the same names always; a line loses any.
		if names := alwaysOpen(open, asked); len(names) > 0 && lost < sent && !c.anyResolved(names) {
			ev["silent_about"] = names
			for _, n := range names {
				lost, sent = lost-open[n], sent-asked[n]
			}
		}
		// Lookups count too, and so does what a quick resolver answers late: it was asked
		// about it again.
		if a := c.asksOf(server); lost < sent && a.quick+prompt > late {
			sent, lost = sent+a.sent, lost+a.lost+late
			ev["sent"], ev["lost"] = sent, lost
		}
		r := Result{Status: Pass, Evidence: ev}
		if len(took) > 0 {
			slices.Sort(took)
			ev["median_ms"] = took[len(took)/2]
		}
		switch {
		case len(took) == 0:
			c.note(func() { c.silent.resolvers = append(c.silent.resolvers, server) })
			r.Status, r.Detail = Fail, fmt.Sprintf("%s does not answer: %s", host(server), counts(said))
		case said["NOERROR"] == 0 && said["NXDOMAIN"] == 0:
			r.Status, r.Detail = Fail, fmt.Sprintf("%s answers nothing but %s", host(server), counts(said))
		case lost >= clearlyLost && 5*lost >= sent:
			r.Status, r.Code = Warn, "dns_unreliable"
			r.Detail = fmt.Sprintf("%s left %d of %d questions unanswered", host(server), lost, sent)
		case took[len(took)/2] > 1000:
			r.Status, r.Code = Warn, "dns_slow"
			r.Detail = fmt.Sprintf("%s takes %.1f s to answer", host(server), took[len(took)/2]/1000)
		default:
			r.Detail = fmt.Sprintf("%s answers in %.0f ms", host(server), took[len(took)/2])
		}
		return r
	}
}

// sampleName is what the question of that number is about.
func sampleName(q int) string {
	if q < sampleQueries {
		return required[q]
	}
	return moreNames[q-sampleQueries]
}

// interrogate asks a resolver a sample of questions over UDP, more where some stay
// open, and over TCP where all do.
func (c *checker) interrogate(ctx context.Context, server netip.AddrPort) (got []answer, overTCP string) {
	first, more := make([]answer, sampleQueries), make([]answer, len(moreNames))
	var answered atomic.Int32
	begin := func(into []answer, from int) <-chan struct{} {
		var wg sync.WaitGroup
		for q := range into {
			wg.Go(func() {
				select {
				case <-time.After(time.Duration(q) * querySpacing):
				case <-ctx.Done():
				}
				if into[q] = c.ask(ctx, "udp", server, sampleName(from+q)); into[q].Rcode != "" {
					answered.Add(1)
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		return done
	}
	overTCP = "not asked"
	all := begin(first, 0)
	select {
	case <-all:
		select {
		case <-c.lookedUp:
		case <-ctx.Done():
		}
		if c.asksOf(server).lost == 0 || answered.Load() == 0 {
			return first, overTCP
		}
		<-begin(more, sampleQueries)
		return append(first, more...), overTCP
	case <-time.After(doubtAfter):
	}
	if answered.Load() > 0 {
		rest := begin(more, sampleQueries)
		<-all
		<-rest
		return append(first, more...), overTCP
	}
	select {
	case <-all:
	case <-time.After(tcpAfter - doubtAfter):
		if answered.Load() == 0 {
			overTCP = c.ask(ctx, "tcp", server, required[0]).said()
		}
		<-all
	}
	return first, overTCP
}

func (c *checker) asksOf(server netip.AddrPort) (a asked) {
	c.note(func() { a = c.asks[server] })
	return a
}

// anyResolved says whether lookups were given an address of one of the names.
func (c *checker) anyResolved(names []string) (yes bool) {
	c.note(func() { yes = slices.ContainsFunc(names, func(n string) bool { return len(c.addrs[n]) > 0 }) })
	return yes
}

// alwaysOpen are names of which no question was answered, if every question of
// every other name was, and each was asked more than once.
func alwaysOpen(open, asked map[string]int) []string {
	var names []string
	for name, n := range open {
		if n < asked[name] || n < 2 {
			return nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func counts(m map[string]int) string {
	var keys, out []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(out, ", ")
}
