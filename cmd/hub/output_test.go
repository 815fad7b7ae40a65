package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hub"
	"storehub/internal/cli"
	"storehub/internal/yamlfile"
	"storehub/readers"
)

func TestTableCannotMoveTheCursor(t *testing.T) {
	var b strings.Builder
	if err := table(&b, []string{"A", "B"}, [][]string{{"x\x1b[2J\ny", ""}, {"longer", "z"}}); err != nil {
		t.Fatal(err)
	}
	if want := "A       B\nx[2Jy   -\nlonger  z\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	for _, content := range []string{"first", "second"} {
		if err := replaceFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(file); string(b) != content {
			t.Errorf("holds %q", b)
		}
	}
	p, err := beginFile(file, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p.abandon()
	taken := filepath.Join(dir, "taken") // a rename onto a directory fails at the last step
	if err := os.MkdirAll(filepath.Join(taken, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(taken, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if err := replaceFile(filepath.Join(dir, "none", "f"), nil, 0o600); err == nil {
		t.Error("a file was written in no directory")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDrawnCodeIsTheCode reads the drawing back, module by module.
func TestDrawnCodeIsTheCode(t *testing.T) {
	code, err := qr.Encode("https://192.168.1.10:7443/pos/shp_oyxdy55x775p4fvsymla2zjipxxr3w5q", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	const quiet = 2
	lines := strings.Split(strings.TrimSuffix(halfBlocks(code), "\n"), "\n")
	for y := -quiet; y < code.Size+quiet; y++ {
		row := []rune(lines[(y+quiet)/2])
		if len(row) != code.Size+2*quiet {
			t.Fatalf("line %d has %d modules", y, len(row))
		}
		for x := -quiet; x < code.Size+quiet; x++ {
			light := "█▀"
			if (y+quiet)%2 == 1 {
				light = "█▄"
			}
			if drawn := !strings.ContainsRune(light, row[x+quiet]); drawn != code.Black(x, y) {
				t.Fatalf("module %d,%d is drawn black: %v", x, y, drawn)
			}
		}
	}
}

func TestChangesOfReadersAreSaidOnce(t *testing.T) {
	reader := func(serial, state, addr string) hub.TillReader {
		return hub.TillReader{Reader: readers.Reader{Serial: serial, Label: "Lane " + serial, State: state, Reason: "why", Addr: netip.MustParseAddr(addr)}}
	}
	a, b := reader("1", "online", "10.0.0.1"), reader("2", "online", "10.0.0.2")
	for name, c := range map[string]struct {
		before, after []hub.TillReader
		want          []string
	}{
		"nothing":     {[]hub.TillReader{a}, []hub.TillReader{a}, nil},
		"first look":  {nil, []hub.TillReader{a}, []string{"Lane 1: online at 10.0.0.1 (why)"}},
		"gone":        {[]hub.TillReader{a, b}, []hub.TillReader{a}, []string{"Lane 2: gone"}},
		"went off":    {[]hub.TillReader{a}, []hub.TillReader{reader("1", "offline", "10.0.0.1")}, []string{"Lane 1: offline (why)"}},
		"moved":       {[]hub.TillReader{a}, []hub.TillReader{reader("1", "online", "10.0.0.9")}, []string{"Lane 1: moved from 10.0.0.1 to 10.0.0.9"}},
		"two at once": {[]hub.TillReader{a}, []hub.TillReader{b}, []string{"Lane 2: online at 10.0.0.2 (why)", "Lane 1: gone"}},
	} {
		if got := changes(c.before, c.after); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestEveryErrorHasItsExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{nil, cli.ExitFine, ""},
		{cli.SomethingWrong, cli.ExitWrong, ""},
		{cli.Usage("do this", "read x: %w", os.ErrNotExist), cli.ExitUsage, "hub: read x: file does not exist\nhint: do this\n"},
		{cli.CouldNot("", "read x"), cli.ExitCouldNot, "hub: read x\n"},
		{fmt.Errorf("wrapped: %w", cli.Usage("do this", "read x")), cli.ExitUsage, "hub: wrapped: read x\nhint: do this\n"},
		{&yamlfile.Error{File: "hub.yaml", Line: 3, Key: "mdns", Err: errors.New("bad")}, cli.ExitUsage, "hub: hub.yaml:3: mdns: bad\nhint: `hub config init --print` shows every key with its default\n"},
		{doors.ErrNotFound, cli.ExitWrong, "hub: not_found: no such thing here\n"},
		{doors.ErrInvalidField, cli.ExitUsage, "hub: invalid_field: a field has a value that cannot be\n"},
		{doors.ErrHQUnreachable, cli.ExitCouldNot, "hub: hq_unreachable: headquarters did not answer\n"},
		{fmt.Errorf("open x: %w", os.ErrPermission), cli.ExitCouldNot, "hub: open x: permission denied\nhint: run this as root, or as the hub's user\n"},
		{errors.New("boom"), cli.ExitCouldNot, "hub: boom\n"},
	} {
		var b strings.Builder
		if code := cli.Report(&b, "hub", c.err, known); code != c.code || b.String() != c.says {
			t.Errorf("%v gives %d and %q, want %d and %q", c.err, code, b.String(), c.code, c.says)
		}
	}
}

func TestCauseBeginsWhenTheRunningHubSawIt(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	r := diagnostics.Report{Causes: []diagnostics.Cause{{Code: "wan_down", Since: now}, {Code: "clock_wrong", Since: now}, {Code: "disk_low", Since: now}}}
	remember(&r, memory{
		since:   map[string]time.Time{"wan_down": now.Add(-time.Hour), "clock_wrong": now.Add(time.Hour)},
		lastDay: map[string]diagnostics.Recurrence{"wan_down": {Times: 3, Seconds: 600}, "dns_down": {Times: 1}},
	})
	if often := r.Causes[0].LastDay; often == nil || often.Times != 3 || r.Causes[1].LastDay != nil {
		t.Errorf("how often: %+v and %+v", often, r.Causes[1].LastDay)
	}
	for i, want := range []time.Time{now.Add(-time.Hour), now, now} {
		if got := r.Causes[i].Since; !got.Equal(want) {
			t.Errorf("%s since %v, want %v", r.Causes[i].Code, got, want)
		}
	}
}

func TestProbesGoOnlyToReadersThatCanAnswer(t *testing.T) {
	cfg := hub.DefaultConfig()
	cfg.Checks.Readers = []string{"10.0.0.9"}
	got := targets(cfg, hub.Facts{Readers: []readers.Reader{
		{Serial: "1", Addr: netip.MustParseAddr("10.0.0.1")},
		{Serial: "2", Addr: netip.MustParseAddr("0.0.0.0"), Simulated: true},
		{Serial: "3"},
	}}, nil)
	if want := []string{"10.0.0.9", "10.0.0.1"}; !slices.Equal(got.Readers, want) {
		t.Errorf("probes %q, want %q", got.Readers, want)
	}
}
