package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/bench/proc"
	"storehub/doors"
	"storehub/hq"
)

const (
	stripesRate = 25 // Stripe's own limit of requests a second to one endpoint
	ourRate     = 20 // stripe.rate_per_endpoint's default
	tillsOfShop = 4
)

// opening is the hour in which every till comes up at once.
type opening struct {
	Tills    int     `json:"tills"`
	Tokens   int     `json:"tokens"`
	AtOnce   int     `json:"first_asked_served"` // tokens that the first request brought
	Refused  int     `json:"refused_early"`      // requests
	RefusedS float64 `json:"refused_after_p99_s"`
	Silent   int     `json:"silent"` // requests without an answer of headquarters' own
	P50s     float64 `json:"token_p50_s"`
	P99s     float64 `json:"token_p99_s"`
	LastS    float64 `json:"token_last_s"`
	BestS    float64 `json:"token_last_at_best_s"` // what the rate allows
	Urgent   money   `json:"captures_lapsing"`
	Fresh    money   `json:"captures_fresh"`
	Stripes  int     `json:"stripe_429"` // Stripe's own refusals
	Load     string  `json:"load"`
}

// money is how long captures took from their submission to their outcome.
type money struct {
	Asked  int     `json:"asked"`
	Done   int     `json:"succeeded"`
	P50s   float64 `json:"p50_s"`
	P99s   float64 `json:"p99_s"`
	LastS  float64 `json:"last_s"`
	Failed string  `json:"failed,omitempty"`
}

// opening has two replicas, a sandbox that refuses as Stripe does, and every till
// asking for two tokens at the same moment, while captures come in: half of them of
// yesterday, which lapse within hours.
func (b *bench) opening(ctx context.Context, r *result) error {
	if b.Tills == 0 {
		return nil
	}
	day := *b
	var err error
	if day.stripe, err = start(order{Do: "stripe", Rate: stripesRate}); err != nil {
		return err
	}
	defer day.stripe.end()
	day.base.Stripe, day.base.Key, day.base.Secret, day.base.Rate = day.stripe.URL, day.stripe.Key, day.stripe.Secret, ourRate
	if day.base.Database, err = b.pg.Database(ctx); err != nil {
		return err
	}
	say("%d tills open at once", b.Tills)
	shops := (b.Tills + tillsOfShop - 1) / tillsOfShop
	web := connections(2*b.Tills + 2*shops)
	defer web.CloseIdleConnections()
	if day.shops, err = day.enrol(ctx, web, shops, shops); err != nil {
		return err
	}
	intents, err := day.authorise(ctx, web)
	if err != nil {
		return err
	}
	list, stop, err := day.replicas(2)
	if err != nil {
		return err
	}
	defer stop()
	if err := day.settled(ctx); err != nil {
		return err
	}
	o := &opening{Tills: b.Tills, Tokens: 2 * b.Tills, Load: proc.LoadAverage()}
	var g errgroup.Group
	g.Go(func() error { return day.openTills(ctx, web, list, o) })
	g.Go(func() error { return day.captures(ctx, web, list, intents, o) })
	if err := g.Wait(); err != nil {
		return err
	}
	text, err := get(ctx, day.stripe.URL+"/refused")
	if err != nil {
		return err
	}
	o.Stripes, err = strconv.Atoi(string(text))
	o.BestS = max(0, float64(o.Tokens-ourRate)/ourRate)
	r.Opening = o
	return err
}

