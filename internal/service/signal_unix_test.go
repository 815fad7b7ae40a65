//go:build unix

package service

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
)

func TestFirstSignalEndsTheProgram(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, lines := start(t, "obedient")
		expect(t, lines, "serving")
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		expect(t, lines, "stopping")
		expect(t, lines, "ended")
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestSecondSignalEndsTheProcessAtOnce(t *testing.T) {
	cmd, lines := start(t, "stubborn")
	expect(t, lines, "serving")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "stopping")
	// The daemon says so as soon as its context ends, which may be a moment before
	// the signal is given back to the system: so several are sent.
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-done:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Errorf("ended with %v", err)
			}
			return
		default:
		}
	}
}
