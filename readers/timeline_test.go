package readers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var midday = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func timeline(t *testing.T, dir string) *Timeline {
	t.Helper()
	tl, err := OpenTimeline(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tl.Close() })
	return tl
}

func stands(serial string, online, reachable Tri) Reader {
	r := Reader{Serial: serial, ID: "tmr_" + serial, Label: "Lane " + serial, DeviceType: "stripe_s700", Online: online, Reachable: reachable, Addr: addr("192.168.1.20")}
	r.judge()
	return r
}

func record(t *testing.T, tl *Timeline, at time.Time, list ...Reader) {
	t.Helper()
	if err := tl.Record(at, list); err != nil {
		t.Fatal(err)
	}
}

// retold is a timeline in short: hour, what, state.
func retold(t *testing.T, dir, name string, since time.Time) string {
	t.Helper()
	lines, unread, err := ReadTimeline(dir, name, since)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range lines {
		if l.What != LineAlive {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", l.At.Format("02.15:04"), l.What, l.Serial, l.State)))
		}
	}
	if unread > 0 {
		out = append(out, fmt.Sprintf("unread %d", unread))
	}
	return strings.Join(out, "\n")
}

func wantTold(t *testing.T, dir, name string, since time.Time, want ...string) {
	t.Helper()
	if got := retold(t, dir, name, since); got != strings.Join(want, "\n") {
		t.Errorf("since %s got\n%s\nwant\n%s", since.Format("02.15:04"), got, strings.Join(want, "\n"))
	}
}

func TestTimelineKeepsChangesAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	tl := timeline(t, dir)
	record(t, tl, midday, stands("1", Yes, Yes), stands("2", Yes, Yes))
	busy := stands("1", Yes, Yes)
	busy.BusySince = midday
	busy.judge()
	record(t, tl, midday.Add(time.Minute), busy, stands("2", Yes, Yes)) // a sale is nobody's business
	record(t, tl, midday.Add(2*time.Minute), stands("1", Yes, Yes), stands("2", No, No))
	if err := tl.Report(midday.Add(3*time.Minute), stands("1", Yes, Yes), Report{Till: "till-1", Code: "READER_BUSY"}); err != nil {
		t.Fatal(err)
	}
	record(t, tl, midday.Add(4*time.Minute), stands("1", Yes, Yes))
	wantTold(t, dir, "", time.Time{}, "23.12:00 start", "23.12:00 state 1 online", "23.12:00 state 2 online", "23.12:02 state 2 offline", "23.12:03 reported 1", "23.12:04 gone 2")
	wantTold(t, dir, "tmr_2", time.Time{}, "23.12:00 start", "23.12:00 state 2 online", "23.12:02 state 2 offline", "23.12:04 gone 2")
	wantTold(t, dir, "2", midday.Add(3*time.Minute), "23.12:00 start", "23.12:02 state 2 offline", "23.12:04 gone 2")
	wantTold(t, filepath.Join(dir, "none"), "2", time.Time{})
}

func TestTimelineTurnsWithTheDayAndForgetsAfterTwoWeeks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	tl := timeline(t, dir)
	for day := range 20 {
		record(t, tl, midday.AddDate(0, 0, day), stands("1", Yes, Yes))
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(files); n != timelineDays+2 || files[0].Name() != "2026-11-28.jsonl" || files[n-1].Name() != "notes.txt" {
		t.Errorf("%d files, from %s to %s", n, files[0].Name(), files[n-1].Name())
	}
	wantTold(t, dir, "1", midday.AddDate(0, 0, 18), "10.12:00 state 1 online", "11.12:00 state 1 online", "12.12:00 state 1 online")
}

// What power took away is skipped, and what comes after it is not glued to it.
func TestTimelineGoesOnAfterATornLine(t *testing.T) {
	dir := t.TempDir()
	tl := timeline(t, dir)
	record(t, tl, midday, stands("1", Yes, Yes))
	record(t, tl, midday.Add(time.Minute), stands("1", No, No))
	if err := tl.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "2026-11-23.jsonl")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again := timeline(t, dir)
		record(t, again, midday.Add(time.Hour), stands("1", Yes, Yes))
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if got := retold(t, dir, "1", midday.Add(time.Hour)); !strings.Contains(got, "23.13:00 start\n23.13:00 state 1 online") {
			t.Fatalf("torn at %d: %s", cut, got)
		}
	}
}

