package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/hub"
	"storehub/internal/cli"
)

// A hub that does not serve has no diagnosis and makes no reports: its program tells
// headquarters why, and that is all that is known of the shop.
func TestHeadquartersHearsWhyAHubDoesNotServe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, tt := range map[string]struct {
		listen, why string
		harm        func(state string) error
	}{
		"its port is taken": {taken.Addr().String(), "address already in use", func(string) error { return nil }},
		"its queue cannot be opened": {"127.0.0.1:0", "not a directory", func(state string) error {
			return os.WriteFile(filepath.Join(state, "queue"), nil, 0o600)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			file, state := writeConfig(t, fmt.Sprintf("listen: %s\nmdns: \"off\"\nchecks:\n  every: \"off\"\n", tt.listen))
			if code, _, stderr := hubRun(t.Context(), "enroll", "--hq", o.url, "--code", o.code(t), "--ca-file", o.ca, "--config", file); code != cli.ExitFine {
				t.Fatalf("enrol: exit %d: %s", code, stderr)
			}
			if err := tt.harm(state); err != nil {
				t.Fatal(err)
			}
			code, _, stderr := hubRun(t.Context(), "serve", "--config", file)
			if code != cli.ExitCouldNot || !strings.Contains(stderr, tt.why) {
				t.Fatalf("exit %d: %s", code, stderr)
			}
			seen, err := o.View(t.Context(), "0412")
			if err != nil {
				t.Fatal(err)
			}
			if r := seen.Report; r == nil || seen.Verdict != "blocked" || len(r.Causes) != 1 || r.Causes[0].Code != hub.CodeUnable || !strings.Contains(r.Unable, tt.why) || !r.Untold() {
				t.Errorf("headquarters sees %s: %+v", seen.Verdict, r)
			}
		})
	}
}
