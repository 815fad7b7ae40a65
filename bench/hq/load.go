package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"storehub/bench/peers"
	"storehub/bench/proc"
	"storehub/doors"
	"storehub/hq"
	"storehub/hq/postgres"
)

// run is one way's turn in one round.
type run struct {
	Way       string  `json:"way"`
	Round     int     `json:"round"`
	Done      int     `json:"done"`
	PerSecond float64 `json:"per_second"`
	P50ms     float64 `json:"p50_ms"`
	P99ms     float64 `json:"p99_ms"`
	Again     float64 `json:"again_per_request"` // transactions that met another one and ran again
	Load      string  `json:"load"`              // of the machine, as it began
	OtherCPU  float64 `json:"other_cpu_cores"`
	Cost      cost    `json:"cpu_us_per_request"`
}

// The ways to a token.
const (
	byStripe = "the sandbox itself"
	byNginx  = "nginx"
	byOne    = "headquarters, 1 replica"
	byTwo    = "headquarters, 2 replicas"
)

// tokens measures how many tokens tills get a second: through headquarters, and
// through nginx before the same sandbox.
func (b *bench) tokens(ctx context.Context, r *result) error {
	list, stop, err := b.replicas(2)
	if err != nil {
		return err
	}
	defer stop()
	web := connections(b.Callers)
	defer web.CloseIdleConnections()
	direct := func(base string) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			return b.askToken(ctx, web, base+"/v1/terminal/connection_tokens", b.base.Key, "application/x-www-form-urlencoded", "location="+b.shops[i].Location)
		}
	}
	asks, err := json.Marshal(hq.TillRequest{Till: till(1)})
	if err != nil {
		return err
	}
	through := func(replicas []*child) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			return b.askToken(ctx, web, replicas[i%len(replicas)].URL+"/store/v1/connection_tokens", b.shops[i].Credential, "application/json", string(asks))
		}
	}
	ways := []way{{byStripe, direct(b.stripe.URL)}}
	if b.Nginx {
		dir := filepath.Join(b.dir, "nginx")
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		proxy, err := peers.Nginx(dir, b.stripe.URL)
		if err != nil {
			return err
		}
		defer proxy.End()
		ways = append(ways, way{byNginx, direct(proxy.URL)})
	}
	ways = append(ways, way{byOne, through(list[:1])}, way{byTwo, through(list)})
	r.Tokens, err = b.alternate(ctx, "tokens", list, ways)
	if err != nil {
		return err
	}
	return b.profiled(ctx, list[0], "tokens", through(list[:1]))
}

// operations measures how many operations a second come to lie in PostgreSQL.
func (b *bench) operations(ctx context.Context, r *result) error {
	list, stop, err := b.replicas(2)
	if err != nil {
		return err
	}
	defer stop()
	web := connections(b.Callers)
	defer web.CloseIdleConnections()
	before, err := b.databaseSize(ctx)
	if err != nil {
		return err
	}
	chains := make([]chain, b.Callers)
	offer := func(replicas []*child, size int) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			return chains[i].offer(ctx, b.shops[i].client(replicas[i%len(replicas)].URL, web), size)
		}
	}
	r.Ops, err = b.alternate(ctx, "operations", list, []way{
		{"1 replica, 1 a submission", offer(list[:1], 1)},
		{"1 replica, 25 a submission", offer(list[:1], 25)},
		{"2 replicas, 1 a submission", offer(list, 1)},
		{"2 replicas, 25 a submission", offer(list, 25)},
	})
	if err != nil {
		return err
	}
	after, err := b.databaseSize(ctx)
	if err != nil {
		return err
	}
	for i, v := range r.Ops {
		if strings.Contains(v.Way, " 25 ") {
			r.Ops[i].Done, r.Ops[i].PerSecond = 25*v.Done, 25*v.PerSecond
		}
	}
	done := 0
	for _, v := range r.Ops {
		done += v.Done
	}
	r.OpBytes = float64(after-before) / float64(max(1, done))
	return b.profiled(ctx, list[0], "operations", offer(list[:1], 1))
}

