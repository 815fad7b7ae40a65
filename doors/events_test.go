package doors

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEventsAreWrittenAsServerSentEvents(t *testing.T) {
	s := newShop()
	s.events = func(_ context.Context, after uint64, resume bool, send func(Event) error) error {
		if after != 6 || !resume {
			t.Errorf("after %d, resume %v", after, resume)
		}
		return errors.Join(
			send(Event{Seq: 7, Type: "operation.changed", Till: "till-1", Data: Operation{ID: "op_1", State: Failed, Reason: "lost_card", Message: "lost"}}),
			send(Event{Seq: 8, Type: "operation.changed", Till: "till-2", Data: Operation{ID: "op_of_another_till"}}),
			send(Event{Seq: 9, Type: "diagnosis.changed", Data: map[string]string{"verdict": "ready <now>"}}),
			send(Event{Seq: 10, Type: "operation.reversed", Till: "till-1", Data: &Operation{ID: "op_1", State: Succeeded}}))
	}
	h := Handler(s, Options{})
	w := call(h, get, "/v1/events", "", asPOS, "Last-Event-ID: 6")
	golden(t, "events.golden", w.Header().Get("Content-Type")+"\n"+w.Body.String())
	if !w.Flushed {
		t.Error("not flushed")
	}
	if w := call(h, get, "/v1/events", "", asManager, "Last-Event-ID: 6"); !strings.Contains(w.Body.String(), "op_of_another_till") {
		t.Error("a manager sees every till")
	}
}

func TestEventThatCannotBeEncodedEndsTheStreamAndBreaksNothing(t *testing.T) {
	s := newShop()
	s.events = func(_ context.Context, _ uint64, _ bool, send func(Event) error) error {
		return send(Event{Seq: 1, Type: "diagnosis.changed", Data: make(chan int)})
	}
	if w := call(Handler(s, Options{}), get, "/v1/events", "", asPOS); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "id:") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	s.events = func(context.Context, uint64, bool, func(Event) error) error { panic("index out of range") }
	// The heartbeat ends too, or the leak is found.
	if w := call(Handler(s, Options{}), get, "/v1/events", "", asPOS); strings.Contains(w.Body.String(), "error") {
		t.Errorf("a refusal in the stream: %s", w.Body)
	}
}

func TestEventsStartFromNowWithoutANumber(t *testing.T) {
	s := newShop()
	s.events = func(_ context.Context, after uint64, resume bool, _ func(Event) error) error {
		if after != 0 || resume {
			t.Errorf("after %d, resume %v", after, resume)
		}
		return nil
	}
	call(Handler(s, Options{}), get, "/v1/events", "", asPOS)
}

func TestEventStreamBeatsAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, get, "/pos/"+posCredential+"/v1/events", nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			Handler(newShop(), Options{}).ServeHTTP(w, r)
		}()
		time.Sleep(3*heartbeatEvery + time.Second) // the bubble's clock, not the wall's
		synctest.Wait()
		if n := strings.Count(w.Body.String(), ": still here\n\n"); n != 3 {
			t.Errorf("%d heartbeats", n)
		}
		cancel()
		<-done
	})
}

func TestEventStreamEndsWhenTheTillIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &broken{ResponseRecorder: httptest.NewRecorder(), writes: 1}
		r := httptest.NewRequestWithContext(t.Context(), get, "/pos/"+posCredential+"/v1/events", nil)
		started := time.Now()
		Handler(newShop(), Options{}).ServeHTTP(w, r) // returns: the heartbeat cannot be written
		if took := time.Since(started); took != heartbeatEvery {
			t.Errorf("ended after %v", took)
		}
		w = &broken{ResponseRecorder: httptest.NewRecorder()}
		Handler(newShop(), Options{}).ServeHTTP(w, r) // not even the head
	})
}

// broken is a connection that takes so many writes and then no more.
type broken struct {
	*httptest.ResponseRecorder
	writes int
}

func (b *broken) Write(p []byte) (int, error) {
	if b.writes == 0 {
		return 0, errors.New("connection reset by peer")
	}
	b.writes--
	return b.ResponseRecorder.Write(p)
}

