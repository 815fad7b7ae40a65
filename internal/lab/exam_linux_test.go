package lab

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	examRows    = flag.String("exam", "", "rows to ask, separated by commas; all; or nothing for a short selection")
	examDistant = flag.Int("distant", 0, "how often to ask in the healthy shop with 2 % loss and 80 ms of round trip")
	examLabs    = flag.Int("labs", 2, "shops side by side")
	examTable   = flag.String("table", "", "write the table of outcomes to that file as well")
	examHub     = flag.String("hub", "", "the program; it is built when empty")
	record      = flag.Bool("record", false, "with -exam all: keep what was seen in "+recording)
	examNobody  = flag.Bool("nobody", false, "the doctor runs as a user without any right")
	saveFacts   = flag.String("save-facts", "", "a folder to save what the doctor saw")
)

func TestMain(m *testing.M) {
	sealed, err := Sealed()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if sealed {
		return
	}
	goleak.VerifyTestMain(m)
}

// TestExam puts faults into a healthy shop and has `hub diagnose` name them.
func TestExam(t *testing.T) {
	if err := Ready(); err != nil {
		t.Fatal(err)
	}
	task := Task{Hub: *examHub, Labs: *examLabs, Distant: *examDistant, Nobody: *examNobody, Facts: absolute(t, *saveFacts)}
	switch *examRows {
	case "":
		task.Rows = short
	case "all":
	default:
		task.Rows = strings.Split(*examRows, ",")
	}
	task.Hub = program(t)
	if *record {
		task.Facts = t.TempDir()
	}
	var got []Outcome
	err := Exam(t.Context(), task, func(o Outcome) {
		got = append(got, o)
		if o.Row == "healthy" {
			cheap(t, o.Traffic)
		}
		if o.Wrong != "" {
			t.Errorf("%s: %s (%.1f s)", o.Row, o.Wrong, o.Took.Seconds())
		} else {
			t.Logf("%s: right, %s (%.1f s)", o.Row, strings.Join(o.Said, ", "), o.Took.Seconds())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := Find(Rows, task.Rows)
	if len(got) != len(rows)+task.Distant {
		t.Errorf("%d answers to %d questions", len(got), len(rows)+task.Distant)
	}
	text := table(rows, got)
	t.Log("\n" + text)
	if *record {
		keep(t, task.Facts, rows, got)
	}
	if *examTable != "" {
		if err := os.WriteFile(*examTable, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cheap holds a look at a healthy network, every five minutes as shipped, to what a
// shop's line does not notice.
func cheap(t *testing.T, passed Traffic) {
	t.Helper()
	hour := 12 * float64(passed.WAN) / 1e6
	t.Logf("one look: %d bytes on the hub's cable, %d of them on the shop's line; %.2f MB an hour", passed.LAN, passed.WAN, hour)
	if passed.WAN == 0 || hour > 3 {
		t.Errorf("%.2f MB an hour", hour)
	}
}

// TestExamAsNobody asks a few rows of a doctor without any right.
func TestExamAsNobody(t *testing.T) {
	if err := Ready(); err != nil {
		t.Fatal(err)
	}
	err := Exam(t.Context(), Task{Hub: program(t), Labs: *examLabs, Nobody: true, Rows: shortNobody}, func(o Outcome) {
		if o.Wrong != "" {
			t.Errorf("%s: %s (%.1f s)", o.Row, o.Wrong, o.Took.Seconds())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// program is the one to examine: -hub, or one built for the test.
func program(t *testing.T) string {
	t.Helper()
	if *examHub != "" {
		return absolute(t, *examHub)
	}
	path := filepath.Join(t.TempDir(), "hub")
	c := exec.CommandContext(t.Context(), "go", "build", "-o", path, "storehub/cmd/hub")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build hub: %v: %s", err, out)
	}
	return path
}

// keep records the shops that were judged right.
func keep(t *testing.T, dir string, rows []Row, got []Outcome) {
	t.Helper()
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool {
		return !slices.ContainsFunc(got, func(o Outcome) bool { return o.Row == r.Name && o.Wrong == "" })
	})
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, text []byte) {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	index, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	add("rows.json", index)
	for _, r := range rows {
		name := r.Name + ".facts.json"
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		add(name, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recording, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	if name == "" {
		return ""
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// table is the outcomes as a page shows them.
func table(rows []Row, got []Outcome) string {
	var b strings.Builder
	b.WriteString("| row | what is done | said | s | |\n|---|---|---|--:|---|\n")
	for _, r := range append(slices.Clone(rows), distant) {
		for _, o := range got {
			if o.Row != r.Name || r.Name == distant.Name && o.Wrong == "" {
				continue
			}
			verdict := "right"
			if o.Wrong != "" {
				verdict = "**wrong**: " + o.Wrong
			}
			said := strings.Join(o.Said, ", ")
			if said == "" {
				said = "–"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %.1f | %s |\n", r.Name, r.Does, said, o.Took.Seconds(), verdict)
		}
	}
	b.WriteString("\n" + summary(got))
	return b.String()
}

func summary(got []Outcome) string {
	if len(got) == 0 {
		return "Nothing was asked.\n"
	}
	right, far, farRight := 0, 0, 0
	var built time.Duration
	slow := slices.Clone(got)
	slices.SortFunc(slow, func(a, b Outcome) int { return int(b.Took - a.Took) })
	for _, o := range got {
		built += o.Built
		ok := 0
		if o.Wrong == "" {
			ok = 1
		}
		if o.Row == distant.Name {
			far, farRight = far+1, farRight+ok
		} else {
			right += ok
		}
	}
	s := ""
	if far < len(got) {
		s = fmt.Sprintf("Right: %d of %d. ", right, len(got)-far)
	}
	if far > 0 {
		s += fmt.Sprintf("Healthy behind 2 %% loss and 80 ms: %d of %d without a false cause. ", farRight, far)
	}
	s += fmt.Sprintf("The doctor took %.1f s (median); longest:", slow[len(slow)/2].Took.Seconds())
	for i, o := range slow[:min(3, len(slow))] {
		s += fmt.Sprintf("%s %s %.1f s", []string{"", ",", ","}[i], o.Row, o.Took.Seconds())
	}
	return s + fmt.Sprintf(". A shop was built in %.2f s (mean).\n", (built/time.Duration(len(got))).Seconds())
}
