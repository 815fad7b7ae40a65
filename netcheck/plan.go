package netcheck

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// How long each kind of question may take. A run in which nothing answers ends
// within 5 s: the longest chain is lookup + connect, or connect + follow-up.
const (
	budgetLocal    = time.Second             // reading tables of this machine
	budgetARP      = 1200 * time.Millisecond // three requests 300 ms apart, and a sleepy Wi-Fi client's answer
	budgetDHCP     = 1800 * time.Millisecond // a server that knows this machine answers at once
	budgetNoDHCP   = 3800 * time.Millisecond // without an address: dnsmasq pings 3 s before it offers a fresh one
	budgetLookup   = 3 * time.Second         // a resolver slower than this fails the SDKs too
	budgetAgain    = 2 * time.Second         // a question that was lost, asked anew
	budgetResolver = 4300 * time.Millisecond // and is still told from a dead one
	budgetConnect  = 2500 * time.Millisecond // one lost SYN (1 s) on a satellite line
	budgetTLS      = 2500 * time.Millisecond // two round trips of such a line
	budgetHTTP     = 2500 * time.Millisecond // Stripe answers in a fraction of this
	budgetFollowUp = 1500 * time.Millisecond // asked again only to tell causes apart
	budgetRate     = 3200 * time.Millisecond // a few handshakes with a distant host
	budgetGateway  = 3500 * time.Millisecond // the kernel gives up after three ARP requests
	budgetReader   = 6 * time.Second         // patience, then a search of 254 addresses or three rounds of samples
	budgetHQ       = 4 * time.Second
)

// probe is one question. It waits for after, and is skipped when one of needs
// failed or was itself skipped. A run that returns no Status was not needed and
// is not reported.
type probe struct {
	name   string
	needs  []string
	after  []string
	budget time.Duration
	quiet  bool // it only prepares another one: never reported
	run    func(context.Context) Result
}

// execute runs a plan. Results come back in the plan's order.
func execute(ctx context.Context, plan []probe, progress func(Result)) []Result {
	type slot struct {
		done   chan struct{}
		result Result
	}
	slots := make(map[string]*slot, len(plan))
	for _, p := range plan {
		slots[p.name] = &slot{done: make(chan struct{})}
	}
	var wg sync.WaitGroup
	var telling sync.Mutex
	for _, p := range plan {
		wg.Go(func() {
			s := slots[p.name]
			defer close(s.done)
			for _, name := range p.after {
				if before, ok := slots[name]; ok {
					<-before.done
				}
			}
			var because string
			for _, name := range p.needs {
				before, ok := slots[name]
				if !ok {
					continue
				}
				<-before.done
				if because != "" {
					continue
				}
				switch before.result.Status {
				case Fail:
					because = name
				case Skip:
					because = before.result.Because
				}
			}
			switch {
			case because != "":
				s.result = Result{Status: Skip, Because: because, Detail: "not asked, since " + because + " failed"}
			case ctx.Err() != nil:
				s.result = Result{Status: Unknown, Detail: "the time for the whole check ran out; allow more with --timeout"}
			default:
				s.result = ask(ctx, p)
			}
			s.result.Name = p.name
			if s.result.Status != "" && progress != nil && !p.quiet {
				telling.Lock()
				defer telling.Unlock()
				progress(s.result)
			}
		})
	}
	wg.Wait()
	results := make([]Result, 0, len(plan))
	for _, p := range plan {
		if r := slots[p.name].result; r.Status != "" && !p.quiet {
			results = append(results, r)
		}
	}
	return results
}

// ask runs one probe within its budget. A panic is a failed probe, not a failed run.
func ask(ctx context.Context, p probe) (r Result) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			r = Result{Status: Fail, Detail: fmt.Sprintf("the probe itself broke: %v", v)}
		}
		r.TookMS = time.Since(start).Milliseconds()
	}()
	return p.run(ctx)
}
