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
	// sampleQueries is how many questions a resolver is asked first, and
	// moreQueries how many more when some of them stay open: a sound line of 2 %
	// loss leaves a quarter of all open in 1 of 400 runs, one that loses 60 %
	// leaves less in 1 of 1000.
	sampleQueries = 5
	moreQueries   = 10
	querySpacing  = 40 * time.Millisecond // no burst
	// doubtAfter is when an open question among answered ones counts as lost for now.
	doubtAfter = 1200 * time.Millisecond
	// tcpAfter is when a resolver that is silent over UDP is asked over TCP too. Not
	// before: a small resolver may serve one TCP question at a time and nothing else.
	tcpAfter = budgetResolver - 600*time.Millisecond
)

// resolverProbe: does that resolver answer, how fast, and always?
func (c *checker) resolverProbe(i int) func(context.Context) Result {
	return func(ctx context.Context) Result {
		if i >= len(c.resolvers) {
			return Result{}
		}
		server := c.resolvers[i]
		got, overTCP := c.interrogate(ctx, server)
		var took []float64
		lost, sent, said := 0, len(got), map[string]int{}
		open, asked := map[string]int{}, map[string]int{}
		for q, a := range got {
			name := required[q%len(required)]
			asked[name]++
			if a.Rcode == "" {
				lost++
				open[name]++
				said[problem(a.Err)]++
				continue
			}
			took = append(took, ms(a.Took))
			said[a.Rcode]++
		}
		ev := map[string]any{"resolver": host(server), "sent": sent, "lost": lost, "said": counts(said), "tcp": overTCP}
		// A filter is silent about the same names always; a line loses any.
		if names := alwaysOpen(open, asked); len(names) > 0 && lost < sent {
			ev["silent_about"] = names
			for _, n := range names {
				lost, sent = lost-open[n], sent-asked[n]
			}
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
		case lost >= 2 && 4*lost >= sent:
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

// interrogate asks a resolver a sample of questions over UDP, more where some stay
// open, and over TCP where all do.
func (c *checker) interrogate(ctx context.Context, server netip.AddrPort) (got []answer, overTCP string) {
	first, more := make([]answer, sampleQueries), make([]answer, moreQueries)
	var answered atomic.Int32
	begin := func(into []answer) <-chan struct{} {
		var wg sync.WaitGroup
		for q := range into {
			wg.Go(func() {
				select {
				case <-time.After(time.Duration(q) * querySpacing):
				case <-ctx.Done():
				}
				if into[q] = c.ask(ctx, "udp", server, required[q%len(required)]); into[q].Rcode != "" {
					answered.Add(1)
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		return done
	}
	overTCP = "not asked"
	all := begin(first)
	select {
	case <-all:
		return first, overTCP
	case <-time.After(doubtAfter):
	}
	if answered.Load() > 0 {
		rest := begin(more)
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
