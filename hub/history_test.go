package hub

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storehub/diagnostics"
	"storehub/netcheck"
)

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// saw is a moment's facts: everything the doctor asks, with the codes proved.
func saw(at time.Time, codes ...string) diagnostics.Input {
	net := &netcheck.Report{Started: at, Took: time.Duration(900+rand.IntN(400)) * time.Millisecond}
	for i := range 36 {
		net.Results = append(net.Results, netcheck.Result{Name: fmt.Sprintf("https/host-%d.example", i), Status: netcheck.Pass, TookMS: rand.Int64N(200),
			Detail:   fmt.Sprintf("host-%d.example answers 200 at 198.51.100.%d", i, i),
			Evidence: map[string]any{"host": fmt.Sprintf("host-%d.example", i), "address": fmt.Sprintf("198.51.100.%d", i), "connect_ms": rand.Float64() * 90, "stage": "done"}})
	}
	for _, c := range codes {
		net.Results = append(net.Results, netcheck.Result{Name: "probe/" + c, Status: netcheck.Fail, Code: c, Detail: c + " is so"})
	}
	return diagnostics.Input{At: at, Store: "0412", Version: "1.4.0", Net: net, Hub: &diagnostics.Hub{DiskFreeBytes: -1}}
}

// keep records n moments, every five minutes from `from`, and returns the time after.
func keep(t *testing.T, h *history, from time.Time, n int, codes ...string) time.Time {
	t.Helper()
	for range n {
		in := saw(from, codes...)
		if err := h.add(from, diagnostics.Diagnose(in), in); err != nil {
			t.Fatal(err)
		}
		from = from.Add(historyEvery)
	}
	return from
}

// told is what the history says of all of it.
func told(t *testing.T, dir string, from, to time.Time) diagnostics.History {
	t.Helper()
	past, err := Past(dir, from, to, to)
	if err != nil {
		t.Fatal(err)
	}
	return past
}

func pastCodes(h diagnostics.History) (out []string) {
	for _, c := range h.Causes {
		out = append(out, c.Code)
	}
	return out
}

func TestHistoryComesBackAfterARestart(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(dir, nil)
	at := keep(t, h, monday, 3)
	at = keep(t, h, at, 2, "carrier_nat", "multiple_uplinks")
	h.close()
	h = newHistory(dir, nil)
	at = keep(t, h, at, 3)
	h.close()
	if files, err := historyFiles(historyDir(dir)); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v; a restart goes on in the same one", files, err)
	}
	past := told(t, dir, monday, at)
	if got := pastCodes(past); !slices.Equal(got, []string{"multiple_uplinks", "carrier_nat"}) || len(past.Unwatched) > 0 || len(past.Damaged) > 0 {
		t.Fatalf("causes %v, unwatched %v, damaged %v", got, past.Unwatched, past.Damaged)
	}
	c := past.Causes[0]
	if s := c.Spans; len(s) != 1 || !s[0].From.Equal(monday.Add(15*time.Minute)) || !s[0].GoneBy.Equal(monday.Add(25*time.Minute)) || c.Evidence[0] != "multiple_uplinks is so" {
		t.Errorf("it stood %+v: %v", s, c.Evidence)
	}
	in, err := PastFacts(dir, monday.Add(22*time.Minute))
	if err != nil || len(in.Net.Results) != 38 || in.Net.Results[37].Code != "multiple_uplinks" {
		t.Errorf("facts of then: %+v, %v", in, err)
	}
	if _, err := PastFacts(dir, monday.Add(-time.Hour)); err == nil {
		t.Error("facts of a time that nobody watched")
	}
	if _, err := Past(t.TempDir(), monday, at, at); !errors.Is(err, ErrNoHistory) {
		t.Errorf("no history: %v", err)
	}
}

