package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"storehub/bench/proc"
)

// machine says where the figures are from.
type machine struct {
	proc.Machine
	Memory bool `json:"in_memory"` // the directory is on no disk
}

// quiet is how many cores others may use before figures are not to be quoted.
const quiet = 0.2

// note says what a reader has to know before believing the figures.
func (r *result) note() {
	if r.Machine.Memory {
		r.Notes = append(r.Notes, "the directory is in memory: no flush reached a disk, no figure means anything")
	}
	var loud, all, unknown int
	most := 0.0
	see := func(load float64) {
		all++
		switch {
		case load < 0:
			unknown++
		case load > quiet:
			loud++
		}
		most = max(most, load)
	}
	for _, run := range slices.Concat(r.Enqueue, r.Lasting, r.Door) {
		see(run.OtherCPU)
	}
	for _, run := range r.Life {
		see(run.OtherCPU)
	}
	if loud > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("BUSY MACHINE: in %d of %d runs others used more than %.1f cores (at most %.1f); use the figures to rank, not to quote", loud, all, quiet, most))
	}
	if unknown > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("in %d of %d runs it is not known what else the machine did", unknown, all))
	}
}

// render writes everything as Markdown.
func (r *result) render(w io.Writer) error {
	var b bytes.Buffer
	m := r.Machine
	fmt.Fprintf(&b, "Taken %s on %d × %s, Linux %s, %s; %d rounds of %v s, payload %d bytes.\n",
		r.Began.Format("2006-01-02"), m.CPUs, or(m.CPU, "a processor of unknown name"), or(m.Kernel, "unknown"), m.Go,
		r.Plan.Rounds, r.Plan.Seconds, payloadSize)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n> %s\n", n)
	}
	for _, producers := range r.Plan.Producers {
		title := fmt.Sprintf("Durable enqueue, %s", count(producers, "producer"))
		renderEnqueue(&b, title, r.Enqueue, producers, r.Plan.Stores)
	}
	if len(r.Lasting) > 0 {
		producers := r.Lasting[0].Producers
		title := fmt.Sprintf("Sustained for %v s, %s", r.Plan.Sustained, count(producers, "producer"))
		renderEnqueue(&b, title, r.Lasting, producers, r.Plan.Stores)
	}
	if len(r.Door) > 0 {
		renderEnqueue(&b, fmt.Sprintf("POST /v1/operations, %d connections", connections), r.Door, connections, doorStores)
	}
	if len(r.Life) > 0 {
		r.renderLife(&b)
	}
	r.renderAims(&b)
	_, err := w.Write(b.Bytes())
	return err
}

// renderEnqueue compares with the first of the stores.
func renderEnqueue(b *bytes.Buffer, title string, runs []enqueueRun, producers int, stores []string) {
	base := map[int]float64{} // by round
	for _, run := range runs {
		if run.Producers == producers && run.Store == stores[0] {
			base[run.Round] = run.PerSecond
		}
	}
	fmt.Fprintf(b, "\n### %s\n\n", title)
	fmt.Fprintf(b, "| store | ops/s | min..max | of %s (min..max) | p50 µs | p99 µs | CPU µs | written per payload byte | RssAnon MiB |\n", ofThe(stores[0]))
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, name := range stores {
		var rate, ratio, p50, p99, cpu, amp, rss []float64
		for _, run := range runs {
			if run.Producers != producers || run.Store != name {
				continue
			}
			rate = append(rate, run.PerSecond)
			ratio = append(ratio, run.PerSecond/base[run.Round])
			p50, p99 = append(p50, run.P50us), append(p99, run.P99us)
			cpu = append(cpu, run.CPUus)
			if run.Written >= 0 && run.Ops > 0 {
				amp = append(amp, float64(run.Written)/float64(run.Ops*payloadSize))
			}
			if run.RssAnon >= 0 {
				rss = append(rss, mib(run.RssAnon))
			}
		}
		if len(rate) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | %.0f | %.0f..%.0f | %.2f (%.2f..%.2f) | %.0f | %.0f | %.1f | %s | %s |\n", rowOf(name),
			median(rate), slices.Min(rate), slices.Max(rate), median(ratio), slices.Min(ratio), slices.Max(ratio),
			median(p50), median(p99), median(cpu), figure(amp, "%.1f"), figure(rss, "%.0f"))
	}
}

func (r *result) renderLife(b *bytes.Buffer) {
	b.WriteString("\n### Recovery after SIGKILL\n\n| store | waiting | fill ops/s | RssAnon MiB filling, idle, opened | disk MiB | open ms | first payload ms | found |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, l := range r.Life {
		fmt.Fprintf(b, "| %s | %d | %.0f | %s, %s, %s | %.0f | %.0f | %.0f | %d |\n", rowOf(l.Store), l.Waiting, l.PerSecond,
			size(l.RssAnon), size(l.RssIdle), size(l.RssOpen), mib(l.Disk), l.OpenMS, l.FirstMS, l.Found)
	}
	begun := false
	for _, l := range r.Life {
		d := l.Drain
		if d == nil {
			continue
		}
		retained := "–"
		if l.DiskRetained > 0 {
			retained = size(l.DiskRetained)
		}
		if !begun {
			fmt.Fprintf(b, "\n### Drain\n\n")
			b.WriteString("| store | ops/s | first tenth | last tenth | CPU µs | disk MiB drained, after retention, closed |\n|---|--:|--:|--:|--:|--:|\n")
			begun = true
		}
		fmt.Fprintf(b, "| %s | %.0f | %.0f | %.0f | %.1f | %.0f, %s, %.0f |\n", rowOf(l.Store), d.PerSecond, d.Begin, d.End, d.CPUus, mib(l.DiskDrained), retained, mib(l.DiskClosed))
	}
}

func ofThe(name string) string {
	if name == noStore {
		return "that without storage"
	}
	return "the " + name
}

func rowOf(name string) string {
	if name == noStore {
		return "the same handler without storage"
	}
	c, err := contestantNamed(name)
	if err != nil {
		return name
	}
	return c.row
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// figure is the median, or a dash when it is not known.
func figure(v []float64, format string) string {
	if len(v) == 0 {
		return "–"
	}
	return fmt.Sprintf(format, median(v))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func size(n int64) string {
	if n < 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", mib(n))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
