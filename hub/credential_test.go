package hub

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestACredentialIsTheOneThatStandsInItsFile: read once while the file is the same, and
// anew whenever it may be another.
func TestACredentialIsTheOneThatStandsInItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hq.credential")
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
	c := &credentialFile{path: file}
	want := func(text, when string) {
		t.Helper()
		if got, _ := c.identity(); got != text {
			t.Errorf("%s: %q, want %q", when, got, text)
		}
	}
	want("", "no file")
	write("one", time.Hour)
	want("one", "an old file")
	if c.read == nil {
		t.Error("an old file is read at each request")
	}
	write("two", 2*time.Hour)
	want("two", "another time")
	write("now", 0)
	want("now", "just written")
	write("new", 0)
	want("new", "written again at once")
	if err := os.WriteFile(file+".new", []byte("six\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	want("six", "another file in its place")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("", "removed")
}
