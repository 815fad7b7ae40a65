package main

import (
	"bytes"
	"fmt"
	"slices"
)

// aim is one figure of ours beside what was set as its aim.
type aim struct {
	what    string
	format  string
	bound   float64
	atLeast bool // else at most
	value   float64
	known   bool
}

// atLeast and atMost make a row; values of which nothing is known leave it out.
func atLeast(what, format string, bound float64, values ...float64) aim {
	a := aim{what: what, format: format, bound: bound, atLeast: true, known: len(values) > 0}
	if a.known {
		a.value = median(values)
	}
	return a
}

func atMost(what, format string, bound float64, values ...float64) aim {
	a := atLeast(what, format, bound, values...)
	a.atLeast = false
	return a
}

// each is a figure of every run of ours with so many producers.
func each(runs []enqueueRun, producers int, figure func(enqueueRun) (float64, bool)) (values []float64) {
	for _, run := range runs {
		if run.Store != "queue" || run.Producers != producers {
			continue
		}
		if v, ok := figure(run); ok {
			values = append(values, v)
		}
	}
	return values
}

// ratios are ours to a store's in the same round.
func ratios(runs []enqueueRun, producers int, base string) []float64 {
	return each(runs, producers, func(run enqueueRun) (float64, bool) {
		i := slices.IndexFunc(runs, func(b enqueueRun) bool {
			return b.Store == base && b.Producers == producers && b.Round == run.Round
		})
		if i < 0 || base == run.Store {
			return 0, false
		}
		return run.PerSecond / runs[i].PerSecond, true
	})
}

func p99(run enqueueRun) (float64, bool) { return run.P99us / 1000, true }

func amplification(run enqueueRun) (float64, bool) {
	return float64(run.Written) / float64(max(1, run.Ops)*payloadSize), run.Written >= 0
}

func memory(run enqueueRun) (float64, bool) { return mib(run.RssAnon), run.RssAnon >= 0 }

// aims are all of them, as far as they were measured.
func (r *result) aims() (list []aim) {
	base := r.Plan.Stores[0]
	most := slices.Max(r.Plan.Producers)
	for _, n := range r.Plan.Producers {
		bound := 1.3
		if n > 8 {
			bound = 0.8
		}
		list = append(list, atLeast(fmt.Sprintf("%s, of %s", count(n, "producer"), ofThe(base)), "%.2f", bound, ratios(r.Enqueue, n, base)...))
	}
	list = append(list,
		atMost(fmt.Sprintf("%s, p99, ms", count(most, "producer")), "%.1f", 5, each(r.Enqueue, most, p99)...),
		atMost(fmt.Sprintf("%s, written per payload byte", count(most, "producer")), "%.1f", 4, each(r.Enqueue, most, amplification)...),
		atMost(fmt.Sprintf("%s, RssAnon, MiB", count(most, "producer")), "%.0f", 64, each(r.Enqueue, most, memory)...),
		atLeast("sustained, of "+ofThe(base), "%.2f", 0.5, ratios(r.Lasting, most, base)...),
		atMost("sustained, p99, ms", "%.1f", 20, each(r.Lasting, most, p99)...),
		atMost("sustained, written per payload byte", "%.1f", 4, each(r.Lasting, most, amplification)...),
		atMost("sustained, RssAnon, MiB", "%.0f", 64, each(r.Lasting, most, memory)...),
		atLeast("the door, of "+ofThe(noStore), "%.2f", 0.45, ratios(r.Door, connections, noStore)...),
		atMost("the door, p99, ms", "%.1f", 6, each(r.Door, connections, p99)...),
	)
	for _, l := range r.Life {
		if l.Store != "queue" {
			continue
		}
		if l.RssIdle >= 0 {
			list = append(list, atMost(fmt.Sprintf("RssAnon idle with %d waiting, MiB", l.Waiting), "%.0f", 25, mib(l.RssIdle)))
		}
		list = append(list, atMost(fmt.Sprintf("first offer with %d waiting, after SIGKILL, cold, ms", l.Waiting), "%.0f", 500, l.FirstMS))
		if d := l.Drain; d != nil {
			list = append(list, atLeast("drain, operations/s", "%.0f", 80_000, d.PerSecond),
				atLeast("drain, its last tenth to its first", "%.2f", 1, d.End/d.Begin))
		}
		if l.DiskRetained > 0 {
			list = append(list, atMost("on disk a minute after retention, MiB", "%.0f", 70, mib(l.DiskRetained)))
		}
	}
	return slices.DeleteFunc(list, func(a aim) bool { return !a.known })
}

// renderAims is every figure that has an aim in one table.
func (r *result) renderAims(b *bytes.Buffer) {
	list := r.aims()
	if len(list) == 0 {
		return
	}
	b.WriteString("\n### offlinequeue and its aims\n\n| | measured | aim | |\n|---|--:|--:|---|\n")
	for _, a := range list {
		sign, reached := "≤", a.value <= a.bound
		if a.atLeast {
			sign, reached = "≥", a.value >= a.bound
		}
		word := "reached"
		if !reached {
			word = "short"
		}
		fmt.Fprintf(b, "| %s | "+a.format+" | %s "+a.format+" | %s |\n", a.what, a.value, sign, a.bound, word)
	}
}
