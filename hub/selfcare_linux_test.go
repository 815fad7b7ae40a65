package hub

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"storehub/diagnostics"
)

func causeOf(r diagnostics.Report, code string) *diagnostics.Cause {
	for _, c := range r.Causes {
		if c.Code == code {
			return &c
		}
	}
	return nil
}

func toldHQ(s *shop, code string) bool {
	for _, c := range s.hub.report(time.Now()).Causes {
		if c.Code == code {
			return true
		}
	}
	return false
}

// A hub that dies again and again says so from the third time on, to headquarters too,
// and waits before it serves; one that is stopped as often as that says nothing.
func TestCrashesInARowAreTold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lives  int
		kill   bool // the record of the stop is taken back, as kill -9 would have it
		told   bool
		waited bool
	}{
		{"stopped four times", 4, false, false, false},
		{"killed twice", 2, true, false, false},
		{"killed three times", 3, true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "starts.json")
			for range tt.lives {
				s := open(t, newFakeHQ(), dir)
				alive, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.stop(); err != nil {
					t.Fatal(err)
				}
				if tt.kill {
					if err := os.WriteFile(file, alive, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			f := newFakeHQ()
			s := open(t, f, dir)
			s.hub.monitor.refresh()
			c := causeOf(s.hub.monitor.current(), "hub_restarting")
			if got := c != nil; got != tt.told {
				t.Fatalf("hub_restarting is told: %v, want %v", got, tt.told)
			}
			if c != nil && !strings.Contains(strings.Join(c.Evidence, " "), "3 starts in an hour that no stop came before") {
				t.Errorf("it says %q", c.Evidence)
			}
			if got := strings.Contains(s.log.String(), "this start waits"); got != tt.waited {
				t.Errorf("the start waited: %v, want %v\n%s", got, tt.waited, s.log)
			}
			if tt.told {
				eventually(t, "headquarters was told", func() bool {
					f.mu.Lock()
					defer f.mu.Unlock()
					for _, r := range f.reports {
						for _, c := range r.Causes {
							if c.Code == "hub_restarting" && c.Severity == "warning" {
								return true
							}
						}
					}
					return false
				})
			}
		})
	}
}

func TestStartsAreJudgedByTimeAndByBoot(t *testing.T) {
	now := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, boot string, stopped bool) start {
		return start{At: now.Add(-d), Boot: boot, Stopped: stopped}
	}
	s := starts{list: []start{ago(50*time.Minute, "a", false), ago(40*time.Minute, "a", false), ago(30*time.Minute, "b", true), ago(20*time.Minute, "b", false), ago(0, "c", false)}}
	list, booted := s.unclean(now, restartsIn)
	if len(list) != 3 || booted != 2 {
		t.Errorf("%d starts, %d with the machine; want 3 and 2", len(list), booted)
	}
	if k := s.findings(now); len(k) != 1 || !strings.Contains(k[0].Evidence[1], "2 of them with the machine itself") {
		t.Errorf("found %+v", k)
	}
	if k := s.findings(now.Add(25 * time.Minute)); len(k) != 0 {
		t.Errorf("an hour later it still stands: %+v", k)
	}
	// The clock was set back by years: starts of the future are not counted.
	if k := s.findings(now.AddDate(-2, 0, 0)); len(k) != 0 {
		t.Errorf("starts that have not been: %+v", k)
	}
	for n, want := range map[int]time.Duration{0: 0, 2: 0, 3: time.Second, 5: 4 * time.Second, 7: 15 * time.Second, 1000: 15 * time.Second} {
		if got := slow(n); got != want {
			t.Errorf("after %d starts it waits %v, want %v", n, got, want)
		}
	}
}

// The record of starts is bounded, and one that is torn keeps no hub from serving.
func TestTheRecordOfStartsIsBoundedAndMayBeTorn(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 * startsKept {
		var s starts // each life reads the file
		if err := s.begin(dir, start{At: time.Unix(int64(i), 0).UTC()}); err != nil {
			t.Fatal(err)
		}
		if len(s.list) > startsKept || s.list[len(s.list)-1].At.Unix() != int64(i) {
			t.Fatalf("after %d starts %d are kept", i+1, len(s.list))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "starts.json"), []byte(`[{"at":"20`), 0o600); err != nil {
		t.Fatal(err)
	}
	var s starts
	if err := s.begin(dir, start{At: time.Unix(1, 0)}); err != nil || len(s.list) != 1 {
		t.Errorf("after a torn record: %v, %d starts", err, len(s.list))
	}
}

