package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"storehub/internal/cli"
	"storehub/internal/try"
	"storehub/netcheck"
)

// openTerminal is a terminal, and what its screen got once it is closed.
func openTerminal(t *testing.T) (terminal *os.File, screen func() string) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(keyboard) // ends with an error when the terminal is closed
		seen <- string(b)
	}()
	return terminal, func() string {
		if err := terminal.Close(); err != nil {
			t.Fatal(err)
		}
		return <-seen
	}
}

// onTerminal runs a command as a person does, and returns what the screen got.
func onTerminal(t *testing.T, args ...string) (code int, screen string) {
	t.Helper()
	terminal, closed := openTerminal(t)
	code = run(t.Context(), args, strings.NewReader(""), terminal, terminal)
	return code, closed()
}

func TestPairingShowsAddressAndCodeOnATerminal(t *testing.T) {
	s, err := try.Start(t.Context(), try.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	code, screen := onTerminal(t, "pair", "--config", s.ConfigFile, "--name", "lane-1")
	if code != cli.ExitFine || !regexp.MustCompile(regexp.QuoteMeta(s.HubURL)+`/pos/shp_[a-z0-9]+`).MatchString(screen) || !strings.Contains(screen, "█▀") {
		t.Errorf("exit %d:\n%s", code, screen)
	}
}

func TestCredentialIsShownOnlyByARunningHub(t *testing.T) {
	file, _ := writeConfig(t, "")
	code, screen := onTerminal(t, "pair", "--config", file, "--name", "lane-1")
	if code != cli.ExitCouldNot || strings.Contains(screen, "shp_") || !strings.Contains(screen, "hint: start the hub") {
		t.Errorf("exit %d:\n%s", code, screen)
	}
}

func TestColourFollowsTerminalAndNoColor(t *testing.T) {
	facts := filepath.Join(t.TempDir(), "facts.json")
	err := os.WriteFile(facts, []byte(`{"schema": 1, "at": "2026-03-02T09:12:07Z", "network": {"started_at": "2026-03-02T09:12:07Z", "took": 1,
		"probes": [{"name": "link", "status": "fail", "code": "link_down", "detail": "eth0 has no carrier", "took_ms": 1}]}}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		noColor, term string
		want          bool
	}{{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		code, screen := onTerminal(t, "diagnose", "--offline-facts", facts)
		if code != cli.ExitWrong || !strings.Contains(screen, "PAYMENTS BLOCKED") || strings.Contains(screen, "\x1b[") != c.want {
			t.Errorf("%+v: exit %d:\n%q", c, code, screen)
		}
	}
	t.Setenv("NO_COLOR", "")
	if _, stdout, _ := hubRun(t.Context(), "diagnose", "--offline-facts", facts); strings.Contains(stdout, "\x1b") {
		t.Errorf("coloured in a pipe: %q", stdout)
	}
}

func TestProgressIsShownOnATerminalAndWipedAway(t *testing.T) {
	t.Setenv("TERM", "xterm")
	terminal, screen := openTerminal(t)
	show, done := (&app{stderr: terminal}).progress()
	show(netcheck.Result{Name: "dns/api.stripe.com"})
	show(netcheck.Result{Name: strings.Repeat("x", 200)})
	done()
	if got, want := screen(), "\r\x1b[Kchecked dns/api.stripe.com\r\x1b[Kchecked "+strings.Repeat("x", 62)+"\r\x1b[K"; got != want {
		t.Errorf("the screen got %q, want %q", got, want)
	}
	if show, done := (&app{stderr: io.Discard}).progress(); show != nil {
		t.Error("progress in a pipe")
	} else {
		done()
	}
}
