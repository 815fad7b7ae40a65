package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// managers counts them, to name their sockets.
var managers atomic.Int64

// manager is the service manager's end of a notification socket.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := fmt.Sprintf("@storehub-test-%d-%d", os.Getpid(), managers.Add(1)) // no file: t.TempDir can be too long a name
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	return conn
}

// heard is the next state, its lines joined by a blank.
func heard(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatalf("the manager hears nothing: %v", err)
	}
	return strings.ReplaceAll(string(buf[:n]), "\n", " ")
}

func TestManagerHearsReadyStatusAndStopping(t *testing.T) {
	conn := manager(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, "x", func(ctx context.Context, ready func(string)) error {
		if os.Getenv("NOTIFY_SOCKET") != "" {
			t.Error("children could speak for this process")
		}
		ready("serving on :7443")
		ready("2 readers\nREADY=0")
		cancel()
		<-ctx.Done()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1 STATUS=serving on :7443", "STATUS=2 readers READY=0", "STOPPING=1 STATUS=stopping"} {
		if got := heard(t, conn); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}

func TestWatchdogHearsSignsOfLifeUntilTheEnd(t *testing.T) {
	conn := manager(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, "x", func(ctx context.Context, ready func(string)) error {
			ready("up")
			<-ctx.Done()
			return nil
		})
	}()
	first := heard(t, conn)
	for first == "WATCHDOG=1" { // the start was slow: it lives before it is ready
		first = heard(t, conn)
	}
	if !strings.HasPrefix(first, "READY=1") {
		t.Fatalf("heard %q first", first)
	}
	for range 5 {
		if got := heard(t, conn); got != "WATCHDOG=1" {
			t.Errorf("heard %q, want a sign of life", got)
		}
	}
	cancel()
	for heard(t, conn) == "WATCHDOG=1" {
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWatchdogOfAnotherProcessIsNotFed(t *testing.T) {
	conn := manager(t)
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	err := Run(t.Context(), "x", func(_ context.Context, ready func(string)) error {
		ready("up")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	heard(t, conn)
	if got := heard(t, conn); !strings.HasPrefix(got, "STOPPING=1") {
		t.Errorf("heard %q", got)
	}
}

func TestManagerThatCannotBeReachedIsAnError(t *testing.T) {
	nothing := func(context.Context, func(string)) error { t.Error("ran"); return nil }
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := Run(t.Context(), "x", nothing); err == nil {
		t.Error("a socket that is not there was taken")
	}
	for _, period := range []string{"soon", "0", "-5"} {
		manager(t)
		t.Setenv("WATCHDOG_USEC", period)
		if err := Run(t.Context(), "x", nothing); err == nil {
			t.Errorf("the period %q was taken", period)
		}
	}
}

func TestManagerThatGoesAwayIsNoReasonToStop(t *testing.T) {
	conn := manager(t)
	err := Run(t.Context(), "x", func(_ context.Context, ready func(string)) error {
		ready("up")
		if err := conn.Close(); err != nil {
			return err
		}
		ready("still up")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
