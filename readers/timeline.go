package readers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// timelineDays is how long readers' days are kept.
	timelineDays = 14
	// timelineMost bounds a day's file: some twenty thousand changes. A reader that
	// flaps all day must not fill the disk; what is beyond is left out, with a word.
	timelineMost = 4 << 20
	// timelineAlive is how often a line says that somebody looked at all. Without
	// one a silence could be a quiet night or a hub that was off.
	timelineAlive = 10 * time.Minute
	timelineForm  = "2006-01-02.jsonl"
)

// What a line of the timeline can be, beside the Change constants gone and reported.
const (
	LineState = "state" // how the reader stands from now on
	LineAlive = "alive" // of no reader: the hub was looking
	LineStart = "start" // of no reader: the hub has started, nothing is known of the time before
	LineFull  = "full"  // of no reader: the rest of the day is left out
)

// Line is one line of the timeline. What it says holds until the reader's next.
type Line struct {
	At       time.Time  `json:"at"`
	What     string     `json:"what"`
	Serial   string     `json:"serial,omitempty"`
	ID       string     `json:"id,omitempty"`
	Label    string     `json:"label,omitempty"`
	State    State      `json:"state,omitempty"`
	Why      Why        `json:"why,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Addr     netip.Addr `json:"address,omitzero"`
	MAC      string     `json:"mac,omitempty"`
	Software string     `json:"software,omitempty"`
	Report   *Report    `json:"report,omitempty"`
}

// about reports whether the line is of the reader with that serial number or id.
func (l Line) about(name string) bool { return name != "" && (l.Serial == name || l.ID == name) }

// Timeline keeps what readers were on disk: a file a day of JSON lines, for two
// weeks. It is made of facts, not of promises: a line that power took away is
// gone, and a file is read around what it cannot make out. All methods may be
// called by several goroutines.
type Timeline struct {
	dir string

	mu     sync.Mutex
	closed bool
	file   *os.File        // of the day; nil before the first line
	day    string          // its name
	size   int64           // its length
	full   bool            // it has had its last line
	last   map[string]Line // each reader's newest line
	alive  time.Time       // when it was last said that somebody looks
}

// OpenTimeline begins a new part of the timeline in dir, which is made if it is
// not there. It writes nothing until the first Record.
func OpenTimeline(dir string) (*Timeline, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open readers' timeline: %w", err)
	}
	return &Timeline{dir: dir, last: map[string]Line{}}, nil
}

// Close ends it. What was recorded stays.
func (t *Timeline) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}

// Record writes down whose state, cause, address or software is another than at
// the last Record, and who is gone. A new day begins with every reader's line.
func (t *Timeline) Record(at time.Time, list []Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh, err := t.turn(at)
	if err != nil {
		return err
	}
	var out []Line
	here := map[string]bool{}
	for _, r := range list {
		key := r.Serial + "/" + r.ID
		here[key] = true
		l := lineOf(at, r)
		if old, known := t.last[key]; fresh || !known || old.differs(l) {
			out = append(out, l)
		}
		t.last[key] = l
	}
	for key, l := range t.last {
		if !here[key] {
			delete(t.last, key)
			out = append(out, Line{At: at, What: ChangeGone, Serial: l.Serial, ID: l.ID, Label: l.Label})
		}
	}
	slices.SortFunc(out, func(a, b Line) int { return strings.Compare(a.Serial+a.ID, b.Serial+b.ID) })
	if at.Sub(t.alive) >= timelineAlive {
		t.alive = at
		out = append(out, Line{At: at, What: LineAlive})
	}
	return t.write(out...)
}

// Report writes down a till's report of a reader.
func (t *Timeline) Report(at time.Time, r Reader, report Report) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.turn(at); err != nil {
		return err
	}
	return t.write(Line{At: at, What: ChangeReported, Serial: r.Serial, ID: r.ID, Label: r.Label, Report: &report})
}

// lineOf is how a reader stands. That it waits for a customer is none of the
// timeline's business: it would tell of every sale.
func lineOf(at time.Time, r Reader) Line {
	r.BusySince = time.Time{}
	r.judge()
	return Line{At: at, What: LineState, Serial: r.Serial, ID: r.ID, Label: r.Label, State: r.State, Why: r.Why, Reason: r.Reason,
		Addr: r.Addr, MAC: r.MAC, Software: r.Software}
}

// differs compares what a person would ask about; the words may differ in a number.
func (l Line) differs(n Line) bool {
	return l.State != n.State || l.Why != n.Why || l.Addr != n.Addr || l.Software != n.Software || l.Label != n.Label
}

// turn opens the day's file and deletes old ones; fresh says that it is new for
// this process.
func (t *Timeline) turn(at time.Time) (fresh bool, err error) {
	if t.closed {
		return false, errors.New("write readers' timeline: it is closed")
	}
	day := at.UTC().Format(timelineForm)
	if t.file != nil && t.day == day {
		return false, nil
	}
	first := t.day == ""
	if t.file != nil {
		_ = t.file.Close() // nothing is buffered
		t.file = nil
	}
	name := filepath.Join(t.dir, day)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("open readers' timeline: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return false, fmt.Errorf("open readers' timeline: %w", err)
	}
	t.file, t.day, t.size, t.full = f, day, info.Size(), false
	if t.size > 0 {
		end := make([]byte, 1)
		if _, err := f.ReadAt(end, t.size-1); err != nil || end[0] != '\n' {
			if err := t.put([]byte("\n")); err != nil { // the line that power took away ends here
				return false, err
			}
		}
	}
	t.prune(at)
	if first {
		return true, t.write(Line{At: at, What: LineStart})
	}
	return true, nil
}

// prune deletes the days that are over.
func (t *Timeline) prune(at time.Time) {
	oldest := at.UTC().AddDate(0, 0, -timelineDays).Format(timelineForm)
	for _, name := range t.days() {
		if name < oldest {
			_ = os.Remove(filepath.Join(t.dir, name)) // the next day tries again
		}
	}
}

func (t *Timeline) days() (names []string) {
	list, err := os.ReadDir(t.dir)
	if err != nil {
		return nil
	}
	for _, e := range list {
		if _, err := time.Parse(timelineForm, e.Name()); err == nil {
			names = append(names, e.Name())
		}
	}
	return names // by name, which is by day
}

func (t *Timeline) write(lines ...Line) error {
	for _, l := range lines {
		if t.full {
			return nil
		}
		b, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("write readers' timeline: %w", err)
		}
		if t.size+int64(len(b)) > timelineMost {
			t.full = true
			b, _ = json.Marshal(Line{At: l.At, What: LineFull}) // two plain fields
		}
		if err := t.put(append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (t *Timeline) put(b []byte) error {
	n, err := t.file.Write(b)
	t.size += int64(n)
	if err != nil {
		return fmt.Errorf("write readers' timeline: %w", err)
	}
	return nil
}

// Lines are the lines of one reader, by serial number or id (of all readers if
// that is empty), and those of no reader, from the last before since on, oldest
// first. unread is how many lines could not be made out.
func (t *Timeline) Lines(name string, since time.Time) (lines []Line, unread int, err error) {
	return ReadTimeline(t.dir, name, since)
}

// ReadTimeline reads the timeline of a hub that may run or not. None is no error.
func ReadTimeline(dir, name string, since time.Time) (lines []Line, unread int, err error) {
	t := Timeline{dir: dir}
	// A day begins with everybody's line, so that the day before is early enough.
	first := since.UTC().AddDate(0, 0, -1).Format(timelineForm)
	for _, day := range t.days() {
		if !since.IsZero() && day < first {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, day))
		if errors.Is(err, fs.ErrNotExist) {
			continue // its day has ended meanwhile
		}
		if err != nil {
			return nil, unread, fmt.Errorf("read readers' timeline: %w", err)
		}
		found, bad := parseLines(b)
		unread += bad
		for _, l := range found {
			if l.Serial == "" && l.ID == "" || name == "" || l.about(name) {
				lines = append(lines, l)
			}
		}
	}
	return from(lines, since), unread, nil
}

// parseLines reads around what is no line.
func parseLines(b []byte) (lines []Line, unread int) {
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, timelineMost)
	for sc.Scan() {
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) == 0 {
			continue
		}
		var l Line
		if json.Unmarshal(text, &l) != nil || l.At.IsZero() || l.What == "" {
			unread++
			continue
		}
		l.At = l.At.UTC()
		lines = append(lines, l)
	}
	if sc.Err() != nil {
		unread++
	}
	return lines, unread
}

// from leaves out what was over before since: of each reader the last line before
// it stays, with its own time, since it says how things stood.
func from(lines []Line, since time.Time) []Line {
	cut, _ := slices.BinarySearchFunc(lines, since, func(l Line, t time.Time) int { return l.At.Compare(t) })
	var before []Line
	seen := map[string]bool{}
	for _, l := range slices.Backward(lines[:cut]) {
		key := l.Serial + "/" + l.ID
		if (l.What == LineState || l.What == ChangeGone || l.What == LineStart) && !seen[key] {
			seen[key] = true
			before = append(before, l)
		}
	}
	slices.Reverse(before)
	return append(before, lines[cut:]...)
}

// Span is a time in which a reader stood one way.
type Span struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	State  State     `json:"state"` // unknown while the hub did not run
	Why    Why       `json:"why,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Within is how much of the span lies between from and until, never below 0.
func (s Span) Within(from, until time.Time) time.Duration {
	if s.To.Before(until) {
		until = s.To
	}
	return max(0, until.Sub(latest(s.From, from)))
}

// The reasons of a span of which nothing is known.
const (
	NotLooking = "the hub did not run"
	TooMany    = "more changes than are kept for a day"
)

// Spans are how one reader stood between since and until, without a gap from the
// first that is known of it. lines are that reader's, as Lines gives them.
func Spans(lines []Line, since, until time.Time) (spans []Span) {
	var now *Span       // the open span
	var heard time.Time // the last line of any kind
	end := func(at time.Time) {
		if now == nil {
			return
		}
		now.From, now.To = latest(now.From, since), at
		if now.To.After(now.From) {
			if n := len(spans); n > 0 && spans[n-1].State == now.State && spans[n-1].Why == now.Why && spans[n-1].To.Equal(now.From) {
				spans[n-1].To = now.To
			} else {
				spans = append(spans, *now)
			}
		}
		now = nil
	}
	for _, l := range lines {
		if l.At.After(until) {
			break
		}
		switch l.What {
		case LineStart:
			if now != nil {
				end(heard)
				now = &Span{From: heard, State: StateUnknown, Reason: NotLooking}
			}
		case LineFull:
			if now != nil {
				end(l.At)
				now = &Span{From: l.At, State: StateUnknown, Reason: TooMany}
			}
		case ChangeGone:
			end(l.At)
		case LineState:
			end(l.At)
			now = &Span{From: l.At, State: l.State, Why: l.Why, Reason: l.Reason}
		}
		heard = l.At
	}
	if now != nil && until.Sub(heard) > 2*timelineAlive && now.Reason != NotLooking && now.Reason != TooMany {
		end(heard)
		now = &Span{From: heard, State: StateUnknown, Reason: NotLooking}
	}
	end(until)
	return spans
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
