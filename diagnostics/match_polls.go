package diagnostics

import (
	"fmt"
	"slices"
	"time"
)

const (
	// fewCuts: one or two are a restart at headquarters, or chance.
	fewCuts = 3
	// sameAge: when cut connections are as old as each other to this, it is a timer.
	sameAge = 3 * time.Second
)

// matchSessionsCut: connections beyond a limit are refused, or idle ones die early.
func matchSessionsCut(f *facts) *proof {
	p := matchCoded("sessions_cut", 0.8)(f)
	idle := matchIdleCut(f)
	switch {
	case idle == nil:
		return p
	case p == nil:
		return idle
	}
	p.evidence = append(p.evidence, idle.evidence...)
	p.confidence = max(p.confidence, idle.confidence)
	return p
}

// matchIdleCut goes by the hub's long polls. Only those count after which
// headquarters answered at once: a line that is down cuts polls too.
func matchIdleCut(f *facts) *proof {
	if f.Hub == nil || f.Hub.Polls == nil {
		return nil
	}
	var ages []time.Duration
	var said []string
	for _, c := range f.Hub.Polls.Cut {
		if !c.Answered {
			continue
		}
		ages = append(ages, c.After)
		if !slices.Contains(said, c.Error) {
			said = append(said, c.Error)
		}
	}
	all := len(ages) + f.Hub.Polls.Held
	if len(ages) < fewCuts || 4*len(ages) < all {
		return nil
	}
	youngest, oldest := slices.Min(ages), slices.Max(ages)
	p := &proof{confidence: 0.7, ruledOut: []string{"a dead line, or headquarters itself: the next question was answered at once each time"}}
	young, old := youngest.Round(time.Second)/time.Second, oldest.Round(time.Second)/time.Second
	age := fmt.Sprintf("after %d to %d s", young, old)
	if young == old {
		age = fmt.Sprintf("after %d s", old)
	}
	if oldest-youngest <= sameAge {
		p.confidence = 0.85
		age += ", always the same: something counts idle time"
	}
	p.evidence = []string{fmt.Sprintf("%d of %d idle long polls to headquarters died since %s, %s", len(ages), all, f.Hub.Polls.Since.UTC().Format("15:04 UTC"), age)}
	for _, s := range said[:min(2, len(said))] {
		p.evidence = append(p.evidence, "they ended with: "+s)
	}
	return p
}
