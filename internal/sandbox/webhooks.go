package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

// WebhookFaults put disorder into the delivery of events.
type WebhookFaults struct {
	Duplicate bool `json:"duplicate"` // each event comes twice
	Reorder   bool `json:"reorder"`   // each event waits for the next one, which goes before it
	Lose      bool `json:"lose"`      // no event comes; all can still be listed
}

// SetWebhookFaults sets them from now on.
func (s *Sandbox) SetWebhookFaults(f WebhookFaults) { s.hooks.set(f) }

// webhookPauses are between the tries of one delivery. Stripe's test mode takes
// three over hours; a person who watches does not wait that long.
var webhookPauses = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}

const (
	webhookTimeout = 10 * time.Second // an endpoint that is slower has failed
	reorderHold    = time.Second      // an event without a successor goes after it
)

// delivery is one event on its way to one endpoint.
type delivery struct {
	event, endpoint string
	url, secret     string
	body            []byte
	due             time.Time
	order           uint64 // among those due at the same moment
	tries           int
	held            bool // waits for its successor
}

// deliveries is the queue of webhooks and the one goroutine that works it. It
// has a lock of its own, so that no answer of the API waits for an endpoint.
type deliveries struct {
	client *http.Client
	log    *slog.Logger
	done   func(event, endpoint string, ok bool)
	cancel context.CancelFunc
	ended  chan struct{}
	wake   chan struct{}

	mu     sync.Mutex
	queue  []*delivery
	order  uint64
	faults WebhookFaults
}

func newDeliveries(client *http.Client, log *slog.Logger, done func(event, endpoint string, ok bool)) *deliveries {
	own := http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	if client != nil {
		own = *client
	}
	// A redirect is a failed delivery.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ctx, cancel := context.WithCancel(context.Background())
	d := &deliveries{client: &own, log: log, done: done, cancel: cancel, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	go d.run(ctx)
	return d
}

func (d *deliveries) close() {
	d.cancel()
	<-d.ended
	d.client.CloseIdleConnections()
}

func (d *deliveries) set(f WebhookFaults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// add queues a delivery, with the disorder that was asked for. It returns false
// if the delivery is lost on the way.
func (d *deliveries) add(v delivery) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults.Lose {
		return false
	}
	push := func(v delivery) *delivery {
		d.order++
		v.order = d.order
		d.queue = append(d.queue, &v)
		return &v
	}
	v.due = time.Now()
	waiting := slices.IndexFunc(d.queue, func(q *delivery) bool { return q.held && q.endpoint == v.endpoint })
	switch {
	case waiting >= 0:
		old := d.queue[waiting]
		push(v)
		d.order++
		old.held, old.due, old.order = false, v.due, d.order
	case d.faults.Reorder:
		held := push(v)
		held.held, held.due = true, v.due.Add(reorderHold)
	default:
		push(v)
	}
	if d.faults.Duplicate {
		push(v)
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return true
}

// next takes the delivery that is due, or says how long until one is.
func (d *deliveries) next() (*delivery, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return nil, time.Hour
	}
	first := slices.MinFunc(d.queue, func(a, b *delivery) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.order, b.order))
	})
	if wait := time.Until(first.due); wait > 0 {
		return nil, wait
	}
	d.queue = slices.DeleteFunc(d.queue, func(q *delivery) bool { return q == first })
	return first, 0
}

func (d *deliveries) run(ctx context.Context) {
	defer close(d.ended)
	for ctx.Err() == nil {
		v, wait := d.next()
		if v == nil {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-d.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		err := d.post(ctx, v)
		switch {
		case ctx.Err() != nil:
			// Not delivered, and not given up either: it waits in the state file.
		case err == nil:
			d.done(v.event, v.endpoint, true)
		case v.tries < len(webhookPauses):
			d.log.Debug("webhook not taken", "url", v.url, "event", v.event, "error", err)
			d.again(v)
		default:
			d.log.Warn("webhook given up", "url", v.url, "event", v.event, "error", err)
			d.done(v.event, v.endpoint, false)
		}
	}
}

func (d *deliveries) again(v *delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v.due = time.Now().Add(webhookPauses[v.tries])
	v.tries++
	d.queue = append(d.queue, v)
}

func (d *deliveries) post(ctx context.Context, v *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, bytes.NewReader(v.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Stripe/1.0 (sandbox)")
	req.Header.Set("Stripe-Signature", sign(v.secret, time.Now(), v.body))
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("endpoint answered %s", resp.Status)
	}
	return nil
}

// sign makes the Stripe-Signature header of a body. The time is the machine's:
// the receiver compares it with its own, whatever the account's clock says.
func sign(secret string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// dispatch queues an event for all that wait for it. It is called with mu held.
func (s *Sandbox) dispatch(ev *eventRecord) {
	body := encode(ev.wire())
	for _, ep := range s.endpoints() {
		if !slices.Contains(ev.Waiting, ep.ID) {
			continue
		}
		if !s.hooks.add(delivery{event: ev.ID, endpoint: ep.ID, url: ep.URL, secret: ep.Secret, body: body}) {
			s.strikeOff(ev, ep.ID, false)
		}
	}
}

// redeliver queues what an earlier run had not delivered.
func (s *Sandbox) redeliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.st.Events.list {
		s.dispatch(ev)
	}
}

// delivered notes that an endpoint took an event, or will never.
func (s *Sandbox) delivered(id, endpoint string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ev, found := s.st.Events.get(id); found {
		s.strikeOff(ev, endpoint, ok)
		s.keeper.changed()
	}
}

func (s *Sandbox) strikeOff(ev *eventRecord, endpoint string, ok bool) {
	ev.Waiting = slices.DeleteFunc(ev.Waiting, func(w string) bool { return w == endpoint })
	ev.PendingWebhooks = len(ev.Waiting)
	if !ok {
		ev.Missed = true
		ev.PendingWebhooks++
	}
}
