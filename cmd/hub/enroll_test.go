package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"storehub/doors"
	"storehub/hq"
	"storehub/hub"
	"storehub/internal/cli"
)

// office is a headquarters that knows the store 0412 and listens with a
// certificate that no machine trusts by itself.
type office struct {
	*hq.Server
	url, ca string
}

func newOffice(t *testing.T) office {
	t.Helper()
	s, err := hq.NewServer(hq.Options{Database: "sqlite:" + filepath.Join(t.TempDir(), "hq.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	web := httptest.NewTLSServer(s.Handler())
	t.Cleanup(web.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	return office{s, web.URL, ca}
}

func (o office) code(t *testing.T) string {
	t.Helper()
	code, _, err := o.AddStore(t.Context(), hq.Store{ID: "0412", Location: "tml_1", Mode: doors.Test, TimeZone: "UTC", DayEnds: "04:00"})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// writeConfig makes a configuration whose state directory is beside it.
func writeConfig(t *testing.T, text string) (file, state string) {
	t.Helper()
	dir := t.TempDir()
	file, state = filepath.Join(dir, "hub.yaml"), filepath.Join(dir, "state")
	if err := os.WriteFile(file, fmt.Appendf(nil, "# kept\nstate_dir: %q\n%s", state, text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, state
}

func TestEnrolmentCompletesTheMachine(t *testing.T) {
	o := newOffice(t)
	file, state := writeConfig(t, "")
	code, stdout, stderr := hubRun(t.Context(), "enroll", "--hq", o.url+"/", "--code", o.code(t), "--ca-file", o.ca, "--config", file)
	if code != cli.ExitFine {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	if !strings.Contains(stdout, "hub of store 0412 (test mode)") || !strings.Contains(stdout, "next: ") {
		t.Errorf("says %s", stdout)
	}
	b, err := os.ReadFile(filepath.Join(state, "hq.credential"))
	if err != nil {
		t.Fatal(err)
	}
	credential, key := hq.ParseCredential(string(b))
	if credential == "" || key == nil || strings.Contains(stdout+stderr, credential) || strings.Contains(stdout+stderr, strings.Fields(string(b))[1]) {
		t.Errorf("credential or key are missing, or shown: %s%s", stdout, stderr)
	}
	if info, _ := os.Stat(filepath.Join(state, "hq.credential")); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the credential's mode is %v", info.Mode())
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cfg, err := hub.ParseConfig(f, file)
	if err != nil || cfg.Complete() != nil || cfg.Store != "0412" || cfg.HQ.URL != o.url || cfg.HQ.CAFile != o.ca {
		t.Errorf("the configuration is %+v, %v", cfg, err)
	}
	client := hq.Client{URL: o.url, Credential: func() string { return credential }, Key: func() ed25519.PrivateKey { return key }}
	transport, err := trusting(o.ca)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	client.HTTP = transportClient(transport)
	if st, err := client.Store(t.Context()); err != nil || st.ID != "0412" {
		t.Errorf("headquarters knows %+v, %v", st, err)
	}
	client.Key = nil
	if _, err := client.Store(t.Context()); err == nil {
		t.Error("the credential works without the key that was made here")
	}
	if code, _, stderr := hubRun(t.Context(), "config", "check", "--config", file); code != cli.ExitFine {
		t.Errorf("config check: exit %d: %s", code, stderr)
	}
}

// TestEnrolmentByFile: a rollout's script leaves a file, and no person types a code.
// What the command line says goes before it.
func TestEnrolmentByFile(t *testing.T) {
	o := newOffice(t)
	file, state := writeConfig(t, "")
	from := filepath.Join(t.TempDir(), "enrol.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hq: " + o.url + "\ncode: NOPE\nca: x\n")
	if code, _, stderr := hubRun(t.Context(), "enroll", "--from", from, "--config", file); code != cli.ExitUsage || !strings.Contains(stderr, "enrol.yaml:3: ") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	write("hq: " + o.url + "\ncode: NOPE\nca_file: " + o.ca + "\n")
	if code, _, stderr := hubRun(t.Context(), "enroll", "--from", from, "--config", file); code != cli.ExitUsage || !strings.Contains(stderr, "enrolment_code_refused") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if _, err := os.Stat(from); err != nil {
		t.Fatalf("a file that did not enrol is gone: %v", err)
	}
	code, stdout, stderr := hubRun(t.Context(), "enroll", "--from", from, "--code", o.code(t), "--config", file)
	if code != cli.ExitFine || !strings.Contains(stdout, "hub of store 0412") {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(from); !os.IsNotExist(err) {
		t.Errorf("the used file stays: %v", err)
	}
	if _, err := os.Stat(filepath.Join(state, "hq.credential")); err != nil {
		t.Error(err)
	}
}

// A headquarters that does not know of keys is enrolled at without one, by the same code.
func TestEnrolmentAtAnOlderHeadquarters(t *testing.T) {
	o := newOffice(t)
	var asked atomic.Int64
	older := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		b, err := io.ReadAll(r.Body)
		if err != nil || strings.Contains(string(b), `"key"`) {
			doors.WriteError(w, doors.ErrUnknownField.With("field key is not known"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		o.Handler().ServeHTTP(w, r)
	}))
	defer older.Close()
	file, state := writeConfig(t, "")
	if code, stdout, stderr := hubRun(t.Context(), "enroll", "--hq", older.URL, "--code", o.code(t), "--config", file); code != cli.ExitFine || asked.Load() != 2 {
		t.Fatalf("exit %d after %d tries: %s%s", code, asked.Load(), stdout, stderr)
	}
	b, err := os.ReadFile(filepath.Join(state, "hq.credential"))
	if err != nil {
		t.Fatal(err)
	}
	if credential, key := hq.ParseCredential(string(b)); credential == "" || key != nil {
		t.Errorf("a key that nobody knows of is kept: %v", key != nil)
	}
}

func TestEnrolmentThatFailsLeavesNothing(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]struct {
		config string
		args   []string
		exit   int
		says   string
	}{
		"wrong code":           {"", []string{"--hq", o.url, "--code", "NOPE", "--ca-file", o.ca}, cli.ExitUsage, "enrolment_code_refused"},
		"certificate":          {"", []string{"--hq", o.url, "--code", "NOPE"}, cli.ExitCouldNot, "certificate"},
		"nobody there":         {"", []string{"--hq", "http://127.0.0.1:1", "--code", "NOPE"}, cli.ExitCouldNot, "refused"},
		"no address":           {"", []string{"--hq", "hq.example.com", "--code", "NOPE"}, cli.ExitUsage, "is not the address of a headquarters"},
		"no code":              {"", []string{"--hq", o.url}, cli.ExitUsage, "missing flags: --hq and --code, or --from"},
		"no file":              {"", []string{"--from", "none.yaml"}, cli.ExitUsage, "read enrolment: open none.yaml"},
		"no CA":                {"", []string{"--hq", o.url, "--code", "NOPE", "--ca-file", "none.pem"}, cli.ExitUsage, "none.pem"},
		"another headquarters": {"hq:\n  url: https://other.example\n", []string{"--hq", o.url, "--code", "NOPE", "--ca-file", o.ca}, cli.ExitUsage, "names another headquarters"},
		"embedded":             {"hq:\n  embedded: true\n", []string{"--hq", o.url, "--code", "NOPE", "--ca-file", o.ca}, cli.ExitUsage, "enrols by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			file, state := writeConfig(t, c.config)
			before, _ := os.ReadFile(file)
			code, stdout, stderr := hubRun(t.Context(), append([]string{"enroll", "--config", file}, c.args...)...)
			if code != c.exit || !strings.Contains(stderr, c.says) || stdout != "" {
				t.Errorf("exit %d, want %d with %q:\n%s%s", code, c.exit, c.says, stdout, stderr)
			}
			if after, _ := os.ReadFile(file); string(after) != string(before) {
				t.Errorf("the configuration became\n%s", after)
			}
			if left, _ := os.ReadDir(state); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestCodeIsNotSpentWhereTheCredentialCannotBeKept(t *testing.T) {
	o := newOffice(t)
	code := o.code(t)
	file, _ := writeConfig(t, "hq:\n  credential_file: /nowhere/at/all/hq.credential\n")
	if exit, _, stderr := hubRun(t.Context(), "enroll", "--hq", o.url, "--code", code, "--ca-file", o.ca, "--config", file); exit != cli.ExitCouldNot {
		t.Fatalf("exit %d: %s", exit, stderr)
	}
	file, _ = writeConfig(t, "")
	if exit, _, stderr := hubRun(t.Context(), "enroll", "--hq", o.url, "--code", code, "--ca-file", o.ca, "--config", file); exit != cli.ExitFine {
		t.Errorf("the code was spent: exit %d: %s", exit, stderr)
	}
}

func TestStoreOfTheFileMustBeThatOfTheCode(t *testing.T) {
	o := newOffice(t)
	file, _ := writeConfig(t, "store: \"0999\"\n")
	exit, _, stderr := hubRun(t.Context(), "enroll", "--hq", o.url, "--code", o.code(t), "--ca-file", o.ca, "--config", file)
	if exit != cli.ExitUsage || !strings.Contains(stderr, `says store "0999"`) || !strings.Contains(stderr, `hint: set `) {
		t.Errorf("exit %d: %s", exit, stderr)
	}
}

func TestCancelledEnrolmentEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file, _ := writeConfig(t, "")
	if exit, _, _ := hubRun(ctx, "enroll", "--hq", "http://127.0.0.1:1", "--code", "x", "--config", file); exit != cli.ExitCouldNot {
		t.Errorf("exit %d", exit)
	}
}
