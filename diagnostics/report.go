// Package diagnostics answers: what is wrong, what only looks wrong, and what is
// to be done?
package diagnostics

import (
	"time"

	"storehub/netcheck"
	"storehub/offlinequeue"
	"storehub/readers"
)

// Severity grades a cause.
type Severity string

// The severities.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// Verdict is the whole store in one word.
type Verdict string

// The verdicts.
const (
	Ready    Verdict = "ready"
	Degraded Verdict = "degraded"
	Blocked  Verdict = "blocked"
)

// Cause is a root: something that is wrong by itself.
type Cause struct {
	Code       string    `json:"code"`
	Severity   Severity  `json:"severity"`
	Confidence float64   `json:"confidence"`
	Since      time.Time `json:"since"`
	Title      string    `json:"title"`
	Evidence   []string  `json:"evidence"`
	RuledOut   []string  `json:"ruled_out"`
	Remedy     []string  `json:"remedy"`
	Targets    []string  `json:"targets"`
	Explains   []string  `json:"explains"`
	Doc        string    `json:"doc"`
	// Flapping is set where the cause comes and goes; since is its first beginning.
	Flapping *Flapping `json:"flapping,omitempty"`
	// LastDay is filled in where there is a history.
	LastDay  *Recurrence `json:"last_day,omitempty"`
	Operator string      `json:"-"` // one sentence for the shop's staff
}

// Symptom only looks wrong: it goes away with its cause.
type Symptom struct {
	Code    string   `json:"code"`
	Because string   `json:"because"`
	Targets []string `json:"targets"`
}

// Report is the diagnosis, schema 1 (diagnosis.schema.json in this folder).
type Report struct {
	Schema     int               `json:"schema"`
	Store      string            `json:"store"`
	HubVersion string            `json:"hub_version"`
	StartedAt  time.Time         `json:"started_at"`
	TookMS     int64             `json:"took_ms"`
	Verdict    Verdict           `json:"verdict"`
	Causes     []Cause           `json:"causes"`
	Symptoms   []Symptom         `json:"symptoms"`
	Probes     []netcheck.Result `json:"probes"`
}

// Hub is what a running hub knows of itself. Zero times and nil mean "not known".
type Hub struct {
	LastHQContact  time.Time
	HQRefused      bool      // headquarters said 401
	HQFailingSince time.Time // zero: it answers, or nothing is known
	HQError        string
	DiskFreeBytes  int64 // -1: not known
	SecondHub      string
	QueueFull      bool    // a promise was refused for want of room
	Known          []Known // findings that somebody else has proved already
	Polls          *Polls  `json:",omitempty"`
	// Vantages is what browsers on other devices of the shop saw lately.
	Vantages []Vantage `json:",omitempty"`
}

// Polls is how the idle long polls to headquarters ended since a time.
type Polls struct {
	Since time.Time
	Held  int // came back empty when their time was up, as agreed
	Cut   []Cut
}

// Cut is a long poll that died while it was idle.
type Cut struct {
	At       time.Time
	After    time.Duration // how long it had lived
	Error    string
	Answered bool // headquarters answered the next question at once
}

// Known is a finding that another room has proved: money's, mostly. It stays
// until a person has resolved it.
type Known struct {
	Code     string
	Since    time.Time
	Evidence []string
	Targets  []string
}

// Input is everything a diagnosis may look at. Nil means "not known".
type Input struct {
	At          time.Time
	Store       string
	Version     string
	Integration string // sdk-js, sdk-native, server-driven, auto
	Workday     time.Duration
	Net         *netcheck.Report
	Queue       *offlinequeue.Stats
	Readers     []readers.Reader
	Hub         *Hub
}
