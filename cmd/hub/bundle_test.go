package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storehub/hub"
	"storehub/internal/cli"
	"storehub/internal/try"
	"storehub/netcheck"
)

// TestBundleHoldsNoSecret packs all that a running hub tells of itself and looks
// for each of the system's secrets.
func TestBundleHoldsNoSecret(t *testing.T) {
	s, err := try.Start(t.Context(), try.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := os.Open(s.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cfg, err := hub.ParseConfig(f, s.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	credential, err := os.ReadFile(cfg.CredentialFile())
	if err != nil {
		t.Fatal(err)
	}
	a := &app{ctx: t.Context(), stderr: io.Discard, config: s.ConfigFile}
	// No network is asked: what it answers holds none of these secrets.
	text, err := os.ReadFile(s.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	secrets := newRedactor(cfg, text)
	list := exhibits(t.Context(), a, cfg, secrets, func(netcheck.Targets) netcheck.Report { return netcheck.Report{Started: time.Now()} })
	b, err := archive(time.Now(), list, secrets)
	if err != nil {
		t.Fatal(err)
	}
	found := unzip(t, b)
	for name, want := range map[string]string{
		"version.json": `"go"`, "hub.yaml": "state_dir", "diagnosis.json": `"verdict"`, "diagnosis.txt": "store 0001", "facts.json": `"schema"`,
		"status.json": `"can_take_payments"`, "diagnosis-of-the-hub.json": `"verdict"`, "tills.json": "Demo till", "checklist.json": `"outages"`, "history.json": `"seconds"`,
		"history.txt": "store 0001", "metrics.txt": "storehub_build_info", "missing.json": `"hub.log"`,
	} {
		if !strings.Contains(found[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, found[name])
		}
	}
	for what, secret := range map[string]string{
		"the till's credential": s.POSCredential, "the Stripe key": s.StripeKey, "the restricted key": s.Sandbox.RestrictedKey(),
		"the store's credential": strings.TrimSpace(string(credential)),
	} {
		for name, content := range found {
			if secret == "" || strings.Contains(content, secret) {
				t.Errorf("%s holds %s", name, what)
			}
		}
	}
}

func TestBundleWithoutAHubSaysWhatIsMissing(t *testing.T) {
	file, _ := writeConfig(t, "store: \"0412\"\n")
	a := &app{ctx: t.Context(), stderr: io.Discard, config: file}
	cfg, err := a.load()
	if err != nil {
		t.Fatal(err)
	}
	list := exhibits(t.Context(), a, cfg, newRedactor(cfg, nil), func(netcheck.Targets) netcheck.Report { return netcheck.Report{Started: time.Now()} })
	missing, _ := list[len(list)-1].value.(map[string]string)
	if !strings.Contains(missing["status.json"], "no hub is running") {
		t.Errorf("missing: %v", missing)
	}
	if exit, _, stderr := hubRun(t.Context(), "bundle", "--config", file, "--output", filepath.Join(t.TempDir(), "none", "b.zip")); exit != cli.ExitCouldNot {
		t.Errorf("exit %d: %s", exit, stderr)
	}
}
