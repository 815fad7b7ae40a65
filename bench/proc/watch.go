package proc

import "time"

// WatchOthers begins to watch; the function it returns says how many cores programs
// outside this session have used since on average; -1: not known.
func WatchOthers() func() float64 {
	began := time.Now()
	before, ok := others()
	return func() float64 {
		now, still := others()
		if !ok || !still {
			return -1
		}
		return max(0, now-before) / time.Since(began).Seconds()
	}
}

// others is the processor time in seconds of everything outside this session.
func others() (seconds float64, ok bool) {
	own, ok := ReadStat("self")
	if !ok {
		return 0, false
	}
	return Others(func(s Stat) float64 {
		if !s.In(own.Session) {
			return 0
		}
		return s.Own + s.Children
	})
}
