package netcheck

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	if len(failed) == 0 || !others {
		return Result{} // nothing to ask, or nothing at all is reached
	}
	var taken []string
	asked := failed[:min(onceMore, len(failed))]
	for _, v := range asked {
		try, cancel := context.WithTimeout(ctx, budgetOnceMore)
		conn, err := c.dial(try, "tcp", v.addr)
		cancel()
		if err == nil {
			conn.Close()
			taken = append(taken, v.name)
		}
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
