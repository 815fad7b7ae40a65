package hub

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAHubThatStartsIsNotReleasedAnyMore: a purge wipes only a directory whose hub was
// removed with nothing waiting; one that has served since may hold promises again.
func TestAHubThatStartsIsNotReleasedAnyMore(t *testing.T) {
	dir := t.TempDir()
	if err := Release(filepath.Join(dir, "none"), "nothing waits"); err != nil {
		t.Fatalf("a hub that never was cannot be released: %v", err)
	}
	if err := Release(dir, "nothing waits"); err != nil {
		t.Fatal(err)
	}
	open(t, newFakeHQ(), dir)
	if _, err := os.Stat(filepath.Join(dir, releasedName)); !os.IsNotExist(err) {
		t.Errorf("still released: %v", err)
	}
}
