package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// role makes a process of this test binary a daemon instead of a test.
const role = "STOREHUB_SERVICE_TEST_ROLE"

func TestMain(m *testing.M) {
	if r := os.Getenv(role); r != "" {
		if err := Run(context.Background(), "storehub-test", daemon(r)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println("ended")
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// daemon is a program that serves until it is ended: "obedient" at once,
// "stubborn" never.
func daemon(kind string) Program {
	return func(ctx context.Context, ready func(string)) error {
		ready("serving")
		fmt.Println("serving")
		<-ctx.Done()
		fmt.Println("stopping")
		if kind == "stubborn" {
			select {}
		}
		return nil
	}
}

// start starts a daemon and returns the lines it prints.
func start(t *testing.T, kind string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+kind)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(out)
}

func expect(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("the daemon says %q (%v), want %q", lines.Text(), lines.Err(), want)
	}
}

func TestErrorOfTheProgramIsReturned(t *testing.T) {
	broken := errors.New("broken")
	if err := Run(t.Context(), "x", func(context.Context, func(string)) error { return broken }); err != broken {
		t.Errorf("got %v", err)
	}
	if err := Run(t.Context(), "x", func(_ context.Context, ready func(string)) error { ready("up"); return nil }); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestEndOfTheContextEndsTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, "x", func(ctx context.Context, ready func(string)) error {
		ready("up")
		cancel()
		<-ctx.Done()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEachSystemIsToldToRestartAfterAFailure(t *testing.T) {
	s, err := Hub("/opt/hub", "/etc/storehub/hub.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Arguments, " "); got != "serve --config /etc/storehub/hub.yaml" || s.Executable != "/opt/hub" {
		t.Errorf("runs %s %s", s.Executable, got)
	}
	linux, err := s.config("linux")
	if err != nil {
		t.Fatal(err)
	}
	unit, _ := linux.Option["SystemdScript"].(string)
	for _, want := range []string{"ExecStart=/opt/hub serve --config /etc/storehub/hub.yaml\n", "Type=notify\n", "Restart=always\n"} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	windows, err := s.config("windows")
	if err != nil {
		t.Fatal(err)
	}
	if windows.Option["OnFailure"] != "restart" || windows.Option["OnFailureDelayDuration"] != "2s" || windows.UserName != `NT SERVICE\storehub` {
		t.Errorf("Windows is told %v, %s", windows.Option, windows.UserName)
	}
	hq, err := HQ("", "/etc/storehub/hq.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if self, _ := os.Executable(); hq.Executable != self || hq.Name == s.Name {
		t.Errorf("headquarters is %+v", hq)
	}
}

func TestSpecThatCannotBeInstalledIsRefused(t *testing.T) {
	for _, s := range []Spec{{}, {Name: "store hub"}, {Name: "../x"}, {Name: "x", Unit: "ExecStart=/{{.Name}}"}} {
		if _, err := s.config("linux"); err == nil {
			t.Errorf("%+v was taken", s)
		}
		if err := Install(s); err == nil || !strings.HasPrefix(err.Error(), "install service ") {
			t.Errorf("install %+v gives %v", s, err)
		}
	}
	if _, err := Hub("/opt/hub", ""); err == nil {
		t.Error("a hub without configuration was taken")
	}
}
