package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"storehub/hq"
	"storehub/internal/cli"
	"storehub/internal/pgcluster"
	"storehub/internal/sandbox"
)

var update = flag.Bool("update", false, "write the golden texts anew")

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"hq": main}) }

// TestScript tells one story per command, of processes and files. `code N` runs
// a command that must exit with N.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("STOREHUB_CONFIG", "")
			e.Setenv("COLUMNS", "100")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < 2 {
				ts.Fatalf("usage: code N command [arg…]")
			}
			got := "0"
			if err := ts.Exec(args[1], args[2:]...); err != nil {
				got = strings.TrimPrefix(err.Error(), "exit status ")
			}
			if got != args[0] {
				ts.Fatalf("exit %s, want %s\n%s%s", got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
			}
		}},
	})
}

// golden compares with testdata/name, or writes it anew.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, got) {
		t.Errorf("%s: %v\n%s", name, err, got)
	}
}

// said is what a program wrote, while it runs.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// settings writes a configuration with a key that Stripe would not know.
func settings(t *testing.T, more string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"key":     "rk_test_very_secret",
		"hooks":   "whsec_very_secret\n\nwhsec_also_secret\n",
		"hq.yaml": "listen: 127.0.0.1:0\ndatabase: sqlite:" + dir + "/hq.db\nstripe:\n  api_key_file: " + dir + "/key\n  webhook_secret_file: " + dir + "/hooks\n" + more,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "hq.yaml")
}

// stripeAtHand is a sandbox that takes the key of settings.
func stripeAtHand(t *testing.T) (box *sandbox.Sandbox, url string) {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{RestrictedKey: "rk_test_very_secret", Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		front.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return box, front.URL
}

// TestServeWhileAStoreIsAdded: headquarters serves, a person adds a store beside
// it, a hub enrols, and the end of ctx ends it all with 0.
func TestServeWhileAStoreIsAdded(t *testing.T) { serveWhileAStoreIsAdded(t, "") }

// TestServeOnPostgreSQL is the same on a database server.
func TestServeOnPostgreSQL(t *testing.T) {
	c, err := pgcluster.Start(pgcluster.Fast...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	url, err := c.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	serveWhileAStoreIsAdded(t, url)
}

func serveWhileAStoreIsAdded(t *testing.T, database string) {
	front := httptest.NewServer(http.NotFoundHandler())
	defer front.Close()
	config := settings(t, "  api_base: "+front.URL+"\n")
	if database != "" {
		b, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`database: .*`).ReplaceAllLiteralString(string(b), "database: "+database)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, log said
	exit := make(chan int, 1)
	go func() { exit <- run(ctx, []string{"serve", "--config", config}, strings.NewReader(""), &out, &log) }()

	address := regexp.MustCompile(`listen=(127\.0\.0\.1:\d+)`)
	var url string
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for url == "" {
		select {
		case <-tick.C:
			if m := address.FindStringSubmatch(log.String()); m != nil {
				url = "http://" + m[1]
			}
		case code := <-exit:
			t.Fatalf("exit %d\n%s", code, log.String())
		case <-deadline:
			t.Fatalf("it does not serve\n%s", log.String())
		}
	}
	var added, complaint bytes.Buffer
	if code := run(ctx, []string{"store", "add", "--config", config, "--id", "0412", "--location", "tml_1", "--format", "json"}, nil, &added, &complaint); code != 0 {
		t.Fatalf("exit %d\n%s", code, complaint.String())
	}
	var v struct {
		Store, Code string
		ExpiresAt   time.Time `json:"expires_at"`
	}
	dec := json.NewDecoder(&added)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil || v.Store != "0412" || v.Code == "" || time.Until(v.ExpiresAt) < 23*time.Hour {
		t.Fatalf("%+v, %v", v, err)
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := &hq.Client{URL: url, HTTP: &http.Client{Transport: tr}}
	e, err := c.Enrol(ctx, hq.EnrolRequest{Code: v.Code, Fingerprint: "f"})
	if err != nil || e.Store.ID != "0412" || e.Store.Mode != "test" {
		t.Fatalf("%+v, %v", e.Store, err)
	}
	c.Credential = func() string { return e.Credential }
	// A poll that waits must not hold up the end.
	polled := make(chan error, 1)
	go func() {
		_, err := c.Feed(t.Context(), "", 0, time.Minute)
		polled <- err
	}()
	if _, err := c.Store(ctx); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	cancel()
	if code := <-exit; code != 0 || time.Since(began) > 5*time.Second {
		t.Errorf("exit %d after %s\n%s", code, time.Since(began), log.String())
	}
	<-polled
	for _, secret := range []string{"very_secret", "also_secret", e.Credential, v.Code} {
		if strings.Contains(log.String()+out.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestAnAddressInUseIsSaidWithAHint(t *testing.T) {
	front := httptest.NewServer(http.NotFoundHandler())
	defer front.Close()
	config := settings(t, "")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "127.0.0.1:0", strings.TrimPrefix(front.URL, "http://"), 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log said
	code := run(t.Context(), []string{"serve", "--config", config}, nil, &said{}, &log)
	if code != cli.ExitCouldNot || !strings.Contains(log.String(), "hq: listen: ") || !strings.Contains(log.String(), "hint: ") {
		t.Errorf("exit %d\n%s", code, log.String())
	}
}
