package windows

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// timedOut is timeout's own exit code.
const timedOut = 124

// underWine drives the installer and the service as far as wine goes, in a
// network of its own: wine's server owns the sockets, so it is started inside, for a
// prefix that nothing else uses.
func underWine(t *testing.T, older, newer string) {
	dir := t.TempDir()
	dll := filepath.Join(dir, "bcryptprimitives.dll")
	must(t, nil, "x86_64-w64-mingw32-gcc", "-shared", "-o", dll, "testdata/bcryptprimitives.c", "-ladvapi32")
	var out string
	var err error
	// On a busy machine wine's msiexec sometimes waits for ever for a server of wine's
	// own (seen in one run of six at load 8, at the first install, before anything of
	// ours runs). A life that was cut short says nothing, so it is begun anew in a
	// prefix of its own; a program of ours that hangs does so each time.
	for try := range 3 {
		prefix := "WINEPREFIX=" + filepath.Join(dir, fmt.Sprintf("wine%d", try))
		t.Cleanup(func() { // what is left of it when the script was cut short
			_ = exec.Command("env", prefix, "wineserver", "-k").Run()
		})
		out, err = run(t, []string{prefix, "WINEDEBUG=-all", "HOME=" + dir},
			"unshare", "--net", "timeout", "120", "./wine.sh", dll, older, newer)
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != timedOut {
			break
		}
		t.Logf("wine did not finish within 2 minutes; it went\n%s", out)
	}
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
