package doors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// heartbeatEvery keeps the stream alive through shop routers, the most
	// impatient of which forget an idle connection after 30 s.
	heartbeatEvery = 15 * time.Second
	// writeWithin is how long a till may leave a line unread before it is let go.
	writeWithin = 10 * time.Second
)

// v1Events streams what happens as server-sent events, until the till goes or
// the request's context ends. A till that names the last event it saw gets what
// it missed.
func v1Events(d *door, q *ask) (answer, error) {
	after, resume := uint64(0), false
	if last := q.Header.Get("Last-Event-ID"); last != "" {
		n, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			return answer{}, ErrInvalidField.With("Last-Event-ID must be the id of an event")
		}
		after, resume = n, true
	}
	return d.stream(q, func(ctx context.Context, s *stream) error {
		return d.backend.Events(ctx, q.till, after, resume, func(e Event) error {
			if e.Till != "" && e.Till != q.till.Name && q.till.Scope == ScopePOS {
				return nil // another till's payment
			}
			return s.send(e)
		})
	})
}

const (
	// listEvery is how often a list that is followed is looked at without news: a till
	// may have changed its network, and headquarters has no news of readers.
	listEvery = 15 * time.Second
	// listSpacing keeps a shop in which everything changes at once from a list a change.
	listSpacing = time.Second
)

// v1FollowReaders streams the list of readers, as GET gives it to this till: whole,
// at once, and again whenever something in it is another.
func v1FollowReaders(d *door, q *ask) (answer, error) {
	return d.stream(q, func(ctx context.Context, s *stream) error {
		ctx, cancel := context.WithCancel(ctx)
		var listening sync.WaitGroup
		defer listening.Wait()
		defer cancel()
		var last atomic.Uint64
		news := make(chan struct{}, 1)
		listening.Go(func() {
			defer cancel() // no more news: the stream ends, and the till comes again
			_ = d.backend.Events(ctx, q.till, 0, false, func(e Event) error {
				last.Store(e.Seq)
				select {
				case news <- struct{}{}:
				default:
				}
				return nil
			})
		})
		tick := time.NewTicker(listEvery)
		defer tick.Stop()
		var sent []byte
		for {
			seq := last.Load()
			v, err := d.backend.Readers(ctx, q.till)
			if err == nil {
				if list := encodeJSON(v); !bytes.Equal(list, sent) {
					if err := s.send(Event{Seq: seq, Type: "readers", Data: json.RawMessage(list)}); err != nil {
						return err
					}
					sent = list
				}
			}
			if pause(ctx, listSpacing); ctx.Err() != nil {
				return ctx.Err()
			}
			select {
			case <-news:
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// stream has run write server-sent events, with a heartbeat beside it.
func (d *door) stream(q *ask, run func(ctx context.Context, s *stream) error) (answer, error) {
	ctx, cancel := context.WithCancel(q.Context())
	var beating sync.WaitGroup
	defer beating.Wait() // nobody may write once this returned, however it returns
	defer cancel()

	s := &stream{w: q.w, rc: http.NewResponseController(q.w), to: q.till}
	h := q.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy that collects lines would hold them back
	if err := s.write(": store hub\nretry: 2000\n\n"); err != nil {
		return answer{sent: true}, nil
	}
	beating.Go(func() {
		defer cancel() // a till that cannot be written to is gone
		s.beat(ctx)
	})
	if err := run(ctx, s); err != nil && q.Context().Err() == nil {
		d.o.Log.Debug("event stream ended", "till", q.till.Name, "cause", err)
	}
	return answer{sent: true}, nil // the head is out: there is nothing to refuse with
}

// stream is a response that two goroutines write lines to.
type stream struct {
	mu sync.Mutex
	w  http.ResponseWriter
	rc *http.ResponseController
	to Till
}

func (s *stream) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeWithin)) // not every writer has one
	if _, err := s.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	err := s.rc.Flush()
	// Over HTTP/2 a deadline that passes while nothing is written ends the stream.
	_ = s.rc.SetWriteDeadline(time.Time{})
	return err
}

func (s *stream) send(e Event) error {
	data, err := json.Marshal(shown(s.to, e.Data)) // one line: it escapes every line break
	if err != nil {
		return fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Type, data))
}

// shown hides in an event what is hidden in an operation.
func shown(t Till, data any) any {
	switch v := data.(type) {
	case Operation:
		return operationForTill(t, v)
	case *Operation:
		if v != nil {
			return operationForTill(t, *v)
		}
	}
	return data
}

func (s *stream) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.write(": still here\n\n") != nil {
				return
			}
		}
	}
}
