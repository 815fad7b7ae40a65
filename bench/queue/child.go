package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Every run is a process of its own, so that memory and bytes written are those
// of one store, and so that it can be killed. The parent writes an order into the
// child's environment, the child one line of JSON to its standard output.

const orderVar = "BENCH_QUEUE_ORDER"

// order is what a child is to do.
type order struct {
	Do        string // "enqueue", "door", "fill", "recover", "number"
	Store     string
	Dir       string
	Producers int
	Seconds   float64 // enqueue, door
	N         int     // fill, recover, number: how many
	Retention bool    // recover: see what is on disk once what was drained is no longer kept
	Profile   string  // a directory for a processor profile; "": none
}

// idle is how long a store has nothing to do before it is killed. Ours gives memory back a
// second after a burst, and the last of it twenty seconds later.
func (o order) idle() time.Duration {
	if ours(o.Store) {
		return 25 * time.Second
	}
	return 2 * time.Second
}

// ordered returns the order in the environment, if there is one.
func ordered() (order, bool) {
	text, ok := os.LookupEnv(orderVar)
	if !ok {
		return order{}, false
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintf(os.Stderr, "read order %q: %v\n", text, err)
		os.Exit(2)
	}
	return o, true
}

// obey is a child's main.
func obey(o order) {
	if err := carryOut(o); err != nil {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", o.Do, o.Store, err)
		os.Exit(1)
	}
}

func carryOut(o order) (failed error) {
	if o.Profile != "" {
		end, err := profile(filepath.Join(o.Profile, fmt.Sprintf("%s-%s-%d-%d", o.Do, o.Store, o.Producers, os.Getpid())))
		if err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, end()) }()
	}
	if o.Do == "door" {
		return enqueueByDoor(o)
	}
	c, err := contestantNamed(o.Store)
	if err != nil {
		return err
	}
	switch o.Do {
	case "enqueue":
		return enqueue(c, o)
	case "fill":
		return fill(c, o)
	case "recover":
		return recoverStore(c, o)
	case "number":
		return number(c, o)
	}
	return fmt.Errorf("no such order: %q", o.Do)
}

// profile begins to write what takes processor time, and at its end what was allocated,
// to two files.
func profile(name string) (end func() error, err error) {
	f, err := os.Create(name + ".cpu")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		allocs, err := os.Create(name + ".allocs")
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), pprof.Lookup("allocs").WriteTo(allocs, 0), allocs.Close())
	}, nil
}

// unitLimit is what the hub's unit says.
const unitLimit = "96MiB"

// command is the child that obeys an order.
func command(ctx context.Context, o order) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), orderVar+"="+string(text))
	if os.Getenv("GOMEMLIMIT") == "" {
		cmd.Env = append(cmd.Env, "GOMEMLIMIT="+unitLimit)
	}
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// ask runs a child to its end and reads its answer.
func ask(ctx context.Context, o order, answer any) error {
	cmd, err := command(ctx, o)
	if err != nil {
		return err
	}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s %s: %w", o.Do, o.Store, err)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("%s %s answered %q: %w", o.Do, o.Store, out, err)
	}
	return nil
}