// openTills has every till ask for two tokens at once, and come again when it was
// told to.
func (b *bench) openTills(ctx context.Context, web *http.Client, list []*child, o *opening) error {
	var mu sync.Mutex
	var took, refused []time.Duration
	began := time.Now()
	var g errgroup.Group
	for n := range o.Tokens {
		i := n / 2 / tillsOfShop
		c := b.shops[i].client(list[i%len(list)].URL, web)
		g.Go(func() error {
			for first := true; ; first = false {
				asked := time.Now()
				// The hub gives up after 8 s.
				call, cancel := context.WithTimeout(ctx, 8*time.Second)
				_, err := c.ConnectionToken(call, till(n/2))
				cancel()
				if ctx.Err() != nil {
					return ctx.Err()
				}
				var no *doors.Error
				wait := time.Second
				mu.Lock()
				switch {
				case err == nil:
					took = append(took, time.Since(began))
					if first {
						o.AtOnce++
					}
				case errors.As(err, &no) && no.RetryAfter > 0:
					refused = append(refused, time.Since(asked))
					wait = time.Duration(no.RetryAfter) * time.Second
				default:
					o.Silent++
				}
				mu.Unlock()
				if err == nil {
					return nil
				}
				if time.Since(began) > 10*time.Minute {
					return fmt.Errorf("a till had no token after %v: %w", time.Since(began), err)
				}
				if err := pauseFor(ctx, wait); err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	seconds := func(q float64) float64 { return quantile(took, q) / 1000 }
	o.P50s, o.P99s, o.LastS = seconds(.5), seconds(.99), seconds(1)
	o.Refused, o.RefusedS = len(refused), quantile(refused, .99)/1000
	return err
}

// captures offers what was authorised, and waits for the outcomes.
func (b *bench) captures(ctx context.Context, web *http.Client, list []*child, intents [][]string, o *opening) error {
	var mu sync.Mutex
	var urgent, fresh []time.Duration
	began := time.Now()
	var g errgroup.Group
	for i, mine := range intents {
		if len(mine) == 0 {
			continue
		}
		c := b.shops[i].client(list[i%len(list)].URL, web)
		g.Go(func() error {
			var sub hq.Submission
			late := map[string]bool{}
			for k, pi := range mine {
				s := hq.Submitted{Number: uint64(k) + 1, ID: fmt.Sprintf("%s_%d", b.shops[i].ID, k), Kind: doors.Capture, Ref: pi, Till: "till 1", Mode: doors.Test, CreatedAt: time.Now().UTC()}
				if k%2 == 0 {
					s.AgeMS = (40 * time.Hour).Milliseconds()
				}
				late[s.ID] = k%2 == 0
				sub.Operations = append(sub.Operations, s)
			}
			if _, err := c.Submit(ctx, sub); err != nil {
				return err
			}
			epoch, after := "", uint64(0)
			for len(late) > 0 {
				if time.Since(began) > 10*time.Minute {
					return fmt.Errorf("%d captures of a store have no outcome after %v", len(late), time.Since(began))
				}
				f, err := c.Feed(ctx, epoch, after, 20*time.Second)
				if err != nil {
					return err
				}
				epoch = f.Epoch
				mu.Lock()
				for _, it := range f.Items {
					after = it.Seq
					was, mine := late[it.ID]
					if it.Type != "operation" || !mine || !it.State.Final() {
						continue
					}
					delete(late, it.ID)
					m, all := &o.Fresh, &fresh
					if was {
						m, all = &o.Urgent, &urgent
					}
					m.Asked++
					if *all = append(*all, time.Since(began)); it.State == doors.Succeeded {
						m.Done++
					} else {
						m.Failed = it.Reason
					}
				}
				mu.Unlock()
			}
			return nil
		})
	}
	err := g.Wait()
	for _, k := range []struct {
		m    *money
		took []time.Duration
	}{{&o.Urgent, urgent}, {&o.Fresh, fresh}} {
		k.m.P50s, k.m.P99s, k.m.LastS = quantile(k.took, .5)/1000, quantile(k.took, .99)/1000, quantile(k.took, 1)/1000
	}
	return err
}

// authorise makes payments that wait to be captured, in turn at each shop.
func (b *bench) authorise(ctx context.Context, web *http.Client) ([][]string, error) {
	intents := make([][]string, len(b.shops))
	var g errgroup.Group
	g.SetLimit(8)
	for i, s := range b.shops {
		g.Go(func() error {
			var reader struct{ ID string }
			if err := b.askStripe(ctx, web, b.base.Stripe, "/v1/terminal/readers", "registration_code=simulated-wpe&location="+s.Location, &reader); err != nil {
				return err
			}
			for n := i; n < b.Captures; n += len(b.shops) {
				var pi struct{ ID string }
				if err := b.askStripe(ctx, web, b.base.Stripe, "/v1/payment_intents", "amount=1000&currency=usd&capture_method=manual&payment_method_types[]=card_present", &pi); err != nil {
					return err
				}
				for _, step := range []struct{ path, form string }{
					{"/v1/terminal/readers/" + reader.ID + "/process_payment_intent", "payment_intent=" + pi.ID},
					{"/v1/test_helpers/terminal/readers/" + reader.ID + "/present_payment_method", ""},
				} {
					if err := b.askStripe(ctx, web, b.base.Stripe, step.path, step.form, nil); err != nil {
						return err
					}
				}
				intents[i] = append(intents[i], pi.ID)
			}
			return nil
		})
	}
	return intents, g.Wait()
}
