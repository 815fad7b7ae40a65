// Command queue measures durable enqueue of offlinequeue beside other stores in
// the same run: the same payloads, each acknowledged after its flush. It is a
// module of its own, so that none of the others enters the hub's.
//
// docs/benchmarks.md says what the figures mean.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/bench/proc"
)

func main() {
	if o, ok := ordered(); ok {
		obey(o)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-queue:", err)
		os.Exit(1)
	}
}

// plan is what was asked for.
type plan struct {
	Stores    []string `json:"stores"`
	Producers []int    `json:"producers"`
	Seconds   float64  `json:"seconds"`
	Rounds    int      `json:"rounds"`
	Life      []string `json:"life"`
	Waiting   int      `json:"waiting"`
	Others    int      `json:"others_waiting"`
	Sustained float64  `json:"sustained"`
	Door      bool     `json:"door"`
	Retention bool     `json:"retention"`

	dir, json, profile string
}

func parse(args []string) (plan, error) {
	var names []string
	for _, c := range contestants {
		names = append(names, c.name)
	}
	fs := flag.NewFlagSet("bench-queue", flag.ContinueOnError)
	stores := fs.String("stores", strings.Join(names, ","), "who takes part; the first is what the others are compared with")
	producers := fs.String("producers", "1,8,64", "how many put at the same time")
	life := fs.String("life", "file,bbolt,pebble,sqlite,badger,queue", "whose recovery is measured (nats is left out: to fill it takes long), or none")
	var p plan
	fs.Float64Var(&p.Seconds, "seconds", 2, "how long a run lasts")
	fs.IntVar(&p.Rounds, "rounds", 5, "how many runs each figure is the median of")
	fs.IntVar(&p.Waiting, "waiting", 1_000_000, "how many wait in ours when the recovery begins")
	fs.IntVar(&p.Others, "others-waiting", 100_000, "how many wait in the others then")
	fs.Float64Var(&p.Sustained, "sustained", 60, "how long the one sustained run of the first store and of the queue lasts, with the most producers; 0: none")
	fs.BoolVar(&p.Door, "door", true, "measure the door before the queue too: POST /v1/operations over 64 connections")
	fs.BoolVar(&p.Retention, "retention", true, "once ours is drained, let its time pass, and see what is on disk a minute later")
	fs.StringVar(&p.dir, "dir", os.TempDir(), "where the stores are made: on the disk to be measured")
	fs.StringVar(&p.json, "json", "", "write all figures of all runs to this file")
	fs.StringVar(&p.profile, "profile", "", "write a processor profile of each run to this directory, for go tool pprof")
	if err := fs.Parse(args); err != nil {
		return p, err
	}
	if fs.NArg() > 0 {
		return p, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	p.Stores = strings.Split(*stores, ",")
	if *life != "none" {
		p.Life = strings.Split(*life, ",")
	}
	for _, name := range slices.Concat(p.Stores, p.Life) {
		if _, err := contestantNamed(name); err != nil {
			return p, err
		}
	}
	for s := range strings.SplitSeq(*producers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return p, fmt.Errorf("read number of producers %q: not a number from 1", s)
		}
		p.Producers = append(p.Producers, n)
	}
	if p.Rounds < 1 || p.Seconds <= 0 || min(p.Waiting, p.Others) < 10 {
		return p, fmt.Errorf("nothing to measure with -rounds %d -seconds %v -waiting %d", p.Rounds, p.Seconds, p.Waiting)
	}
	return p, nil
}

// result is everything that was measured.
type result struct {
	Plan    plan          `json:"plan"`
	Began   time.Time     `json:"began"`
	Machine machine       `json:"machine"`
	Enqueue []enqueueRun  `json:"enqueue"`
	Lasting []enqueueRun  `json:"sustained,omitempty"`
	Door    []enqueueRun  `json:"door,omitempty"`
	Life    []lifeRun     `json:"life"`
	Notes   []string      `json:"notes,omitempty"`
	Took    time.Duration `json:"took_ns"`
}

// enqueueRun is one store's run in one round.
type enqueueRun struct {
	Store     string `json:"store"`
	Producers int    `json:"producers"`
	Round     int    `json:"round"`
	enqueued
	Device   int64   `json:"device_bytes"`    // what the whole device wrote meanwhile, for anyone; -1: not known
	OtherCPU float64 `json:"other_cpu_cores"` // -1: not known
}

// lifeRun is one store filled, killed and opened again.
type lifeRun struct {
	Store   string `json:"store"`
	Waiting int    `json:"waiting"`
	filled
	Disk int64 `json:"disk_bytes"`
	recovered
	OtherCPU float64 `json:"other_cpu_cores"`
}

