package systemd

import (
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// directives are the key=value lines of a unit; a key may come more than once.
func directives(unit string) map[string][]string {
	d := map[string][]string{}
	for line := range strings.Lines(unit) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") {
			d[k] = append(d[k], v)
		}
	}
	return d
}

func TestUnitsHaveWhatTheProgramsRelyOn(t *testing.T) {
	for name, unit := range map[string]string{"hub": Hub, "hq": HQ} {
		d := directives(unit)
		for key, want := range map[string]string{
			"Type":                     "notify", // internal/service says READY=1
			"ExecStart":                "/usr/bin/" + name + " serve --config /etc/storehub/" + name + ".yaml",
			"Restart":                  "always",
			"RestartSec":               "2",
			"StartLimitIntervalSec":    "0", // the hub itself slows a loop of starts
			"RestartPreventExitStatus": "2", // the exit code for a wrong configuration
			"WatchdogSec":              "60",
			"LimitCORE":                "0",
			"DynamicUser":              "yes",
			"StateDirectory":           map[string]string{"hub": "storehub storehub-keys", "hq": "storehub-hq"}[name],
			"UMask":                    "0077",
			"ProtectSystem":            "strict",
			"NoNewPrivileges":          "yes",
			"WantedBy":                 "multi-user.target",
			"CapabilityBoundingSet":    map[string]string{"hub": "CAP_NET_RAW CAP_NET_BIND_SERVICE"}[name],
		} {
			if got := d[key]; !slices.Equal(got, []string{want}) {
				t.Errorf("%s.service: %s is %q, want %q", name, key, got, want)
			}
		}
		if len(d["LoadCredential"]) == 0 || slices.ContainsFunc(d["LoadCredential"], func(v string) bool { return strings.Contains(v, ":") }) {
			t.Errorf("%s.service: LoadCredential is %q: want names alone, since a missing path would stop the unit", name, d["LoadCredential"])
		}
		// Without the traceback a panic would look like a wrong configuration: exit code 2.
		for _, want := range []string{"GOMEMLIMIT=", "GOTRACEBACK=crash"} {
			if !slices.ContainsFunc(d["Environment"], func(v string) bool { return strings.HasPrefix(v, want) }) {
				t.Errorf("%s.service: Environment has no %s", name, want)
			}
		}
	}
}

// TestSandboxIsTight holds systemd's own judgement of the units: 0 is sealed, 10
// is open. The network and, for the hub, raw sockets are what remains.
func TestSandboxIsTight(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is Linux's")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is missing: install the package systemd")
	}
	level := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)
	for name, limit := range map[string]float64{"hub.service": 2.0, "hq.service": 1.5} {
		out, err := exec.Command(analyze, "security", "--offline=yes", "--no-pager", name).CombinedOutput()
		if err != nil {
			t.Fatalf("systemd-analyze security %s: %v\n%s", name, err, out)
		}
		m := level.FindSubmatch(out)
		if m == nil {
			t.Fatalf("systemd-analyze security %s gave no level:\n%s", name, out)
		}
		if got, _ := strconv.ParseFloat(string(m[1]), 64); got > limit {
			t.Errorf("%s is more exposed than it was: %v, want at most %v\n%s", name, got, limit, out)
		}
	}
}

func TestForFillsInProgramAndConfig(t *testing.T) {
	for _, c := range []struct{ executable, config, want string }{
		{"/usr/bin/hub", "/etc/storehub/hub.yaml", "ExecStart=/usr/bin/hub serve --config /etc/storehub/hub.yaml\n"},
		{"/opt/store hub/hub", "/srv/100%/$x.yaml", `ExecStart="/opt/store hub/hub" serve --config "/srv/100%%/$$x.yaml"` + "\n"},
		{`/opt/a"b\c`, "/x", `ExecStart="/opt/a\"b\\c" serve --config /x` + "\n"},
	} {
		got, err := For(Hub, c.executable, c.config)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("For(%q, %q) lacks %q", c.executable, c.config, c.want)
		}
		if strings.Count(got, "\n") != strings.Count(Hub, "\n") {
			t.Errorf("For(%q, %q) has another number of lines", c.executable, c.config)
		}
	}
	same, err := For(Hub, "/usr/bin/hub", "/etc/storehub/hub.yaml")
	if err != nil || same != Hub {
		t.Errorf("the packages' own paths change the unit: %v", err)
	}
	for _, path := range []string{"", "/a\nExecStartPre=/bin/evil"} {
		if _, err := For(Hub, path, "/x"); err == nil {
			t.Errorf("For took the program %q", path)
		}
		if _, err := For(Hub, "/x", path); err == nil {
			t.Errorf("For took the file %q", path)
		}
	}
	if _, err := For("[Service]\n", "/x", "/y"); err == nil {
		t.Error("For took a unit without ExecStart")
	}
}
