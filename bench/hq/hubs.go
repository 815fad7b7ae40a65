package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/bench/proc"
	"storehub/hq"
)

// held is what waiting hubs cost a replica.
type held struct {
	Hubs    int     `json:"hubs"`
	Idle    int64   `json:"rss_anon_idle_bytes"`    // of the replica with no hub
	Waiting int64   `json:"rss_anon_waiting_bytes"` // with all of them; -1: not known
	Answers float64 `json:"polls_renewed_per_second"`
	CPU     float64 `json:"cpu_cores"` // of the replica while nothing happens but that
	Load    string  `json:"load"`
}

// fanout is how long webhooks took to the hubs of their stores.
type fanout struct {
	Waiting  int     `json:"waiting"`
	Replicas int     `json:"replicas"`
	Webhooks int     `json:"webhooks"`
	P50ms    float64 `json:"p50_ms"`
	P99ms    float64 `json:"p99_ms"`
	MaxMS    float64 `json:"max_ms"`
	Load     string  `json:"load"`
}

// hubs holds every hub on one replica, and sends webhooks to some of them: with
// few waiting, with many, and where another replica than theirs takes them.
func (b *bench) hubs(ctx context.Context, r *result) error {
	err := func() error {
		list, stop, err := b.replicas(1)
		if err != nil {
			return err
		}
		defer stop()
		pid := list[0].cmd.Process.Pid
		if err := b.settled(ctx); err != nil {
			return err
		}
		r.Held = held{Hubs: b.Hubs, Idle: rssAnon(pid), Load: proc.LoadAverage()}
		say("%d hubs wait at one replica", b.Hubs)
		waiting, err := b.wait(b.Hubs, list)
		if err != nil {
			return err
		}
		defer waiting.end()
		if err := b.settled(ctx); err != nil {
			return err
		}
		r.Held.Waiting = rssAnon(pid)
		used, from := cpuOf(pid), time.Now()
		before, err := answered(ctx, list[0].URL)
		if err != nil {
			return err
		}
		if err := pauseFor(ctx, b.plan.held); err != nil {
			return err
		}
		after, err := answered(ctx, list[0].URL)
		if err != nil {
			return err
		}
		took := time.Since(from).Seconds()
		r.Held.Answers, r.Held.CPU = (after-before)/took, (cpuOf(pid)-used)/took
		r.Held.Waiting = max(r.Held.Waiting, rssAnon(pid))
		return b.profileOf(ctx, list[0], "waiting", false)
	}()
	if err != nil {
		return err
	}
	for _, c := range []struct{ waiting, replicas int }{{b.Callers, 1}, {b.Waiting, 1}, {b.Callers, 2}, {b.Waiting, 2}} {
		list, stop, err := b.replicas(c.replicas)
		if err != nil {
			return err
		}
		say("webhooks to %d hubs at %d replicas", c.waiting, c.replicas)
		var f fanout
		load := proc.LoadAverage()
		err = func() error {
			waiting, err := b.wait(c.waiting, list)
			if err != nil {
				return err
			}
			defer waiting.end()
			if err := b.settled(ctx); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(waiting.in, b.Webhooks); err != nil {
				return err
			}
			return waiting.hear(&f)
		}()
		stop()
		if err != nil {
			return fmt.Errorf("webhooks to %d hubs: %w", c.waiting, err)
		}
		f.Waiting, f.Replicas, f.Load = c.waiting, c.replicas, load
		r.Fanout = append(r.Fanout, f)
	}
	return nil
}

// wait starts a process in which the first n hubs wait, in turn at each replica.
func (b *bench) wait(n int, replicas []*child) (*child, error) {
	text, err := json.Marshal(b.shops[:n])
	if err != nil {
		return nil, err
	}
	file := b.dir + "/shops.json"
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	o := order{Do: "hubs", Shops: file, Secret: b.base.Secret}
	for _, c := range replicas {
		o.Replicas = append(o.Replicas, c.URL)
	}
	return start(o)
}

// settled lets what was begun come to rest.
func (b *bench) settled(ctx context.Context) error { return pauseFor(ctx, b.settle) }

// answered is how many long polls a replica has answered.
func answered(ctx context.Context, base string) (float64, error) {
	return metric(ctx, base, `storehub_hq_requests_total{route="/store/v1/feed",status="200"}`)
}

// arrival is a line of a store's feed, in its hub's hands.
type arrival struct {
	shop int
	at   time.Time
}

