package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestVersionIsTheMostExactKnown(t *testing.T) {
	vcs := func(revision, modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
	}
	for name, c := range map[string]struct {
		release string
		info    *debug.BuildInfo
		want    string
	}{
		"release wins":         {"1.4.0", &debug.BuildInfo{Main: debug.Module{Version: "v1.3.0"}}, "1.4.0"},
		"module":               {"", &debug.BuildInfo{Main: debug.Module{Version: "v1.3.0"}}, "v1.3.0"},
		"clean tree":           {"", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs("0123456789abcdef", "false")}, "0123456789ab"},
		"changed tree":         {"", &debug.BuildInfo{Settings: vcs("0123456789abcdef", "true")}, "0123456789ab-dirty"},
		"short revision":       {"", &debug.BuildInfo{Settings: vcs("0123", "false")}, "0123"},
		"nothing of the kind":  {"", &debug.BuildInfo{}, "devel"},
		"no build info at all": {"", nil, "devel"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := choose(c.release, c.info); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if Version() == "" {
		t.Error("Version is empty")
	}
}
