// Package proc says what a benchmark has to know of the machine it runs on: what it
// is, what processes take of it, and what others do on it meanwhile. What only Linux
// tells is not known elsewhere.
package proc

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Machine says where figures are from.
type Machine struct {
	CPUs   int    `json:"cpus"`
	CPU    string `json:"cpu,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	Go     string `json:"go"`
}

// Describe is this machine; what is not known of it stays empty.
func Describe() Machine {
	m := Machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
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

// LoadAverage is what `uptime` says: of one, five and fifteen minutes.
func LoadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

// RSSAnon is the memory of a process ("self" or a number) that no file backs, in
// bytes; -1: not known.
func RSSAnon(pid string) int64 {
	n := Field("/proc/"+pid+"/status", "RssAnon:")
	if n < 0 {
		return -1
	}
	return n << 10
}

// Field is the number behind a name in a file of /proc; -1: not known.
func Field(file, name string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != name {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	return -1
}

// tick is 100 Hz: what the kernel gives user space on every platform Go runs on.
const tick = 100.0

// Stat is a process, as far as a benchmark asks.
type Stat struct {
	Name            string // of the program, at most 15 bytes
	Parent, Session string
	Own, Children   float64 // seconds of the processor; of children only those it has waited for
}

// In reports whether the process is of a session, or was begun by one of it:
// PostgreSQL's processes each lead a session of their own.
func (s Stat) In(session string) bool {
	if s.Session == session {
		return true
	}
	parent, ok := ReadStat(s.Parent)
	return ok && parent.Session == session
}

// Each gives every process that runs.
func Each(f func(pid string, s Stat)) error {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, file := range files {
		pid := filepath.Base(filepath.Dir(file))
		if s, ok := ReadStat(pid); ok {
			f(pid, s)
		}
	}
	return nil
}

// ReadStat is process pid ("self" or a number). ok is false when it is not known: it
// has ended, or there is no /proc.
func ReadStat(pid string) (s Stat, ok bool) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return Stat{}, false
	}
	return parseStat(b)
}

func parseStat(b []byte) (s Stat, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return Stat{}, false
	}
	// After the name in parentheses: state, parent, group, session, … utime is the
	// 12th, then stime, cutime, cstime.
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 15 {
		return Stat{}, false
	}
	own, ok1 := seconds(f[11:13])
	children, ok2 := seconds(f[13:15])
	return Stat{Name: string(b[open+1 : end]), Parent: f[1], Session: f[3], Own: own, Children: children}, ok1 && ok2
}

func seconds(ticks []string) (sum float64, ok bool) {
	for _, s := range ticks {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, false
		}
		sum += n / tick
	}
	return sum, true
}

// Others is the time of the processor in seconds that everything has taken so far, less
// what except says of each process that still runs. ok is false when it is not known.
func Others(except func(Stat) (seconds float64)) (sum float64, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	if len(f) < 4 || f[0] != "cpu" {
		return 0, false
	}
	if sum, ok = seconds(f[1:4]); !ok { // user, nice, system
		return 0, false
	}
	err = Each(func(_ string, s Stat) { sum -= except(s) })
	return sum, err == nil
}
