package packaging

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheServiceLivesUnderOpenRC has Debian's own OpenRC start, supervise and stop the
// hub; try.sh says what must hold.
func TestTheServiceLivesUnderOpenRC(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", "openrc/storehub").CombinedOutput(); err != nil {
		t.Fatalf("sh -n openrc/storehub: %v\n%s", err, out)
	}
	hub := filepath.Join(t.TempDir(), "hub")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", hub, "../cmd/hub")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build hub: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "openrc/try.sh", "../.tools/openrc", hub).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "try: all of it") {
		t.Fatalf("try.sh (as root, with .tools/openrc as the Makefile makes it): %v\n%s", err, out)
	}
}
