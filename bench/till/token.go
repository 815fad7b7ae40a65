package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"storehub/bench/peers"
	"storehub/bench/proc"
)

// way is one road to a token.
type way struct {
	name, url, credential, body string
	runs                        map[int][]figures // by connections
}

// figures are one run of wrk.
type figures struct{ perSecond, p50, p99 float64 } // the latter in µs

// tokens measures the hub's hop alone, before a headquarters that answers at once, and
// the whole way to the sandbox, each beside proxies before the same end.
func (b *bench) tokens(ctx context.Context) error {
	hop := "the hub's hop: a token from a headquarters that answers at once"
	if b.only != "whole" {
		if err := b.compare(ctx, hop, b.quick, b.quick+tokenPath, "", "{}"); err != nil {
			return err
		}
	}
	if b.only == "hop" {
		return nil
	}
	return b.compare(ctx, "the whole way: hub, headquarters, sandbox; the proxies before the sandbox alone", b.system.HQURL,
		b.system.StripeURL+"/v1/terminal/connection_tokens", b.system.StripeKey, "location="+b.system.Location())
}

func (b *bench) compare(ctx context.Context, title, headquarters, end, credential, body string) error {
	h, err := b.startHub(headquarters)
	if err != nil {
		return err
	}
	defer func() { _ = h.end() }()
	base, path := splitURL(end)
	ways := []*way{{name: "**hub**", url: h.url + "/connection_token", credential: b.system.POSCredential}}
	for i, startPeer := range []func(string, string) (*peers.Peer, error){peers.Nginx, peers.Caddy} {
		name := []string{"nginx", "Caddy"}[i]
		dir, err := os.MkdirTemp(b.dir, name)
		if err != nil {
			return err
		}
		p, err := startPeer(dir, base)
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		defer p.End()
		ways = append(ways, &way{name: name, url: p.URL + path, credential: credential, body: body})
	}
	ways = append(ways, &way{name: "nobody between", url: end, credential: credential, body: body})
	busiest := 0.0
	for _, conns := range []int{1, 8, 64} {
		for round := range b.rounds {
			for i := range ways {
				w := ways[(i+round)%len(ways)] // each begins a round in its turn
				others := proc.WatchOthers()
				f, err := b.wrk(ctx, w, conns)
				if err != nil {
					return fmt.Errorf("%s, %d connections: %w", w.name, conns, err)
				}
				busiest = max(busiest, others())
				if w.runs == nil {
					w.runs = map[int][]figures{}
				}
				w.runs[conns] = append(w.runs[conns], f)
			}
		}
	}
	if b.profile != "" {
		go b.takeProfile(h)
		if _, err := b.wrk(ctx, ways[0], 64); err != nil {
			return err
		}
	}
	fmt.Printf("### %s\n\n| | connections | requests/s | of nginx | p50 µs | more than nginx | p99 µs |\n|---|--:|--:|--:|--:|--:|--:|\n", title)
	for _, w := range ways {
		for _, conns := range []int{1, 8, 64} {
			of := func(pick func(own, nginx figures) float64) float64 {
				var list []float64
				for i, f := range w.runs[conns] {
					list = append(list, pick(f, ways[1].runs[conns][i])) // of the same round
				}
				slices.Sort(list)
				return list[len(list)/2]
			}
			fmt.Printf("| %s | %d | %.0f | %.2f | %.0f | %+.0f | %.0f |\n", w.name, conns,
				of(func(f, _ figures) float64 { return f.perSecond }), of(func(f, n figures) float64 { return f.perSecond / n.perSecond }),
				of(func(f, _ figures) float64 { return f.p50 }), of(func(f, n figures) float64 { return f.p50 - n.p50 }),
				of(func(f, _ figures) float64 { return f.p99 }))
		}
	}
	fmt.Printf("\nOther programs used at most %.1f cores in a run; load average %s as it ended.\n\n", busiest, proc.LoadAverage())
	return nil
}

var afterHost = regexp.MustCompile(`^(http://[^/]*)(/.*)$`)

func splitURL(s string) (base, path string) {
	m := afterHost.FindStringSubmatch(s)
	return m[1], m[2]
}

var line = regexp.MustCompile(`figures (\S+) (\S+) (\S+) (\d+)`)

// wrk runs one way's turn.
func (b *bench) wrk(ctx context.Context, w *way, conns int) (f figures, err error) {
	script := filepath.Join(b.dir, "ask.lua")
	text := fmt.Sprintf(`wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer %s"
wrk.body = %q
if wrk.body ~= "" then wrk.headers["Content-Type"] = wrk.body == "{}" and "application/json" or "application/x-www-form-urlencoded" end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("figures %%f %%f %%f %%d\n", summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`, w.credential, w.body)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil { // a file: arguments are everybody's to read
		return f, err
	}
	out, err := exec.CommandContext(ctx, "wrk", "-t", strconv.Itoa(min(conns, 2)), "-c", strconv.Itoa(conns), "-d", fmt.Sprint(b.seconds, "s"), "-s", script, w.url).CombinedOutput()
	if err != nil {
		return f, fmt.Errorf("run wrk: %w: %s", err, out)
	}
	m := line.FindSubmatch(out)
	if m == nil || string(m[4]) != "0" {
		return f, fmt.Errorf("not every request was answered with a token: %s", out)
	}
	for i, to := range []*float64{&f.perSecond, &f.p50, &f.p99} {
		if *to, err = strconv.ParseFloat(string(m[i+1]), 64); err != nil {
			return f, err
		}
	}
	return f, nil
}

// takeProfile looks at the hub while it has nothing else to do than tokens.
func (b *bench) takeProfile(h *child) {
	res, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", h.pprof, max(1, b.seconds-1)))
	if err != nil {
		return // the hub ended
	}
	defer res.Body.Close()
	if f, err := os.Create(b.profile); err == nil {
		_, _ = io.Copy(f, res.Body)
		_ = f.Close()
	}
}
