package service

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier writes to systemd's notification socket; without one it is silent.
type notifier struct {
	conn     *net.UnixConn
	watchdog time.Duration // period in which a sign of life is due; 0: none wanted
}

// newNotifier takes the socket and the watchdog's period from the environment,
// and takes them out of it, so that no child speaks for this process.
func newNotifier() (*notifier, error) {
	socket, period, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if socket == "" {
		return &notifier{}, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	n := &notifier{conn: conn}
	if period != "" && cmp.Or(pid, strconv.Itoa(os.Getpid())) == strconv.Itoa(os.Getpid()) {
		usec, err := strconv.ParseInt(period, 10, 64)
		if err != nil || usec <= 0 {
			n.close()
			return nil, fmt.Errorf("read WATCHDOG_USEC %q: want microseconds", period)
		}
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n, nil
}

// send tells one state. A manager that does not listen is no reason to stop.
func (n *notifier) send(state string) {
	if n.conn == nil {
		return
	}
	if _, err := n.conn.Write([]byte(state)); err != nil {
		slog.Warn("tell service manager", "err", err)
	}
}

func (n *notifier) close() {
	if n.conn != nil {
		_ = n.conn.Close()
	}
}
