// Package netcheck answers: what does the network say? It gathers facts and
// never judges them.
package netcheck

import (
	"context"
	"time"
)

// Status is the answer of one probe.
type Status string

// The statuses. Skip: a prerequisite failed first. Unknown: it was tried and
// could not be told.
const (
	Pass    Status = "pass"
	Warn    Status = "warn"
	Fail    Status = "fail"
	Skip    Status = "skip"
	Unknown Status = "unknown"
)

// Result is one probe's answer. Code is the one finding it can prove, if it does.
type Result struct {
	Name     string         `json:"name"`
	Status   Status         `json:"status"`
	Code     string         `json:"code,omitempty"`
	Detail   string         `json:"detail,omitempty"`
	Because  string         `json:"because,omitempty"` // for Skip: the probe that failed first
	TookMS   int64          `json:"took_ms"`
	Evidence map[string]any `json:"evidence,omitempty"`
}

// Report is all answers of one run.
type Report struct {
	Started time.Time     `json:"started_at"`
	Took    time.Duration `json:"took"`
	Results []Result      `json:"probes"`
}

// Targets say what to ask. The zero value asks for what every store needs.
type Targets struct {
	Readers    []string // addresses of readers on the LAN
	Endpoints  []string // extra hosts, host or host:port
	HQ         string   // base URL; "" when there is none
	HQCAFile   string   // trusted for HQ alone
	RangesFile string   // checks.ip_ranges_file
	StateDir   string   // where earlier runs' memory is, if readable and writable
	Workday    time.Duration
	GOOS       string       // "" is this system's
	Progress   func(Result) // called as each probe ends; nil: not
}

// Run asks everything and returns no error: a failed check is a result. The
// probes run side by side where none waits for another; Progress is called by
// one goroutine at a time.
func Run(ctx context.Context, t Targets) Report {
	return newChecker(t).run(ctx)
}
