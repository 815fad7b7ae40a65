package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // on a port of its own, for -profile
	"os"
	"os/exec"
	"time"

	"storehub/hq"
	"storehub/hq/postgres"
	"storehub/hq/stripeapi"
)

// Whatever is measured is a process of its own. The parent writes an order into
// the child's environment; the child answers with a line of JSON when it is up,
// and ends when its standard input does.

const orderVar = "BENCH_HQ_ORDER"

// order is what a child is to do.
type order struct {
	Do               string // "replica", "stripe", "hubs"
	Database, Stripe string
	Key, Secret      string
	Rate             int      // replica: requests a second to one endpoint; stripe: 0 is no limit
	Replicas         []string // hubs: where they wait, in turn
	Shops            string   // hubs: a file of them
}

// ready is a child's answer.
type ready struct {
	URL         string
	Pprof       string
	Key, Secret string
}

// child is such a process.
type child struct {
	ready
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// ordered returns the order in the environment, if there is one.
func ordered() (o order, ok bool) {
	text, ok := os.LookupEnv(orderVar)
	if ok && json.Unmarshal([]byte(text), &o) != nil {
		o.Do = text // no such order
	}
	return o, ok
}

func obey(o order) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if o.Do == "hubs" {
		return serveHubs(ctx, o)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		stop()
	}()
	switch o.Do {
	case "replica":
		return serveReplica(ctx, o)
	case "stripe":
		return serveStripe(ctx, o)
	}
	return errors.New("no such order")
}

// start runs a child until it is up.
func start(o order) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), orderVar+"="+string(text))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.hear(&c.ready); err != nil {
		c.end()
		return nil, fmt.Errorf("start %s: %w", o.Do, err)
	}
	return c, nil
}

// hear reads the child's next line.
func (c *child) hear(v any) error {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// end lets the child end by itself, and waits for it.
func (c *child) end() {
	_ = c.in.Close()
	late := time.AfterFunc(20*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	_ = c.cmd.Wait() // what it had to tell has been heard
}

func tell(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// serveReplica is one headquarters, with the timeouts of `hq serve`.
func serveReplica(ctx context.Context, o order) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	engine, err := postgres.Open(ctx, o.Database, log)
	if err != nil {
		return err
	}
	limit := stripeapi.Limit("key", o.Rate)
	api, err := stripeapi.New(stripeapi.Options{Key: stripeapi.Key(o.Key), BaseURL: o.Stripe, Limit: limit.Wait})
	if err != nil {
		return err
	}
	server, err := hq.NewServer(hq.Options{Engine: engine, Limiters: []hq.Limiter{limit}, Stripe: api, WebhookSecret: []string{o.Secret}, Log: log, Version: "bench"})
	if err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	pprof, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(pprof, nil) }() //nolint:gosec // loopback, for as long as the measurement
	web := &http.Server{Handler: server.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 90 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10}
	err = listenUntil(ctx, web, ready{Pprof: "http://" + pprof.Addr().String()}, server.EndPolls)
	return errors.Join(err, <-ran, server.Close())
}

// listenUntil serves on a port of its own, tells it, and stops with ctx.
func listenUntil(ctx context.Context, web *http.Server, up ready, stopping func()) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	up.URL = "http://" + ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	if err := tell(up); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping()
	return web.Close()
}