// databaseSize is in bytes, on disk.
func (b *bench) databaseSize(ctx context.Context) (n int64, err error) {
	engine, err := postgres.Open(ctx, b.base.Database, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	db := sql.OpenDB(engine.Connector())
	defer db.Close()
	err = db.QueryRowContext(ctx, `SELECT pg_database_size(current_database())`).Scan(&n)
	return n, err
}

// chain is how far a store's hub has come.
type chain struct {
	epoch, head string
	number      uint64
}

// offer submits order records, which headquarters keeps and asks Stripe nothing about.
func (c *chain) offer(ctx context.Context, hub *hq.Client, size int) error {
	sub := hq.Submission{Epoch: c.epoch, Head: c.head}
	head := c.head
	for i := range size {
		n := c.number + 1 + uint64(i)
		id := fmt.Sprintf("%s_%d", hub.Credential()[4:12], n)
		sub.Operations = append(sub.Operations, hq.Submitted{Number: n, ID: id, Kind: doors.Order, Ref: "order-" + id,
			Data: json.RawMessage(`{"order":"` + id + `"}`), Till: "till 1", Mode: doors.Test, CreatedAt: time.Now().UTC()})
		head = hq.Chain(head, id)
	}
	rc, err := hub.Submit(ctx, sub)
	if err != nil {
		return err
	}
	c.epoch, c.head, c.number = rc.Epoch, head, c.number+uint64(size)
	if rc.AcceptedThrough != c.number || rc.Head != head {
		return fmt.Errorf("receipt %+v, want %d", rc, c.number)
	}
	return nil
}

// way is one of those that are compared.
type way struct {
	name string
	do   func(ctx context.Context, caller int) error
}

// alternate gives each way one run in each round, each round beginning with
// another, so that what the machine does beside falls on all alike.
func (b *bench) alternate(ctx context.Context, what string, list []*child, ways []way) (runs []run, err error) {
	for round := range b.Rounds {
		for k := range ways {
			w := ways[(k+round)%len(ways)]
			say("%s, round %d of %d: %s", what, round+1, b.Rounds, w.name)
			before, err := again(ctx, list)
			if err != nil {
				return nil, err
			}
			spent := b.spent(list)
			v, err := b.drive(ctx, w.do)
			v.Cost = b.spent(list).each(spent, v.Done)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", what, w.name, err)
			}
			after, err := again(ctx, list)
			if err != nil {
				return nil, err
			}
			v.Again = (after - before) / float64(max(1, v.Done))
			v.Way, v.Round = w.name, round+1
			runs = append(runs, v)
		}
	}
	return runs, nil
}

// again is how many transactions the replicas ran again so far.
func again(ctx context.Context, list []*child) (sum float64, err error) {
	for _, c := range list {
		n, err := metric(ctx, c.URL, "storehub_hq_transactions_again_total")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// drive lets all callers do one thing after the other for as long as was asked.
func (b *bench) drive(ctx context.Context, do func(context.Context, int) error) (run, error) {
	v := run{Load: proc.LoadAverage()}
	others := proc.WatchOthers()
	took := make([][]time.Duration, b.Callers)
	errs := make([]error, b.Callers)
	began := time.Now()
	end := began.Add(time.Duration(b.Seconds * float64(time.Second)))
	var wg sync.WaitGroup
	for i := range b.Callers {
		wg.Go(func() {
			for now := time.Now(); now.Before(end); {
				if errs[i] = do(ctx, i); errs[i] != nil {
					return
				}
				next := time.Now()
				took[i] = append(took[i], next.Sub(now))
				now = next
			}
		})
	}
	wg.Wait()
	all := slices.Concat(took...)
	v.Done, v.PerSecond = len(all), float64(len(all))/time.Since(began).Seconds()
	v.P50ms, v.P99ms, v.OtherCPU = quantile(all, .5), quantile(all, .99), others()
	return v, errors.Join(errs...)
}

// profiled drives once more while a replica's profile is taken, if one was asked for.
func (b *bench) profiled(ctx context.Context, c *child, name string, do func(context.Context, int) error) error {
	if b.profile == "" {
		return nil
	}
	failed := make(chan error, 1)
	go func() {
		_, err := b.drive(ctx, do)
		failed <- err
	}()
	return errors.Join(b.profileOf(ctx, c, name, true), <-failed)
}

// profileOf fetches the profiles of a replica.
func (b *bench) profileOf(ctx context.Context, c *child, name string, cpu bool) error {
	if b.profile == "" {
		return nil
	}
	if err := os.MkdirAll(b.profile, 0o755); err != nil {
		return err
	}
	for kind, path := range map[string]string{"cpu": "profile?seconds=" + strconv.Itoa(max(1, int(b.Seconds)-1)), "heap": "heap?gc=1"} {
		if kind == "cpu" && !cpu {
			continue
		}
		text, err := get(ctx, c.Pprof+"/debug/pprof/"+path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.profileTo(name+"."+kind+".pprof"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// askToken asks for one token in the same way wherever it goes: the callers take as much
// of the processor, and the sandbox keeps each answer under a key, as headquarters has it do.
func (b *bench) askToken(ctx context.Context, web *http.Client, address, credential, kind, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Idempotency-Key", rand.Text())
	resp, err := web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s %s: %w", address, resp.Status, said, err)
	}
	return nil
}

// askStripe posts a form with the secret key.
func (b *bench) askStripe(ctx context.Context, web *http.Client, base, path, form string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, strings.NewReader(form))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.base.Key)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Bench", "1") // before what is measured: not counted against a rate
	resp, err := web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s %s: %w", path, resp.Status, body, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

func get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", address, resp.Status)
	}
	return text, err
}

// metric reads one line of a replica's metrics; 0 if it is not there yet.
func metric(ctx context.Context, base, name string) (float64, error) {
	text, err := get(ctx, base+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, nil
}

// quantile sorts took, and is in milliseconds.
func quantile(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	i := int(math.Ceil(q*float64(len(took)))) - 1
	return float64(took[max(0, i)]) / float64(time.Millisecond)
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
