package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// recorder is an event log that keeps what it is told.
type recorder struct{ lines []string }

func (r *recorder) add(level string, id uint32, text string) error {
	r.lines = append(r.lines, fmt.Sprintf("%s %d %s", level, id, text))
	return errors.New("the log is full")
}

// Info implements eventSink.
func (r *recorder) Info(id uint32, text string) error { return r.add("info", id, text) }

// Warning implements eventSink.
func (r *recorder) Warning(id uint32, text string) error { return r.add("warning", id, text) }

// Error implements eventSink.
func (r *recorder) Error(id uint32, text string) error { return r.add("error", id, text) }

// told is what the manager is told, in words.
func told(phases []phase) string {
	return strings.NewReplacer("0", "running", "1", "stopping").Replace(strings.Trim(fmt.Sprint(phases), "[]"))
}

// under runs a program under a manager that asks what it is given, one after the
// other, each when the program has nothing left to do.
func under(t *testing.T, p Program, asks ...ask) (phases []phase, events []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		asked, done := make(chan ask), make(chan error, 1)
		log := &recorder{}
		go func() { done <- obey(t.Context(), p, asked, func(now phase) { phases = append(phases, now) }, log) }()
		for _, a := range asks {
			synctest.Wait()
			asked <- a
		}
		err = <-done
		events = log.lines
	})
	return phases, events, err
}

func TestManagerHearsRunningBeforeTheProgramHasBegun(t *testing.T) {
	slow := func(ctx context.Context, ready func(string)) error {
		<-ctx.Done() // a store that is read again for an hour
		return nil
	}
	phases, events, err := under(t, slow, askStatus, askStop)
	if err != nil || told(phases) != "running running stopping" {
		t.Errorf("told %q, %v", told(phases), err)
	}
	if want := []string{"info 2 stopped, as asked"}; !slices.Equal(events, want) {
		t.Errorf("wrote %q, want %q", events, want)
	}
}

func TestShutdownWaitsForTheFlush(t *testing.T) {
	flushed := false
	p := func(ctx context.Context, ready func(string)) error {
		ready("serving store 0412")
		ready("2 readers")
		<-ctx.Done()
		flushed = true
		return nil
	}
	phases, events, err := under(t, p, askShutdown)
	if err != nil || !flushed || told(phases) != "running stopping" {
		t.Errorf("flushed %v, told %q, %v", flushed, told(phases), err)
	}
	if want := []string{"info 1 serving store 0412", "info 3 stopped, because the machine goes down"}; !slices.Equal(events, want) {
		t.Errorf("wrote %q, want %q", events, want)
	}
}

func TestEndThatNobodyAskedForIsAFailure(t *testing.T) {
	for _, p := range []Program{
		func(context.Context, func(string)) error { return errors.New("listen: in use") },
		func(context.Context, func(string)) error { return nil },
	} {
		phases, events, err := under(t, p)
		if err == nil || told(phases) != "running" || len(events) != 1 || !strings.HasPrefix(events[0], "error 4 ") {
			t.Errorf("told %q, %v, wrote %q", told(phases), err, events)
		}
	}
}

// TestStopThatGoesWrongIsNoFailure: the recovery actions would start the service again.
func TestStopThatGoesWrongIsNoFailure(t *testing.T) {
	_, events, err := under(t, func(ctx context.Context, _ func(string)) error {
		<-ctx.Done()
		return errors.New("close queue: the disk has gone")
	}, askStop)
	if want := []string{"error 4 while it stopped: close queue: the disk has gone"}; err != nil || !slices.Equal(events, want) {
		t.Errorf("%v, wrote %q", err, events)
	}
}

func TestProgramHearsThatTheMachineHasSlept(t *testing.T) {
	looks := 0
	_, events, err := under(t, func(ctx context.Context, _ func(string)) error {
		for {
			select {
			case <-Resumed(ctx):
				looks++
			case <-ctx.Done():
				return nil
			}
		}
	}, askResumed, askResumed, askStop)
	if err != nil || looks != 2 || len(events) != 3 || !strings.HasPrefix(events[0], "info 5 ") {
		t.Errorf("%d looks, %v, wrote %q", looks, err, events)
	}
	if Resumed(t.Context()) != nil {
		t.Error("a terminal tells of sleep")
	}
}

func TestRecordsAreEventsUnderTheManagerAlone(t *testing.T) {
	kinds := func(r slog.Record) (events []Event) {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		return []Event{{ID: 30, Level: EventWarning, Text: text}, {ID: 31, Level: EventError, Text: strings.Repeat("x", 40_000)}}
	}
	var plain strings.Builder
	next := slog.NewTextHandler(&plain, nil)
	if WithEvents(t.Context(), next, kinds) != slog.Handler(next) {
		t.Error("a terminal has an event log")
	}
	_, events, err := under(t, func(ctx context.Context, _ func(string)) error {
		log := slog.New(WithEvents(ctx, next, kinds)).With("till", "3").WithGroup("g")
		log.Debug("not written")
		log.Warn("operation parked", "id", "op_1")
		<-ctx.Done()
		return nil
	}, askStop)
	if err != nil || len(events) != 3 {
		t.Fatalf("%v, wrote %.200q", err, events)
	}
	if got := events[0]; !strings.HasPrefix(got, "warning 30 operation parked ") || !strings.Contains(got, "till=3") || !strings.Contains(got, "id=op_1") {
		t.Errorf("wrote %q", got)
	}
	if len(events[1]) > 31_000 || !strings.HasPrefix(events[1], "error 31 x") {
		t.Errorf("Windows refuses a text of %d", len(events[1]))
	}
	if !strings.Contains(plain.String(), "operation parked") {
		t.Errorf("the log is %q", plain.String())
	}
}
