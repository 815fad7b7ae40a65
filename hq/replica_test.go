package hq_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// onPostgreSQL leaves out, on SQLite, a test about replicas.
func onPostgreSQL(t *testing.T) {
	t.Helper()
	if cluster == nil {
		t.Skip("replicas share a PostgreSQL; it runs there")
	}
}

// replica starts another headquarters on the shop's database.
func (s *shop) replica(change ...func(*hq.Options)) *hq.Client {
	s.t.Helper()
	o := s.opts
	useDatabase(s.t, &o, o.Database)
	for _, c := range change {
		c(&o)
	}
	server, err := hq.NewServer(o)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("run: %v", err)
		}
		if err := server.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	})
	return &hq.Client{URL: "http://hq", HTTP: &http.Client{Transport: hq.NewLocal(server)}, Version: "test", Credential: s.client.Credential, Run: s.client.Run}
}

// figure reads one line of a replica's metrics.
func figure(t *testing.T, c *hq.Client, name string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return "absent"
}

// deaf is a database that does not do LISTEN.
type deaf struct{ hq.Engine }

func (deaf) Tell(string) {}

func (deaf) Listen(ctx context.Context, _ func(string), listening func(bool)) {
	listening(false)
	<-ctx.Done()
}

func TestAnotherReplicasChangeWakesALongPoll(t *testing.T) {
	onPostgreSQL(t)
	for name, c := range map[string]struct {
		arrive string
		change func(*hq.Options)
	}{
		"told by the database":             {"1", func(*hq.Options) {}},
		"looked for where nothing is told": {"0", func(o *hq.Options) { o.Engine = deaf{o.Engine} }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			other := s.replica(c.change)
			s.submit(op(doors.Heartbeat, "op_1", "beat", 0))
			if f, err := other.Feed(t.Context(), s.epoch, 0, 0); err != nil || len(f.Items) != 1 {
				t.Fatalf("%+v, %v: another replica does not see what was recorded", f, err)
			}
			waitFor(t, "notifications to be as they will be", func() bool {
				return figure(t, other, "storehub_hq_notifications_arrive") == c.arrive
			})
			var wg sync.WaitGroup
			wg.Go(func() {
				f, err := other.Feed(t.Context(), s.epoch, 1, 50*time.Second)
				if err != nil || len(f.Items) != 1 || f.Items[0].ID != "op_2" {
					t.Errorf("%+v, %v: not woken", f, err)
				}
			})
			s.submit(op(doors.Heartbeat, "op_2", "beat", 0))
			wg.Wait()
		})
	}
}

// TestMoney_2_1_AReplicaLostInMidCallIsTakenOver: Stripe has done it, and the one
// who asked never says so. Another reads what became of it.
func TestMoney_2_1_AReplicaLostInMidCallIsTakenOver(t *testing.T) {
	onPostgreSQL(t)
	for _, step := range []string{"act:before", "act:after"} {
		t.Run(step, func(t *testing.T) {
			lost, back := make(chan struct{}), make(chan struct{})
			var once sync.Once
			s := newShop(t, func(o *hq.Options) {
				o.Lease = 2 * time.Second
				o.Fault = func(at string) error {
					if at == step {
						once.Do(func() { close(lost); <-back })
					}
					return nil
				}
			})
			t.Cleanup(func() { close(back) }) // too late: it must change nothing
			pi := s.authorised("1000")
			s.submit(op(doors.Capture, "op_1", pi, 1000))
			<-lost
			other := s.replica(func(o *hq.Options) { o.Fault = nil })
			s.client, other = other, s.client
			s.want("op_1", doors.Succeeded, "")
			s.exactly(pi, "captured", 1000)
			s.submit(op(doors.Refund, "op_2", pi, 400))
			s.want("op_2", doors.Succeeded, "")
			s.exactly(pi, "refunded", 400)
			for _, e := range s.box.Books() {
				if e.Effect == "captured" && e.Key != "op_1" {
					t.Errorf("captured under key %q, want op_1", e.Key)
				}
			}
			s.client = other
		})
	}
}

// TestReplicasReadStripesReadersOnce: what one of them read serves the others.
func TestReplicasReadStripesReadersOnce(t *testing.T) {
	onPostgreSQL(t)
	slow := func(o *hq.Options) { o.Poll = time.Hour }
	s := newShop(t, slow)
	other := s.replica(slow)
	first, err := s.client.Readers(t.Context())
	if err != nil || len(first.Readers) != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := other.Readers(t.Context())
	if err != nil || len(second.Readers) != 1 || string(second.Readers[0]) != string(first.Readers[0]) || first.At.Sub(second.At).Abs() > time.Millisecond {
		t.Errorf("%+v, %v; want what the other one read", second, err)
	}
	if n := figure(t, other, `storehub_hq_stripe_requests_total{call="readers",mode="test",result="ok"}`); n != "absent" {
		t.Errorf("the second replica asked Stripe %s times", n)
	}
}
