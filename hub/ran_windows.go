package hub

import (
	"time"

	"golang.org/x/sys/windows"
)

// machineRan is how long the machine has run, its sleep included.
func machineRan() (time.Duration, bool) { return windows.DurationSinceBoot(), true }
