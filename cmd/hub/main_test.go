package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"storehub/internal/cli"
)

var update = flag.Bool("update", false, "write the golden texts anew")

func TestMain(m *testing.M) { testscript.Main(leakFree{m}, map[string]func(){"hub": main}) }

// leakFree fails when goroutines stayed.
type leakFree struct{ *testing.M }

func (m leakFree) Run() int {
	code := m.M.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// TestScript tells one story per command, of processes and files. `code N` runs
// a command that must exit with N; `appears FILE` waits for a file; `until` runs a command
// until it exits with 0; `holds FILE
// KEY…` wants a JSON object with exactly these keys; `env-from FILE` makes its
// keys variables; `sealed N` is `code N` without any
// network but loopback; `terminate` sends SIGTERM to what runs in the background.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("STOREHUB_CONFIG", "")
			e.Setenv("COLUMNS", "100")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":     exitCode,
			"appears":  appears,
			"holds":    holds,
			"env-from": envFrom,
			"sealed":   sealed,
			"until":    until,
			"terminate": func(ts *testscript.TestScript, _ bool, _ []string) {
				for _, c := range ts.BackgroundCmds() {
					ts.Check(c.Process.Signal(syscall.SIGTERM))
				}
			},
		},
	})
}

func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [arg…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit %s, want %s\n%s%s", got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func sealed(ts *testscript.TestScript, neg bool, args []string) {
	seal := []string{args[0], "unshare", "--net"}
	if os.Geteuid() != 0 {
		seal = append(seal, "--map-root-user")
	}
	exitCode(ts, neg, append(seal, args[1:]...))
}

func appears(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s has not appeared", args[0])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for ts.Exec(args[0], args[1:]...) != nil {
		if time.Now().After(deadline) {
			ts.Fatalf("%q does not succeed\n%s", args, ts.ReadFile("stderr"))
		}
	}
}

func object(ts *testscript.TestScript, file string) map[string]any {
	var o map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &o))
	return o
}

func holds(ts *testscript.TestScript, _ bool, args []string) {
	o := object(ts, args[0])
	for _, key := range args[1:] {
		if v, ok := o[key]; !ok || v == "" {
			ts.Fatalf("%s has no %s", args[0], key)
		}
		delete(o, key)
	}
	if len(o) > 0 {
		ts.Fatalf("%s holds more: %v", args[0], o)
	}
}

func envFrom(ts *testscript.TestScript, _ bool, args []string) {
	for k, v := range object(ts, args[0]) {
		if s, ok := v.(string); ok {
			ts.Setenv(k, s)
		}
	}
}

// hubRun runs a command in this process.
func hubRun(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	leaves := 0
	cli.Walk(kong.Must(&commands{}).Model.Node, "", func(path string, n *kong.Node) {
		if len(n.Children) > 0 && n.Children[0].Type == kong.CommandNode {
			return
		}
		leaves++
		code, stdout, stderr := hubRun(t.Context(), append(strings.Fields(path), "--help")...)
		if code != cli.ExitFine || stderr != "" || !strings.Contains(strings.Join(strings.Fields(stdout), " "), n.Help) || !strings.Contains(stdout, "Example") {
			t.Errorf("hub %s --help: exit %d:\n%s%s", path, code, stdout, stderr)
		}
	})
	if leaves < 20 {
		t.Errorf("only %d commands were looked at", leaves)
	}
}

// golden compares a whole text with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
