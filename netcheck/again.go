package netcheck

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// onceMore is how many of the hosts that took no connection are asked again.
	onceMore = 2
	// budgetOnceMore is for one of them; a line slower than this is named as such.
	budgetOnceMore = 700 * time.Millisecond
)

// probeAgain asks hosts that took no connection among many once more, one at a
// time. If they take it now, it was the number of connections or chance, and no
// filter.
func (c *checker) probeAgain(ctx context.Context) Result {
	var failed []*visit
	others := false
	c.note(func() {
		for _, e := range c.endpoints() {
			v := c.hosts[e.String()]
			if v == nil || e.extra {
				continue
			}
			if v.stage == "tcp" && v.addr != "" {
				failed = append(failed, v)
			} else {
				others = true
			}
		}
	})
	if len(failed) == 0 {
		return c.atOnce(ctx)
	}
	if !others {
		return Result{} // nothing at all is reached
	}
	var taken []string
	asked := failed[:min(onceMore, len(failed))]
	for _, v := range asked {
		try, cancel := context.WithTimeout(ctx, budgetOnceMore)
		if c.takesNow(try, v.addr) == nil {
			taken = append(taken, v.name)
		}
		cancel()
	}
	ev := map[string]any{"failed": len(failed), "asked": len(asked), "taken": orEmpty(taken)}
	if len(taken) < len(asked) {
		return Result{Status: Pass, Evidence: ev, Detail: "what took no connection takes none alone either"}
	}
	r := Result{Status: Warn, Evidence: ev, Detail: fmt.Sprintf("%s took no connection among many and takes one alone", strings.Join(taken, ", "))}
	if len(failed) > 1 || slices.Contains([]string{"refused", "reset"}, failed[0].problem) {
		r.Code = "sessions_cut"
	}
	return r
}

// atOnce repeats a run in which several hosts needed a second SYN although the
// line loses next to nothing: connections beyond a limit are dropped, and pass a second
// later when others have ended. Chance does not do that twice to several.
func (c *checker) atOnce(ctx context.Context) Result {
	var all []*visit
	late := 0
	c.note(func() {
		var took []time.Duration
		for _, e := range c.endpoints() {
			if v := c.hosts[e.String()]; v != nil && !e.extra && v.stage != "tcp" {
				all, took = append(all, v), append(took, v.connect)
			}
		}
		if late = losses(took); c.pathLost < 0 || c.pathLost > 1 {
			late = 0 // not measured, or the line explains it
		}
	})
	if late < 2 {
		return Result{}
	}
	ctx, cancel := context.WithTimeout(ctx, budgetOnceMore)
	defer cancel()
	conns := make([]net.Conn, len(all))
	var wg sync.WaitGroup
	for i, v := range all {
		wg.Go(func() {
			if conn, err := c.dial(ctx, "tcp", v.addr); err == nil {
				conns[i] = conn
			}
		})
	}
	wg.Wait() // all stay open until the last has its answer
	var taken, refused []string
	for i, conn := range conns {
		if conn == nil {
			refused = append(refused, all[i].name)
			continue
		}
		conn.Close()
		taken = append(taken, all[i].name)
	}
	ev := map[string]any{"late": late, "asked": len(all), "taken": orEmpty(taken)}
	if len(refused) < 2 || len(taken) == 0 {
		return Result{Status: Pass, Evidence: ev, Detail: "connections at once are taken"}
	}
	return Result{Status: Warn, Code: "sessions_cut", Evidence: ev,
		Detail: fmt.Sprintf("%s took no connection among %d, twice, and the line is sound", strings.Join(refused, ", "), len(all))}
}
