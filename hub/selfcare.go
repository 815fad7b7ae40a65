package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"storehub/diagnostics"
)

// This file is what the hub notices of the machine that nobody looks at: that it is
// started again and again, that its disk takes no writes, that its clock was set. Each
// is a finding, and so headquarters learns of it with the next report.
const (
	// restartsIn and restartsMany: so many starts within that time that no stop came
	// before are a loop. One is a power cut, two are a technician.
	restartsIn   = time.Hour
	restartsMany = 3
	// startsKept bounds the record of starts.
	startsKept = 32

	// A hub that dies again and again waits before it serves: each start reads the
	// whole queue and calls headquarters. A till is never kept waiting longer than
	// slowMost by that, and headquarters takes its payments meanwhile.
	slowIn   = 10 * time.Minute
	slowMost = 15 * time.Second

	// clockJump is how far the clock must have been set; less is what time servers do.
	clockJump = 30 * time.Second
	// clockTold is how long a jump is told.
	clockTold = 24 * time.Hour
)

// start is one life of the hub, as the state directory remembers it.
type start struct {
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	Boot    string    `json:"boot,omitempty"`    // which start of the machine it was
	Stopped bool      `json:"stopped,omitempty"` // somebody asked it to end
}

// starts is starts.json in the state directory.
type starts struct {
	mu   sync.Mutex
	path string
	list []start // the last is this one
}

// begin records a start. What cannot be read is forgotten: it is evidence, no promise.
func (s *starts) begin(stateDir string, now start) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path = filepath.Join(stateDir, "starts.json")
	var before []start
	if b, err := os.ReadFile(s.path); err == nil {
		_ = json.Unmarshal(b, &before) // a torn file
	}
	s.list = append(before[max(0, len(before)-startsKept+1):], now)
	return s.save()
}

// stopped records that this start was ended by somebody who asked.
func (s *starts) stopped() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return nil
	}
	s.list[len(s.list)-1].Stopped = true
	return s.save()
}

func (s *starts) save() error {
	b, err := json.Marshal(s.list)
	if err != nil {
		return err
	}
	return writeFile(s.path, append(b, '\n'))
}

// unclean are the starts of that long ago at most that no stop came before. A clock
// that was set may hide some of them; it makes up none.
func (s *starts) unclean(now time.Time, within time.Duration) (list []start, booted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.list {
		if ago := now.Sub(st.At); i == 0 || s.list[i-1].Stopped || ago > within || ago < -clockJump {
			continue
		}
		list = append(list, st)
		if st.Boot != s.list[i-1].Boot {
			booted++
		}
	}
	return list, booted
}

// slow is how long a start waits after so many that nobody asked for.
func slow(unclean int) time.Duration {
	if unclean < restartsMany {
		return 0
	}
	return min(time.Second<<min(unclean-restartsMany, 10), slowMost)
}

func (s *starts) findings(now time.Time) []diagnostics.Known {
	list, booted := s.unclean(now, restartsIn)
	if len(list) < restartsMany {
		return nil
	}
	said := fmt.Sprintf("%d starts in an hour that no stop came before, the last at %s", len(list), list[len(list)-1].At.UTC().Format("15:04:05 UTC"))
	with := "the machine itself ran on each time"
	if booted > 0 {
		with = fmt.Sprintf("%d of them with the machine itself: its power, or a restart", booted)
	}
	return []diagnostics.Known{{Code: "hub_restarting", Since: list[0].At, Evidence: []string{said, with}}}
}

// beginRun records this start, and waits if there were too many. False: there is no
// time left to serve.
func (h *Hub) beginRun(ctx context.Context) bool {
	now := h.now().UTC().Truncate(time.Second)
	if err := h.starts.begin(h.cfg.StateDir, start{At: now, Version: h.parts.Version, Boot: bootID()}); err != nil {
		h.log.Warn("record the start", "err", err)
	}
	list, _ := h.starts.unclean(now, slowIn)
	if wait := slow(len(list)); wait > 0 {
		h.log.Error("the hub starts again and again; this start waits", "starts", len(list), "wait", wait)
		pause(ctx, wait)
	}
	return ctx.Err() == nil
}

// bootID tells one start of the machine from the next; "" where it cannot be told.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// clockWatch notices that the wall clock was set, by the machine's own clock, which
// nobody sets. The zero value has not looked yet.
type clockWatch struct {
	mu    sync.Mutex
	wall  time.Time
	ran   time.Duration
	jumps uint64
	by    time.Duration // the last one
	at    time.Time     // by the clock as it was set
}

// look compares the clock with how long the machine ran; by is not 0 when it was set.
func (c *clockWatch) look(wall time.Time, ran time.Duration) (by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall = wall.Round(0) // without the reading that would make them one clock
	if !c.wall.IsZero() {
		by = wall.Sub(c.wall) - (ran - c.ran)
	}
	c.wall, c.ran = wall, ran
	if by.Abs() < clockJump {
		return 0
	}
	c.jumps, c.by, c.at = c.jumps+1, by, wall
	return by
}

func (c *clockWatch) count() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jumps
}

func (c *clockWatch) findings(now time.Time) []diagnostics.Known {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || now.Sub(c.at).Abs() > clockTold {
		return nil
	}
	said := fmt.Sprintf("it was set %s by %s, to %s", map[bool]string{true: "back", false: "forward"}[c.by < 0],
		c.by.Abs().Round(time.Second), c.at.UTC().Format("2006-01-02 15:04:05 UTC"))
	return []diagnostics.Known{{Code: "clock_jumped", Since: c.at, Evidence: []string{said, fmt.Sprintf("%d in all since the hub started", c.jumps)}}}
}

// selfCare looks at the machine's clock and disk. Only what changed is logged.
func (h *Hub) selfCare() {
	if ran, ok := machineRan(); ok {
		if by := h.clock.look(time.Now(), ran); by != 0 {
			h.log.Warn("the machine's clock was set", "by", by.Round(time.Second))
		}
	}
	if readOnly, err := diskReadOnly(h.cfg.StateDir); err == nil && h.readOnly.Swap(readOnly) != readOnly {
		if readOnly {
			h.log.Error("the disk has become read-only: nothing new is promised", "dir", h.cfg.StateDir)
		} else {
			h.log.Info("the disk can be written again", "dir", h.cfg.StateDir)
		}
	}
}

// careFindings is what selfCare saw last, and how often the hub was started.
func (h *Hub) careFindings() []diagnostics.Known {
	now := h.now()
	list := append(h.starts.findings(now), h.clock.findings(now)...)
	if h.readOnly.Load() {
		list = append(list, diagnostics.Known{Code: "disk_read_only", Evidence: []string{"the file system of " + h.cfg.StateDir + " is mounted read-only"}})
	}
	return list
}
