package hub

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storehub/diagnostics"
	"storehub/hq"
	"storehub/netcheck"
)

// looks runs a hub's scheduled checks in a bubble for a while and returns when
// the network was looked at.
func looks(t *testing.T, every, while time.Duration, during func(h *Hub)) []time.Duration {
	return looksAt(t, t.TempDir(), every, while, func(time.Duration) netcheck.Report { return netcheck.Report{} }, during)
}

// looksAt is looks at a network that answers as it does at a time.
func looksAt(t *testing.T, dir string, every, while time.Duration, answer func(at time.Duration) netcheck.Report, during func(h *Hub)) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var at []time.Duration
	began := time.Now()
	parts := testParts(newFakeHQ(), &recorder{})
	parts.Check = func(context.Context, netcheck.Targets) netcheck.Report {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Since(began))
		return answer(time.Since(began))
	}
	cfg := testConfig(dir)
	cfg.Checks.Every = every
	h, err := New(cfg, parts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), while)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = h.monitor.run(ctx) })
	if during != nil {
		during(h)
	}
	<-ctx.Done()
	running.Wait()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(at)
}

func TestTheNetworkIsLookedAtOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := looks(t, time.Minute, 5*time.Minute+30*time.Second, nil)
		if len(at) < 5 || len(at) > 7 || at[0] > time.Second {
			t.Fatalf("looked at %v", at)
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < 57*time.Second || gap > 63*time.Second {
				t.Errorf("%s between two looks; a minute, give or take a twentieth", gap)
			}
		}
	})
}

func TestTroubleIsLookedAtSoonButNotInBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := looks(t, time.Hour, 3*time.Minute, func(h *Hub) {
			time.Sleep(time.Minute) // of the bubble
			for range 30 {
				h.monitor.look()
				time.Sleep(time.Second)
			}
		})
		// At the start, at the first sign, and after each 20 s of asking.
		if len(at) != 4 || at[1]-time.Minute > time.Second {
			t.Errorf("looked at %v", at)
		}
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < checkAtLeast-time.Millisecond {
				t.Errorf("two looks within %s", at[i]-at[i-1])
			}
		}
	})
}

func TestChecksOffTouchNoNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if at := looks(t, 0, 10*time.Minute, func(h *Hub) { h.monitor.look() }); len(at) != 0 {
			t.Errorf("looked at %v", at)
		}
	})
}

// The long poll waits on a line that may be dead without a sign. When another
// exchange meets silence it is broken off, and asked anew soon and briefly.
func TestSilenceElsewhereEndsTheLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &deadLine{fakeHQ: newFakeHQ()}
		h, err := New(testConfig(t.TempDir()), func() Parts {
			p := testParts(nil, &recorder{})
			p.HQ = dead
			return p
		}())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var feeding sync.WaitGroup
		feeding.Go(func() { _ = h.feed(ctx) })
		time.Sleep(5 * time.Second) // of the bubble
		h.link.note(errCut)
		time.Sleep(feedPause + time.Second)
		cancel()
		feeding.Wait()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		dead.mu.Lock()
		defer dead.mu.Unlock()
		if len(dead.waits) != 2 || dead.waits[0] != feedWait || dead.waits[1] != 0 {
			t.Errorf("asked with waits %v; want one long poll, and a short one within %s of the silence", dead.waits, feedPause)
		}
	})
}

// deadLine is a line on which nothing comes back.
type deadLine struct {
	*fakeHQ
	waits []time.Duration
}

func (d *deadLine) Feed(ctx context.Context, _ string, _ uint64, wait time.Duration) (hq.Feed, error) {
	d.mu.Lock()
	d.waits = append(d.waits, wait)
	d.mu.Unlock()
	<-ctx.Done()
	return hq.Feed{}, ctx.Err()
}

// A box on the way forgets connections that were idle for 30 s. Headquarters is
// there all the time: nobody calls it unreachable, and the box is found out.
func TestIdlePollsThatDieAreRememberedAndHeadquartersIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &recorder{}
		forgetful := &forgetfulLine{fakeHQ: newFakeHQ(), after: 30 * time.Second}
		parts := testParts(forgetful.fakeHQ, log)
		parts.HQ = forgetful
		h, err := New(testConfig(t.TempDir()), parts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = h.feed(ctx) })
		running.Go(func() { _ = h.monitor.run(ctx) })
		time.Sleep(4*time.Minute + 50*time.Second) // of the bubble
		cancel()
		running.Wait()
		h.monitor.refresh()
		polls, r := h.link.polls(), h.monitor.current()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if polls == nil || polls.Held != 0 || len(polls.Cut) != 9 || slices.ContainsFunc(polls.Cut, func(c diagnostics.Cut) bool { return !c.Answered || c.After != 30*time.Second }) {
			t.Errorf("polls: %+v", polls)
		}
		if !slices.ContainsFunc(r.Causes, func(c diagnostics.Cause) bool { return c.Code == "sessions_cut" }) {
			t.Errorf("causes: %+v", r.Causes)
		}
		if strings.Contains(log.String(), "hq_unreachable") || strings.Contains(log.String(), "does not answer") {
			t.Errorf("headquarters was blamed:\n%s", log)
		}
	})
}

// forgetfulLine cuts whoever waits longer than a while.
type forgetfulLine struct {
	*fakeHQ
	after time.Duration
}

func (f *forgetfulLine) Feed(ctx context.Context, epoch string, after uint64, wait time.Duration) (hq.Feed, error) {
	waiting, cancel := context.WithTimeout(ctx, f.after)
	defer cancel()
	feed, err := f.fakeHQ.Feed(waiting, epoch, after, wait)
	if waiting.Err() != nil && ctx.Err() == nil {
		return hq.Feed{}, errCut
	}
	return feed, err
}
