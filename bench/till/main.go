// Command till measures the hub's door as a till meets it: how fast a connection token
// comes through the hub beside other proxies, and how slow it gets while the hub is
// abused. It is a module of its own, as bench/queue is.
//
// docs/benchmarks.md says what the figures mean.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	_ "net/http/pprof" // on a port of its own, for -profile
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"storehub/bench/proc"
	"storehub/hub"
	"storehub/internal/freeport"
	"storehub/internal/try"
)

// configVar names a hub's configuration for the process that is only that hub.
const configVar = "BENCH_TILL_HUB"

type plan struct {
	seconds, rounds int
	abuse           time.Duration
	conns           int
	profile         string
	part            string
	only            string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench-till:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if file := os.Getenv(configVar); file != "" {
		return serveHub(ctx, file)
	}
	if order := os.Getenv(abuseVar); order != "" {
		return serveAbuse(ctx, order)
	}
	var p plan
	flag.StringVar(&p.part, "part", "token", "what to measure: token or abuse")
	flag.IntVar(&p.seconds, "seconds", 4, "how long a run lasts")
	flag.IntVar(&p.rounds, "rounds", 5, "how many runs each figure is the median of")
	flag.DurationVar(&p.abuse, "abuse", time.Minute, "how long the hub is abused")
	flag.IntVar(&p.conns, "connections", 2000, "how many connections abuse it")
	flag.StringVar(&p.profile, "profile", "", "write the hub's CPU profile, taken under 64 connections or under abuse, to this file")
	flag.StringVar(&p.only, "only", "", "hop or whole: one of the two tables of token alone")
	flag.Parse()
	dir, err := os.MkdirTemp("", "bench-till-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := prepare(ctx, p, dir)
	if err != nil {
		return err
	}
	defer b.system.Close()
	m := proc.Describe()
	fmt.Printf("Taken %s on %d × %s, Linux %s, %s; load average %s as it began.\n\n", time.Now().UTC().Format(time.DateOnly), m.CPUs, m.CPU, m.Kernel, m.Go, proc.LoadAverage())
	switch p.part {
	case "token":
		return b.tokens(ctx)
	case "abuse":
		r, err := b.underAbuse(ctx)
		if err != nil {
			return err
		}
		r.print(b.conns)
		return nil
	}
	return fmt.Errorf("measure %q: it is neither token nor abuse", p.part)
}

// bench is what runs while something is measured: sandbox and headquarters in this
// process, the hub in one of its own.
type bench struct {
	plan
	dir    string
	system *try.System
	stub   *http.Server
	quick  string // headquarters, but that a token is answered at once
}

const tokenPath = "/store/v1/connection_tokens"

func prepare(ctx context.Context, p plan, dir string) (*bench, error) {
	s, err := try.Start(ctx, try.Options{StateDir: filepath.Join(dir, "state"), Version: "bench"})
	if err != nil {
		return nil, err
	}
	if err := s.StopHub(); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &bench{plan: p, dir: dir, system: s, quick: "http://" + ln.Addr().String()}
	to, err := url.Parse(s.HQURL)
	if err != nil {
		return nil, err
	}
	behind := httputil.NewSingleHostReverseProxy(to)
	answer := []byte(`{"object":"terminal.connection_token","location":"` + s.Location() + `","secret":"pst_test_0000000000000000"}`)
	b.stub = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != tokenPath {
			behind.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})}
	go func() { _ = b.stub.Serve(ln) }() // ends with the process
	return b, nil
}

// child is a hub in a process of its own.
type child struct {
	cmd        *exec.Cmd
	url, pprof string
}

var hqURL = regexp.MustCompile(`(?m)^  url: .*$`)

// startHub starts the shop's hub with this headquarters.
func (b *bench) startHub(headquarters string) (*child, error) {
	text, err := os.ReadFile(b.system.ConfigFile)
	if err != nil {
		return nil, err
	}
	listen, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	text = hqURL.ReplaceAll(text, fmt.Appendf(nil, "  url: %q", headquarters))
	text = regexp.MustCompile(`(?m)^listen: .*$`).ReplaceAll(text, fmt.Appendf(nil, "listen: %q", listen))
	file := filepath.Join(b.dir, "hub.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), configVar+"="+file)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, c.end())
	}
	c.url, c.pprof, _ = strings.Cut(strings.TrimSpace(line), " ")
	return c, nil
}

func (c *child) end() error {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return c.cmd.Wait()
}

// serveHub is the child: the hub as `hub serve` has it, with the memory limit of its
// unit left to the environment.
func serveHub(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	cfg, err := hub.ParseConfig(f, file)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil)) // each line is made, and kept by nobody
	h, err := hub.New(cfg, hub.Parts{Log: log, Version: "bench"})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(ln, nil) }() //nolint:gosec // loopback, for as long as the measurement
	return h.Run(ctx, func(a hub.Addr) { fmt.Println(a.URL, "http://"+ln.Addr().String()) })
}
