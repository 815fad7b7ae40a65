package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storehub/internal/lab"
)

// TestTheFirstDiagnosisIsGreen: the hub of the built package, with the configuration of
// the package in which only the shop is filled in, finds nothing wrong in a healthy shop
// and ends with 0; and where the shop's cable is out, it does not.
func TestTheFirstDiagnosisIsGreen(t *testing.T) {
	t.Parallel()
	if err := lab.Ready(); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if _, err := run(t, "dpkg-deb", "--extract", only(t, packages(t, "1.0.0"), "*.deb"), root); err != nil {
		t.Fatal(err)
	}
	task := lab.Task{Hub: filepath.Join(root, "usr/bin/hub"), Config: filepath.Join(root, "etc/storehub/hub.yaml"), Rows: []string{"healthy", "cable-out"}}
	if out, err := run(t, task.Hub, "version"); err != nil || !strings.HasPrefix(string(out), "hub 1.0.0 ") {
		t.Fatalf("the package's hub: %s, %v", out, err)
	}
	took := map[string]time.Duration{}
	if err := lab.Exam(t.Context(), task, func(o lab.Outcome) {
		took[o.Row] = o.Took
		if o.Wrong != "" {
			t.Errorf("%s: %s", o.Row, o.Wrong)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if len(took) != len(task.Rows) {
		t.Fatalf("answers to %v, want %v", took, task.Rows)
	}
	t.Logf("green after %.1f s", took["healthy"].Seconds())

	// It is the package's configuration that the hub reads: with nonsense in it there is
	// no answer.
	text, err := os.ReadFile(task.Config)
	if err != nil {
		t.Fatal(err)
	}
	task.Config, task.Rows = filepath.Join(t.TempDir(), "hub.yaml"), task.Rows[:1]
	if err := os.WriteFile(task.Config, append(text, "nonsense: 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lab.Exam(t.Context(), task, func(o lab.Outcome) {
		if !strings.Contains(o.Wrong, "nonsense") {
			t.Errorf("a configuration with nonsense in it: %q", o.Wrong)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
