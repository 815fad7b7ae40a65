package hq_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/sandbox"
)

var (
	simOperations = flag.Int("simoperations", 40, "how many operations the story of exactly once has")
	simStores     = flag.Int("simstores", 2, "how many stores")
	simSeed       = flag.Uint64("simseed", 0, "to tell the same story again; 0: a new one")
)

// TestMoney_2_1_ExactlyOnce tells of several stores and three replicas, while
// replicas are killed, the database is killed, Stripe's answers are lost after the
// effect, refused or broken, webhooks are lost, doubled and out of order, and
// Stripe is away for 30 hours. At the end every acknowledged operation has one
// outcome, and Stripe's books are the outcomes to the cent.
func TestMoney_2_1_ExactlyOnce(t *testing.T) {
	onPostgreSQL(t)
	seed := *simSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the same story again: -run TestMoney_2_1_ExactlyOnce -simseed %d -simstores %d -simoperations %d", seed, *simStores, *simOperations)
	began := time.Now()
	f := newFleet(t, 3, seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	hubs := make([]*hub, *simStores)
	plans := make([][]sale, *simStores)
	for i := range hubs {
		hubs[i] = f.hub(fmt.Sprintf("%04d", i))
	}
	for n := 0; n < *simOperations; {
		i := rng.IntN(len(hubs))
		p := plan(rng, n)
		plans[i] = append(plans[i], p)
		n += len(p.ops)
	}

	follow, stopFollowing := context.WithCancel(t.Context())
	var followers, sellers, trouble sync.WaitGroup
	defer followers.Wait()
	defer stopFollowing()
	for i, h := range hubs {
		followers.Go(func() {
			if err := h.follow(follow); err != nil {
				t.Errorf("store %04d: %v", i, err)
			}
		})
		rng := rand.New(rand.NewPCG(seed, uint64(i)+1))
		sellers.Go(func() {
			var left []hq.Submitted
			for _, p := range plans[i] {
				ops, err := h.sell(t.Context(), p)
				for left = append(left, ops...); err == nil && len(left) > 0 && rng.IntN(3) > 0; {
					n := min(len(left), 1+rng.IntN(5))
					err = h.offer(t.Context(), rng, left[:n:n])
					left = left[n:]
				}
				if err == nil {
					err = pauseFor(t.Context(), time.Duration(rng.IntN(200))*time.Millisecond)
				}
				if err != nil {
					t.Errorf("store %04d: %v", i, err)
					return
				}
			}
			if len(left) > 0 {
				if err := h.offer(t.Context(), rng, left); err != nil {
					t.Errorf("store %04d: %v", i, err)
				}
			}
		})
	}
	sold := make(chan struct{})
	happened := map[string]int{}
	trouble.Go(func() { f.trouble(rng, sold, happened) })
	sellers.Wait()
	close(sold)
	trouble.Wait()

	// Everything works again; what waits out a back-off need not be waited for.
	f.box.Clear()
	f.box.SetWebhookFaults(sandbox.WebhookFaults{})
	open := 0
	for fruitless := 0; fruitless < 10; fruitless++ {
		before := open
		if open = f.rest(hubs); open == 0 || t.Failed() {
			break
		}
		if open < before { // slowly is well too
			fruitless = 0
		}
		f.outage(20 * time.Minute)
	}
	if open > 0 {
		t.Errorf("%d acknowledged operations have no outcome", open)
	}
	stopFollowing()
	followers.Wait()
	f.balance(hubs)
	var told []string
	for _, what := range slices.Sorted(maps.Keys(happened)) {
		told = append(told, fmt.Sprintf("%d %s", happened[what], what))
	}
	t.Logf("%d operations of %d stores in %s; %s", *simOperations, len(hubs), time.Since(began).Round(time.Second), strings.Join(told, ", "))
}

// rest waits until every operation has its end, or for ten seconds none has got one.
func (f *fleet) rest(hubs []*hub) (open int) {
	for least, since := math.MaxInt, time.Now(); time.Since(since) < 10*time.Second; {
		open = 0
		for _, h := range hubs {
			open += h.open()
		}
		if open == 0 {
			break
		}
		if open < least {
			least, since = open, time.Now()
		}
		_ = pauseFor(f.t.Context(), 100*time.Millisecond)
	}
	return open
}

// sale is what a till asks for one payment, which is made when it does.
type sale struct {
	amount int64 // 0: none
	ops    []hq.Submitted
}

// sell has the card read, and names the payment in what is asked.
func (h *hub) sell(ctx context.Context, p sale) ([]hq.Submitted, error) {
	if p.amount == 0 {
		return p.ops, nil
	}
	pi, err := h.authorise(ctx, p.amount)
	for i := range p.ops {
		p.ops[i].Ref = pi
	}
	return p.ops, err
}

// plan is what a till asks for one payment.
func plan(rng *rand.Rand, n int) sale {
	ask := func(kind doors.Kind, amount int64) hq.Submitted {
		n++
		return op(kind, fmt.Sprintf("op_%d", n), "", amount)
	}
	if rng.IntN(8) == 0 {
		return sale{ops: []hq.Submitted{op(doors.Heartbeat, fmt.Sprintf("op_%d", n+1), "beat", 0)}}
	}
	amount := int64(100 * (10 + rng.IntN(1000))) // whole: a test card declines some others
	switch rng.IntN(6) {
	case 0:
		return sale{amount, []hq.Submitted{ask(doors.Cancel, 0)}}
	case 1: // the cancel comes too late, or the capture
		return sale{amount, []hq.Submitted{ask(doors.Capture, amount), ask(doors.Cancel, 0)}}
	case 2:
		return sale{amount, []hq.Submitted{ask(doors.Cancel, 0), ask(doors.Capture, amount), ask(doors.Refund, 100)}}
	case 3:
		return sale{amount, []hq.Submitted{ask(doors.Capture, amount-int64(rng.IntN(500)))}}
	case 4:
		return sale{amount, []hq.Submitted{ask(doors.Capture, amount), ask(doors.Refund, amount)}}
	default:
		return sale{amount, []hq.Submitted{ask(doors.Capture, amount), ask(doors.Refund, 100+int64(rng.IntN(200))), ask(doors.Refund, 500+int64(rng.IntN(200)))}}
	}
}

// trouble breaks one thing after another until everything is sold.
func (f *fleet) trouble(rng *rand.Rand, sold <-chan struct{}, happened map[string]int) {
	times := func(what string, n int) int { happened[what] += n; return n }
	kinds := []struct{ what, kind string }{{"answers lost after the effect", "lost"}, {"answers lost after the effect", "lost"}, {"429s", "429"}, {"500s", "500"},
		{"500s after the effect", "500-after"}, {"503s of a proxy", "503"}, {"connections reset", "reset"}, {"locks", "lock_timeout"}}
	paths := []string{"/v1/payment_intents/*/capture", "/v1/payment_intents/*/cancel", "/v1/refunds", "/v1/payment_intents/*", "/v1/events"}
	var away time.Time
	for n := 0; ; n++ {
		switch rng.IntN(10) {
		case 0, 1:
			i := rng.IntN(len(f.replicas))
			if f.kill(i) {
				times("replicas killed", 1)
			}
			_ = pauseFor(f.t.Context(), time.Duration(rng.IntN(500))*time.Millisecond)
			f.start(i)
		case 2:
			if n%3 != 0 {
				break
			}
			times("databases killed", 1)
			if err := f.pg.Kill(); err != nil {
				f.t.Error(err)
			}
			if err := f.pg.Up(); err != nil {
				f.t.Error(err)
			}
		case 3:
			w := sandbox.WebhookFaults{Duplicate: rng.IntN(2) == 0, Reorder: rng.IntN(2) == 0, Lose: rng.IntN(3) == 0}
			f.box.SetWebhookFaults(w)
			times("disorders of webhooks", 1)
		case 4:
			// Two in a row let every authorisation lapse: the story would be about nothing else.
			if happened["outages of 30 h"] > *simOperations/500 || time.Since(away) < time.Minute {
				break
			}
			away = time.Now()
			times("outages of 30 h", 1)
			f.outage(30 * time.Hour)
		default:
			k := kinds[rng.IntN(len(kinds))]
			f.box.Inject(sandbox.Fault{Method: "", Path: paths[rng.IntN(len(paths))], Kind: k.kind, Times: times(k.what, 1+rng.IntN(5))})
		}
		for i := range f.replicas { // what could not start is tried again
			f.mu.Lock()
			gone := f.replicas[i] == nil
			f.mu.Unlock()
			if gone {
				f.start(i)
			}
		}
		select {
		case <-sold:
			return
		case <-f.t.Context().Done():
			return
		case <-time.After(time.Duration(50+rng.IntN(200)) * time.Millisecond):
		}
	}
}

// balance compares what the hubs were told with what happened at Stripe.
func (f *fleet) balance(hubs []*hub) {
	type effect struct{ intent, op, what string }
	happened, lapsed := map[effect][]int64{}, map[string]bool{}
	for _, e := range f.box.Books() {
		if e.Effect == sandbox.EffectExpired {
			lapsed[e.Intent] = true
		}
		if e.Effect == sandbox.EffectCaptured || e.Effect == sandbox.EffectRefunded || e.Effect == sandbox.EffectCanceled && e.Key != "" {
			id, _, _ := strings.Cut(e.Key, "-")
			k := effect{e.Intent, id, e.Effect}
			happened[k] = append(happened[k], e.Amount)
		}
	}
	states := map[string]int{}
	var taken, given int64
	for i, h := range hubs {
		for _, o := range h.offered {
			end := h.ends[o.ID]
			states[string(o.Kind)+" "+string(end.State)+" "+end.Reason]++
			what := map[doors.Kind]string{doors.Capture: sandbox.EffectCaptured, doors.Refund: sandbox.EffectRefunded, doors.Cancel: sandbox.EffectCanceled}[o.Kind]
			if what == "" {
				continue
			}
			k := effect{o.Ref, o.ID, what}
			got := happened[k]
			delete(happened, k)
			switch {
			case o.Kind == doors.Cancel && end.State == doors.Succeeded && len(got) == 0 && lapsed[o.Ref]:
				// It had ended by itself.
			case end.State == doors.Succeeded && len(got) != 1, end.State != doors.Succeeded && len(got) != 0:
				f.t.Errorf("store %04d: %s %s of %s ended %s %q and was done %d times", i, o.Kind, o.ID, o.Ref, end.State, end.Reason, len(got))
			case len(got) == 1 && o.Amount != nil && got[0] != *o.Amount:
				f.t.Errorf("store %04d: %s of %d was done with %d", i, o.ID, *o.Amount, got[0])
			case len(got) == 1 && o.Kind == doors.Capture:
				taken += got[0]
			case len(got) == 1 && o.Kind == doors.Refund:
				given += got[0]
			}
		}
	}
	for k := range happened {
		f.t.Errorf("%s was %s under %q, which nobody asked for", k.intent, k.what, k.op)
	}
	for _, s := range slices.Sorted(maps.Keys(states)) {
		f.t.Logf("%5d %s", states[s], s)
	}
	f.t.Logf("captured %d, refunded %d", taken, given)
}
