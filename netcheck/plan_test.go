package netcheck

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func says(s Status) func(context.Context) Result {
	return func(context.Context) Result { return Result{Status: s, Detail: "said"} }
}

func TestASkipNamesTheProbeThatFailedFirst(t *testing.T) {
	got := execute(t.Context(), []probe{
		{name: "link", budget: time.Second, run: says(Fail)},
		{name: "ipv4", needs: []string{"link"}, budget: time.Second, run: says(Pass)},
		{name: "dns", needs: []string{"ipv4"}, budget: time.Second, run: says(Pass)},
		{name: "clock", after: []string{"dns"}, budget: time.Second, run: says(Pass)},
		{name: "arp", budget: time.Second, run: says(Unknown)},
		{name: "gateway", needs: []string{"arp", "no such probe"}, budget: time.Second, run: says(Warn)},
		{name: "unneeded", budget: time.Second, run: says("")},
	}, nil)
	want := []struct {
		name    string
		status  Status
		because string
	}{{"link", Fail, ""}, {"ipv4", Skip, "link"}, {"dns", Skip, "link"}, {"clock", Pass, ""}, {"arp", Unknown, ""}, {"gateway", Warn, ""}}
	if len(got) != len(want) {
		t.Fatalf("%d results, want %d", len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; g.Name != w.name || g.Status != w.status || g.Because != w.because {
			t.Errorf("result %d is %s %s because of %q, want %+v", i, g.Name, g.Status, g.Because, w)
		}
	}
}

func TestAPanicIsAFailedProbe(t *testing.T) {
	got := execute(t.Context(), []probe{
		{name: "a", budget: time.Second, run: func(context.Context) Result { panic("boom") }},
		{name: "b", needs: []string{"a"}, budget: time.Second, run: says(Pass)},
	}, nil)
	if got[0].Status != Fail || !strings.Contains(got[0].Detail, "boom") || got[1].Because != "a" {
		t.Errorf("got %+v", got)
	}
}

func TestEachProbeHasItsOwnBudgetAndTheyRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(ctx context.Context) Result {
			<-ctx.Done()
			return Result{Status: Fail, Detail: ctx.Err().Error()}
		}
		start := time.Now()
		got := execute(t.Context(), []probe{
			{name: "a", budget: time.Second, run: wait},
			{name: "b", budget: 2 * time.Second, run: wait},
			{name: "c", after: []string{"a"}, budget: time.Second, run: wait},
		}, nil)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v, want 2 s", took)
		}
		for i, want := range []int64{1000, 2000, 1000} {
			if got[i].TookMS != want {
				t.Errorf("%s took %d ms, want %d", got[i].Name, got[i].TookMS, want)
			}
		}
	})
}

func TestWhenTimeRunsOutTheRestIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var ran atomic.Bool
		got := execute(ctx, []probe{
			{name: "a", budget: time.Minute, run: func(ctx context.Context) Result { <-ctx.Done(); return Result{Status: Warn} }},
			{name: "b", needs: []string{"a"}, budget: time.Minute, run: func(context.Context) Result { ran.Store(true); return Result{Status: Pass} }},
		}, nil)
		if got[1].Status != Unknown || ran.Load() || !strings.Contains(got[1].Detail, "--timeout") {
			t.Errorf("got %+v, ran %v", got[1], ran.Load())
		}
	})
}

func TestProblemsHaveOneWordEach(t *testing.T) {
	for want, err := range map[string]error{
		"": nil, "silent": context.DeadlineExceeded, "dial tcp: strange": errors.New("dial tcp: strange"),
		"refused": errors.New("connectex: the target machine actively refused it"),
		"reset":   errors.New("wsarecv: an existing connection was forcibly closed by the remote host"),
	} {
		if got := problem(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}
