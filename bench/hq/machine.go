package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine says where the figures are from.
type machine struct {
	CPUs   int    `json:"cpus"`
	CPU    string `json:"cpu,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	Go     string `json:"go"`
}

func describe() machine {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(b), "model name")
		line, _, _ := strings.Cut(rest, "\n")
		m.CPU = strings.TrimLeft(line, "\t :")
	}
	return m
}

// loadAverage is what `uptime` says: of one, five and fifteen minutes.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

// rssAnon is a process's memory that no file backs, in bytes; -1: not known.
func rssAnon(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return -1
			}
			return n << 10
		}
	}
	return -1
}

// 100 Hz: what the kernel gives user space on every platform Go runs on.
const tick = 100.0

// stat is one process of /proc, as far as it matters here.
type stat struct {
	session string
	seconds float64 // of the processor, with the children it has waited for
}

func readStat(file string) (stat, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return stat{}, false // it has ended
	}
	// After the name in parentheses: state, parent, group, session, … utime is the
	// 12th, then stime, cutime, cstime.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return stat{}, false
	}
	s := stat{session: f[3]}
	for _, v := range f[11:15] {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return stat{}, false
		}
		s.seconds += n / tick
	}
	return s, true
}

// cpuOf is a process's time of the processor in seconds; 0: not known.
func cpuOf(pid int) float64 {
	s, _ := readStat("/proc/" + strconv.Itoa(pid) + "/stat")
	return s.seconds
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
	own, ok := readStat("/proc/self/stat")
	if !ok {
		return 0, false
	}
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	if len(f) < 4 || f[0] != "cpu" {
		return 0, false
	}
	for _, s := range f[1:4] { // user, nice, system
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, false
		}
		seconds += n / tick
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, false
	}
	for _, file := range files {
		if s, ok := readStat(file); ok && s.session == own.session {
			seconds -= s.seconds
		}
	}
	return seconds, true
}
