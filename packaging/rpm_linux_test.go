package packaging

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"storehub/offlinequeue"
)

// TestLifeOfTheRPM has rpm itself install, upgrade, set back and remove the package over
// a queue with money in it; rpm/try.sh says what must hold.
func TestLifeOfTheRPM(t *testing.T) {
	t.Parallel()
	older, newer := packages(t, "1.0.0"), packages(t, "1.1.0")
	queue := filepath.Join(t.TempDir(), "queue")
	q, err := offlinequeue.Open(queue, offlinequeue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Put(t.Context(), offlinequeue.Op{
		ID: "lane-1/4711", Kind: "capture", Ref: "pi_waits", Till: "lane-1", Mode: "test", Money: true,
	}); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "rpm/try.sh", "../.tools/debian", queue, only(t, older, "*.rpm"), only(t, newer, "*.rpm")).CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "try: all of it") {
		t.Errorf("try.sh (as root, with .tools/debian as the Makefile makes it): %v\n%s", err, out)
	}
}
