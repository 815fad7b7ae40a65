package storesim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"storehub/doors"
	"storehub/internal/sandbox"
)

var (
	simTime = flag.Duration("simtime", 4*time.Second, "how long the random walk goes on")
	simSeed = flag.Uint64("simseed", 0, "seed of the random walk; 0 takes a new one")
)

// TestWalk does what can happen in a shop in random order for -simtime, then
// makes everything whole and wants every capture that was acknowledged to have
// one outcome, and Stripe's books to hold each exactly once.
func TestWalk(t *testing.T) {
	seed := *simSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to walk the same way again: -run TestWalk -simseed %d -simtime %v", seed, *simTime)
	rng := rand.New(rand.NewPCG(seed, 0))

	s := open(t)
	pos := s.Till()
	type sale struct {
		intent string
		amount int64
	}
	var (
		authorised []sale // not yet asked to be captured
		promised   []sale // answered 200 or 202
		faults     int
		hqUp       = true
	)
	// An app that waits for the outcome, or one that takes 202 and listens: under
	// another key it is another operation on the same payment.
	capture := func(intent string) int {
		if rng.IntN(4) == 0 {
			return pos.Capture(intent)
		}
		return pos.API(http.MethodPost, "/v1/operations", "walk-"+intent, fmt.Sprintf(`{"kind":"capture","ref":%q}`, intent)).Status
	}
	steps := []struct {
		weight int
		do     func()
	}{
		{8, func() { // a sale up to the card, which needs the line
			amount := 100 * (1 + rng.Int64N(90))
			if intent, refusal := pos.TryAuthorise(amount); intent != "" {
				authorised = append(authorised, sale{intent, amount})
			} else if refusal.Status != http.StatusPaymentRequired {
				t.Fatalf("create_payment_intent answered %d %s", refusal.Status, refusal.Body)
			}
		}},
		{10, func() { // its capture, whatever the weather
			if len(authorised) == 0 {
				return
			}
			v := authorised[0]
			switch got := capture(v.intent); got {
			case http.StatusOK, http.StatusAccepted:
				authorised, promised = authorised[1:], append(promised, v)
			default:
				t.Fatalf("capture of %s answered %d", v.intent, got)
			}
		}},
		{2, func() { // a cashier who taps twice
			if len(promised) > 0 {
				capture(promised[rng.IntN(len(promised))].intent)
			}
		}},
		{2, func() { s.CutInternet(); faults++ }},
		{3, func() { s.MendInternet() }},
		{1, func() { s.PowerCut(); s.Boot(); faults++ }},
		{1, func() {
			faults++
			if hqUp {
				s.StopHQ()
			} else {
				s.BootHQ()
			}
			hqUp = !hqUp
		}},
		{2, func() {
			kind := []string{"429", "500", "lost", "reset"}[rng.IntN(4)]
			s.Stripe().Inject(sandbox.Fault{Method: http.MethodPost, Path: capturePath, Kind: kind, Times: 1 + rng.IntN(2)})
			faults++
		}},
		{1, func() {
			s.Stripe().SetWebhookFaults(sandbox.WebhookFaults{Duplicate: rng.IntN(2) == 0, Reorder: rng.IntN(2) == 0, Lose: rng.IntN(2) == 0})
			faults++
		}},
		{1, func() { s.Pass(time.Duration(rng.Int64N(int64(40 * time.Minute)))) }},
	}
	total := 0
	for _, step := range steps {
		total += step.weight
	}
	for range 8 { // the morning's sales, in good weather
		amount := 100 * (1 + rng.Int64N(90))
		authorised = append(authorised, sale{pos.Authorise(amount), amount})
	}
	for end := time.Now().Add(*simTime); time.Now().Before(end) || len(promised) == 0; { // a walk that promised nothing proves nothing
		n := rng.IntN(total)
		for _, step := range steps {
			if n -= step.weight; n < 0 {
				step.do()
				break
			}
		}
	}

	s.Stripe().Clear()
	s.Stripe().SetWebhookFaults(sandbox.WebhookFaults{})
	s.MendInternet()
	if !hqUp {
		s.BootHQ()
	}
	s.Pass(6 * time.Minute) // no back-off is longer
	for _, v := range promised {
		pos.WantOutcome(doors.Capture, v.intent, doors.Succeeded)
		s.WantCapturedOnce(v.intent, v.amount)
	}
	for _, v := range authorised {
		if got := s.Effects(v.intent, "captured"); len(got) != 0 {
			t.Errorf("%s was captured and nobody asked: %v", v.intent, got)
		}
	}
	t.Logf("%d captures promised and kept, %d faults", len(promised), faults)
}
