package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestImagesRunAlone has a real builder make both images, and runs what is in them with
// no file of this machine; container/try.sh says what must hold.
func TestImagesRunAlone(t *testing.T) {
	t.Parallel()
	dist := t.TempDir()
	for _, name := range []string{"hub", "hq"} {
		if err := os.Symlink(program(t, name, "1.0.0"), filepath.Join(dist, built(name))); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "container/try.sh", dist).CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "try: all of it") {
		t.Errorf("try.sh (as root, with buildah): %v\n%s", err, out)
	}
}
