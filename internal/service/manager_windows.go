package service

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// stopAtMost is how long Windows waits for a stop, before a shutdown too. A stop
// takes under 5 s; a slow disk has the rest.
const stopAtMost = 20 * time.Second

// underManager runs p under Windows' service manager, if that has started this
// process. It is asked, not guessed from the session or the parent: who is not its
// service is refused at once.
func underManager(ctx context.Context, name string, p Program) (managed bool, err error) {
	w := &windowsService{ctx: ctx, program: p}
	if log, err := eventlog.Open(name); err == nil {
		defer log.Close()
		w.log = log
	}
	err = svc.Run(name, w)
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return false, nil
	}
	return true, errors.Join(w.err, err)
}

// windowsService is a program in the service manager's terms.
type windowsService struct {
	ctx     context.Context
	program Program
	log     eventSink
	err     error
}

// accepted is what the service wants to be told. Before a shutdown Windows waits for
// those who asked for it; it does not for those who only hear of the shutdown itself.
const accepted = svc.AcceptStop | svc.AcceptPreShutdown | svc.AcceptPowerEvent

// The kinds of power event after which the machine is awake.
const (
	resumedByItself = 0x12 // PBT_APMRESUMEAUTOMATIC; after each sleep
	resumedByPerson = 0x07 // PBT_APMRESUMESUSPEND; follows when a key was pressed
)

// Execute implements [svc.Handler].
func (w *windowsService) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	asked, end := make(chan ask), make(chan struct{})
	defer close(end)
	go func() {
		for {
			var a ask
			select {
			case r := <-requests:
				switch {
				case r.Cmd == svc.Interrogate:
					a = askStatus
				case r.Cmd == svc.Stop:
					a = askStop
				case r.Cmd == svc.Shutdown || r.Cmd == svc.PreShutdown:
					a = askShutdown
				case r.Cmd == svc.PowerEvent && (r.EventType == resumedByItself || r.EventType == resumedByPerson):
					a = askResumed
				default:
					continue
				}
			case <-end:
				return
			}
			select {
			case asked <- a:
			case <-end:
				return
			}
		}
	}()
	tell := func(now phase) {
		s := svc.Status{State: svc.Running, Accepts: accepted}
		if now == phaseStopping {
			s = svc.Status{State: svc.StopPending, WaitHint: uint32(stopAtMost.Milliseconds())}
		}
		status <- s
	}
	if w.err = obey(w.ctx, w.program, asked, tell, w.log); w.err != nil {
		return true, 1
	}
	return false, 0
}
