package offlinequeue

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// read lists what Read yields.
func read(t *testing.T, dir string) (list []string, err error) {
	t.Helper()
	for op, err := range Read(dir, testKeys...) {
		if err != nil {
			return list, err
		}
		list = append(list, op.ID)
	}
	return list, nil
}

// files are the hashes of all files below dir.
func files(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all[name] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadListsAQueueWithoutTouchingIt(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	q := opened(t, dir, Options{})
	for _, id := range []string{"a", "b", "c"} {
		put(t, q, capture(id, id))
	}
	if _, err := read(t, dir); !errors.Is(err, ErrInUse) {
		t.Errorf("read while a hub uses it: %v", err)
	}
	closed(t, q)
	for _, damage := range []func() error{
		func() error { return nil },
		func() error { return scribble(filepath.Join(dir, storeName, "MANIFEST")) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		before := files(t, dir)
		list, err := read(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "read", list, []string{"c", "b", "a"})
		equal(t, "files", files(t, dir), before)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := read(t, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read of no queue: %v", err)
	}
}
