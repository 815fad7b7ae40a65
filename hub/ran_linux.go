package hub

import (
	"time"

	"golang.org/x/sys/unix"
)

const readOnlyFlag = unix.ST_RDONLY

// machineRan is how long the machine has run, its sleep included.
func machineRan() (time.Duration, bool) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
