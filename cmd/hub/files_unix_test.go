//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRootWritesForTheOwnerOfTheDirectory: the service has a user of its own, and
// `hub enroll` is run as root.
func TestRootWritesForTheOwnerOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	owner := os.Geteuid()
	if owner == 0 {
		owner = 12345
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "hq.credential")
	if err := replaceFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != owner || info.Mode().Perm() != 0o600 {
		t.Errorf("it belongs to %d with mode %v, want %d and 0600", s.Uid, info.Mode(), owner)
	}
}