// serveHubs waits with all hubs. Each line on standard input is a number of
// webhooks to send one after the other, each to another replica than its hub waits
// at, if there is one; the answer is how long they took.
func serveHubs(ctx context.Context, o order) error {
	text, err := os.ReadFile(o.Shops)
	if err != nil {
		return err
	}
	var shops []shop
	if err := json.Unmarshal(text, &shops); err != nil {
		return err
	}
	arrived := make(chan arrival, 16)
	broken := make(chan error, len(shops))
	var up sync.WaitGroup
	var dials errgroup.Group
	dials.SetLimit(64)
	for i, s := range shops {
		up.Add(1)
		dials.Go(func() error {
			at := strings.TrimPrefix(o.Replicas[i%len(o.Replicas)], "http://")
			conn, err := net.Dial("tcp", at)
			if err != nil {
				return err
			}
			go func() { broken <- poll(conn, at, s, i, up.Done, arrived) }()
			return nil
		})
	}
	if err := dials.Wait(); err != nil {
		return err
	}
	waiting := make(chan struct{})
	go func() { up.Wait(); close(waiting) }()
	select {
	case <-waiting:
	case err := <-broken:
		return err
	}
	if err := tell(ready{}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var n int
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			return err
		}
		f, err := sendWebhooks(ctx, o, shops, n, arrived, broken)
		if err != nil {
			return err
		}
		if err := tell(f); err != nil {
			return err
		}
	}
	return lines.Err()
}

// poll is a hub's life: it reads what there is, and then asks for what comes after. It speaks HTTP by
// hand, since ten thousand of net/http's clients would take the machine's memory.
func poll(conn net.Conn, host string, s shop, i int, upToDate func(), arrived chan<- arrival) error {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 512)
	epoch, after, wait := "", uint64(0), 0
	for {
		if _, err := fmt.Fprintf(conn, "GET /store/v1/feed?epoch=%s&after=%d&wait=%d HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", epoch, after, wait, host, s.Credential); err != nil {
			return err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Errorf("hub %s: %w", s.ID, err)
		}
		body, err := io.ReadAll(resp.Body)
		at := time.Now()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("hub %s: %s %s: %w", s.ID, resp.Status, body, err)
		}
		var f hq.Feed
		if err := json.Unmarshal(body, &f); err != nil {
			return err
		}
		if f.Epoch != epoch { // headquarters counts from one again
			epoch, after = f.Epoch, 0
			continue
		}
		for _, it := range f.Items {
			if after = it.Seq; wait > 0 {
				arrived <- arrival{i, at}
			}
		}
		if wait == 0 && len(f.Items) == 0 { // it has what was there before
			wait = 50
			upToDate()
		}
	}
}

func sendWebhooks(ctx context.Context, o order, shops []shop, n int, arrived <-chan arrival, broken <-chan error) (fanout, error) {
	web := connections(len(o.Replicas))
	var took []time.Duration
	rng := rand.New(rand.NewPCG(1, 2))
	for k := range n {
		i := rng.IntN(len(shops))
		body := fmt.Appendf(nil, `{"id":"evt_%d_%d","object":"event","type":"terminal.reader.action_succeeded","livemode":false,"created":%d,"data":{"object":{"id":"tmr_%d","object":"terminal.reader","location":%q}}}`,
			os.Getpid(), k, time.Now().Unix(), i, shops[i].Location)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.Replicas[(i+1)%len(o.Replicas)]+"/stripe/webhook", bytes.NewReader(body))
		if err != nil {
			return fanout{}, err
		}
		now := time.Now()
		mac := hmac.New(sha256.New, []byte(o.Secret))
		fmt.Fprintf(mac, "%d.%s", now.Unix(), body)
		req.Header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", now.Unix(), hex.EncodeToString(mac.Sum(nil))))
		sent := time.Now()
		resp, err := web.Do(req)
		if err != nil {
			return fanout{}, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			return fanout{}, fmt.Errorf("webhook: %s %w", resp.Status, err)
		}
		select {
		case a := <-arrived:
			if a.shop != i {
				return fanout{}, fmt.Errorf("a webhook for shop %d came to %d", i, a.shop)
			}
			took = append(took, a.at.Sub(sent))
		case err := <-broken:
			return fanout{}, err
		case <-time.After(30 * time.Second):
			return fanout{}, fmt.Errorf("webhook %d did not reach shop %d", k, i)
		}
	}
	return fanout{Webhooks: n, P50ms: quantile(took, .5), P99ms: quantile(took, .99), MaxMS: quantile(took, 1)}, nil
}