// A quiet day costs one full record; one in which a fault comes and goes at every look costs two.
func TestHistoryIsCheap(t *testing.T) {
	for name, day := range map[string]func(h *history){
		"quiet": func(h *history) { keep(t, h, monday.Truncate(24*time.Hour), 288) },
		"restless": func(h *history) {
			at := monday.Truncate(24 * time.Hour)
			for range 144 {
				at = keep(t, h, keep(t, h, at, 1), 1, "multiple_uplinks")
			}
		},
	} {
		dir := t.TempDir()
		h := newHistory(dir, nil)
		day(h)
		h.close()
		b, err := os.ReadFile(h.path(1))
		if err != nil {
			t.Fatal(err)
		}
		entries, _, _ := readRecords(b)
		full := 0
		for _, e := range entries {
			if e.report != nil {
				full++
			}
		}
		t.Logf("a %s day: %d records, %d of them full, %d bytes", name, len(entries), full, len(b))
		if len(entries) != 288 || full > 2 || len(b) > 24<<10 {
			t.Errorf("a %s day: %d records, %d of them full, %d bytes", name, len(entries), full, len(b))
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(dir, nil)
	at := monday
	for range 20 { // days
		at = keep(t, h, at.Truncate(24*time.Hour).Add(33*time.Hour), 2, "multiple_uplinks")
	}
	h.close()
	past := told(t, dir, monday, at)
	if kept := at.Sub(past.Causes[0].Since); kept > historyKept+48*time.Hour || kept < historyKept-24*time.Hour {
		t.Errorf("%s are kept, want about 14 days", kept)
	}
	if files, _ := historyFiles(historyDir(dir)); len(files) > 16 {
		t.Errorf("%d files", len(files))
	}
	// In bytes: seventeen files of a MiB each, all of yesterday.
	dir = t.TempDir()
	h = newHistory(dir, nil)
	end := keep(t, h, monday, 1)
	h.close()
	sound, err := os.ReadFile(h.path(1))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 17; n++ {
		if err := os.WriteFile(h.path(n), append(slices.Clone(sound), make([]byte, 1<<20)...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h = newHistory(dir, nil)
	keep(t, h, end.AddDate(0, 0, 1), 1)
	h.close()
	var sum int64
	files, _ := historyFiles(historyDir(dir))
	for _, n := range files {
		info, err := os.Stat(h.path(n))
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if sum > historyBytes || slices.Contains(files, 1) || !slices.Contains(files, 17) || !slices.Contains(files, 18) {
		t.Errorf("%d bytes in files %v", sum, files)
	}
}

func TestAClockThatJumpsAheadDeletesNothingAtOnce(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(dir, nil)
	keep(t, h, monday, 3, "multiple_uplinks")
	keep(t, h, monday.AddDate(9, 0, 0), 3)
	h.close()
	if past := told(t, dir, monday, monday.AddDate(10, 0, 0)); len(past.Causes) != 1 {
		t.Errorf("causes %v", pastCodes(past))
	}
}

// A file is torn at every byte, as a power cut would, and flipped at every
// byte, as a bad disk would: what can be read is read, what is read is true, and
// the hub goes on.
func TestHistorySurvivesDamage(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(dir, nil)
	at := keep(t, h, monday, 2)
	at = keep(t, h, at, 2, "multiple_uplinks")
	at = keep(t, h, at, 2)
	h.close()
	sound, err := os.ReadFile(h.path(1))
	if err != nil {
		t.Fatal(err)
	}
	whole, _, _ := readRecords(sound)
	times := map[int64]string{}
	for _, m := range first(moments(whole)) {
		times[m.At.Unix()] = string(m.Report.Verdict)
	}
	for n := 0; n < len(sound); n += 1 + n/40 {
		for kind, b := range map[string][]byte{"torn": slices.Clone(sound[:n]), "flipped": slices.Clone(sound)} {
			if kind == "flipped" {
				b[n] ^= 0x40
			}
			entries, lost, _ := readRecords(b)
			if len(entries) < len(whole) && lost == 0 && !slices.Contains(ends(sound), len(b)) {
				t.Fatalf("%s at %d: %d of %d records, and nothing is said to be lost", kind, n, len(entries), len(whole))
			}
			for _, m := range first(moments(entries)) {
				if times[m.At.Unix()] != string(m.Report.Verdict) {
					t.Fatalf("%s at %d: %s was %s", kind, n, m.At, m.Report.Verdict)
				}
			}
			if n%97 > 2 {
				continue // reopening reads and writes the disk
			}
			if err := os.WriteFile(h.path(1), b, 0o600); err != nil {
				t.Fatal(err)
			}
			h := newHistory(dir, nil)
			end := keep(t, h, at, 1, "carrier_nat")
			h.close()
			if past := told(t, dir, at, end); !slices.Contains(pastCodes(past), "carrier_nat") {
				t.Fatalf("%s at %d: what came after is not kept: %v", kind, n, pastCodes(past))
			}
			if err := os.RemoveAll(historyDir(dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(historyDir(dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func first[T any](v T, _ int) T { return v }

// ends are the offsets at which a frame ends.
func ends(b []byte) []int {
	out, off := []int{0}, 0
	for off < len(b) {
		_, n, err := parseFrame(b[off:])
		if err != nil {
			break
		}
		off += n
		out = append(out, off)
	}
	return out
}

// Every step that can fail fails once; the next record is kept, and so is what was
// kept before.
func TestHistoryStepsFail(t *testing.T) {
	for _, step := range []string{"history:open", "history:create", "history:prune", "history:write", "history:sync"} {
		t.Run(strings.TrimPrefix(step, "history:"), func(t *testing.T) {
			dir := t.TempDir()
			failed := false
			h := newHistory(dir, func(s string) error {
				if s == step && !failed {
					failed = true
					return errors.New("the disk said no")
				}
				return nil
			})
			in := saw(monday, "multiple_uplinks")
			if err := h.add(monday, diagnostics.Diagnose(in), in); err == nil || !strings.Contains(err.Error(), "the disk said no") {
				t.Fatalf("the step failed, the record did not: %v", err)
			}
			end := keep(t, h, monday.Add(time.Minute), 2, "multiple_uplinks")
			h.close()
			if past := told(t, dir, monday, end); !slices.Equal(pastCodes(past), []string{"multiple_uplinks"}) || len(past.Damaged) > 0 {
				t.Errorf("afterwards: %v, damaged %v", pastCodes(past), past.Damaged)
			}
		})
	}
}

func FuzzReadRecords(f *testing.F) {
	dir := f.TempDir()
	h := newHistory(dir, nil)
	for i, codes := range [][]string{{}, {"multiple_uplinks"}, {}} {
		in := saw(monday.Add(time.Duration(i)*time.Minute), codes...)
		if err := h.add(in.At, diagnostics.Diagnose(in), in); err != nil {
			f.Fatal(err)
		}
	}
	h.close()
	b, err := os.ReadFile(h.path(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add(append([]byte(frameMark+"\xff\xff\xff\xff"), b...))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, lost, whole := readRecords(b)
		if lost < 0 || lost > len(b) || whole < 0 || whole > len(b) || lost == 0 && whole != len(b) {
			t.Fatalf("%d lost, %d whole of %d", lost, whole, len(b))
		}
		list, _ := moments(entries)
		_ = diagnostics.Recall(list, monday, monday.Add(time.Hour), monday.Add(time.Hour))
		if again, _, _ := readRecords(b[:whole]); len(again) > len(entries) {
			t.Fatal("the whole part holds more than all of it")
		}
	})
}

func TestTheHubKeepsItsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		began := time.Now()
		looksAt(t, dir, time.Minute, 30*time.Minute, func(at time.Duration) netcheck.Report {
			r := netcheck.Report{Started: time.Now()}
			if at > 10*time.Minute && at < 20*time.Minute {
				r.Results = []netcheck.Result{{Name: "uplinks", Status: netcheck.Warn, Code: "multiple_uplinks", Detail: "two default routes"}}
			}
			return r
		}, nil)
		past := told(t, dir, began, time.Now())
		if !slices.Equal(pastCodes(past), []string{"multiple_uplinks"}) || len(past.Unwatched) > 0 {
			t.Fatalf("causes %v, unwatched %v", pastCodes(past), past.Unwatched)
		}
		s := past.Causes[0].Spans
		// The first look after each change is at most a minute and a twentieth later.
		late := func(at time.Time, change time.Duration) bool {
			d := at.Sub(began) - change
			return d < 0 || d > 64*time.Second
		}
		if len(s) != 1 || late(s[0].From, 10*time.Minute) || late(s[0].GoneBy, 20*time.Minute) {
			t.Errorf("it stood %v", s)
		}
	})
}

func TestHistoryLeavesNoStrangersFile(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(dir, nil)
	end := keep(t, h, monday, 1)
	h.close()
	for name, text := range map[string]string{"000009.history.bak": "x", "note.txt": "y", "1.history": "z"} {
		if err := os.WriteFile(filepath.Join(historyDir(dir), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if past := told(t, dir, monday, end); len(past.Damaged) > 0 {
		t.Errorf("a stranger's file is read: %v", past.Damaged)
	}
	if b, err := os.ReadFile(h.path(1)); err != nil || bytes.Contains(b, []byte("host-1.example")) {
		t.Errorf("the record is not compressed (%v)", err)
	}
}
