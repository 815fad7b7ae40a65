package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// quiet is how many cores others may use before figures are not to be quoted.
const quiet = 0.2

// render writes everything as Markdown.
func (r *result) render(w io.Writer) error {
	var b bytes.Buffer
	m := r.Machine
	fmt.Fprintf(&b, "Taken %s on %d × %s, Linux %s, %s; %d rounds of %v s, %d callers, PostgreSQL that flushes each commit.\n",
		r.Began.Format("2006-01-02"), m.CPUs, or(m.CPU, "a processor of unknown name"), or(m.Kernel, "unknown"), m.Go,
		r.Plan.Rounds, r.Plan.Seconds, r.Plan.Callers)
	loud, most := 0, 0.0
	runs := slices.Concat(r.Tokens, r.Ops)
	for _, v := range runs {
		if most = max(most, v.OtherCPU); v.OtherCPU > quiet {
			loud++
		}
	}
	if loud > 0 {
		fmt.Fprintf(&b, "\n> BUSY MACHINE: in %d of %d runs others used more than %.1f cores (at most %.1f); use the figures to rank, not to quote.\n", loud, len(runs), quiet, most)
	}
	base := byNginx
	if !r.Plan.Nginx {
		base = byStripe
	}
	table(&b, "Connection tokens", base, r.Tokens)
	costs(&b, "token", r.Tokens)
	table(&b, "Operations into PostgreSQL", "1 replica, 1 a submission", r.Ops)

	if r.OpBytes > 0 {
		fmt.Fprintf(&b, "\nAn operation takes %.0f bytes of the database, its indexes, its lines of feed and submit chain included.\n", r.OpBytes)
	}
	if h := r.Held; h.Hubs > 0 {
		renderHubs(&b, h, r.Fanout)
	}
	if o := r.Opening; o != nil {
		o.render(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func renderHubs(b *bytes.Buffer, h held, webhooks []fanout) {
	fmt.Fprintf(b, "\n### Hubs on long poll at one replica\n\n| hubs | RssAnon MiB without, with | KiB a hub | polls renewed a second | CPU of the replica | load |\n|--:|--:|--:|--:|--:|---|\n")
	fmt.Fprintf(b, "| %d | %.0f, %.0f | %.1f | %.0f | %.2f cores | %s |\n", h.Hubs, mib(h.Idle), mib(h.Waiting),
		float64(h.Waiting-h.Idle)/1024/float64(h.Hubs), h.Answers, h.CPU, h.Load)

	b.WriteString("\n### One webhook to its store\n\n| hubs waiting | replicas | webhooks | p50 ms | p99 ms | longest ms | load |\n|--:|--:|--:|--:|--:|--:|---|\n")
	for _, f := range webhooks {
		fmt.Fprintf(b, "| %d | %d | %d | %.1f | %.1f | %.1f | %s |\n", f.Waiting, f.Replicas, f.Webhooks, f.P50ms, f.P99ms, f.MaxMS, f.Load)
	}
}

func (o *opening) render(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### All tills open at once\n\n%d tills ask for %d tokens at one moment, at two replicas with %d requests a second to each of Stripe's endpoints, which takes %d. Load: %s.\n\n",
		o.Tills, o.Tokens, ourRate, stripesRate, o.Load)
	b.WriteString("| | asked | done | p50 s | p99 s | last s |\n|---|--:|--:|--:|--:|--:|\n")
	fmt.Fprintf(b, "| tokens | %d | %d | %.1f | %.1f | %.1f |\n", o.Tokens, o.Tokens, o.P50s, o.P99s, o.LastS)
	for _, k := range []struct {
		what string
		m    money
	}{{"captures that lapse within 7 h", o.Urgent}, {"captures of now", o.Fresh}} {
		fmt.Fprintf(b, "| %s | %d | %d %s| %.1f | %.1f | %.1f |\n", k.what, k.m.Asked, k.m.Done, k.m.Failed, k.m.P50s, k.m.P99s, k.m.LastS)
	}
	fmt.Fprintf(b, "\n%d tokens came at the first request; %d requests were refused early, 99 of 100 of them within %.2f s; %d had no answer. The rate allows the last token after %.0f s. Stripe itself refused %d requests.\n",
		o.AtOnce, o.Refused, o.RefusedS, o.Silent, o.BestS, o.Stripes)
}

// table compares with one of the ways, in the same round.
func table(b *bytes.Buffer, title, base string, runs []run) {
	if len(runs) == 0 {
		return
	}
	per := map[int]float64{}
	var ways []string
	for _, v := range runs {
		if v.Way == base {
			per[v.Round] = v.PerSecond
		}
		if !slices.Contains(ways, v.Way) {
			ways = append(ways, v.Way)
		}
	}
	fmt.Fprintf(b, "\n### %s\n\n| way | a second | min..max | of %s (min..max) | p50 ms | p99 ms | transactions run again a request | load |\n|---|--:|--:|--:|--:|--:|--:|---|\n", title, base)
	for _, name := range ways {
		var rate, ratio, p50, p99, again []float64
		load := ""
		for _, v := range runs {
			if v.Way == name {
				rate, ratio = append(rate, v.PerSecond), append(ratio, v.PerSecond/per[v.Round])
				p50, p99, again, load = append(p50, v.P50ms), append(p99, v.P99ms), append(again, v.Again), v.Load
			}
		}
		fmt.Fprintf(b, "| %s | %.0f | %.0f..%.0f | %.2f (%.2f..%.2f) | %.1f | %.1f | %.2f | %s |\n", name, median(rate), slices.Min(rate), slices.Max(rate),
			median(ratio), slices.Min(ratio), slices.Max(ratio), median(p50), median(p99), median(again), load)
	}
}

// costs says who takes the processor's time of a request: a figure that other
// programs disturb less than the rate.
func costs(b *bytes.Buffer, what string, runs []run) {
	if len(runs) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### The processor's time of a %s, in µs\n\n| way | headquarters | PostgreSQL | nginx | sandbox | callers | together |\n|---|--:|--:|--:|--:|--:|--:|\n", what)
	var ways []string
	for _, v := range runs {
		if !slices.Contains(ways, v.Way) {
			ways = append(ways, v.Way)
		}
	}
	for _, name := range ways {
		parts := make([][]float64, 6)
		for _, v := range runs {
			if v.Way != name {
				continue
			}
			c, all := v.Cost, 0.0
			for i, n := range []float64{c.Headquarters, c.PostgreSQL, c.Nginx, c.Sandbox, c.Callers} {
				parts[i], all = append(parts[i], n), all+n
			}
			parts[5] = append(parts[5], all)
		}
		fmt.Fprintf(b, "| %s |", name)
		for _, p := range parts {
			fmt.Fprintf(b, " %.0f |", median(p))
		}
		b.WriteString("\n")
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
