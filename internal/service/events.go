package service

import (
	"context"
	"log/slog"
)

// EventLevel is how bad an event is.
type EventLevel int

// The levels of Windows' event log.
const (
	EventInfo EventLevel = iota
	EventWarning
	EventError
)

// Event is one entry of the system's event log. Its ID says which kind it is, and is
// 1 to 1000: the message file that every Windows has holds those.
type Event struct {
	ID    uint32
	Level EventLevel
	Text  string
}

// eventSink is the system's event log.
type eventSink interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
}

// WithEvents is next, and under Windows' service manager the event log as well:
// events says what a record is there. ctx is that of a [Program].
func WithEvents(ctx context.Context, next slog.Handler, events func(slog.Record) []Event) slog.Handler {
	m, ok := ctx.Value(managerKey{}).(*overseer)
	if !ok {
		return next
	}
	return slog.NewMultiHandler(next, &eventHandler{manager: m, events: events})
}

// eventHandler writes records as events.
type eventHandler struct {
	manager *overseer
	events  func(slog.Record) []Event
	attrs   []slog.Attr
}

// Enabled implements [slog.Handler].
func (*eventHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements [slog.Handler].
func (h *eventHandler) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(h.attrs...)
	for _, e := range h.events(r) {
		h.manager.write(e)
	}
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &n
}

// WithGroup implements [slog.Handler]: an event is a line of text, where a group is
// no help.
func (h *eventHandler) WithGroup(string) slog.Handler { return h }
