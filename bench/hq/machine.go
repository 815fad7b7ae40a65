package main

import (
	"strconv"
	"time"

	"storehub/bench/proc"
)

// rssAnon is a process's memory that no file backs, in bytes; -1: not known.
func rssAnon(pid int) int64 { return proc.RSSAnon(strconv.Itoa(pid)) }

// cpuOf is a process's time of the processor in seconds, with the children it has
// waited for; 0: not known.
func cpuOf(pid int) float64 {
	s, _ := proc.ReadStat(strconv.Itoa(pid))
	return s.Own + s.Children
}

// watchOthers begins to watch; the function it returns says how many cores programs
// outside this session have used since on average; -1: not known.
func watchOthers() func() float64 {
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
	own, ok := proc.ReadStat("self")
	if !ok {
		return 0, false
	}
	return proc.Others(func(s proc.Stat) float64 {
		if s.Session != own.Session {
			return 0
		}
		return s.Own + s.Children
	})
}
