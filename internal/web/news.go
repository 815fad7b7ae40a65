package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// beatEvery: a page that hears nothing for three of these says that it is old.
	beatEvery = 5 * time.Second
	// tellEvery: whatever happens in between is told once.
	tellEvery = time.Second
	// writeWithin: a browser that takes no byte for so long is gone.
	writeWithin = 10 * time.Second
)

// News tells open pages that something has changed; each then asks for itself again. A
// page that was away asks anyway, so that nothing need be kept for it.
type News struct {
	mu   sync.Mutex
	told uint64
	wake chan struct{}
}

// NewNews has nothing to tell.
func NewNews() *News { return &News{wake: make(chan struct{})} }

// Tell is called whenever something changed that a page may show. It never waits.
func (n *News) Tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told++
	close(n.wake)
	n.wake = make(chan struct{})
}

func (n *News) next() (uint64, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.told, n.wake
}

// Stream is the address of the stream, for a page that is gathered after this call: what
// changes from now on is told, also before the page listens.
func (n *News) Stream(path string) string {
	told, _ := n.next()
	return path + "?after=" + strconv.FormatUint(told, 10)
}

// Serve is the stream of one page, as server-sent events: "beat" every five seconds and at
// once, "change" when there is news, once a second at most. It ends with ctx, with the
// request, and when still says that whoever listens may not any more.
func (n *News) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, still func() bool) {
	Secure(w.Header())
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	say := func(event string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeWithin)) // not every writer has one
		_, err := fmt.Fprintf(w, "event: %s\ndata: \n\n", event)
		err = errors.Join(err, out.Flush())
		// Over HTTP/2 a deadline that passes while nothing is written ends the stream.
		_ = out.SetWriteDeadline(time.Time{})
		return err == nil
	}
	if _, err := fmt.Fprint(w, "retry: 1000\n"); err != nil || !say("beat") {
		return
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	told, wake := n.next()
	if after := r.URL.Query().Get("after"); after != strconv.FormatUint(told, 10) && !say("change") {
		return
	}
	var rest <-chan time.Time
	for {
		hear := wake
		if rest != nil {
			hear = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-r.Context().Done():
			return
		case <-hear:
			_, wake = n.next()
			rest = time.After(tellEvery)
			if !say("change") {
				return
			}
		case <-rest:
			rest = nil
		case <-beat.C:
			if !still() || !say("beat") {
				return
			}
		}
	}
}
