package doors

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
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
	err := d.backend.Events(ctx, q.till, after, resume, func(e Event) error {
		if e.Till != "" && e.Till != q.till.Name && q.till.Scope == ScopePOS {
			return nil // another till's payment
		}
		return s.send(e)
	})
	if err != nil && q.Context().Err() == nil {
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
