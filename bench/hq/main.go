// Command hq measures what one small machine does as headquarters of a fleet:
// hubs that wait, tokens, operations into PostgreSQL, one webhook's way to its
// store, and the hour in which all shops open. It is a module of its own, as
// bench/queue is, so that nothing of a measurement enters the product's.
//
// docs/scale.md says what the figures mean and what follows from them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"storehub/bench/proc"
	"storehub/internal/pgcluster"
)

func main() {
	if o, ok := ordered(); ok {
		if err := obey(o); err != nil {
			fmt.Fprintf(os.Stderr, "bench-hq: %s: %v\n", o.Do, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-hq:", err)
		os.Exit(1)
	}
}

// allParts are what can be measured, in that order.
var allParts = []string{"tokens", "operations", "hubs", "opening"}

// plan is what was asked for.
type plan struct {
	Hubs     int     `json:"hubs"`    // held on long poll
	Waiting  int     `json:"waiting"` // of them while webhooks come
	Webhooks int     `json:"webhooks"`
	Callers  int     `json:"callers"` // tills, or hubs, that ask at the same time
	Seconds  float64 `json:"seconds"`
	Rounds   int     `json:"rounds"`
	Tills    int     `json:"tills"` // that open at once, each with two tokens
	Captures int     `json:"captures"`
	Nginx    bool    `json:"nginx"`

	parts         []string
	json, profile string
	settle, held  time.Duration
}

func parse(args []string) (plan, error) {
	fs := flag.NewFlagSet("bench-hq", flag.ContinueOnError)
	var p plan
	fs.IntVar(&p.Hubs, "hubs", 10_000, "how many hubs one replica holds on long poll")
	fs.IntVar(&p.Waiting, "waiting", 5_000, "how many of them wait while webhooks come")
	fs.IntVar(&p.Webhooks, "webhooks", 300, "how many webhooks")
	fs.IntVar(&p.Callers, "callers", 64, "how many tills, or hubs, ask at the same time")
	fs.Float64Var(&p.Seconds, "seconds", 4, "how long a run lasts")
	fs.IntVar(&p.Rounds, "rounds", 5, "how many runs each figure is the median of")
	fs.IntVar(&p.Tills, "tills", 400, "how many tills open at once, each with two tokens; 0: none")
	fs.IntVar(&p.Captures, "captures", 200, "how many captures come in meanwhile")
	fs.BoolVar(&p.Nginx, "nginx", true, "measure nginx before the same sandbox too")
	fs.StringVar(&p.json, "json", "", "write all figures of all runs to this file")
	fs.StringVar(&p.profile, "profile", "", "write a replica's profiles into this directory")
	fs.DurationVar(&p.settle, "settle", 3*time.Second, "how long what was begun comes to rest")
	fs.DurationVar(&p.held, "held", 55*time.Second, "how long waiting hubs are watched; in 50 s each asks anew once")
	parts := fs.String("parts", strings.Join(allParts, ","), "what to measure")
	if err := fs.Parse(args); err != nil {
		return p, err
	}
	p.parts = strings.Split(*parts, ",")
	for _, name := range p.parts {
		if !slices.Contains(allParts, name) {
			return p, fmt.Errorf("measure %q: it is none of %s", name, strings.Join(allParts, ", "))
		}
	}
	switch {
	case fs.NArg() > 0:
		return p, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case p.Hubs < p.Waiting || p.Waiting < p.Callers || p.Callers < 1 || p.Webhooks < 1:
		return p, fmt.Errorf("want hubs >= waiting >= callers >= 1, not %d, %d, %d", p.Hubs, p.Waiting, p.Callers)
	case p.Rounds < 1 || p.Seconds <= 0 || p.Tills < 0 || p.Captures < 0:
		return p, fmt.Errorf("nothing to measure with -rounds %d -seconds %v -tills %d -captures %d", p.Rounds, p.Seconds, p.Tills, p.Captures)
	}
	if p.Nginx {
		if _, err := exec.LookPath("nginx"); err != nil {
			return p, fmt.Errorf("nginx is not installed: make bench-hq installs it, -nginx=false leaves it out: %w", err)
		}
	}
	return p, nil
}

// result is everything that was measured.
type result struct {
	Plan    plan          `json:"plan"`
	Began   time.Time     `json:"began"`
	Machine proc.Machine  `json:"machine"`
	Held    held          `json:"held"`
	Tokens  []run         `json:"tokens"`
	Ops     []run         `json:"operations"`
	OpBytes float64       `json:"database_bytes_per_operation"` // indexes, feed and chain included
	Fanout  []fanout      `json:"fanout"`
	Opening *opening      `json:"opening,omitempty"`
	Took    time.Duration `json:"took_ns"`
}

// bench is what runs while something is measured.
type bench struct {
	plan
	dir    string
	shops  []shop
	stripe *child // the sandbox
	pg     *pgcluster.Cluster
	base   order // what every replica is told
}

func measure(ctx context.Context, args []string, out *os.File) (err error) {
	p, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-hq-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{plan: p, dir: dir}
	defer b.close()
	r := result{Plan: p, Began: time.Now().UTC(), Machine: proc.Describe()}
	say("a database, a sandbox and %d stores", p.Hubs)
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for i, part := range []func(context.Context, *result) error{b.tokens, b.operations, b.hubs, b.opening} {
		if !slices.Contains(p.parts, allParts[i]) {
			continue
		}
		if err := part(ctx, &r); err != nil {
			return err
		}
	}
	say("")
	r.Took = time.Since(r.Began)
	if p.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return r.render(out)
}

// prepare makes the database, the sandbox, and all stores with their hubs' credentials.
func (b *bench) prepare(ctx context.Context) (err error) {
	// Every setting is PostgreSQL's default: a commit is flushed before it is answered.
	if b.pg, err = pgcluster.Start(); err != nil {
		return err
	}
	if b.base.Database, err = b.pg.Database(ctx); err != nil {
		return err
	}
	if b.stripe, err = start(order{Do: "stripe"}); err != nil {
		return err
	}
	b.base.Stripe, b.base.Key, b.base.Secret = b.stripe.URL, b.stripe.Key, b.stripe.Secret
	b.base.Rate = 1_000_000 // counted, and never in the way
	b.shops, err = b.enrol(ctx, connections(16), b.Hubs, b.Callers)
	return err
}

// replicas starts so many headquarters.
func (b *bench) replicas(n int) (list []*child, stop func(), err error) {
	stop = func() {
		for _, c := range list {
			c.end()
		}
	}
	for range n {
		o := b.base
		o.Do = "replica"
		c, err := start(o)
		if err != nil {
			stop()
			return nil, nil, err
		}
		list = append(list, c)
	}
	return list, stop, nil
}

func (b *bench) close() {
	if b.stripe != nil {
		b.stripe.end()
	}
	if b.pg != nil {
		_ = b.pg.Close() // its directory is temporary anyway
	}
}

// say tells on a terminal what is being done.
func say(format string, args ...any) {
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "\r\033[K"+format, args...)
}

// profileTo names a file of -profile; "": none was asked for.
func (p plan) profileTo(name string) string {
	if p.profile == "" {
		return ""
	}
	return filepath.Join(p.profile, name)
}