func TestEventsReachARealClientOneByOne(t *testing.T) {
	next := make(chan Event)
	s := newShop()
	s.events = func(ctx context.Context, _ uint64, _ bool, send func(Event) error) error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case e := <-next:
				if err := send(e); err != nil {
					return err
				}
			}
		}
	}
	srv := httptest.NewServer(Handler(s, Options{}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, get, srv.URL+"/pos/"+posCredential+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for _, id := range []string{"id: 1", "id: 2"} {
		next <- Event{Seq: uint64(id[4] - '0'), Type: "reader.changed", Data: 1}
		for lines.Scan() && lines.Text() != id {
		}
		if lines.Text() != id {
			t.Fatalf("stream ended before %s: %v", id, lines.Err())
		}
	}
}

// deadlined remembers the write deadline it was given last.
type deadlined struct {
	*httptest.ResponseRecorder
	set  int
	last time.Time
}

func (d *deadlined) SetWriteDeadline(t time.Time) error {
	d.set++
	d.last = t
	return nil
}

func TestNoWriteDeadlineOutlivesALine(t *testing.T) {
	w := &deadlined{ResponseRecorder: httptest.NewRecorder()}
	s := &stream{w: w, rc: http.NewResponseController(w)}
	if err := s.send(Event{Seq: 1, Type: "reader.changed"}); err != nil {
		t.Fatal(err)
	}
	// Over HTTP/2 one that passes while nothing is written ends the stream.
	if w.set != 2 || !w.last.IsZero() {
		t.Errorf("%d deadlines set, the last %v; want one for the line and then none", w.set, w.last)
	}
}

// TestAListOfReadersCanBeFollowed: whole and at once, again after news if it is
// another one, and sooner or later without.
func TestAListOfReadersCanBeFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newShop()
		asked, news := 0, make(chan Event)
		s.readers = func() any {
			asked++
			return map[string]any{"readers": []int{asked / 2}} // every second look finds something new
		}
		s.events = func(ctx context.Context, after uint64, resume bool, send func(Event) error) error {
			if resume {
				t.Errorf("resumes after %d", after)
			}
			for {
				select {
				case e := <-news:
					if err := send(e); err != nil {
						return err
					}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, get, "/pos/"+posCredential+"/v1/readers", nil)
		r.Header.Set("Accept", "text/event-stream")
		done := make(chan struct{})
		go func() {
			Handler(s, Options{}).ServeHTTP(w, r)
			close(done)
		}()
		time.Sleep(listSpacing) // of a synctest bubble's clock
		news <- Event{Seq: 41, Type: "reader.changed"}
		synctest.Wait()
		time.Sleep(listSpacing)
		news <- Event{Seq: 42, Type: "reader.changed"} // a look that finds nothing new
		synctest.Wait()
		time.Sleep(2 * listEvery) // without news
		cancel()
		<-done
		if got, want := w.Header().Get("Content-Type"), "text/event-stream"; got != want {
			t.Errorf("type %q, want %q", got, want)
		}
		want := "id: 0\nevent: readers\ndata: {\"readers\":[0]}\n\nid: 41\nevent: readers\ndata: {\"readers\":[1]}\n\nid: 42\nevent: readers\ndata: {\"readers\":[2]}\n\n"
		var got strings.Builder
		for part := range strings.SplitSeq(w.Body.String(), "\n\n") {
			if strings.HasPrefix(part, "id: ") {
				got.WriteString(part + "\n\n")
			}
		}
		if got.String() != want {
			t.Errorf("got\n%s\nwant\n%s", got.String(), want)
		}
	})
}

// TestAFollowedListEndsWithTheNews: a hub that stops lets go of its tills.
func TestAFollowedListEndsWithTheNews(t *testing.T) {
	s := newShop()
	s.events = func(context.Context, uint64, bool, func(Event) error) error { return nil }
	w := call(Handler(s, Options{}), get, "/v1/readers", "", asPOS, "Accept: text/event-stream")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "event: readers\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
