package windows

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// underWine drives the installer and the service as far as wine goes, in a
// network of its own: wine's server owns the sockets, so it is started inside, for a
// prefix that nothing else uses.
func underWine(t *testing.T, older, newer string) {
	dir := t.TempDir()
	dll := filepath.Join(dir, "bcryptprimitives.dll")
	must(t, nil, "x86_64-w64-mingw32-gcc", "-shared", "-o", dll, "testdata/bcryptprimitives.c", "-ladvapi32")
	t.Cleanup(func() { // what is left of it when the script was cut short
		_ = exec.Command("env", "WINEPREFIX="+filepath.Join(dir, "wine"), "wineserver", "-k").Run()
	})
	out, err := run(t, []string{"WINEPREFIX=" + filepath.Join(dir, "wine"), "WINEDEBUG=-all", "HOME=" + dir},
		"unshare", "--net", "timeout", "120", "./wine.sh", dll, older, newer)
	golden := filepath.Join("testdata", "wine.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, rerr := os.ReadFile(golden)
	if rerr != nil {
		t.Fatal(rerr)
	}
	if err != nil || strings.TrimSpace(out) != strings.TrimSpace(string(want)) {
		t.Errorf("%v; it went\n%s\nwant\n%s", err, out, want)
	}
}
