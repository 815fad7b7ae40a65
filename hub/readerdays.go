package hub

import (
	"context"
	"path/filepath"
	"time"

	"storehub/doors"
	"storehub/readers"
)

// ReaderTimeline is how one reader stood: spans without a gap, and the lines that
// they were made of.
type ReaderTimeline struct {
	Reader string         `json:"reader"` // as it was asked for
	Spans  []readers.Span `json:"spans"`
	Lines  []readers.Line `json:"lines"`
	Unread int            `json:"unread"` // lines that cannot be made out any more
}

func timelineDir(stateDir string) string { return filepath.Join(stateDir, "readers") }

// days keeps the readers' timeline of a hub that runs. What cannot be written is
// told once: it is no reason to stop.
type days struct {
	hub      *Hub
	timeline *readers.Timeline // nil: it could not be opened
	ill      bool              // the last write failed; of fleet.run alone
}

func newDays(h *Hub) *days {
	t, err := readers.OpenTimeline(timelineDir(h.cfg.StateDir))
	if err != nil {
		h.log.Warn("readers' days are not kept", "err", err)
	}
	return &days{hub: h, timeline: t}
}

// record writes down what has changed since the last time.
func (d *days) record(at time.Time, list []readers.Reader) {
	if d.timeline == nil {
		return
	}
	err := d.timeline.Record(at, list)
	if err != nil && !d.ill {
		d.hub.log.Warn("readers' days are not kept", "err", err)
	}
	d.ill = err != nil
}

func (d *days) close() {
	if d.timeline != nil {
		if err := d.timeline.Close(); err != nil {
			d.hub.log.Warn("close readers' timeline", "err", err)
		}
	}
}

// reader is the reader of that id or serial number.
func (f *fleet) reader(name string) (readers.Reader, bool) {
	for _, r := range f.registry.Snapshot() {
		if r.ID == name || r.Serial == name {
			return r, true
		}
	}
	return readers.Reader{}, false
}

// ReportReader implements [doors.Backend]. Of a reader that is not this store's
// nothing is taken: a till must not fill the list.
func (h *Hub) ReportReader(_ context.Context, t doors.Till, name string, told doors.ReaderReport) (any, error) {
	r, known := h.fleet.reader(name)
	h.fleet.strange.saw(t.Name, name, known, told.Connected != nil && *told.Connected, h.now())
	if !known {
		return nil, doors.ErrNotFound.With("no reader %s here", name)
	}
	report := readers.Report{Till: t.Name, Connected: tried(told.Connected), Code: told.Code, Battery: told.Battery,
		Charging: tried(told.Charging), Update: told.Update, Software: told.Software, SDK: told.SDK}
	if told.Connected != nil && h.habits.connected(t.Name, r.ID, *told.Connected, h.now()) {
		h.monitor.judge()
	}
	now := time.Now()
	h.fleet.registry.Observe(readers.Observation{Source: readers.FromTill, ID: r.ID, Serial: r.Serial, Report: &report, At: now})
	if d := h.fleet.days; d.timeline != nil {
		if err := d.timeline.Report(now, r, report); err != nil {
			h.log.Warn("keep a till's report", "err", err)
		}
	}
	r, _ = h.fleet.reader(name)
	return h.tillReader(h.fleet.lan.nets(), h.offlineFacts(), t, r), nil
}

func tried(b *bool) readers.Tri {
	if b == nil {
		return readers.Unknown
	}
	return readers.Of(*b)
}

// ReaderTimeline implements [doors.Backend]. A reader that is gone has a past all
// the same.
func (h *Hub) ReaderTimeline(_ context.Context, _ doors.Till, name string, since time.Time) (any, error) {
	return ReadReaderTimeline(h.cfg.StateDir, name, since, time.Now())
}

// ReadReaderTimeline reads it from the disk of a hub that may run or not.
func ReadReaderTimeline(stateDir, name string, since, until time.Time) (ReaderTimeline, error) {
	lines, unread, err := readers.ReadTimeline(timelineDir(stateDir), name, since)
	if err != nil {
		return ReaderTimeline{}, doors.ErrInternal.With("%v", err)
	}
	out := ReaderTimeline{Reader: name, Lines: []readers.Line{}, Unread: unread, Spans: nonNil(readers.Spans(lines, since, until))}
	for _, l := range lines {
		if l.Serial != "" || l.ID != "" {
			out.Lines = append(out.Lines, l)
		}
	}
	if len(out.Lines) == 0 {
		return ReaderTimeline{}, doors.ErrNotFound.With("nothing is kept of a reader %s", name)
	}
	return out, nil
}
