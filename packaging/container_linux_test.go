package packaging

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestImagesRunAlone has a real builder make both images, and runs what is in them with
// no file of this machine; container/try.sh says what must hold.
func TestImagesRunAlone(t *testing.T) {
	dist := t.TempDir()
	for _, program := range []string{"hub", "hq"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(dist, program+"-linux-"+runtime.GOARCH), "storehub/cmd/"+program)
		build.Env = append(build.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", program, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), "container/try.sh", dist).CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "try: all of it") {
		t.Errorf("try.sh (as root, with buildah): %v\n%s", err, out)
	}
}
