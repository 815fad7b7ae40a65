// Package service runs a program as what this machine has (systemd, the Windows
// service manager, a terminal) and installs it there.
package service

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Program is the whole life of a daemon. It calls ready with a line for people
// when it serves, and again whenever that line changes, from any goroutine, but
// not after it has returned. It returns nil when the end of ctx ended it; any
// error counts as a failure to the service manager.
type Program func(ctx context.Context, ready func(status string)) error

// Run runs the program until it ends, ctx ends or the system asks for the end,
// and returns the program's error. The name is that of the installed service.
//
// Under systemd it speaks the notification protocol: READY with the first
// status, STATUS with each, STOPPING, and the watchdog's sign of life if the
// unit wants one. As a Windows service it obeys the service manager, which is told
// that it runs before the program has begun. On a terminal the first SIGINT or SIGTERM ends the program's ctx; the second ends
// the process at once.
func Run(ctx context.Context, name string, p Program) error {
	if managed, err := underManager(ctx, name, p); managed {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the system's own answer to a second one holds.
	context.AfterFunc(ctx, stop)
	return runNotified(ctx, p)
}

// runNotified runs p and tells the service manager how it fares.
func runNotified(ctx context.Context, p Program) error {
	n, err := newNotifier()
	if err != nil {
		return fmt.Errorf("reach service manager: %w", err)
	}
	defer n.close()
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()

	var once sync.Once
	ready := func(status string) {
		line := "STATUS=" + strings.Join(strings.Fields(status), " ")
		once.Do(func() {
			line = "READY=1\n" + line
			if n.watchdog > 0 {
				tasks.Go(func() { n.live(ctx) })
			}
		})
		n.send(line)
	}
	tasks.Go(func() {
		<-ctx.Done()
		n.send("STOPPING=1\nSTATUS=stopping")
	})
	return p(ctx, ready)
}

// live gives a sign of life twice within each period of the watchdog, as long as
// this process can still schedule a goroutine and write to a socket.
func (n *notifier) live(ctx context.Context) {
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		n.send("WATCHDOG=1")
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
