package main

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/internal/service"
)

func eventsOf(events func(slog.Record) []service.Event, level slog.Level, message string, attrs ...any) string {
	r := slog.NewRecord(time.Time{}, level, message, 0)
	r.Add(attrs...)
	var lines []string
	for _, e := range events(r) {
		lines = append(lines, fmt.Sprintf("%d/%d %s", e.ID, e.Level, e.Text))
	}
	return strings.Join(lines, "\n--\n")
}

func TestFindingIsAnEventWhenItAppears(t *testing.T) {
	events := hubEvents()
	said := func(v diagnostics.Verdict, causes ...string) string {
		return eventsOf(events, slog.LevelInfo, "diagnosis changed", "verdict", v, "causes", causes)
	}
	if got, want := said(diagnostics.Blocked, "wan_down"), "22/0 diagnosis changed\nverdict: blocked\ncauses: [wan_down]\n--\n"+
		"127/2 wan_down: The internet line is down\n`hub diagnose` says how we know, and what to do."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := said(diagnostics.Degraded, "wan_down", "wifi_weak"); !strings.Contains(got, "\n124/1 wifi_weak: ") || strings.Contains(got, "\n127/") {
		t.Errorf("the second is %q", got)
	}
	if got, want := said(diagnostics.Ready), "22/0 diagnosis changed\nverdict: ready\ncauses: []"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatHasNoIdIsSaidByItsLevel(t *testing.T) {
	events := hubEvents()
	for _, c := range []struct {
		level   slog.Level
		message string
		want    string
	}{
		{slog.LevelInfo, "till paired", "40/0 till paired"},
		{slog.LevelInfo, "rehearsal held", ""},
		{slog.LevelWarn, "save", "90/1 save"},
		{slog.LevelError, "anything", "91/2 anything"},
		{slog.LevelError, "queue damaged", "31/2 queue damaged"},
	} {
		if got := eventsOf(events, c.level, c.message); got != c.want {
			t.Errorf("%v %s is %q, want %q", c.level, c.message, got, c.want)
		}
	}
}

// TestEventsAreOfThisHub holds the ids to what is logged and what can be found, and
// the page for administrators to the ids.
func TestEventsAreOfThisHub(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"../../hub/*.go", "../../offlinequeue/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(b)
		}
	}
	rows := map[uint32]string{eventWarning: "another warning; the text is the log's", eventError: "another error; the text is the log's"}
	for message, id := range recordEvents {
		if !strings.Contains(source.String(), "("+strconv.Quote(message)) {
			t.Errorf("nothing logs %q any more", message)
		}
		if id < 20 || id >= eventWarning || rows[id] != "" {
			t.Errorf("%q has the id %d", message, id)
		}
		rows[id] = message
	}
	titles := diagnostics.Titles()
	for _, code := range slices.Sorted(maps.Keys(titles)) {
		if !slices.Contains(findingEvents, code) {
			t.Errorf("%s has no event; add it at the end", code)
		}
	}
	for place, code := range findingEvents {
		if slices.Index(findingEvents, code) != place {
			t.Errorf("%s has two ids", code)
		}
		rows[eventFinding+uint32(place)] = "[" + code + "](findings.md#" + code + ")"
	}
	page, err := os.ReadFile("../../docs/windows.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&table, "| %d | %s |\n", id, rows[id])
		if id >= 1000 {
			t.Errorf("Windows has no message %d", id)
		}
	}
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/windows.md lacks this table:\n%s", table.String())
	}
}
