package packaging

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheServiceLivesUnderOpenRC has Debian's own OpenRC start, supervise and stop the
// hub; try.sh says what must hold.
func TestTheServiceLivesUnderOpenRC(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", "openrc/storehub").CombinedOutput(); err != nil {
		t.Fatalf("sh -n openrc/storehub: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "openrc/try.sh", "../.tools/openrc", program(t, "hub", "1.0.0")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "try: all of it") {
		t.Fatalf("try.sh (as root, with .tools/openrc as the Makefile makes it): %v\n%s", err, out)
	}
}
