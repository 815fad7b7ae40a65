package service

import (
	"context"
	"os"

	kardianos "github.com/kardianos/service"
)

// managed reports whether the Windows service manager has started this process.
func managed() bool { return !kardianos.Interactive() }

// runManaged obeys the service manager.
func runManaged(ctx context.Context, name string, p Program) error {
	w := &windowsService{program: p, done: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(ctx)
	s, err := kardianos.New(w, &kardianos.Config{Name: name})
	if err != nil {
		return err
	}
	if w.log, err = s.Logger(nil); err != nil {
		return err
	}
	return s.Run()
}

// windowsService is a program in the service manager's terms.
type windowsService struct {
	program Program
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
	log     kardianos.Logger
	err     error // of program; read after done is closed
}

// Start must not wait: the manager counts the seconds.
func (w *windowsService) Start(kardianos.Service) error {
	go func() {
		w.err = runNotified(w.ctx, w.program)
		close(w.done)
		if w.ctx.Err() == nil {
			// It ended by itself. Only a process that goes away without having been
			// asked to is started again by the manager's recovery actions.
			if w.err != nil {
				_ = w.log.Error(w.err)
			}
			os.Exit(1)
		}
	}()
	return nil
}

// Stop waits for the end of the program.
func (w *windowsService) Stop(kardianos.Service) error {
	w.cancel()
	<-w.done
	return w.err
}