func tell(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// enqueued is the answer to "enqueue".
type enqueued struct {
	Ops       int64   `json:"ops"`
	PerSecond float64 `json:"per_second"`
	P50us     float64 `json:"p50_us"`
	P99us     float64 `json:"p99_us"`
	Written   int64   `json:"written_bytes"` // from before opening to after closing; -1: not known
	RssAnon   int64   `json:"rss_anon_peak_bytes"`
	CPUus     float64 `json:"cpu_us"` // processor time an operation, the producer's and that of closing included
}

func enqueue(c contestant, o order) error {
	before := written()
	s, err := c.open(o.Dir)
	if err != nil {
		return err
	}
	used := ownTime()
	e, err := measured(s, o)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	e.CPUus = (ownTime() - used) / float64(e.Ops) * 1e6
	if e.Written = written(); e.Written >= 0 {
		e.Written -= before
	}
	return tell(e)
}

// filled is the answer to "fill", after which the child waits to be killed.
type filled struct {
	PerSecond float64 `json:"per_second"`
	RssAnon   int64   `json:"rss_anon_peak_bytes"`
	RssIdle   int64   `json:"rss_anon_idle_bytes"`
}

func fill(c contestant, o order) error {
	s, err := c.open(o.Dir)
	if err != nil {
		return err
	}
	if q, ok := s.(*queue); ok {
		q.kind = keptAnHour
	}
	peak := watchMemory()
	began := time.Now()
	if _, err := produce(s, o.Producers, func(n int64) bool { return n <= int64(o.N) }); err != nil {
		return err
	}
	f := filled{PerSecond: float64(o.N) / time.Since(began).Seconds()}
	f.RssAnon = peak()
	time.Sleep(o.idle()) // idle is a state, not an event
	f.RssIdle = rssAnon()
	if err := tell(f); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until killed, or the parent is gone
	return err
}

// recovered is the answer to "recover".
type recovered struct {
	OpenMS  float64  `json:"open_ms"`
	FirstMS float64  `json:"first_ms"` // from the beginning of open to the first payload in hand
	RssOpen int64    `json:"rss_anon_open_bytes"`
	Found   int      `json:"found"`
	Drain   *drained `json:"drain,omitempty"`
	// Disk after the drain, with the store open and after closing it.
	DiskDrained int64 `json:"disk_drained_bytes,omitempty"`
	DiskClosed  int64 `json:"disk_closed_bytes,omitempty"`
	// DiskRetained is what is left a minute after nothing is kept any more.
	DiskRetained int64 `json:"disk_retained_bytes,omitempty"`
}

func recoverStore(c contestant, o order) error {
	began := time.Now()
	s, err := c.open(o.Dir)
	if err != nil {
		return err
	}
	var r recovered
	r.OpenMS = ms(time.Since(began))
	if q, ok := s.(*queue); ok {
		r.RssOpen = rssAnon()
		d, err := q.drain(context.Background(), began)
		if err != nil {
			return err
		}
		r.Found, r.FirstMS, r.Drain = d.Found, d.FirstMS, &d
		if r.DiskDrained, err = allocated(o.Dir); err != nil {
			return err
		}
		if o.Retention {
			if err := q.outlive(); err != nil {
				return err
			}
			if r.DiskRetained, err = allocated(o.Dir); err != nil {
				return err
			}
		}
	} else {
		err := s.(replayer).each(func([]byte) bool {
			if r.Found++; r.Found == 1 {
				r.FirstMS, r.RssOpen = ms(time.Since(began)), rssAnon()
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if r.Drain != nil {
		if r.DiskClosed, err = allocated(o.Dir); err != nil {
			return err
		}
	}
	return tell(r)
}

// number puts numbered payloads and prints each number once it is acknowledged.
func number(c contestant, o order) error {
	s, err := c.open(o.Dir)
	if err != nil {
		return err
	}
	fmt.Println("open")
	var failed error
	var mu sync.Mutex
	var next atomic.Int64
	var wg sync.WaitGroup
	for range o.Producers {
		wg.Go(func() {
			p := newPayloads()
			for {
				n := next.Add(1)
				if n > int64(o.N) {
					return
				}
				err := s.Put(context.Background(), p.make(n))
				mu.Lock()
				if err != nil {
					failed = err
				} else {
					// One write for a line: what was printed is in the pipe
					// when the process is killed.
					_, failed = os.Stdout.WriteString(strconv.FormatInt(n, 10) + "\n")
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(failed, s.Close())
}

// produce has so many producers put one payload after the other, while more says
// so of the next one's number.
func produce(s putter, producers int, more func(n int64) bool) (*histogram, error) {
	all := &histogram{}
	errs := make([]error, producers)
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range producers {
		wg.Go(func() {
			p, h := newPayloads(), &histogram{}
			for {
				n := next.Add(1)
				if !more(n) {
					break
				}
				payload := p.make(n)
				began := time.Now()
				if errs[i] = s.Put(context.Background(), payload); errs[i] != nil {
					break
				}
				h.add(time.Since(began))
			}
			mu.Lock()
			all.merge(h)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

const payloadSize = 1 << 10

// arena is random text, so that no store gains by compressing.
var arena = sync.OnceValue(func() []byte {
	var raw [3 << 18]byte
	_, _ = rand.NewChaCha8([32]byte{}).Read(raw[:]) // never fails
	return []byte(base64.StdEncoding.EncodeToString(raw[:]))
})

// payloads makes the payloads of one producer.
type payloads struct{ r *rand.Rand }

func newPayloads() payloads { return payloads{rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))} }

// make returns 1 KiB that is a JSON string and begins with n; the caller may keep it.
func (p payloads) make(n int64) []byte {
	b := make([]byte, 0, payloadSize)
	b = append(b, '"')
	b = strconv.AppendInt(b, n, 10)
	b = append(b, ' ')
	rest := payloadSize - 1 - len(b)
	from := p.r.IntN(len(arena()) - rest)
	b = append(b, arena()[from:from+rest]...)
	return append(b, '"')
}

// numberOf is the number a payload was made with.
func numberOf(payload []byte) (int64, error) {
	text, _, ok := bytes.Cut(bytes.TrimPrefix(payload, []byte(`"`)), []byte(" "))
	if !ok || len(payload) != payloadSize {
		return 0, fmt.Errorf("not a payload: %.20q", payload)
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// watchMemory samples RssAnon until the function it returns is called, which
// gives the largest.
func watchMemory() func() int64 {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		m := rssAnon()
		for {
			select {
			case <-t.C:
				m = max(m, rssAnon())
			case <-stop:
				most <- max(m, rssAnon())
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}