// A clock that was set is told from one that ran, from a machine that slept, and from
// what a time server does.
func TestAClockThatWasSetIsNoticed(t *testing.T) {
	at := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	var c clockWatch
	wall, ran := at, time.Hour
	step := func(passed, set time.Duration) time.Duration {
		wall, ran = wall.Add(passed+set), ran+passed
		return c.look(wall, ran)
	}
	for _, tt := range []struct{ passed, set, want time.Duration }{
		{0, 0, 0},
		{10 * time.Second, 0, 0},
		{8 * time.Hour, 0, 0}, // slept: the machine's own time went on
		{10 * time.Second, 2 * time.Second, 0},
		{10 * time.Second, 3 * time.Hour, 3 * time.Hour},
		{10 * time.Second, 0, 0}, // told once
		{10 * time.Second, -50 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour},
	} {
		if got := step(tt.passed, tt.set); got != tt.want {
			t.Errorf("%v passed and the clock was set by %v: noticed %v", tt.passed, tt.set, got)
		}
	}
	k := c.findings(wall)
	if len(k) != 1 || k[0].Code != "clock_jumped" || !strings.Contains(k[0].Evidence[0], "set back by 438000h0m0s") || c.count() != 2 {
		t.Errorf("found %+v, %d jumps", k, c.count())
	}
	if k := c.findings(wall.Add(clockTold + time.Minute)); len(k) != 0 {
		t.Errorf("a day later it still stands: %+v", k)
	}
	ran1, ok := machineRan()
	ran2, _ := machineRan()
	if !ok || ran1 <= 0 || ran2 < ran1 {
		t.Errorf("the machine has run for %v, then for %v (%v)", ran1, ran2, ok)
	}
}

// The clock jumps under a hub that serves: told as information, at headquarters too,
// and the shop is as ready as it was.
func TestAJumpIsToldAndStopsNobody(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	s.hub.selfCare()
	s.hub.clock.mu.Lock()
	s.hub.clock.wall = s.hub.clock.wall.Add(-3 * time.Hour) // as if it had been set since
	s.hub.clock.mu.Unlock()
	s.hub.selfCare()
	s.hub.monitor.refresh()
	c := causeOf(s.hub.monitor.current(), "clock_jumped")
	if c == nil || c.Severity != diagnostics.Info || !toldHQ(s, "clock_jumped") {
		t.Fatalf("told %+v", s.hub.report(time.Now()).Causes)
	}
	if v := s.hub.monitor.current().Verdict; v != diagnostics.Ready {
		t.Errorf("verdict %s", v)
	}
	if !strings.Contains(s.log.String(), "the machine's clock was set") || !strings.Contains(series(t, s.addr.Metrics), "storehub_clock_jumps_total 1\n") {
		t.Error("neither log nor metrics tell it")
	}
}

// The kernel makes the disk of a hub that serves read-only: it says so in a finding, in
// the log, in its metrics and to headquarters, and nothing is promised. It runs in a
// mount namespace of its own.
func TestADiskThatBecomesReadOnlyIsTold(t *testing.T) {
	if os.Getenv("READ_ONLY_DISK") == "" {
		c := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), "READ_ONLY_DISK=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	f := newFakeHQ()
	s := open(t, f, dir)
	told := func() bool { s.hub.selfCare(); s.hub.monitor.refresh(); return toldHQ(s, "disk_read_only") }
	if told() {
		t.Fatal("told of a disk that can be written")
	}
	// The kernel refuses to make read-only what is open for writing, but for a disk with
	// errors: so a file system that is read-only takes the directory's place.
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if !told() {
		t.Fatalf("not told: %+v", s.hub.report(time.Now()).Causes)
	}
	if c := causeOf(s.hub.monitor.current(), "disk_read_only"); c == nil || c.Severity != diagnostics.Critical {
		t.Errorf("the cause: %+v", c)
	}
	if !strings.Contains(s.log.String(), "the disk has become read-only") || !strings.Contains(series(t, s.addr.Metrics), "storehub_state_read_only 1\n") {
		t.Error("neither log nor metrics tell it")
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if told() || !strings.Contains(s.log.String(), "the disk can be written again") {
		t.Error("it does not go when the disk is well again")
	}
}