func TestTimelineOfAReaderThatFlapsIsBounded(t *testing.T) {
	dir := t.TempDir()
	tl := timeline(t, dir)
	for i := range 30000 {
		record(t, tl, midday.Add(time.Duration(i)*time.Second), stands("1", Of(i%2 == 0), Unknown))
	}
	info, err := os.Stat(filepath.Join(dir, "2026-11-23.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > timelineMost+512 {
		t.Errorf("a day has %d bytes", info.Size())
	}
	lines, _, err := tl.Lines("1", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	spans := Spans(lines, midday, midday.Add(10*time.Hour))
	if last := spans[len(spans)-1]; last.State != StateUnknown || last.Reason != TooMany {
		t.Errorf("the day ends with %+v", last)
	}
}

func TestSpansSayWhatIsNotKnown(t *testing.T) {
	dir := t.TempDir()
	tl := timeline(t, dir)
	at := func(minutes int) time.Time { return midday.Add(time.Duration(minutes) * time.Minute) }
	for m := 0; m <= 60; m++ {
		record(t, tl, at(m), stands("1", Of(m < 20 || m >= 30), Unknown), stands("2", Yes, Unknown))
	}
	if err := tl.Close(); err != nil { // as if power were cut: nothing says so
		t.Fatal(err)
	}
	tl = timeline(t, dir)
	record(t, tl, at(120), stands("1", Yes, Unknown))
	record(t, tl, at(130), stands("1", Yes, Unknown))
	lines, _, err := tl.Lines("1", at(10))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range Spans(lines, at(10), at(131)) {
		got = append(got, fmt.Sprintf("%s-%s %s %s", s.From.Format("15:04"), s.To.Format("15:04"), s.State, s.Why))
	}
	want := []string{"12:10-12:20 online ", "12:20-12:30 offline stripe_offline", "12:30-13:00 online ", "13:00-14:00 unknown ", "14:00-14:11 online "}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Asked long after the last line: the hub is off now.
	spans := Spans(lines, at(10), at(300))
	if last := spans[len(spans)-1]; last.Reason != NotLooking || !last.From.Equal(at(130)) || !last.To.Equal(at(300)) {
		t.Errorf("the end is %+v", last)
	}
}

// Whatever is in the file, spans come in order, touch each other and lie within
// what was asked for.
func TestSpansNeverOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []Line
		now := midday
		for range rapid.IntRange(0, 30).Draw(t, "lines") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
			lines = append(lines, Line{At: now, What: rapid.SampledFrom([]string{LineState, LineState, LineAlive, LineStart, LineFull, ChangeGone, ChangeReported, "newer"}).Draw(t, "what"),
				Serial: "1", State: rapid.SampledFrom([]string{StateOnline, StateOffline, StateUnknown}).Draw(t, "state")})
		}
		since := midday.Add(time.Duration(rapid.IntRange(-3600, 40000).Draw(t, "since")) * time.Second)
		until := since.Add(time.Duration(rapid.IntRange(0, 80000).Draw(t, "until")) * time.Second)
		var before time.Time
		for i, s := range Spans(lines, since, until) {
			if !s.To.After(s.From) || s.From.Before(since) || s.To.After(until) || i > 0 && s.From.Before(before) || s.State == "" {
				t.Fatalf("span %d: %+v after %s, asked %s to %s", i, s, before, since, until)
			}
			before = s.To
		}
	})
}

func FuzzTimeline(f *testing.F) {
	line, err := json.Marshal(Line{At: midday, What: LineState, Serial: "1", State: StateOnline, Addr: addr("192.168.1.20")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(line, '\n'))
	f.Add([]byte("{}\nnull\n\x00\n"))
	f.Add(bytes.Repeat([]byte("a"), 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, unread := parseLines(b)
		if unread < 0 || len(lines) > bytes.Count(b, []byte("\n"))+1 {
			t.Fatalf("%d lines, %d unread of %q", len(lines), unread, b)
		}
	})
}

func TestASpanSaysHowMuchOfItLiesWithinATime(t *testing.T) {
	at := func(minutes int) time.Time {
		return time.Date(2026, 11, 23, 9, minutes, 0, 0, time.UTC)
	}
	span := Span{From: at(10), To: at(20)}
	for _, c := range []struct{ from, until, want int }{
		{0, 30, 10}, {12, 15, 3}, {0, 15, 5}, {15, 30, 5}, {0, 10, 0}, {20, 30, 0}, {0, 5, 0}, {25, 30, 0}, {15, 12, 0},
	} {
		if got := span.Within(at(c.from), at(c.until)); got != time.Duration(c.want)*time.Minute {
			t.Errorf("between :%02d and :%02d lie %s of %d minutes, want %d minutes", c.from, c.until, got, 10, c.want)
		}
	}
}
