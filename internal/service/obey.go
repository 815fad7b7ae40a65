package service

import (
	"context"
	"errors"
	"fmt"
)

// ask is what Windows' service manager asks of a running service.
type ask int

const (
	askStatus   ask = iota
	askStop         // a person, an installer, or a dependency
	askShutdown     // the machine goes down; there are seconds
	askResumed      // the machine has slept, and is awake
)

// phase is what the manager is told.
type phase int

const (
	phaseRunning phase = iota
	phaseStopping
)

// The service's own kinds of event; 20 and above are the program's. An id means
// the same for ever.
const (
	EventServing  = 1 // it serves; the text says where
	EventStopped  = 2 // it was asked to stop, and did
	EventShutdown = 3 // the machine goes down; all that was promised is on disk
	EventFailed   = 4 // it ended by itself, and is started again
	EventResumed  = 5 // the machine has slept
)

// obey is the life of a program under Windows' service manager, which waits thirty
// seconds at most for a service to run: so it runs before the program has begun.
//
// An error counts as a failure, after which the recovery actions start the service
// again. So nothing that goes wrong after a stop was asked for is one.
func obey(ctx context.Context, p Program, asked <-chan ask, tell func(phase), log eventSink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &overseer{resumed: make(chan struct{}, 1), log: log}
	done := make(chan error, 1)
	go func() {
		done <- runNotified(context.WithValue(ctx, managerKey{}, m), m.serving(p))
	}()
	now := phaseRunning
	tell(now)
	ended := Event{EventStopped, EventInfo, "stopped, as asked"}
	for {
		select {
		case err := <-done:
			if now == phaseRunning {
				if err == nil {
					err = errors.New("it ended without being asked to")
				}
				m.write(Event{EventFailed, EventError, err.Error()})
				return err
			}
			if err != nil {
				ended = Event{EventFailed, EventError, "while it stopped: " + err.Error()}
			}
			m.write(ended)
			return nil
		case a := <-asked:
			switch a {
			case askStatus:
				tell(now)
			case askShutdown, askStop:
				if a == askShutdown {
					ended = Event{EventShutdown, EventInfo, "stopped, because the machine goes down"}
				}
				now = phaseStopping
				tell(now)
				cancel()
			case askResumed:
				m.write(Event{EventResumed, EventInfo, "the machine has slept; what is known of the network is old"})
				select {
				case m.resumed <- struct{}{}:
				default: // it is told already
				}
			}
		}
	}
}

// overseer is what a program's context knows of the service manager.
type overseer struct {
	resumed chan struct{}
	log     eventSink
}

type managerKey struct{}

// Resumed tells a [Program], by its ctx, each time the machine has slept. Where
// nobody tells that it never does.
func Resumed(ctx context.Context) <-chan struct{} {
	if m, ok := ctx.Value(managerKey{}).(*overseer); ok {
		return m.resumed
	}
	return nil
}

// serving writes the program's first status as an event.
func (m *overseer) serving(p Program) Program {
	return func(ctx context.Context, ready func(string)) error {
		first := true
		return p(ctx, func(status string) {
			if first {
				m.write(Event{EventServing, EventInfo, status})
			}
			first = false
			ready(status)
		})
	}
}

// write writes one event. A log that is not to be had is no reason to stop.
func (m *overseer) write(e Event) {
	if m.log == nil {
		return
	}
	write := m.log.Info
	switch e.Level {
	case EventWarning:
		write = m.log.Warning
	case EventError:
		write = m.log.Error
	}
	_ = write(e.ID, fmt.Sprintf("%.30000s", e.Text)) // Windows takes 31,839 characters
}
