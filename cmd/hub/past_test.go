package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storehub/diagnostics"
	"storehub/hub"
	"storehub/internal/cli"
	"storehub/internal/try"
)

func TestParseTime(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 26, 14, 0, 0, 0, berlin)
	for text, want := range map[string]string{
		"2026-11-25T10:00:00Z":  "2026-11-25T11:00:00+01:00",
		"09:30":                 "2026-11-26T09:30:00+01:00",
		"9:30":                  "2026-11-26T09:30:00+01:00",
		"14:30":                 "2026-11-25T14:30:00+01:00", // the last one that has been
		"13:59:30":              "2026-11-26T13:59:30+01:00",
		"yesterday 14:30":       "2026-11-25T14:30:00+01:00",
		"today 09:30":           "2026-11-26T09:30:00+01:00",
		"2026-11-20 08:15":      "2026-11-20T08:15:00+01:00",
		"today 14:30":           "has not been yet",
		"2026-11-26T14:30:00Z":  "has not been yet",
		"tomorrow 09:30":        "is no time",
		"25:00":                 "is no time",
		"":                      "is no time",
		"yesterday":             "is no time",
		"2026-11-26 later":      "is no time",
		"yesterday 14:30 or so": "is no time",
	} {
		got, err := parseTime(text, now)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
		} else if got.In(berlin).Format(time.RFC3339) != want {
			t.Errorf("%q is %s, want %s", text, got.In(berlin).Format(time.RFC3339), want)
		}
	}
}

func TestParseAgo(t *testing.T) {
	for text, want := range map[string]time.Duration{"2h": 2 * time.Hour, "90m": 90 * time.Minute, "3d": 72 * time.Hour, "-2h": 0, "0d": 0, "14:30": 0, "d": 0, "9999d": 0} {
		if got, ok := parseAgo(text); ok != (want > 0) || ok && got != want {
			t.Errorf("%q is %v %v, want %v", text, got, ok, want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"14:30", "yesterday 14:30", "2026-11-26 14:30", "2026-11-26T14:30:00+01:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		now := time.Date(2026, 11, 26, 14, 0, 0, 0, time.UTC)
		if got, err := parseTime(s, now); err == nil && got.After(now) {
			t.Errorf("%q is %v, which has not been yet", s, got)
		}
	})
}

// The line to headquarters is cut and mended. What was wrong is told while the hub
// runs, by its socket, and when it does not, from its directory.
func TestThePastIsToldByTheHubAndByItsDirectory(t *testing.T) {
	s, err := try.Start(t.Context(), try.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stateDir := filepath.Join(filepath.Dir(s.ConfigFile), "hub")
	if _, err := os.Stat(stateDir); err != nil {
		t.Fatal(err)
	}
	admin, err := hub.DialAdmin(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	until := func(verdict diagnostics.Verdict) {
		t.Helper()
		deadline := time.Now().Add(30 * time.Second)
		for {
			r, err := admin.Diagnosis(t.Context())
			if err == nil && r.Verdict == verdict {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the verdict is %s (%v), want %s", r.Verdict, err, verdict)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	until(diagnostics.Ready)
	began := time.Now()
	s.Internet.Cut()
	until(diagnostics.Blocked)
	s.Internet.Mend()
	until(diagnostics.Ready)

	ask := func(exit int, arg ...string) diagnostics.History {
		t.Helper()
		code, stdout, stderr := hubRun(t.Context(), append([]string{"diagnose", "--config", s.ConfigFile, "--format", "json"}, arg...)...)
		if code != exit || stderr != "" {
			t.Fatalf("hub diagnose %v: exit %d, want %d\n%s%s", arg, code, exit, stdout, stderr)
		}
		var h diagnostics.History
		if err := json.Unmarshal([]byte(stdout), &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	check := func(who string) {
		t.Helper()
		h := ask(cli.ExitWrong, "--since", "1h")
		if len(h.Causes) != 1 || h.Causes[0].Code != "hq_unreachable" || h.Causes[0].Spans[0].GoneBy.IsZero() || h.Causes[0].Evidence[0] == "" {
			t.Fatalf("%s says of the last hour %+v", who, h.Causes)
		}
		span := h.Causes[0].Spans[0]
		if span.From.Before(began.Add(-time.Second)) || span.From.After(time.Now()) {
			t.Errorf("%s says it began at %s", who, span.From)
		}
		h = ask(cli.ExitWrong, "--at", span.From.Add(span.GoneBy.Sub(span.From)/2).Format(time.RFC3339Nano))
		if h.Verdict != diagnostics.Blocked || h.Store != "0001" {
			t.Errorf("%s says of the middle of it %+v", who, h)
		}
		ask(cli.ExitCouldNot, "--at", began.Add(-time.Hour).Format(time.RFC3339))
	}
	check("the hub")
	if err := s.StopHub(); err != nil {
		t.Fatal(err)
	}
	check("the directory")

	file := filepath.Join(t.TempDir(), "facts.json")
	h := ask(cli.ExitWrong, "--since", "1h")
	at := h.Causes[0].Spans[0].LastSeen.Format(time.RFC3339Nano)
	ask(cli.ExitWrong, "--at", at, "--save-facts", file)
	if code, stdout, stderr := hubRun(t.Context(), "diagnose", "--offline-facts", file); code != cli.ExitWrong || !strings.Contains(stdout, "hq_unreachable") {
		t.Errorf("the facts of then: exit %d\n%s%s", code, stdout, stderr)
	}
}
