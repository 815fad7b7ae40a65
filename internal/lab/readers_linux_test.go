package lab

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var readerLimit = flag.Duration("reader-limit", 0, "have every row of the readers befall, and how soon each must be said; 0 is three rows, within two minutes")

// TestReadersAreSaidToBeWhatTheyAre has things befall readers on a LAN whose hub
// serves, and waits until it says state and cause.
func TestReadersAreSaidToBeWhatTheyAre(t *testing.T) {
	if err := Ready(); err != nil {
		t.Fatal(err)
	}
	task := Task{Hub: program(t), Rows: []string{"unplugged", "moved", "two-hubs"}, Labs: 3, Limit: 2 * time.Minute}
	if *readerLimit > 0 {
		task.Rows, task.Limit, task.Labs = nil, *readerLimit, *examLabs
	}
	var got []ReaderOutcome
	err := Befall(t.Context(), task, func(o ReaderOutcome) {
		got = append(got, o)
		if o.Wrong != "" {
			t.Errorf("%s: %s", o.Row, o.Wrong)
		} else {
			t.Logf("%s: %s, %s after %.1f s: %s", o.Row, o.State, o.Why, o.Took.Seconds(), o.Reason)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := findNamed(ReaderRows, task.Rows, ReaderRow.name)
	if len(got) != len(rows) {
		t.Errorf("%d answers to %d questions", len(got), len(rows))
	}
	text := readersTable(rows, got)
	t.Log("\n" + text)
	if *examTable != "" && *readerLimit > 0 {
		if err := os.WriteFile(*examTable, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readersTable(rows []ReaderRow, got []ReaderOutcome) string {
	var b strings.Builder
	b.WriteString("| row | what befalls the reader | state | why | s | in words |\n|---|---|---|---|--:|---|\n")
	for _, r := range rows {
		for _, o := range got {
			if o.Row != r.Name {
				continue
			}
			if o.Wrong != "" {
				o.Reason = "**wrong**: " + o.Wrong
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %.1f | %s |\n", r.Name, r.Does, o.State, o.Why, o.Took.Seconds(), o.Reason)
		}
	}
	return b.String()
}

func TestNothingUnknownBefalls(t *testing.T) {
	if err := Befall(t.Context(), Task{Rows: []string{"no-such-row"}}, func(ReaderOutcome) {}); err == nil {
		t.Error("a row that is not there befell a reader")
	}
}