func measure(ctx context.Context, args []string) error {
	p, err := parse(args)
	if err != nil {
		return err
	}
	if p.profile != "" {
		if err := os.MkdirAll(p.profile, 0o755); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(p.dir, "bench-queue-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := result{Plan: p, Began: time.Now().UTC(), Machine: machine{proc.Describe(), inMemory(dir)}}
	for _, producers := range p.Producers {
		runs, err := r.enqueue(ctx, dir, "enqueue", p.Stores, producers, p.Rounds, p.Seconds)
		if err != nil {
			return err
		}
		r.Enqueue = append(r.Enqueue, runs...)
	}
	if p.Sustained > 0 {
		if r.Lasting, err = r.enqueue(ctx, dir, "enqueue", p.lasting(), slices.Max(p.Producers), 1, p.Sustained); err != nil {
			return err
		}
	}
	if p.Door {
		if r.Door, err = r.enqueue(ctx, dir, "door", doorStores, connections, p.Rounds, p.Seconds); err != nil {
			return err
		}
	}
	if err := r.life(ctx, dir); err != nil {
		return err
	}
	r.Took = time.Since(r.Began)
	r.note()
	if p.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return r.render(os.Stdout)
}

// lasting are the stores of the sustained run.
func (p plan) lasting() []string {
	if p.Stores[0] == "queue" {
		return p.Stores[:1]
	}
	return []string{p.Stores[0], "queue"}
}

// enqueue runs every store once in each round, each round beginning with another,
// so that what the machine does beside falls on all alike.
func (r *result) enqueue(ctx context.Context, dir, do string, stores []string, producers, rounds int, seconds float64) (runs []enqueueRun, err error) {
	for round := range rounds {
		for i := range stores {
			name := stores[(i+round)%len(stores)]
			fmt.Fprintf(os.Stderr, "\r\033[K%s, %d producers, round %d of %d: %s", do, producers, round+1, rounds, name)
			run := enqueueRun{Store: name, Producers: producers, Round: round + 1}
			err := in(dir, func(dir string) error {
				load, wrote := watchLoad(), device(dir)
				err := ask(ctx, order{Do: do, Store: name, Dir: dir, Producers: producers, Seconds: seconds, Profile: r.Plan.profile}, &run.enqueued)
				run.OtherCPU = load()
				if run.Device = device(dir); run.Device >= 0 {
					run.Device -= wrote
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			runs = append(runs, run)
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	return runs, nil
}

// in calls f with a directory of its own, which is removed behind it.
func in(dir string, f func(dir string) error) error {
	own, err := os.MkdirTemp(dir, "store-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(own)
	return f(own)
}

// life fills each store, kills it while all of it waits, drops it from the page
// cache, opens it again, and drains it where that is known how.
func (r *result) life(ctx context.Context, dir string) error {
	for _, name := range r.Plan.Life {
		run := lifeRun{Store: name, Waiting: r.Plan.Others}
		if ours(name) {
			run.Waiting = r.Plan.Waiting
		}
		fmt.Fprintf(os.Stderr, "\r\033[Krecovery with %d waiting: %s", run.Waiting, name)
		err := in(dir, func(dir string) error {
			load := watchLoad()
			defer func() { run.OtherCPU = load() }()
			if err := fillAndKill(ctx, order{Do: "fill", Store: name, Dir: dir, Producers: 64, N: run.Waiting}, &run.filled); err != nil {
				return err
			}
			var err error
			if run.Disk, err = allocated(dir); err != nil {
				return err
			}
			if err := forget(dir); err != nil {
				return fmt.Errorf("drop %s from the page cache: %w", filepath.Base(dir), err)
			}
			return ask(ctx, order{Do: "recover", Store: name, Dir: dir, N: run.Waiting, Retention: r.Plan.Retention, Profile: r.Plan.profile}, &run.recovered)
		})
		if err != nil {
			return err
		}
		if run.Found != run.Waiting {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: %d were acknowledged, %d were found after SIGKILL", name, run.Waiting, run.Found))
		}
		r.Life = append(r.Life, run)
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	return nil
}

// fillAndKill sends SIGKILL once everything is acknowledged.
func fillAndKill(ctx context.Context, o order, f *filled) error {
	cmd, err := command(ctx, o)
	if err != nil {
		return err
	}
	stdin, err := cmd.StdinPipe() // its end tells the child that nobody will kill it
	if err != nil {
		return err
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = json.NewDecoder(stdout).Decode(f)
	kill := cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if err != nil {
		return fmt.Errorf("fill %s: %w", o.Store, err)
	}
	return kill
}

// watchLoad begins to watch; the function it returns says how many cores others
// have used since on average; -1: not known.
func watchLoad() func() float64 {
	began, before := time.Now(), ownTime()
	others, ok := busy()
	return func() float64 {
		now, still := busy()
		if !ok || !still {
			return -1
		}
		return max(0, now-others-(ownTime()-before)) / time.Since(began).Seconds()
	}
}

// busy is the processor time in seconds that the machine has spent so far on
// programs, without the kernel's own threads: those that write to the disk work
// for whoever is measured. ok is false when it is not known.
func busy() (seconds float64, ok bool) {
	return proc.Others(func(s proc.Stat) float64 {
		if s.Parent != "2" {
			return 0
		}
		return s.Own
	})
}

// rssAnon is this process's memory that no file backs, in bytes; -1: not known.
func rssAnon() int64 { return proc.RSSAnon("self") }
